# SPDX-License-Identifier: LGPL-2.1-or-later
# What others do in the source beneath the mount is seen, and does no harm.

mount_relinkfs -o cache=shared
echo one >"$SRC/made-below"
assert_eq one "$(cat "$MNT/made-below")"
holder a
h a open f "$MNT/made-below" rw
rm "$SRC/made-below"
wait_until '[[ ! -e $MNT/made-below ]]'
h_is one a pread f 0 10
h a pwrite f 0 ONE
h_is ONE a pread f 0 10
h a close f

# Replaced below while it is open above: two files, not one.
echo old >"$MNT/f"
h a open f "$MNT/f" rw
echo new >"$SRC/f.new"
mv "$SRC/f.new" "$SRC/f"
wait_until '[[ $(cat "$MNT/f") == new ]]'
h_is old a pread f 0 10
rm "$MNT/f"
assert_missing "$MNT/f" "$SRC/f"
h_is old a pread f 0 10
h a close f
assert_vault 0

# An entry of the vault vanishes: the file stays usable, the checkpoint says why not.
h a open f "$MNT/g" rw,creat
h a write f "text"
rm "$MNT/g"
assert_vault 1
rm "$VAULT"/*
h_is text a pread f 0 10
h a fchmod f 0640
h_is 0 a fstat f nlink
capture '!' ckpt-trigger "$MNT"
[[ $ERR ]] || fail "no word about an entry that is gone"
assert_eq "" "$(checkpoint_files)"
h a close f
assert_hidden 0

# Inode numbers are used again by the backing: never two files in one.
for i in {1..30}; do
	rm -f "$SRC/n"
	echo "$i" >"$SRC/n"
	wait_until "[[ \$(cat '$MNT/n') == $i ]]"
done
rm "$SRC/n"

# A name that the kernel remembers as free, and that others gave to something meanwhile, is
# not opened behind the kernel's back: not without permission, nor so as to wait for a FIFO.
remount_relinkfs
chmod 0777 "$MNT"
assert_missing "$MNT/secret" "$MNT/fifo" "$MNT/mine"
echo secret >"$SRC/secret"
chmod 0600 "$SRC/secret"
mkfifo "$SRC/fifo"
echo mine >"$SRC/mine"
holder b setpriv --reuid=65534 --regid=65534 --clear-groups
h_err EACCES b open f "$MNT/secret" rw,creat
h_err EACCES b open f "$MNT/secret" rw,creat,trunc
assert_eq secret "$(cat "$SRC/secret")"
h a open f "$MNT/fifo" rw,creat
h_is fifo a fstat f type
h a close f
h a open f "$MNT/mine" rw,creat
h_is mine a pread f 0 4
h a close f

# The set-user-ID bit that a file is made with stays, as on the source, with O_TRUNC too.
h b open f "$MNT/setuid" rw,creat,trunc 04755
h_is 4755 b fstat f mode
h b close f
