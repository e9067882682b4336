# SPDX-License-Identifier: LGPL-2.1-or-later
# deadline: 240
# Random I/O of several processes, compared with a model: on the source first, which proves
# the checker, then through the mount, with passthrough and without, while checkpoints
# are made and dropped.

: "${OPERATIONS=6000}" # of each process
: "${SEED=1}"
PROCESSES=3

options=()
# XFS refuses direct reads of blocks that it has not allocated yet.
[[ $FSTYPE != xfs ]] || options+=(--refused-reads)

check() { # DIR [OPTION...]
	echo "iocheck --seed=$SEED ${*:2}"
	iocheck --seed="$SEED" "${options[@]}" "${@:2}" "$1"
}

# A model that does not learn of something must not agree any more.
mkdir "$SRC/d"
check "$SRC/d" --number=3000
for class in write append map truncate punch copy; do
	capture 1 check "$SRC/d" --number=3000 --forget="$class"
	assert_match "process 0, operation [0-9]+" "$ERR"
	rm -r "$SRC/d"
	mkdir "$SRC/d"
done

checkpoints_of() { # PID
	local made=0
	while kill -0 "$1" 2>/dev/null; do
		capture 0 ckpt-trigger --json "$MNT"
		relinkctl drop "$(jq -r .id <<<"$OUT")" "$MNT"
		((++made))
	done
	((made > 0)) || fail "no checkpoint was made meanwhile"
}

for passthrough in auto off; do
	mount_relinkfs -o "passthrough=$passthrough"
	# All that the source can do, but for what this kernel's FUSE has no request for.
	comm -23 <(iocheck --probe "$SRC/d" | sort) <(iocheck --probe "$MNT/d" | sort) >"$WORK/cannot"
	if grep -vxE "collapse|insert|clone" "$WORK/cannot"; then
		fail "that can be done in the source only"
	fi
	check "$MNT/d" --number="$OPERATIONS" --processes="$PROCESSES" --checkpoints &
	worker=$!
	checkpoints_of "$worker"
	wait "$worker" || fail "iocheck found a difference"
	assert_hidden 0
	assert_vault 0
	# Without checkpoints the link counts are the backing's, too.
	check "$MNT/d" --number=$((OPERATIONS / 3)) --processes=2
	assert_vault 0
	assert_eq "" "$(ls -A "$MNT/d")" "left over"
	stop_relinkfs
done
