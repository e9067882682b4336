# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What the cases share. A case is sourced, under "set -Eeuo pipefail", with
#
#   SRC       the source directory, on a fresh filesystem of type FSTYPE
#   FSROOT    the root of that filesystem, for copies beside the source
#   MNT       where relinkfs mounts it; not mounted yet
#   WORK      a folder for all else, gone with the case
#   LOGS      kept when the case fails
#   BUILD_DIR the build that is tested; its programs and the helpers are in PATH
#
# and fails at the first command or assertion that does.

# ---- assertions ----

skip() {
	echo "$*" >"$LOGS/skip"
	exit 77
}

# fail MESSAGE: with the place in the case.
fail() {
	set +x
	local i=0
	while [[ ${BASH_SOURCE[i]-} == "${BASH_SOURCE[0]}" ]]; do
		((++i))
	done
	local place=${BASH_SOURCE[i]-the end of the case}
	echo "${place##*/}:${BASH_LINENO[i - 1]-}: $*" >&2
	exit 1
}

assert_eq() { # EXPECTED SEEN [WHAT]
	[[ $1 == "$2" ]] || fail "${3-value}: expected '$1', seen '$2'"
}

assert_ne() { # UNWANTED SEEN [WHAT]
	[[ $1 != "$2" ]] || fail "${3-value}: is '$2'"
}

assert_match() { # REGEX SEEN [WHAT]
	[[ $2 =~ $1 ]] || fail "${3-value}: expected a match of '$1', seen '$2'"
}

assert_exists() { # PATH...
	local path
	for path; do
		[[ -e $path || -L $path ]] || fail "$path is not there"
	done
}

assert_missing() { # PATH...
	local path
	for path; do
		[[ ! -e $path && ! -L $path ]] || fail "$path is there"
	done
}

# capture STATUS COMMAND...: the command must end with STATUS ("!" = any but 0, and
# no signal); its output is in OUT, its errors in ERR.
capture() {
	local want=$1 seen=0
	shift
	"$@" >"$WORK/out" 2>"$WORK/err" </dev/null || seen=$?
	OUT=$(cat "$WORK/out")
	ERR=$(cat "$WORK/err")
	if [[ $want == '!' ]]; then
		((seen > 0 && seen < 126)) || fail "$*: status $seen instead of an error: $OUT $ERR"
	else
		((seen == want)) || fail "$*: status $seen instead of $want: $OUT $ERR"
	fi
}

# wait_until 'CONDITION' [SECONDS]: for what the kernel or the daemon does in its own time.
wait_until() {
	local end=$((SECONDS + ${2-20}))
	until eval "$1" 2>/dev/null; do
		((SECONDS < end)) || fail "not true within ${2-20} s: $1"
		read -rt 0.02 <>"$WORK/tick" || true
	done
}

# ---- the daemon ----

DAEMON=
DAEMON_LOG=$LOGS/daemon.log
DAEMON_OPTIONS=() # further arguments of every mount of this case

# start_relinkfs SOURCE MOUNT [ARG...]: DAEMON is the pid of the daemon that serves it.
start_relinkfs() {
	local ready seen=
	exec {ready}< <(exec await-ready "$WORK/notify")
	read -rt 10 -u "$ready" seen || fail "await-ready did not start"
	echo "== relinkfs -f ${*@Q}" >>"$DAEMON_LOG"
	NOTIFY_SOCKET=$WORK/notify relinkfs -f "${DAEMON_OPTIONS[@]}" "${@:3}" "$1" "$2" \
		>>"$DAEMON_LOG" 2>&1 </dev/null {ready}<&- &
	DAEMON=$!
	echo "$DAEMON" >"$WORK/notify.pid"
	seen=
	read -rt 60 -u "$ready" seen || true
	exec {ready}<&-
	[[ $seen == ready ]] && return
	kill -0 "$DAEMON" 2>/dev/null && fail "relinkfs is not ready: $(tail -n 5 "$DAEMON_LOG")"
	local status=0
	wait "$DAEMON" || status=$?
	DAEMON=
	fail "relinkfs ended with status $status: $(tail -n 5 "$DAEMON_LOG")"
}

# mount_relinkfs [ARG...]: of SRC at MNT.
mount_relinkfs() {
	start_relinkfs "$SRC" "$MNT" "$@"
	mountpoint -q "$MNT" || fail "$MNT is not a mount point"
}

