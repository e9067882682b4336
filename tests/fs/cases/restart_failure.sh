# SPDX-License-Identifier: LGPL-2.1-or-later
# A restart that fails leaves the checkpoint as it was, and a second try works.

mount_relinkfs
holder old
for name in one two three; do
	h old open "$name" "$MNT/$name" rw,creat
	h old write "$name" "$name"
	h old seek "$name" 0 set
	rm "$MNT/$name"
done
trigger
kill_holder old
two=$MNT/$(link_of two)
good=$(cat "$MANIFEST")

state() {
	(cd "$SRC/lost+found/checkpoint" && stat -c '%n %i %h %s' ./* &&
		find . -type f -exec cat {} +)
}

# fails NEEDLE...: the restart fails, says each needle, and changes nothing.
fails() {
	local before after needle
	before=$(state)
	capture '!' ckpt-restart "$MANIFEST" -- touch "$WORK/command-ran"
	for needle; do
		[[ $ERR == *"$needle"* ]] || fail "the error does not say '$needle': $ERR"
	done
	after=$(state)
	assert_eq "$before" "$after" "the checkpoint after a failed restart"
	assert_missing "$WORK/command-ran"
	assert_vault 0
}

# A link is missing, or is another file, or of another type.
mv "$two" "$MNT/aside"
fails two "${two##*/}"
echo other >"$two"
fails two
rm "$two"
mkfifo "$two"
fails two
rm "$two"
ln -s /etc/passwd "$two"
fails two
rm "$two"
mkdir "$two"
fails two
rmdir "$two"
mv "$MNT/aside" "$two"

# The manifest was edited.
edited() { # JQ-PROGRAM NEEDLE...
	jq "$1" <<<"$good" >"$WORK/edited.json"
	cp "$WORK/edited.json" "$MANIFEST"
	shift
	fails "$@"
}
edited '.version = 99' version
edited '.format = "something"' format
edited 'del(.entries)' entries
edited '.entries[1].link = "../../../../etc/passwd"' link
edited '.entries[1].link = "/etc/passwd"' link
edited '.entries[1].link = ".relinkfs/default/catalog.db"'
edited '.entries[1].path = "../x"' path
edited '.entries[1].n = .entries[0].n'
edited '.entries[1].mode = "99999"' mode
edited '.entries[1].type = "directory"' two
edited '.entries[1].openers[0].fd = -7'
edited '.entries[1].openers[0].flags = "x"'
echo '{' >"$MANIFEST"
fails "$MANIFEST"
: >"$MANIFEST"
fails "$MANIFEST"
printf '%s' "$good" >"$MANIFEST"

# Fewer fds than are needed, or an impossible number.
before=$(state)
# (Who may raise the hard limit does so.)
capture 1 capsh --drop=cap_sys_resource -- -c 'ulimit -n 40 && exec ckpt-restart "$1" -- true' \
	sh "$MANIFEST"
assert_match "limit is 40" "$ERR"
assert_eq "$before" "$(state)" "after a restart without fds"

# The command is not there: nothing is lost.
capture 127 ckpt-restart "$MANIFEST" -- /no/such/command
[[ $ERR == */no/such/command* ]] || fail "the error does not name the command: $ERR"
assert_eq "$before" "$(state)" "after a restart whose command is missing"

capture 126 ckpt-restart "$MANIFEST" -- /etc/passwd
capture 2 ckpt-restart
capture 2 ckpt-restart "$MANIFEST"
capture 0 ckpt-restart --list "$MANIFEST"
for name in one two three; do [[ $OUT == *"$name"* ]] || fail "--list does not show $name: $OUT"; done
capture '!' ckpt-restart "$MNT/nothing.json" -- true
capture 2 ckpt-restart --no-such-option "$MANIFEST" -- true
capture 2 ckpt-restart --map "no-equals-sign" "$MANIFEST" -- true
capture '!' ckpt-restart --fds=999999 "$MANIFEST" -- true
capture 0 ckpt-restart --help
assert_match "^Usage: ckpt-restart" "$OUT"
(($(wc -L <<<"$OUT") <= 80)) || fail "the help is wider than 80 columns"
assert_eq "$before" "$(state)"

# Without the rights: refused, unchanged.
capture 6 setpriv --reuid=1234 --regid=1234 --clear-groups ckpt-restart "$MANIFEST" -- true
capture 6 capsh --drop=cap_dac_override -- -c 'exec ckpt-restart "$1" -- true' sh "$MANIFEST"
assert_eq "$before" "$(state)"

# Now it works, and the command's status is passed on.
status=0
ckpt-restart "$MANIFEST" -- sh -c 'cat <&3; cat <&4; cat <&5; exit 42' >"$WORK/out" || status=$?
assert_eq 42 "$status" "status of the command"
for name in one two three; do grep -q "$name" "$WORK/out" || fail "no '$name' in $(cat "$WORK/out")"; done
assert_eq "" "$(checkpoint_files)"
