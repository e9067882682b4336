# SPDX-License-Identifier: LGPL-2.1-or-later
# A start that fails, early or late, says why, with status 1, and leaves nothing behind.

our_mounts() {
	findmnt -rno TARGET -t fuse.relinkfs | grep "^$WORK" || true
}

# fails NEEDLE ARG...: in the foreground and in the background.
fails() {
	local needle=$1
	shift
	for way in -f ""; do
		capture 1 relinkfs ${way:+"$way"} "$@"
		[[ $ERR == *"$needle"* ]] || fail "relinkfs $way ${*@Q}: no '$needle' in: $ERR"
		assert_eq "" "$(our_mounts)" "relinkfs $way ${*@Q}: mounts"
		assert_eq "" "$OUT" "standard output"
	done
}

fails "-o threads=65: must be a number" -o threads=65 "$SRC" "$MNT"
fails "-o bogus: unknown option" -o ro,bogus "$SRC" "$MNT"
fails "-x: unknown option" -x "$SRC" "$MNT"
fails "MOUNT is missing" "$SRC"
fails "source $WORK/none: No such file" "$WORK/none" "$MNT"
fails "mount point $WORK/none: No such file" "$SRC" "$WORK/none"
: >"$WORK/plain"
fails "source $WORK/plain: Not a directory" "$WORK/plain" "$MNT"
fails "mount point $WORK/plain: Not a directory" "$SRC" "$WORK/plain"
fails "-o log=$WORK/none/log: No such file" -o "log=$WORK/none/log" "$SRC" "$MNT"
assert_missing "$SRC/.relinkfs"

# The error is told to whoever starts it, also when there is a log file.
fails "source $WORK/none" -o "log=$WORK/log" "$WORK/none" "$MNT"
assert_match "source $WORK/none" "$(cat "$WORK/log")"

# Late: the control socket cannot be made when everything else is there already.
: >/run/relinkfs
fails "/run/relinkfs" "$SRC" "$MNT"
rm /run/relinkfs

# The kernel does not know such a label, or does not take it.
fails "the kernel refuses the mount" -o context=none "$SRC" "$MNT"

# And none of them keeps the source or the store busy.
mount_relinkfs
stop_relinkfs

# In the background nothing of the caller's is kept: neither its output nor other files.
exec {extra}>"$WORK/extra"
output=$(timeout 30 relinkfs "$SRC" "$MNT" 2>&1) || fail "relinkfs: status $?: $output"
exec {extra}>&-
daemon=$(pgrep -x relinkfs)
assert_eq "" "$(readlink "/proc/$daemon/fd/"* | grep -Fx "$WORK/extra" || true)" "the caller's file"
assert_eq /dev/null "$(readlink "/proc/$daemon/fd/2")" "standard error of the daemon"
assert_eq / "$(readlink "/proc/$daemon/cwd")" "working directory of the daemon"
assert_eq "$daemon" "$(ps -o sid= -p "$daemon" | tr -d ' ')" "session of the daemon"
read -r soft hard < <(sed -n 's/^Max open files *\([0-9]*\) *\([0-9]*\) .*/\1 \2/p' "/proc/$daemon/limits")
assert_eq "$hard" "$soft" "limit of open files"
ended() {
	kill -TERM "$daemon"
	wait_until '! kill -0 "$daemon"'
	assert_eq "" "$(our_mounts)" "mounts after SIGTERM"
}
ended

# Also without any standard stream.
relinkfs "$SRC" "$MNT" <&- >&- 2>&-
mountpoint -q "$MNT" || fail "not mounted without standard streams"
daemon=$(pgrep -x relinkfs)
ended

# A limit that is low, and that the daemon may not raise, is warned of.
(ulimit -n 500 && exec setpriv --bounding-set=-sys_resource relinkfs "$SRC" "$MNT")
daemon=$(pgrep -x relinkfs)
assert_match "at most 500 inodes" "$(relinkctl status --json "$MNT" | jq -r '.warnings[]')"
ended
