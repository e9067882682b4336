# SPDX-License-Identifier: LGPL-2.1-or-later
# The example that it is all about, in four variants:
#
#	a_fd = open("a"); link("a", "b"); unlink("a"); creat("a");
#	checkpoint; kill; restart; write(a_fd, "bar");
#
# with and without b unlinked too, with and without a new a. The write reaches the old
# inode, and b if it is there; the new a is untouched.

size=${EXAMPLE_SIZE-3M}

# example FOLDER: whether b is kept and whether there is a new a follow from its name.
example() {
	local dir=$MNT/$1 inode sum links=0 new_a mtime
	mkdir "$dir"
	head -c "$size" /dev/urandom >"$dir/a"
	touch -d '2005-06-07 08:09:10.111213141' "$dir/a"
	sum=$(sha256sum <"$dir/a")
	inode=$(stat -c %i "$dir/a")
	mtime=$(stat -c %.9Y "$dir/a")

	holder old
	h old open a_fd "$dir/a" rw
	h old seek a_fd 5 set
	h old link "$dir/a" "$dir/b"
	h old unlink "$dir/a"
	if [[ $1 == *new* ]]; then
		h old open new "$dir/a" w,creat,excl
		h old close new
		echo "the new a" >"$dir/a"
		new_a=$(stat -c '%i %.9Y %s' "$dir/a")
	fi
	if [[ $1 == *b-gone* ]]; then
		h old unlink "$dir/b"
	else
		links=1
	fi
	h_is "$links $inode" old fstat a_fd nlink ino

	trigger
	assert_eq "1" "$(jq '.entries | length' "$MANIFEST")" "entries"
	assert_eq "$links" "$(entry_of "$1/a" | jq .nlink)" "other names, as the manifest has it"
	kill_holder old
	assert_vault 0

	holder new ckpt-restart "$MANIFEST" --
	h_is 1 new env LISTEN_FDS
	h new adopt a_fd 3
	h_is "$links $inode $mtime regular" new fstat a_fd nlink ino mtime type
	h_is 5 new seek a_fd 0 cur
	h_is rw new flags a_fd
	h_is "$dir/a (deleted)" new name a_fd
	assert_eq "$sum" "$(sha256sum <"/proc/${HOLD_PID[new]}/fd/3")" "content"
	assert_eq "" "$(checkpoint_files)" "left in the checkpoint folder"
	assert_vault 1

	h new write a_fd bar
	h_is bar new pread a_fd 5 3
	if ((links)); then
		assert_eq bar "$(head -c 8 "$dir/b" | tail -c 3)" "at b"
		assert_eq "$inode 1" "$(stat -c '%i %h' "$dir/b")"
	else
		assert_missing "$dir/b"
	fi
	if [[ $1 == *new* ]]; then
		assert_eq "the new a" "$(cat "$dir/a")"
		assert_eq "$new_a" "$(stat -c '%i %.9Y %s' "$dir/a")"
	else
		assert_missing "$dir/a"
	fi
	release new
	assert_vault 0
	rm -r "$dir"
}

mount_relinkfs
for variant in plain new-a b-gone new-a-b-gone; do
	example "$variant"
done
