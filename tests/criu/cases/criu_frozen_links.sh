# SPDX-License-Identifier: LGPL-2.1-or-later
# size: 3G
# filesystems: ext4 xfs btrfs
# Stock CRIU with the configuration file: no copies, the same inodes, nothing left behind.
. "$(dirname "$CASE")/../lib.sh"

mount_relinkfs
mkdir "$MNT/d" "$MNT/e"
holder a setsid
h a open big "$MNT/d/big" rw,creat
fallocate -l 1G "$MNT/d/big"
h a pwrite big 4096 content
h a setxattr big user.colour blue
h a mmap big map 8192 rw
h a open below "$MNT/e/below" rw,creat
h a write below below
h a open made "$MNT/d" rw,tmpfile
h a write made temporary
mkfifo "$MNT/d/fifo"
h a open fifo "$MNT/d/fifo" rw
rm "$MNT/d/big" "$MNT/d/fifo" "$MNT/e/below"
rmdir "$MNT/e"

seen() {
	local slot
	for slot in big below made fifo; do
		h a fstat "$slot" ino type mode uid gid size mtime
		echo "$slot $REPLY"
	done
}
before=$(seen)

criu_dump a
no_ghosts
assert_eq "" "$(ls -A "$MNT/d")" "the folder after the dump"
[[ ! -e $MNT/link_remap.* ]] || fail "link_remap names are left"

RELINKFS_CRIU_KEEP=1 criu_restore
assert_eq "$before" "$(seen)" "what the holder sees"
h_is content a mread map 4096 7
h_is blue a getxattr big user.colour
h_is below a pread below 0 5
assert_eq "" "$(ls -A "$MNT/d")" "the folder after the restore"
assert_ne "" "$(checkpoint_files)" "the kept checkpoint"

# The same images once more, and now for good.
murder a
criu_restore
assert_eq "$before" "$(seen)" "what the holder sees"
h_is temporary a pread made 0 9
assert_eq "" "$(ls -A "$MNT/d")" "the folder after the second restore"
assert_eq "" "$(checkpoint_files)" "left of the checkpoint"
h_is 0 a fstat big nlink
part a
