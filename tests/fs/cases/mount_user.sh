# SPDX-License-Identifier: LGPL-2.1-or-later
# Without root: fusermount3 mounts, for that user alone.

command -v fusermount3 >/dev/null || skip "fusermount3 is not installed"
# One that has a name, which fusermount3 asks for.
user=$(id -u nobody)

# A device that users may open, for this case alone; and a program that they may run.
mkdir "$WORK/user" "$WORK/runtime"
mknod -m 0666 "$WORK/fuse" c 10 229
mount --bind "$WORK/fuse" /dev/fuse
cp "$BUILD_DIR/bin/relinkfs" "$WORK/user/"
mount --bind "$WORK/user" "$WORK/user"
mkdir "$WORK/user/m"
chown -R "$user:$user" "$SRC" "$WORK/user/m" "$WORK/runtime"
chmod 0755 "$WORK" "$WORK/user"
MNT=$WORK/user/m

as_user() {
	setpriv --reuid "$user" --regid "$user" --clear-groups \
		env "XDG_RUNTIME_DIR=$WORK/runtime" "$@"
}
mount_as_user() {
	capture 0 as_user "$WORK/user/relinkfs" "$@"
	DAEMON=$(pgrep -x relinkfs)
}
gone() {
	wait_until '! kill -0 "$DAEMON"'
	DAEMON=
	mountpoint -q "$MNT" && fail "still mounted"
	assert_eq "" "$(find "$WORK/runtime" -name '*.sock')" "control sockets left"
}

mount_as_user "$SRC" "$MNT"
assert_eq fuse.relinkfs "$(findmnt -no FSTYPE "$MNT")"
assert_eq "$SRC" "$(findmnt -no SOURCE "$MNT")"
for word in nosuid nodev default_permissions; do
	assert_match "(^|,)$word(,|$)" "$(findmnt -no OPTIONS "$MNT")"
done
holder a setpriv --reuid "$user" --regid "$user" --clear-groups
h a open f "$MNT/f" rw,creat
h a write f "some text"
h a unlink "$MNT/f"
h_is "0 $user" a fstat f nlink uid
h_is "some text" a pread f 0 20
assert_vault 1
capture '!' ls "$MNT"
assert_match "Permission denied" "$ERR"
release a
assert_vault 0
as_user fusermount3 -u "$MNT"
gone

# Signals, and what a killed one leaves.
mount_as_user "$SRC" "$MNT"
kill -TERM "$DAEMON"
gone
mount_as_user "$SRC" "$MNT"
kill -KILL "$DAEMON"
wait_until '! kill -0 "$DAEMON"'
mount_as_user "$SRC" "$MNT"
assert_match "had lost its daemon" "$ERR"
as_user touch "$MNT/new"
assert_exists "$SRC/new"
kill -TERM "$DAEMON"
gone

# Over itself is possible; a mount point within the source is not, without a view of it.
mount_as_user "$SRC" "$SRC"
as_user touch "$SRC/over"
kill -TERM "$DAEMON"
wait_until '! kill -0 "$DAEMON"'
assert_exists "$SRC/over"
as_user mkdir "$SRC/inner"
capture 1 as_user "$WORK/user/relinkfs" "$SRC" "$SRC/inner"
assert_match "lies inside of the source" "$ERR"

# What users may not is said so.
if ! grep -q '^[[:space:]]*user_allow_other' /etc/fuse.conf 2>/dev/null; then
	capture 1 as_user "$WORK/user/relinkfs" -o allow_other "$SRC" "$MNT"
	assert_match "allow_other: only root may" "$ERR"
fi
capture 1 as_user "$WORK/user/relinkfs" -o context=x "$SRC" "$MNT"
assert_match "context: only root may" "$ERR"
capture 1 as_user "$WORK/user/relinkfs" -o strictatime "$SRC" "$MNT"
assert_match "strictatime: only root may" "$ERR"
mount_as_user -o ro,noexec,sync,dirsync,noatime "$SRC" "$MNT"
for word in ro noexec sync dirsync noatime; do
	assert_match "(^|,)$word(,|$)" "$(findmnt -no OPTIONS "$MNT")"
done
kill -TERM "$DAEMON"
gone
capture 1 as_user "PATH=$WORK/nowhere" "$WORK/user/relinkfs" "$SRC" "$MNT"
assert_match "fusermount3 is not in PATH" "$ERR"
chmod 0600 "$WORK/fuse"
capture 1 as_user "$WORK/user/relinkfs" "$SRC" "$MNT"
assert_match "/dev/fuse: Permission denied" "$ERR"
DAEMON=
mountpoint -q "$MNT" && fail "mounted"
umount "$WORK/user"
MNT=$WORK/mnt
