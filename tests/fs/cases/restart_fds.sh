# SPDX-License-Identifier: LGPL-2.1-or-later
# Everything comes back as it was: types, flags, offsets, fd numbers, working directory.

mount_relinkfs
mkdir "$MNT/d"

prepare() {
	holder old
	h old open rw "$MNT/d/file" rw,creat
	h old write rw "0123456789"
	h old seek rw 4 set
	h old open append "$MNT/d/file" w,append
	h old open read "$MNT/d/file" r
	h old open fifo "$MNT/d/fifo" rw,nonblock
	h old open link "$MNT/d/link" path,nofollow
	h old open null "$MNT/d/null" w
	h old open sock "$MNT/d/sock" path
	h old open opath "$MNT/d/plain" path
	h old open dir "$MNT/d/dir" r,dir
	h old open tmp "$MNT/d" tmpfile,rw 0600
	h old write tmp "nameless"
	h old chdir "$MNT/d/cwd"
	rm "$MNT/d/"{file,fifo,link,null,sock,plain}
	rmdir "$MNT/d/dir" "$MNT/d/cwd"
	assert_hidden 9
}

make_names() {
	mkfifo "$MNT/d/fifo"
	ln -s "the target" "$MNT/d/link"
	mknod "$MNT/d/null" c 1 3
	python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$MNT/d/sock"
	echo plain >"$MNT/d/plain"
	mkdir "$MNT/d/dir" "$MNT/d/cwd"
}

# restored HOLDER: its fds are those that "prepare" made, at their numbers.
restored() {
	local names=(rw append read fifo link null sock opath dir tmp) i
	for i in "${!names[@]}"; do
		h "$1" adopt "${names[i]}" $((i + 3))
		h_is 0 "$1" fstat "${names[i]}" nlink
	done
	h_is "rw" "$1" flags rw
	h_is "4" "$1" seek rw 0 cur
	h_is "w,append" "$1" flags append
	h_is "r" "$1" flags read
	h_is "0" "$1" seek read 0 cur
	h "$1" write append "ABC"
	h_is "0123456789ABC" "$1" read read 20
	h_is "4" "$1" seek rw 0 cur
	h_is "456" "$1" read rw 3
	h_is "rw,nonblock" "$1" flags fifo
	h_is "fifo" "$1" fstat fifo type
	h "$1" write fifo "through"
	h_is "through" "$1" read fifo 10
	h_is "symlink" "$1" fstat link type
	h_is "the target" "$1" readlinkfd link
	h_is "char 1:3" "$1" fstat null type rdev
	h_is "socket" "$1" fstat sock type
	h_is "regular 6" "$1" fstat opath type size
	h_is "directory" "$1" fstat dir type
	h_err ENOENT "$1" mkdirat dir x
	h_is "nameless" "$1" pread tmp 0 10
	h_is "600 8" "$1" fstat tmp mode size
	h_is "$MNT/d/cwd (deleted)" "$1" cwd
	h_is "$MNT/d/file (deleted)" "$1" name rw
	h_is "$MNT/d/fifo (deleted)" "$1" name fifo
	h_is "$MNT/d/link (deleted)" "$1" name link
	h_is "$MNT/d/sock (deleted)" "$1" name sock
	h_is "$MNT/d/dir (deleted)" "$1" name dir
}

inodes() { # HOLDER
	local fd
	for fd in {3..12}; do stat -L -c %i "/proc/${HOLD_PID[$1]}/fd/$fd"; done
	stat -L -c %i "/proc/${HOLD_PID[$1]}/cwd"
}

make_names
prepare
trigger
before=$(inodes old)
kill_holder old
# The working directory's and the opened folder lie at their links now.
assert_vault 0
holder new ckpt-restart --fds "$MANIFEST" --
h new env LISTEN_PID
assert_eq "$before" "$(inodes new)" "inodes"
assert_eq "" "$(checkpoint_files)"
assert_eq "" "$(ls -A "$MNT/d")" "names in the folder"
restored new
assert_hidden 9

# And once more, from what was restarted, with the numbers of one of two processes.
h new pwrite rw 0 "0123456789"
h new truncate rw 10
h new seek rw 4 set
h new seek read 0 set
holder other
h other open x "$MNT/d/x" rw,creat
rm "$MNT/d/x"
trigger
pid=${HOLD_PID[new]}
capture '!' ckpt-restart --fds "$MANIFEST" -- true
[[ $ERR == *"$pid"* ]] || fail "which process? The error does not offer $pid: $ERR"
kill_holder new
kill_holder other
holder third ckpt-restart --fds="$pid" "$MANIFEST" --
h third env LISTEN_PID
assert_eq "$before" "$(inodes third)" "inodes"
restored third
h third close rw
release third
assert_vault 0
assert_eq "" "$(checkpoint_files)"

# Without --fds: from 3 on, with systemd's convention.
holder old
h old open one "$MNT/one" rw,creat
h old open two "$MNT/two" rw,creat
h old write one 1
h old write two 2
h old close one
h old open one "$MNT/one" r
rm "$MNT/one" "$MNT/two"
trigger
kill_holder old
holder new ckpt-restart "$MANIFEST" --
h_is "2" new env LISTEN_FDS
h_is "${HOLD_PID[new]}" new env LISTEN_PID
h new env LISTEN_FDNAMES
IFS=: read -ra names <<<"$REPLY"
assert_eq 2 "${#names[@]}" "names in LISTEN_FDNAMES"
for i in 0 1; do
	h new adopt "fd$i" $((3 + i))
	h_is 0 new cloexec "fd$i"
	h new pread "fd$i" 0 1
	case "$REPLY ${names[i]}" in
	"1 "*one* | "2 "*two*) ;;
	*) fail "fd $((3 + i)) holds '$REPLY' and is called '${names[i]}'" ;;
	esac
done
h_err EBADF new adopt more 5

# Ended at once, or given up: the links go, and what others hold stays theirs.
release new
holder old
h old open f "$MNT/f" rw,creat
rm "$MNT/f"
trigger
capture 0 ckpt-restart "$MANIFEST" -- true
assert_eq "" "$(checkpoint_files)"
h_is 0 old fstat f nlink
trigger
capture 0 ckpt-restart --drop "$MANIFEST"
assert_eq "" "$(checkpoint_files)"
h_is 0 old fstat f nlink
