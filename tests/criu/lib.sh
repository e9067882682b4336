# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What the cases with CRIU share, beside tests/fs/lib.sh: a case sources this first.
# IMAGES is where dumps go.

criu_root=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
PATH=$BUILD_DIR/tests/helpers/criu:$criu_root/tools/criu:$criu_root/.deps/criu/criu:$PATH
IMAGES=$WORK/images
mkdir "$IMAGES"

criu check >"$LOGS/criu-check" 2>&1 || skip "CRIU does not work on this kernel: $(tail -n 1 "$LOGS/criu-check")"

# The configuration that an administrator would install: action script and link-remap.
cat >"$WORK/criu.conf" <<-END
	link-remap
	action-script $criu_root/tools/criu/relinkfs-criu
END

# criu_run STATUS PROGRAM... : with a log of its own in LOGS, shown if it ends otherwise.
criu_run() {
	local want=$1 seen=0 log
	shift
	log=$LOGS/criu-$(find "$LOGS" -name 'criu-*.log' | wc -l)-${2}.log
	"$@" -v4 -o "$log" </dev/null >"$WORK/out" 2>"$WORK/err" || seen=$?
	if [[ $want == '!' ]]; then
		((seen)) || fail "$*: no error"
	else
		((seen == want)) || fail "$*: status $seen: $(cat "$WORK/err"; grep -s Error "$log")"
	fi
}

# Two ways: stock CRIU by its configuration file, and the wrapper.
# A holder that CRIU kills is no failed job of the shell.
criu_dump() { # NAME [ARG...]
	disown "${HOLD_PID[$1]}" 2>/dev/null || true
	criu_run 0 criu dump --config "$WORK/criu.conf" -t "${HOLD_PID[$1]}" -D "$IMAGES" "${@:2}"
}

criu_restore() { criu_run 0 criu restore --config "$WORK/criu.conf" -D "$IMAGES" -d "$@"; }

wrapped_dump() { # NAME [ARG...]
	disown "${HOLD_PID[$1]}" 2>/dev/null || true
	criu_run 0 relinkfs-criu dump -t "${HOLD_PID[$1]}" -D "$IMAGES" "${@:2}"
}

wrapped_restore() { criu_run 0 relinkfs-criu restore -D "$IMAGES" -d "$@"; }

# part NAME: of a restored holder, which is no child of ours any more.
part() {
	local pid=${HOLD_PID[$1]}
	echo quit >&"${HOLD_IN[$1]}"
	wait_until "! kill -0 $pid"
	forget_holder "$1"
}

# murder NAME: the same by SIGKILL; the holder can be restored again.
murder() {
	kill -KILL "${HOLD_PID[$1]}"
	wait_until "! kill -0 ${HOLD_PID[$1]}"
}

# no_ghosts: nothing was copied into the images, which are small.
no_ghosts() {
	assert_eq "" "$(find "$IMAGES" -name 'ghost-file-*')" "ghost files in the images"
	assert_small 2000000
}

assert_small() { # BYTES
	local bytes
	bytes=$(find "$IMAGES" -name '*.img' -printf '%s\n' | awk '{ sum += $1 } END { print sum + 0 }')
	((bytes < $1)) || fail "the images have $bytes bytes"
}
