# SPDX-License-Identifier: LGPL-2.1-or-later
# size: 3G
# filesystems: ext4 xfs btrfs
# By the wrapper everything comes back as it was: inode, link count, times, name, folder.
. "$(dirname "$CASE")/../lib.sh"

mount_relinkfs
mkdir "$MNT/d"
mkdir -m 2750 "$MNT/gone"
chown 12:34 "$MNT/gone"
setfattr -n user.colour -v green "$MNT/gone"

holder a setsid
h a open big "$MNT/d/big" rw,creat
truncate -s 1G "$MNT/d/big"
fallocate -l 1G "$MNT/d/big"
h a pwrite big 4096 content
h a setxattr big user.colour blue
h a seek big 12345 set
h a open log "$MNT/d/log" w,creat,append
h a write log line
h a mmap big map 8192 rw
h a open made "$MNT/d" rw,tmpfile
h a write made temporary
mkfifo "$MNT/d/fifo"
h a open fifo "$MNT/d/fifo" rw
h a open taken "$MNT/d/taken" rw,creat
h a write taken old
h a open odd "$MNT/d/odd (deleted)" rw,creat
h a write odd odd
h a open folder "$MNT/gone" r,dir
h a chdir "$MNT/gone"
h a open careful "$MNT/d/careful" rw,creat,nofollow
h a write careful careful
ln -s nowhere "$MNT/d/symlink"
h a open symlink "$MNT/d/symlink" path,nofollow
rm "$MNT/d/careful" "$MNT/d/symlink"
rm "$MNT/d/big" "$MNT/d/log" "$MNT/d/fifo" "$MNT/d/taken" "$MNT/d/odd (deleted)"
rmdir "$MNT/gone"
echo new >"$MNT/d/taken"

slots=(big log made fifo taken odd folder careful symlink)
seen() {
	local slot
	for slot in "${slots[@]}"; do
		h a fstat "$slot" nlink ino type mode uid gid size mtime
		printf '%s %s' "$slot" "$REPLY"
		h a flags "$slot"
		printf ' %s' "${REPLY%,dir}" # CRIU does not keep O_TMPFILE, and with it O_DIRECTORY
		h a name "$slot"
		[[ $slot == made ]] || printf ' %s' "$REPLY"
		echo
	done
	h a cwd
	echo "$REPLY"
	h a seek big 0 cur
	echo "$REPLY"
}
before=$(seen)

check() {
	assert_eq "$before" "$(seen)" "what the holder sees"
	h_is content a pread big 4096 7
	h_is content a mread map 4096 7
	h_is blue a getxattr big user.colour
	h_is temporary a pread made 0 9
	h_is old a pread taken 0 3
	h_is careful a pread careful 0 7
	h_is odd a pread odd 0 3
	assert_eq new "$(cat "$MNT/d/taken")" "the file that has the name now"
	assert_eq taken "$(ls -A "$MNT/d")" "the folder"
	assert_missing "$MNT/gone"
}

wrapped_dump a
no_ghosts
assert_eq taken "$(ls -A "$MNT/d")" "the folder after the dump"

wrapped_restore --keep
after=$(seen | sed 's/^\([a-z]*\) [0-9]*/\1/')
assert_eq "$(sed 's/^\([a-z]*\) [0-9]*/\1/' <<<"$before")" "$after" "but for link counts"
murder a
wrapped_restore
check
assert_eq "" "$(checkpoint_files)" "left of the checkpoint"
h a write log more
part a
