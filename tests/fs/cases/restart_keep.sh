# SPDX-License-Identifier: LGPL-2.1-or-later
# With --keep a checkpoint can be restarted again; by id as well as by manifest; while
# the first process still runs, and after a remount and a crash.

mount_relinkfs
holder old
h old open f "$MNT/f" rw,creat
h old write f "kept"
h old fstat f ino
inode=$REPLY
h old chdir "$MNT"
mkdir "$MNT/cwd"
h old chdir "$MNT/cwd"
rm "$MNT/f"
rmdir "$MNT/cwd"
trigger
files=$(checkpoint_files)

restart() { # ARG...
	holder new ckpt-restart "$@" --
	adopt_named new f f
	h_is "$inode" new fstat f ino
	h_is "kept" new pread f 0 10
	h_is "$MNT/f (deleted)" new name f
}

restart --keep "$MANIFEST"
assert_eq "$files" "$(checkpoint_files)" "files of a kept checkpoint"
h_is "1" new fstat f nlink
release new
restart --keep --mount "$MNT" "$CKPT"
release new
h_is "1" old fstat f nlink
release old
assert_vault 0

# Twice at the same time.
restart --keep "$MANIFEST"
holder twin ckpt-restart --keep "$MANIFEST" --
adopt_named twin f f
h_is "$inode" twin fstat f ino
release new twin
assert_eq "$files" "$(checkpoint_files)"

remount_relinkfs
restart --keep "$MANIFEST"
release new
kill9_relinkfs
mount_relinkfs
assert_eq "$files" "$(checkpoint_files)" "after a crash"
restart --keep --fds "$MANIFEST"
h_is "$MNT/cwd (deleted)" new cwd
release new

# The first restart without --keep ends it, and a next one says so.
restart "$MANIFEST"
assert_eq "" "$(checkpoint_files)"
h_is "0" new fstat f nlink
release new
capture '!' ckpt-restart "$MANIFEST" -- true
[[ $ERR == *"$MANIFEST"* ]] || fail "the error does not name the manifest: $ERR"
capture '!' ckpt-restart --mount "$MNT" "$CKPT" -- true
[[ $ERR == *"$CKPT"* ]] || fail "the error does not name the checkpoint: $ERR"
assert_vault 0