# stop_relinkfs [MOUNT]: an ordinary unmount; the daemon must end by itself, with status 0.
stop_relinkfs() {
	umount "${1-$MNT}"
	reap_relinkfs 0
}

# reap_relinkfs STATUS
reap_relinkfs() {
	local status=0
	wait_until '! kill -0 "$DAEMON" || [[ $(cut -d" " -f3 "/proc/$DAEMON/stat") == Z ]]' 30
	wait "$DAEMON" || status=$?
	DAEMON=
	((status == $1)) || fail "relinkfs ended with status $status instead of $1"
}

# kill9_relinkfs: as a crash would; the dead mount is taken away.
kill9_relinkfs() {
	kill -KILL "$DAEMON"
	wait "$DAEMON" 2>/dev/null || true
	DAEMON=
	umount -l "$MNT"
}

remount_relinkfs() {
	stop_relinkfs
	mount_relinkfs "$@"
}

# ---- holders: processes that keep files open, told by commands (helpers/hold.c) ----

declare -A HOLD_PID HOLD_IN HOLD_OUT

# holder NAME [COMMAND...]: start one; COMMAND is a prefix such as setpriv.
holder() {
	local name=$1 in=$WORK/hold-$1.in out=$WORK/hold-$1.out fd
	shift
	rm -f "$in" "$out"
	mkfifo -m 0666 "$in" "$out"
	(
		# None of the shell's own fds: what it holds, and at which number, is the test.
		set +x
		unset BASH_XTRACEFD
		for fd in "/proc/$BASHPID/fd"/*; do
			fd=${fd##*/}
			((fd < 3)) || exec {fd}>&-
		done
		exec "$@" hold <"$in" >"$out" 2>>"$LOGS/hold-$name.log"
	) &
	HOLD_PID[$name]=$!
	exec {HOLD_IN[$name]}>"$in" {HOLD_OUT[$name]}<"$out"
	hold_ask "$name" pid # it runs, also behind a prefix that has work to do
}

hold_ask() {
	local IFS=$'\t' name=$1
	shift
	echo "$*" >&"${HOLD_IN[$name]}"
	REPLY=
	read -rt 60 -u "${HOLD_OUT[$name]}" REPLY ||
		fail "holder $name did not answer to: $* ($(tail -n 3 "$LOGS/hold-$name.log"))"
}

