# SPDX-License-Identifier: LGPL-2.1-or-later
# One source, one mount: a second is refused and says who has it, unless it has an
# instance of its own. Other mistakes at mounting say what to do as well.

mount_relinkfs
mkdir "$WORK/second"
capture '!' relinkfs -f "$SRC" "$WORK/second"
[[ $ERR == *"$MNT"* && $ERR == *"$DAEMON"* ]] || fail "does not say who has it: $ERR"
mountpoint -q "$WORK/second" && fail "mounted all the same"
capture '!' relinkfs "$SRC" "$WORK/second"
[[ $ERR == *"$MNT"* ]] || fail "in the background: does not say who has it: $ERR"
mountpoint -q "$WORK/second" && fail "mounted all the same"
echo x >"$MNT/works-on"

first=$DAEMON
start_relinkfs "$SRC" "$WORK/second" -o instance=other
holder a
h a open f "$WORK/second/f" rw,creat
rm "$WORK/second/f"
wait_until '(( $(vault_count "$SRC/.relinkfs/other/vault") == 1 ))'
assert_eq 0 "$(vault_count)" "entries in the other instance's vault"
assert_missing "$WORK/second/.relinkfs" "$MNT/.relinkfs"
assert_eq 1 "$(relinkctl status --json "$WORK/second" | jq .hidden)"
assert_eq 0 "$(relinkctl status --json "$MNT" | jq .hidden)"
release a
wait_until '(( $(vault_count "$SRC/.relinkfs/other/vault") == 0 ))'
stop_relinkfs "$WORK/second"
DAEMON=$first
assert_eq x "$(cat "$MNT/works-on")"

# The lock goes with its holder, however that ends.
kill9_relinkfs
mount_relinkfs
stop_relinkfs

# mistake NEEDLE ARG...
mistake() {
	local needle=$1
	shift
	capture '!' relinkfs -f "$@"
	[[ $ERR == *"$needle"* ]] || fail "relinkfs ${*@Q}: does not say '$needle': $ERR"
	mountpoint -q "$MNT" && fail "relinkfs ${*@Q}: mounted"
	return 0
}
: >"$WORK/file"
mistake "$WORK/nothing" "$WORK/nothing" "$MNT"
mistake "$WORK/nothing" "$SRC" "$WORK/nothing"
mistake "$WORK/file" "$WORK/file" "$MNT"
mistake "$WORK/file" "$SRC" "$WORK/file"
mistake nonsense -o nonsense "$SRC" "$MNT"
mistake threads -o threads=many "$SRC" "$MNT"
mistake cache -o cache=some "$SRC" "$MNT"
mistake instance -o instance=../x "$SRC" "$MNT"
mistake template -o 'template=no-placeholders' "$SRC" "$MNT"
mistake "" "$SRC"
mistake ""
assert_missing "$SRC/../x"
capture 0 relinkfs --help
assert_match "^Usage: relinkfs" "$OUT"
(($(wc -L <<<"$OUT") <= 80)) || fail "the help is wider than 80 columns"
capture 0 relinkfs --version
assert_match "relinkfs.*[0-9]+\.[0-9]+" "$OUT"
