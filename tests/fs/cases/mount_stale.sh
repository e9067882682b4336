# SPDX-License-Identifier: LGPL-2.1-or-later
# A mount whose daemon was killed is in nobody's way when the next one starts.

crash() {
	kill -KILL "$DAEMON"
	wait "$DAEMON" 2>/dev/null || true
	DAEMON=
}

echo text >"$SRC/file"
mount_relinkfs
# So that the kernel has attributes in its cache that look alive.
stat "$MNT" "$MNT/file" >/dev/null
crash
capture '!' cat "$MNT/file"
assert_match "not connected" "$ERR"
mount_relinkfs
assert_match "unmounted $MNT: .* had lost its daemon" "$(cat "$DAEMON_LOG")"
assert_eq text "$(cat "$MNT/file")"
assert_eq 1 "$(grep -c " $MNT " /proc/self/mounts)" "mounts at the mount point"

# Also while somebody still has a file open in there, who keeps his error.
holder a
h a open f "$MNT/file" r
crash
mount_relinkfs
h_err ENOTCONN a fsync f
assert_eq text "$(cat "$MNT/file")"
release a
stop_relinkfs
mountpoint -q "$MNT" && fail "something is left at the mount point"
assert_eq "" "$(ls /run/relinkfs)" "control sockets of dead mounts"

# Over itself, where the source can only be reached after that.
start_relinkfs "$SRC" "$SRC"
stat "$SRC" >/dev/null
crash
start_relinkfs "$SRC" "$SRC"
assert_eq text "$(cat "$SRC/file")"
stop_relinkfs "$SRC"

# In the background, too.
mount_relinkfs
crash
capture 0 relinkfs "$SRC" "$MNT"
assert_match "had lost its daemon" "$ERR"
assert_eq text "$(cat "$MNT/file")"
umount "$MNT"

# A mount of a live daemon is left alone.
mount_relinkfs
capture '!' relinkfs "$SRC" "$MNT"
assert_match "mounted there already" "$ERR"
assert_eq text "$(cat "$MNT/file")"
stop_relinkfs
