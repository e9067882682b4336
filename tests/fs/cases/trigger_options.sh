# SPDX-License-Identifier: LGPL-2.1-or-later
# --template, --pid, --cgroup, --run, --undo-on-failure, and what the trigger prints.

mount_relinkfs
holder a
holder b
for name in a b; do
	h $name open f "$MNT/$name" rw,creat
	h $name write f "of $name"
	rm "$MNT/$name"
done
assert_hidden 2

# What is printed without --json: the id and the manifest, for people and for scripts.
capture 0 ckpt-trigger "$MNT"
id=$(sed -n 's/.*unlink-at-restart-\([0-9a-f]*\)\.json.*/\1/p' <<<"$OUT")
assert_match '^[0-9a-f]{16}$' "$id" "the manifest's name in: $OUT"
grep -qw "$id" <<<"$(sed 's/unlink-at-restart[^ ]*//' <<<"$OUT")" || fail "no id by itself in: $OUT"
relinkctl drop "$id" "$MNT"

# Any path in the mount will do; one outside is refused.
mkdir "$MNT/deep"
capture 0 ckpt-trigger --json "$MNT/deep"
relinkctl drop "$(jq -r .id <<<"$OUT")" "$MNT"
capture 5 ckpt-trigger "$WORK"
[[ $ERR == *"$WORK"* ]] || fail "the error does not name the path: $ERR"
capture '!' ckpt-trigger "$MNT/nothing"
capture 2 ckpt-trigger
capture 2 ckpt-trigger --no-such-option "$MNT"
capture 0 ckpt-trigger --help
assert_match "^Usage: ckpt-trigger" "$OUT"
(($(wc -L <<<"$OUT") <= 80)) || fail "the help is wider than 80 columns"

# Only one process, with its descendants.
trigger --pid "${HOLD_PID[a]}"
assert_eq '["a"]' "$(jq -c '[.entries[].path]' "$MANIFEST")" "entries of one process"
relinkctl drop "$CKPT" "$MNT"
capture '!' ckpt-trigger --pid 999999 "$MNT"
assert_eq "" "$(checkpoint_files)"
: >"$MNT/tree"
bash -c 'exec 9<>"$1"; rm "$1"; bash -c "echo x >\"$2\"; read -r _ <\"$3\"" <&9 & wait' \
	sh "$MNT/tree" "$WORK/tree.up" "$WORK/never" &
tree=$!
wait_until '[[ -s $WORK/tree.up ]]'
trigger --pid "$tree"
assert_eq '["tree"]' "$(jq -c '[.entries[].path]' "$MANIFEST")" "entries of a tree"
(($(entry_of tree | jq '[.openers[].pid] | unique | length') >= 2)) || fail "the child is not among the openers"
relinkctl drop "$CKPT" "$MNT"
pkill -KILL -P "$tree" || true
kill -KILL "$tree" 2>/dev/null || true
wait "$tree" || true
assert_hidden 2

# Only one cgroup.
mkdir "$WORK/cgroup"
if mount -t cgroup2 none "$WORK/cgroup" 2>/dev/null && mkdir "$WORK/cgroup/relinkfs-case-$$-$FSTYPE"; then
	group=$WORK/cgroup/relinkfs-case-$$-$FSTYPE
	echo "${HOLD_PID[b]}" >"$group/cgroup.procs"
	trigger --cgroup "$(sed -n 's/^0:://p' "/proc/${HOLD_PID[b]}/cgroup")"
	scope=$(jq -c '[.entries[].path]' "$MANIFEST")
	echo "${HOLD_PID[b]}" >"$WORK/cgroup/cgroup.procs"
	rmdir "$group"
	assert_eq '["b"]' "$scope" "entries of one cgroup"
	relinkctl drop "$CKPT" "$MNT"
fi
capture '!' ckpt-trigger --cgroup /no/such/cgroup "$MNT"
assert_eq "" "$(checkpoint_files)"

