# SPDX-License-Identifier: LGPL-2.1-or-later
# A request that the source never answers does not keep the daemon from ending, and who
# waits for it gets an error: the connection is aborted.

[[ -d /sys/fs/fuse/connections ]] || skip "no /sys/fs/fuse/connections"
mountpoint -q /sys/fs/fuse/connections || mount -t fusectl none /sys/fs/fuse/connections ||
	skip "fusectl cannot be mounted"

# The state of a process or one of its threads: R, S, D, Z ...
in_state() { # STATE PID
	local task
	for task in "/proc/$2/task"/*; do
		[[ $(sed -n 's/^State:\t\(.\).*/\1/p' "$task/status") == "$1" ]] && return
	done
	return 1
}

mount_relinkfs -o passthrough=off
echo text >"$MNT/file"
fsfreeze -f "$FSROOT"
mkdir "$MNT/dir" 2>"$WORK/mkdir.err" &
waiting=$!
wait_until 'in_state D "$DAEMON"'

# The first signal lets requests finish, the second does not.
kill -TERM "$DAEMON"
wait_until '! mountpoint -q "$MNT"'
kill -TERM "$DAEMON"
status=0
wait "$waiting" || status=$?
fsfreeze -u "$FSROOT"
assert_eq 1 "$status" "status of mkdir"
assert_match "connection abort|not connected" "$(cat "$WORK/mkdir.err")"
reap_relinkfs 1
assert_match "not waiting for requests.*second signal" "$(cat "$DAEMON_LOG")"
assert_match "a request does not end" "$(cat "$DAEMON_LOG")"

# The next mount recovers.
mount_relinkfs
assert_eq text "$(cat "$MNT/file")"
stop_relinkfs
