# SPDX-License-Identifier: LGPL-2.1-or-later
# A file that is open lives on without its name, as POSIX has it, and is hidden meanwhile.

mount_relinkfs
holder a
h a open f "$MNT/f" rw,creat
h a write f "first words"
h a fstat f ino
inode=$REPLY
h_is "1" a fstat f nlink
assert_vault 0

rm "$MNT/f"
assert_missing "$MNT/f" "$SRC/f"
assert_vault 1
assert_hidden 1
h_is "0 $inode regular 11" a fstat f nlink ino type size
h_is "$MNT/f (deleted)" a name f
h_is "first words" a pread f 0 100
assert_eq "$inode" "$(stat -c %i "$VAULT"/*)" "inode in the vault"

# It can be used in every way that an unlinked file can be.
h a pwrite f 6 "WORDS, and more"
h_is "first WORDS, and more" a pread f 0 100
h a truncate f 5
h_is "first" a pread f 0 100
h a fchmod f 0604
h a fchown f 12 34
h a setxattr f user.colour blue
h a fsync f
h_is "0 604 12 34 5" a fstat f nlink mode uid gid size
h_is "blue" a getxattr f user.colour
h a reopen f again rw
h_is "0 $inode" a fstat again nlink ino
h a pwrite again 0 "F"
h_is "First" a pread f 0 100
assert_eq "First" "$(cat "/proc/${HOLD_PID[a]}/fd/3")" "read by another process"

# A new file under the same name is another one.
echo new >"$MNT/f"
assert_ne "$inode" "$(stat -c %i "$MNT/f")" "inode of the new file"
h_is "First" a pread f 0 100
assert_eq new "$(cat "$MNT/f")"

# The last of two fds counts, and the name comes back to neither.
h a close f
assert_eq 1 "$(vault_count)" "vault entries while one fd is left"
h_is "First" a pread again 0 100
h a close again
assert_vault 0
assert_hidden 0
assert_eq new "$(cat "$MNT/f")"

# A second process that shares the description keeps it, too.
h a open f "$MNT/f" rw
holder b
h b open f "$MNT/f" r
rm "$MNT/f"
assert_vault 1
release a
h_is "new" b pread f 0 10
assert_eq 1 "$(vault_count)" "vault entries while one process is left"
kill_holder b
assert_vault 0

# A file that nobody uses is not hidden but removed.
echo idle >"$MNT/idle"
rm "$MNT/idle"
assert_vault 0
stop_relinkfs