# h NAME COMMAND...: it must succeed; its values are left in REPLY.
h() {
	hold_ask "$@"
	[[ $REPLY == ok* ]] || fail "holder ${*@Q}: $REPLY"
	REPLY=${REPLY#ok}
	REPLY=${REPLY# }
}

# h_is EXPECTED NAME COMMAND...
h_is() {
	h "${@:2}"
	[[ $REPLY == "$1" ]] || fail "holder ${*:2}: expected '$1', seen '$REPLY'"
}

# h_err ERRNO NAME COMMAND...
h_err() {
	hold_ask "${@:2}"
	[[ $REPLY == "err $1" ]] || fail "holder ${*:2}: expected $1, seen '$REPLY'"
}

# release NAME...: end these holders, and wait for it.
release() {
	local name
	for name; do
		[[ -v HOLD_PID[$name] ]] || continue
		echo quit >&"${HOLD_IN[$name]}" || true
		wait "${HOLD_PID[$name]}" || fail "holder $name ended with status $?"
		forget_holder "$name"
	done
}

# kill_holder NAME: by SIGKILL.
kill_holder() {
	kill -KILL "${HOLD_PID[$1]}"
	wait "${HOLD_PID[$1]}" 2>/dev/null || true
	forget_holder "$1"
}

forget_holder() {
	exec {HOLD_IN[$1]}>&- {HOLD_OUT[$1]}<&-
	unset "HOLD_PID[$1]" "HOLD_IN[$1]" "HOLD_OUT[$1]"
}

# adopt_named NAME SLOT PATH: of the fds of a restart, by their name in LISTEN_FDNAMES.
adopt_named() {
	local names i
	h "$1" env LISTEN_FDNAMES
	IFS=: read -ra names <<<"$REPLY"
	for i in "${!names[@]}"; do
		[[ ${names[i]} == "${3##*/}" ]] || continue
		h "$1" adopt "$2" $((i + 3))
		return
	done
	fail "holder $1: no fd named ${3##*/} among ${names[*]}"
}

release_all() {
	release "${!HOLD_PID[@]}"
}

# ---- looking at the store ----

VAULT=$SRC/.relinkfs/default/vault
CATALOG=$SRC/.relinkfs/default/catalog.db

vault_count() {
	find "${1-$VAULT}" -mindepth 1 -maxdepth 1 | wc -l
}

# The end of the last reference reaches the daemon in its own time: a count is waited for.
assert_vault() { # COUNT
	wait_until "(( \$(vault_count) == $1 ))" 10
}

assert_hidden() { # COUNT, as the daemon says
	wait_until "[[ \$(relinkctl status --json '$MNT' | jq .hidden) == $1 ]]" 10
}

# trigger [ARG...]: a checkpoint; its id, manifest (absolute, in the mount) and JSON are
# left in CKPT, MANIFEST and OUT.
trigger() {
	capture 0 ckpt-trigger --json "$@" "$MNT"
	CKPT=$(jq -re .id <<<"$OUT")
	MANIFEST=$MNT/$(jq -re '.manifest | ltrimstr("/")' <<<"$OUT")
	[[ -f $MANIFEST ]] || fail "the manifest $MANIFEST is not there"
}

# entry_of PATH: the entry of an original path in MANIFEST, as JSON.
entry_of() {
	jq -ce --arg path "$1" '.entries[] | select(.path == $path)' "$MANIFEST" ||
		fail "$MANIFEST has no entry of $1: $(jq -c '[.entries[].path]' "$MANIFEST")"
}

# link_of PATH: the frozen link of an original path, relative to the root of the mount.
link_of() {
	entry_of "$1" | jq -r .link
}

# checkpoint_files [ROOT]: names in the checkpoint folder.
checkpoint_files() {
	[[ ! -d ${1-$SRC}/lost+found/checkpoint ]] || ls -A "${1-$SRC}/lost+found/checkpoint"
}

# ---- the case as a whole ----

# A case that means to leave something says so.
EXPECT_VAULT=0        # entries in the vault after the unmount
EXPECT_CHECKPOINTS=no # "yes": frozen links and manifests may be left

check_sanitizers() {
	local report
	for report in "$WORK"/sanitizer/*; do
		[[ -e $report ]] || return 0
		cp "$WORK"/sanitizer/* "$LOGS/"
		head -n 40 "$report" >&2
		fail "a sanitizer reported: $LOGS/${report##*/}"
	done
}

check_left_over() {
	if [[ $DAEMON ]]; then
		((EXPECT_VAULT)) || assert_hidden 0
		stop_relinkfs
	fi
	[[ ! -d $VAULT ]] || assert_eq "$EXPECT_VAULT" "$(vault_count)" "vault entries left over"
	[[ $EXPECT_CHECKPOINTS == yes ]] || assert_eq "" "$(checkpoint_files)" "left over in lost+found/checkpoint"
	mountpoint -q "$MNT" && fail "$MNT is still mounted"
	check_sanitizers
}

on_error() { # STATUS COMMAND
	set +ux
	echo "${BASH_SOURCE[1]##*/}:${BASH_LINENO[0]}: status $1: $2" >&2
}

on_exit() { # STATUS
	set +ux
	(($1 == 0 || $1 == 77)) && return
	cp "$WORK"/sanitizer/* "$WORK/out" "$WORK/err" "$LOGS/" 2>/dev/null || true
	head -qn 20 "$WORK"/sanitizer/* 2>/dev/null | cut -c 1-160 >&2 || true
	echo "-- the end of the daemon's log" >&2
	tail -n 15 "$DAEMON_LOG" >&2
	echo "-- the end of the trace" >&2
	grep -v "^+* [^ ]*lib\.sh:" "$LOGS/trace" | tail -n 6 >&2 || true
}

begin_case() {
	exec {BASH_XTRACEFD}>"$LOGS/trace"
	PS4='+ ${BASH_SOURCE[0]:-case}:$LINENO: '
	mkfifo "$WORK/tick" "$WORK/never" # nobody writes to them; only "never" blocks who opens it
	: >"$DAEMON_LOG"
	trap 'on_error $? "$BASH_COMMAND"' ERR
	trap 'on_exit $?' EXIT
	trap 'exit 124' TERM
	shopt -s inherit_errexit
	cd "$WORK"
	set -x
}

end_case() {
	release_all
	check_left_over
	trap - ERR EXIT
}
