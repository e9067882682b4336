# SPDX-License-Identifier: LGPL-2.1-or-later
# After an end of the daemon, orderly or not, the next mount takes everything up again.

# leave_something: hidden entries, one of them in a checkpoint, for a daemon that ends.
leave_something() {
	holder a
	h a open f "$MNT/frozen" rw,creat
	h a write f "frozen"
	rm "$MNT/frozen"
	mkdir "$MNT/dir"
	h a open d "$MNT/dir" r,dir
	rmdir "$MNT/dir"
	trigger
	h a open g "$MNT/only-hidden" rw,creat
	rm "$MNT/only-hidden"
	assert_hidden 3
}

frozen_is_whole() {
	assert_eq "frozen" "$(cat "$MNT/$(link_of frozen)")"
	assert_exists "$MNT/$(link_of dir)"
	assert_eq "$CKPT" "$(relinkctl checkpoints --json "$MNT" | jq -r '(.checkpoints // .)[] | select(.state == "committed") | .id')" "committed checkpoints"
	assert_eq 1 "$(stat -c %h "$MNT/$(link_of frozen)")" "links"
	assert_vault 0
	assert_hidden 0
}

mount_relinkfs
echo named >"$MNT/named"
leave_something
kill9_relinkfs
h_err ENOTCONN a fstat f nlink
kill_holder a
mount_relinkfs
assert_eq named "$(cat "$MNT/named")"
frozen_is_whole
capture 0 ckpt-restart "$MANIFEST" -- sh -c 'cat /proc/self/fd/3 || cat /proc/self/fd/4'
assert_match frozen "$OUT"
assert_eq "" "$(checkpoint_files)"

# SIGTERM and SIGINT end it cleanly, also while files are open.
for signal in TERM INT; do
	leave_something
	kill -"$signal" "$DAEMON"
	reap_relinkfs 0
	wait_until '! mountpoint -q "$MNT"'
	kill_holder a
	mount_relinkfs
	frozen_is_whole
	relinkctl drop "$CKPT" "$MNT"
done

# A lazy unmount: the daemon serves what is open, and ends with it.
leave_something
umount -l "$MNT"
h_is frozen a pread f 0 10
kill -0 "$DAEMON"
release a
reap_relinkfs 0
mount_relinkfs
frozen_is_whole
relinkctl drop "$CKPT" "$MNT"

# A crash in the midst of a checkpoint with a hook: it is not committed; it is either
# whole and to be seen, or gone.
holder a
h a open f "$MNT/f" rw,creat
rm "$MNT/f"
ckpt-trigger --undo-on-failure --run "kill -KILL $DAEMON; sleep 0.1" "$MNT" >"$WORK/out" 2>&1 || true
wait "$DAEMON" || true
kill_holder a
umount -l "$MNT"
mount_relinkfs
for id in $(checkpoint_files | sed -n 's/^unlink-at-restart-\(.*\)\.json$/\1/p'); do
	relinkctl drop "$id" "$MNT"
done
assert_eq "" "$(checkpoint_files)" "after a crash within a checkpoint"
assert_vault 0

# Crashes at any moment of a churn: never a half-made checkpoint, never a lost file.
for round in 1 2 3; do
	holder a
	h a many "$MNT/many" 50
	(
		while ckpt-trigger --json "$MNT" >>"$WORK/made.$round" 2>/dev/null; do :; done
	) &
	churner=$!
	wait_until '[[ -s $WORK/made.$round ]]'
	read -rt "0.0$((round * 3))" <>"$WORK/tick" || true
	kill9_relinkfs
	wait "$churner" || true
	kill_holder a
	mount_relinkfs
	assert_vault 0
	made=$(jq -r .id "$WORK/made.$round")
	present=$(checkpoint_files | sed -n 's/^unlink-at-restart-\(.*\)\.json$/\1/p')
	for id in $made; do
		grep -qx "$id" <<<"$present" || fail "checkpoint $id was reported, and is not there"
	done
	for id in $present; do
		manifest=$SRC/lost+found/checkpoint/unlink-at-restart-$id.json
		jq -r '.entries[].link' "$manifest" | while read -r link; do assert_exists "$SRC/$link"; done
		relinkctl drop "$id" "$MNT"
	done
	assert_eq "" "$(checkpoint_files)" "links without a manifest, after round $round"
done