# Templates: beneath the root, folders made and removed again.
trigger --template 'frozen/%c/%u/link-%t-%n-%i.%%'
link=$(link_of a)
assert_eq "frozen/$CKPT/0/link-$CKPT-$(entry_of a | jq .n)-$(entry_of a | jq .ino).%" "$link"
assert_eq "of a" "$(cat "$MNT/$link")"
assert_eq "700 0 0" "$(stat -c '%a %u %g' "$MNT/frozen")"
relinkctl drop "$CKPT" "$MNT"
assert_missing "$MNT/frozen"
mkdir "$MNT/mine"
trigger --template 'mine/%n-%t'
relinkctl drop "$CKPT" "$MNT"
assert_exists "$MNT/mine"

ln -s / "$MNT/up"
for template in '%n' '%t' 'x-%n-%q-%t' '/tmp/%t-%n' '../%t-%n' 'a/../../%t-%n' 'up/%t-%n' \
	'up/tmp/%t-%n' '.relinkfs/%t-%n' '.relinkfs/default/vault/%t-%n' 'a//%t-%n' '' './%t-%n' \
	'%t-%n%'; do
	capture '!' ckpt-trigger --template "$template" "$MNT"
	[[ $ERR ]] || fail "template '$template' was refused without a word"
	assert_eq "" "$(checkpoint_files)" "left by template '$template'"
done
assert_missing "$MNT/a" "$MNT/x" "/tmp/%t-%n"
long=$(printf 'l%.0s' {1..250})
capture '!' ckpt-trigger --template "$long-%t-%n" "$MNT"
assert_match "too long|bytes long" "$ERR"
capture '!' ckpt-trigger --template "made/$long-%t-%n" "$MNT"
assert_missing "$MNT/made"
deep=$(printf 'dddddddddddddddddddd/%.0s' {1..210})
capture '!' ckpt-trigger --template "$deep%t-%n" "$MNT"
assert_match "too long|bytes long" "$ERR"
assert_missing "$MNT/dddddddddddddddddddd"
assert_eq "" "$(checkpoint_files)"

# The hook runs between freeze and return, with the checkpoint in its environment.
capture 0 ckpt-trigger --json --run 'env | grep "^RELINKFS\|^CKPT" >"'"$WORK"'/hook.env"; ls "'"$MNT"'/lost+found/checkpoint" >"'"$WORK"'/hook.ls"' "$MNT"
CKPT=$(jq -r .id <<<"$OUT")
grep -q "$CKPT" "$WORK/hook.env" || fail "no checkpoint in the hook's environment: $(cat "$WORK/hook.env")"
grep -q "unlink-at-restart-$CKPT.json" "$WORK/hook.env" || fail "no manifest in the hook's environment"
assert_eq 3 "$(wc -l <"$WORK/hook.ls")" "files that the hook found"
assert_eq '["committed"]' "$(relinkctl checkpoints --json "$MNT" | jq -c '[(.checkpoints // .)[] | select(.id == "'"$CKPT"'") | .state]')"
relinkctl drop "$CKPT" "$MNT"

# A failing hook: the trigger fails; the checkpoint stays, unless it is to be undone.
capture 3 ckpt-trigger --run 'exit 3' "$MNT"
assert_eq 3 "$(checkpoint_files | wc -l)" "files of the checkpoint whose hook failed"
id=$(checkpoint_files | sed -n 's/^unlink-at-restart-\(.*\)\.json$/\1/p')
relinkctl drop "$id" "$MNT"
for hook in 'exit 3' 'kill -KILL $$' '/no/such/command'; do
	capture 4 ckpt-trigger --undo-on-failure --run "$hook" "$MNT"
	assert_eq "" "$(checkpoint_files)" "left by the failed hook '$hook'"
	h_is 0 a fstat f nlink
done

# So does the end of the trigger itself.
ckpt-trigger --undo-on-failure --run "echo up >'$WORK/hook.up'; read -r _ <'$WORK/never'" "$MNT" &
trigger_pid=$!
wait_until '[[ -s $WORK/hook.up ]]'
assert_eq 3 "$(checkpoint_files | wc -l)"
kill -KILL "$trigger_pid"
wait "$trigger_pid" || true
wait_until '[[ -z $(checkpoint_files) ]]'
