# SPDX-License-Identifier: LGPL-2.1-or-later
# labels: threads
# Checkpoints at the same instant all succeed, with names of their own, also while files
# come and go.

mount_relinkfs
holder a
for i in {1..20}; do
	h a open "f$i" "$MNT/f$i" rw,creat
	rm "$MNT/f$i"
done
assert_hidden 20

churn() {
	local i=0
	while [[ ! -e $WORK/enough ]]; do
		exec 9>"$MNT/churn-$1-$((++i % 7))"
		rm -f "$MNT/churn-$1-$((i % 7))"
		echo "$i" >&9
		echo x >"$MNT/churn-$1-new"
		mv "$MNT/churn-$1-new" "$MNT/churn-$1-name"
		exec 9>&-
	done
}
churn 1 &
churners=($!)
churn 2 &
churners+=($!)

triggers=()
for i in {1..6}; do
	ckpt-trigger --json "$MNT" >"$WORK/trigger-$i" 2>"$WORK/trigger-$i.err" &
	triggers+=($!)
done
for i in {1..6}; do
	wait "${triggers[i - 1]}" || fail "trigger $i: $(cat "$WORK/trigger-$i.err")"
done
: >"$WORK/enough"
wait "${churners[@]}"
ids=$(jq -r .id "$WORK"/trigger-[1-6] | sort -u)
assert_eq 6 "$(wc -l <<<"$ids")" "different ids"
links=0
for id in $ids; do
	manifest=$SRC/lost+found/checkpoint/unlink-at-restart-$id.json
	count=$(jq '.entries | length' "$manifest")
	((count >= 20)) || fail "checkpoint $id has only $count of 20 entries"
	jq -r '.entries[].link' "$manifest" | while read -r link; do
		assert_exists "$SRC/$link"
	done
	((links += count))
done
assert_eq "$((links + 6))" "$(checkpoint_files | wc -l)" "files in the checkpoint folder"

# Dropped at the same time, too.
drops=()
for id in $ids; do
	relinkctl drop "$id" "$MNT" &
	drops+=($!)
done
for pid in "${drops[@]}"; do wait "$pid"; done
assert_eq "" "$(checkpoint_files)"
for i in {1..20}; do h_is 0 a fstat "f$i" nlink; done
release a
assert_vault 0
