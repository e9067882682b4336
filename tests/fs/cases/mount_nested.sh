# SPDX-License-Identifier: LGPL-2.1-or-later
# The mount point over, inside of and around the source; mounts inside of the source.

mkdir "$SRC/dir" "$SRC/inner"
echo below >"$SRC/file"
echo covered >"$SRC/dir/covered"

# What is mounted in the source is not part of it, as with mount --bind.
mount -t tmpfs none "$SRC/dir"
echo above >"$SRC/dir/above"
mount_relinkfs
assert_exists "$MNT/dir/covered"
assert_missing "$MNT/dir/above"
umount "$SRC/dir"
mount -t tmpfs none "$SRC/dir"
assert_exists "$MNT/dir/covered"
umount "$SRC/dir"
echo seen >"$MNT/dir/new"
assert_eq seen "$(cat "$SRC/dir/new")"
stop_relinkfs

# Inside: no way leads from the mount into itself.
start_relinkfs "$SRC" "$SRC/inner"
assert_eq below "$(cat "$SRC/inner/file")"
assert_eq "" "$(ls -A "$SRC/inner/inner")" "the mount point as the mount has it"
touch "$SRC/inner/inner/x"
assert_exists "$SRC/inner/inner/x"
rm "$SRC/inner/inner/x"
assert_eq 1 "$(find "$SRC/inner" -name file | wc -l)" "files found by a walk"
stop_relinkfs "$SRC/inner"

# Over itself, and the source stays reachable for the daemon alone.
start_relinkfs "$SRC" "$SRC"
assert_missing "$SRC/.relinkfs"
echo changed >"$SRC/file"
holder a
h a open f "$SRC/f" rw,creat
rm "$SRC/f"
h_is 0 a fstat f nlink
release a
capture '!' relinkfs "$SRC" "$SRC"
assert_match "mounted there already" "$ERR"
capture '!' relinkfs "$SRC/dir" "$MNT"
assert_match "lies in a relinkfs mount" "$ERR"
stop_relinkfs "$SRC"
assert_eq changed "$(cat "$SRC/file")"

# Around: the source is a folder of what the mount covers.
start_relinkfs "$SRC" "$FSROOT"
assert_eq changed "$(cat "$FSROOT/file")"
echo again >"$FSROOT/file"
stop_relinkfs "$FSROOT"
assert_eq again "$(cat "$SRC/file")"

# The filesystem below cannot be unmounted from under the daemon.
mount_relinkfs
capture '!' umount "$FSROOT"
assert_match busy "$ERR"
stop_relinkfs

# A name with all that a mount table escapes.
odd=$WORK/$'a b\tc\\d\ne'
mkdir "$odd"
start_relinkfs "$SRC" "$odd"
assert_eq again "$(cat "$odd/file")"
kill -TERM "$DAEMON"
reap_relinkfs 0
mountpoint -q "$odd" && fail "still mounted after SIGTERM"
rmdir "$odd"
