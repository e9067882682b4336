# SPDX-License-Identifier: LGPL-2.1-or-later
# Data goes through passthrough where that is possible, through splice where not; both
# agree with the backing at any moment, through every mix of opens, and with other names.

for passthrough in auto off; do
	mount_relinkfs -o "passthrough=$passthrough"
	io=$(relinkctl status --json "$MNT" | jq -r .io)
	[[ $passthrough == auto ]] || assert_eq splice "$io"
	grep -q "$io" "$DAEMON_LOG" || fail "the log does not say '$io'"

	dir=$MNT/$passthrough
	mkdir "$dir"
	head -c 5M /dev/urandom >"$WORK/data"
	cp "$WORK/data" "$dir/data"
	cmp "$WORK/data" "$dir/data"
	cmp "$WORK/data" "$SRC/$passthrough/data"
	dd if="$dir/data" of="$dir/direct" bs=64k iflag=direct oflag=direct status=none
	cmp "$WORK/data" "$dir/direct"

	# All kinds of opens of one inode at one time.
	holder a
	holder b
	h a open rw "$dir/data" rw
	h a open direct "$dir/data" r,direct
	h a open append "$dir/data" w,append
	h b open r "$dir/data" r
	h b mmap r m 4096
	h a open path "$dir/data" path
	h a reopen path late rw
	h a pwrite rw 10 "seen by all"
	h_is "seen by all" a pread late 10 11
	h_is "seen by all" b pread r 10 11
	h_is "seen by all" b mread m 10 11
	assert_eq "seen by all" "$(tail -c +11 "$SRC/$passthrough/data" | head -c 11)" "in the source"
	h a write append "THE END"
	assert_eq "THE END" "$(tail -c 7 "$dir/data")"
	h b fstat r size
	assert_eq "$((5 * 1024 * 1024 + 7))" "$REPLY" "size after an append"
	rm "$dir/data"
	h b pread r 10 11
	assert_eq "seen by all" "$REPLY"
	h a truncate rw 5
	h_is 5 b fstat r size
	h a pwrite rw 0 "short"
	h_is short b pread r 0 20
	release a
	h_is "0 5" b fstat r nlink size
	release b
	assert_vault 0

	# What was stored through a mapping is data at once, and the holes stay holes.
	holder a
	h a open f "$dir/f" rw,creat
	h a truncate f $((4 << 20))
	h_err ENXIO a seek f 0 data
	h a mmap f m $((4 << 20)) rw
	h a mstore m $((2 << 20)) "stored"
	h_is "$((2 << 20))" a seek f 0 data
	h_is 0 a seek f 0 hole
	h a seek f $((2 << 20)) hole
	((REPLY < 4 << 20)) || fail "the hole behind the data is gone"
	release a
	rm "$dir/f"

	# mtime and size by stat, after writes that the daemon never saw.
	holder a
	h a open f "$dir/f" rw,creat
	touch -d '2001-01-01' "$dir/f"
	h a write f "12345"
	assert_eq 5 "$(stat -c %s "$dir/f")"
	(($(stat -c %Y "$dir/f") > 1000000000)) || fail "mtime did not move"
	assert_eq "$(stat -c '%s %.9Y %b' "$SRC/$passthrough/f")" "$(stat -c '%s %.9Y %b' "$dir/f")"
	release a

	# A program runs from it, and a library loads.
	cp "$(command -v ls)" "$dir/program"
	capture 0 "$dir/program" "$dir"

	# With the suid bit it runs as its owner.
	cp "$(command -v id)" "$dir/id"
	chown 1234:2345 "$dir/id"
	chmod 6755 "$dir/id"
	assert_eq "1234 2345" "$(setpriv --reuid=99 --regid=99 --clear-groups sh -c "'$dir/id' -u; '$dir/id' -g" | xargs)"
	rm -r "$dir"
	stop_relinkfs
done
