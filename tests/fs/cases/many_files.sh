# SPDX-License-Identifier: LGPL-2.1-or-later
# deadline: 240
# size: 1G
# Ten thousand open unlinked files: checkpoint, restart, all exact.

count=${MANY_FILES-10000}
mount_relinkfs
mkdir "$MNT/d"
holder old
hold_many() {
	local first=$1
	hold_ask old many "$MNT/d/f" "$first"
	assert_eq ok "$REPLY" "$first open unlinked files"
}
hold_many "$count"
assert_hidden "$count"
assert_eq "" "$(ls -A "$MNT/d")"
h_is 0 old checkmany 3 "$count"

trigger
assert_eq "$count" "$(jq '.entries | length' "$MANIFEST")" "entries in the manifest"
assert_eq "$count" "$(jq '[.entries[].openers | length] | add' "$MANIFEST")" "openers"
assert_eq "$((count + 1))" "$(checkpoint_files | wc -l)" "files in the checkpoint folder"
jq -r '.entries[] | "\(.ino) \(.link)"' "$MANIFEST" | sort >"$WORK/expected"
(cd "$MNT" && find lost+found/checkpoint -name 'unlink-at-restart-*-*' -printf '%i %p\n') | sort >"$WORK/seen"
cmp "$WORK/expected" "$WORK/seen"
kill_holder old
wait_until '(( $(vault_count) == 0 ))' 60

holder new ckpt-restart "$MANIFEST" --
h_is "$count" new env LISTEN_FDS
h_is 0 new checkmany 3 "$count"
(($(ls "/proc/$DAEMON/fd" | wc -l) < count + 2000)) || fail "more than one fd for each open file"
assert_eq "" "$(checkpoint_files)"
assert_hidden "$count"
release new
wait_until '(( $(vault_count) == 0 ))' 60
assert_hidden 0
