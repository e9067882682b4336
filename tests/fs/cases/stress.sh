# SPDX-License-Identifier: LGPL-2.1-or-later
# labels: threads
# deadline: 120
# Many processes open, unlink, rename and link the same names, with checkpoints and drops
# between: every open file keeps its own content, and in the end nothing is left.

mount_relinkfs
mkdir "$MNT/d"
fds() { ls "/proc/$DAEMON/fd" | wc -l; }
before=$(fds)
workers=()
for i in 1 2 3 4; do
	churn "$MNT/d" "$i" 1500 &
	workers+=($!)
done
checkpoints=0
while kill -0 "${workers[@]}" 2>/dev/null; do
	capture 0 ckpt-trigger --json "$MNT"
	relinkctl drop "$(jq -r .id <<<"$OUT")" "$MNT"
	((++checkpoints))
done
for pid in "${workers[@]}"; do
	wait "$pid" || fail "a worker found something wrong"
done
((checkpoints > 0)) || fail "no checkpoint was made meanwhile"
rm -rf "$MNT/d"
assert_hidden 0
assert_vault 0
wait_until '(( $(fds) <= before + 8 ))'
