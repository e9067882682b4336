# SPDX-License-Identifier: LGPL-2.1-or-later
# labels: threads
# Signals end the daemon with status 0 and leave neither mount nor socket, whatever goes on.

our_mounts() {
	findmnt -rno TARGET -t fuse.relinkfs | grep "^$WORK" || true
}

EXPECT_VAULT=1

socket_of() {
	stat -c %Hd:%Ld "$1" | sed 's,.*,/run/relinkfs/&.sock,'
}

# ended_by SIGNAL
ended_by() {
	local socket
	socket=$(socket_of "$MNT")
	assert_exists "$socket"
	kill -"$1" "$DAEMON"
	reap_relinkfs 0
	mountpoint -q "$MNT" && fail "$1: still mounted"
	assert_eq "" "$(our_mounts)" "$1: mounts that are left"
	assert_missing "$socket"
}

for signal in TERM INT HUP; do
	mount_relinkfs
	echo x >"$MNT/file"
	ended_by "$signal"
done

# With files open, one of them removed: the programs get errors, and do not hang.
mount_relinkfs
holder a
h a open f "$MNT/file" rw
h a open g "$MNT/gone" rw,creat
h a open d "$MNT" r,dir
rm "$MNT/gone"
ended_by TERM
h_err ENOTCONN a fsync f
h_err ENOTCONN a fsync g
h a close f
release a
mount_relinkfs
assert_eq 0 "$(vault_count)" "vault entries after the next start"
assert_eq x "$(cat "$MNT/file")"

# Bound to another place: that one would be dead, too.
mkdir "$WORK/bound"
mount --bind "$MNT" "$WORK/bound"
ended_by TERM
mountpoint -q "$WORK/bound" && fail "the bind mount is left"

# In the middle of much work, through the daemon and beside it: it ends with errors.
for options in passthrough=auto passthrough=off,threads=2; do
	mount_relinkfs -o "$options"
	workers=()
	for i in 1 2 3 4; do
		(
			cd "$MNT" || exit
			while echo data >busy.$i && cat busy.$i >/dev/null && rm busy.$i; do
				: >"$WORK/working.$i"
			done 2>/dev/null
		) &
		workers+=($!)
	done
	wait_until '[[ -e $WORK/working.1 && -e $WORK/working.2 && -e $WORK/working.3 && -e $WORK/working.4 ]]'
	ended_by TERM
	for worker in "${workers[@]}"; do
		wait "$worker" || fail "a program that worked in the mount ended with status $?"
	done
	rm -f "$WORK"/working.* "$SRC"/busy.*
done

# Two signals at once are as good as one.
mount_relinkfs
socket=$(socket_of "$MNT")
kill -STOP "$DAEMON"
kill -TERM "$DAEMON"
kill -INT "$DAEMON"
kill -CONT "$DAEMON"
reap_relinkfs 0
mountpoint -q "$MNT" && fail "still mounted after two signals"
assert_missing "$socket"

# An unmount while it is not in use ends it, one that is refused does not.
mount_relinkfs
socket=$(socket_of "$MNT")
holder a
h a open f "$MNT/file" rw
capture '!' umount "$MNT"
assert_match busy "$ERR"
h a pwrite f 0 "still here"
release a
stop_relinkfs
assert_missing "$socket"

# A mount right after an unmount waits for the end of the last daemon.
for i in 1 2 3 4 5; do
	capture 0 relinkfs "$SRC" "$MNT"
	umount "$MNT"
done
wait_until '! pgrep -x relinkfs >/dev/null'

# A lazy one goes on until the last file is closed; here with a second user of it.
mount_relinkfs
socket=$(socket_of "$MNT")
holder a
h a open f "$MNT/file" rw
h a open d "$MNT" r,dir
umount -l "$MNT"
h a pwrite f 0 "more"
h_is more a pread f 0 4
h a close f
h a openat f d file rw
h_is more a pread f 0 4
kill -0 "$DAEMON"
assert_exists "$socket"
release a
reap_relinkfs 0
assert_missing "$socket"
EXPECT_VAULT=$(vault_count)
