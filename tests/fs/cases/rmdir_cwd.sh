# SPDX-License-Identifier: LGPL-2.1-or-later
# A removed folder that is somebody's working directory, or open, is hidden and stays itself.

mount_relinkfs
mkdir -m 2750 "$MNT/d"
chown 12:34 "$MNT/d"
setfacl -m u:56:rwx -d -m u:78:r-x "$MNT/d"
setfattr -n user.colour -v green "$MNT/d"
inode=$(stat -c %i "$MNT/d")

holder a
holder b
h a chdir "$MNT/d"
h b open d "$MNT/d" r,dir
rmdir "$MNT/d"
assert_missing "$MNT/d" "$SRC/d"
assert_vault 1
assert_hidden 1
assert_eq "$inode" "$(stat -c %i "$VAULT"/*)" "inode in the vault"
assert_eq "2770 12 34" "$(stat -c '%a %u %g' "$VAULT"/*)"
assert_eq green "$(getfattr --only-values -n user.colour "$VAULT"/* 2>/dev/null)"

h_is "$MNT/d (deleted)" a cwd
h_is "$MNT/d (deleted)" b name d
h_is "0 $inode directory" b fstat d nlink ino type
h_is "0 $inode" a stat . nlink ino

# Nothing can be made in it, nor found.
h_err ENOENT a open x x rw,creat
h_err ENOENT a mkdir x
h_err ENOENT b mkdirat d x
h_err ENOENT b openat x d x r
assert_eq "" "$(ls -A "$VAULT"/*)" "content of the hidden folder"

# The way up is kept, as for any removed folder, and does not lead into the vault.
parent=$(stat -c %i "$MNT")
h_is "$parent" a stat .. ino

# The same name can be made again, and removed again.
mkdir "$MNT/d"
assert_ne "$inode" "$(stat -c %i "$MNT/d")" "inode of the new folder"
echo x >"$MNT/d/x"
holder c
h c chdir "$MNT/d"
rm "$MNT/d/x"
rmdir "$MNT/d"
assert_vault 2
release c
assert_vault 1
h b close d
assert_eq 1 "$(vault_count)" "vault entries while a working directory is left"
h a chdir /
assert_vault 0

# Not empty stays not empty; entries of the vault inside it do not count as content.
mkdir "$MNT/e"
h a open f "$MNT/e/f" rw,creat
h_err ENOTEMPTY a rmdir "$MNT/e"
rm "$MNT/e/f"
h a rmdir "$MNT/e"
h a pwrite f 0 "still here"
h_is "still here" a pread f 0 20
h_is "$MNT/e/f (deleted)" a name f
release_all
assert_vault 0
