# SPDX-License-Identifier: LGPL-2.1-or-later
# relinkctl: status, list, checkpoints, show, drop; for people and as JSON.

mount_relinkfs -o instance=default
holder a
h a open f "$MNT/some name" rw,creat
h a write f "twelve bytes"
h a seek f 3 set
h a mmap f m 12
rm "$MNT/some name"
mkdir "$MNT/dir"
h a chdir "$MNT/dir"
rmdir "$MNT/dir"
h a open t "$MNT" tmpfile,rw
assert_hidden 3

capture 0 relinkctl status --json "$MNT"
assert_eq "$DAEMON $MNT $SRC default 3" \
	"$(jq -r '"\(.pid) \(.mount) \(.source) \(.instance) \(.hidden)"' <<<"$OUT")" "status"
assert_match "^(passthrough|splice)$" "$(jq -r .io <<<"$OUT")" "io"
[[ $(jq -r .io <<<"$OUT") == passthrough || $(jq -r .io_reason <<<"$OUT") != "" ]] ||
	fail "no passthrough, and no reason: $OUT"
grep -q "$(jq -r .io <<<"$OUT")" "$DAEMON_LOG" || fail "the log does not say how data goes"
[[ $(jq -r .fstype <<<"$OUT") == *"$FSTYPE"* || $(jq -r .fstype <<<"$OUT") == fuse* ]] ||
	fail "fstype: $OUT"
assert_match '^[0-9]{4}-[0-9]{2}-[0-9]{2}T' "$(jq -r .started <<<"$OUT")" "started"
(($(jq .hidden_bytes <<<"$OUT") >= 12)) || fail "hidden_bytes: $OUT"
capture 0 relinkctl status "$MNT"
[[ $OUT == *"$SRC"* && $OUT == *"$DAEMON"* ]] || fail "status for people: $OUT"

capture 0 relinkctl list --json "$MNT"
list=$(jq -c '.entries // .' <<<"$OUT")
assert_eq 3 "$(jq length <<<"$list")"
entry=$(jq -c '.[] | select(.path == "some name")' <<<"$list")
assert_eq "regular 12 0 hidden" "$(jq -r '"\(.type) \(.size) \(.uid) \(.state)"' <<<"$entry")"
assert_eq "[\"fd\",\"mmap\"]" "$(jq -c "[.holders[] | select(.pid == ${HOLD_PID[a]}) | .kind] | sort" <<<"$entry")" "holders"
assert_eq 3 "$(jq '.holders[] | select(.kind == "fd") | .offset' <<<"$entry")" "offset"
assert_eq hold "$(jq -r '.holders[0].comm' <<<"$entry")"
(($(jq .age_seconds <<<"$entry") >= 0 && $(jq .age_seconds <<<"$entry") < 60)) || fail "age: $entry"
assert_eq directory "$(jq -r '.[] | select(.path == "dir") | .type' <<<"$list")"
assert_eq 1 "$(jq '[.[] | select(.tmpfile)] | length' <<<"$list")"
capture 0 relinkctl list "$MNT"
[[ $OUT == *"some name"* && $OUT == *hold* ]] || fail "list for people: $OUT"

# A control character in a name does not reach the terminal.
h a open evil "$MNT/"$'red \e[31m' rw,creat
rm "$MNT/"$'red \e[31m'
for command in list "list --json"; do
	# shellcheck disable=SC2086
	capture 0 relinkctl $command "$MNT"
	[[ $OUT != *$'\e'* ]] || fail "$command prints a raw escape"
done
h a close evil

trigger
capture 0 relinkctl checkpoints --json "$MNT"
row=$(jq -c --arg id "$CKPT" '(.checkpoints // .)[] | select(.id == $id)' <<<"$OUT")
assert_eq "committed 3 0" "$(jq -r '"\(.state) \(.entries) \(.creator_uid)"' <<<"$row")"
assert_eq "ckpt-trigger" "$(jq -r .creator_comm <<<"$row")"
capture 0 relinkctl checkpoints "$MNT"
[[ $OUT == *"$CKPT"* ]] || fail "checkpoints for people: $OUT"

for which in "$CKPT" "$MANIFEST"; do
	capture 0 relinkctl show --json "$which" "$MNT"
	assert_eq "$CKPT 3" "$(jq -r '"\(.manifest.id) \(.manifest.entries | length)"' <<<"$OUT")"
	assert_eq '["present","present","present"]' "$(jq -c '[.links[].status]' <<<"$OUT")"
done
capture 0 relinkctl show "$CKPT" "$MNT"
[[ $OUT == *"some name"* && $OUT == *"$(link_of "some name" | sed 's|.*/||')"* ]] || fail "show for people: $OUT"

# What became of links that somebody touched is shown, and a drop leaves them alone.
link=$MNT/$(link_of "some name")
mv "$link" "$MNT/stolen"
capture 0 relinkctl show --json "$CKPT" "$MNT"
assert_eq 1 "$(jq '[.links[] | select(.status == "missing")] | length' <<<"$OUT")"
echo "somebody's" >"$link"
capture 0 relinkctl show --json "$CKPT" "$MNT"
assert_eq 1 "$(jq '[.links[] | select(.status == "replaced")] | length' <<<"$OUT")"
status=0
relinkctl drop --json "$CKPT" "$MNT" >"$WORK/out" 2>"$WORK/err" || status=$?
assert_eq "somebody's" "$(cat "$link")" "a file that is not ours"
assert_eq 1 "$(jq '.failures | length' "$WORK/out" "$WORK/err" 2>/dev/null | tail -n 1)" "failures"
rm "$link"
relinkctl drop "$CKPT" "$MNT" 2>/dev/null || true
assert_eq "" "$(checkpoint_files)"
rm "$MNT/stolen"

trigger
capture 0 relinkctl drop --json "$MANIFEST" "$MNT"
assert_eq "" "$(checkpoint_files)"
capture '!' relinkctl drop "$CKPT" "$MNT"
[[ $ERR == *"$CKPT"* ]] || fail "does not name the checkpoint: $ERR"
capture '!' relinkctl show ffffffffffffffff "$MNT"
capture '!' relinkctl status "$WORK"
[[ $ERR == *"$WORK"* ]] || fail "does not name the path: $ERR"
capture '!' relinkctl nothing "$MNT"
capture '!' relinkctl
for help in "--help" "status --help" "list --help" "drop --help"; do
	# shellcheck disable=SC2086
	capture 0 relinkctl $help
	assert_match "^Usage: relinkctl" "$OUT"
	(($(wc -L <<<"$OUT") <= 80)) || fail "the help is wider than 80 columns"
done
