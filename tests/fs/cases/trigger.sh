# SPDX-License-Identifier: LGPL-2.1-or-later
# A checkpoint: its links, their names, what the manifest says of each; sharing of links;
# what a checkpoint leaves alone.

mount_relinkfs

# Nothing hidden: a checkpoint of nothing is one.
trigger
assert_eq 0 "$(jq '.entries | length' "$MANIFEST")" "entries of an empty checkpoint"
relinkctl drop "$CKPT" "$MNT"

mkdir "$MNT/sub"
holder a
holder b
h a open f "$MNT/sub/file one" rw,creat,append 0640
h a write f "content of one"
h a open g "$MNT/sub/file one" r
h a seek g 7 set
touch -d '2001-02-03 04:05:06.123456789' "$MNT/sub/file one"
setfattr -n user.colour -v red "$MNT/sub/file one"
chown 12:34 "$MNT/sub/file one"
h b open f "$MNT/sub/file one" w,sync,cloexec
rm "$MNT/sub/file one"

mkfifo "$MNT/fifo"
h a open fifo "$MNT/fifo" rw,nonblock
rm "$MNT/fifo"
mkdir -m 0750 "$MNT/dir"
h b chdir "$MNT/dir"
rmdir "$MNT/dir"
ln -s "to nowhere" "$MNT/symlink"
h a open symlink "$MNT/symlink" path,nofollow
rm "$MNT/symlink"
mknod "$MNT/null" c 1 3
h a open null "$MNT/null" w
rm "$MNT/null"
h a bind sock "$MNT/sock"
rm "$MNT/sock"
h a open tmp "$MNT" tmpfile,rw 0600
h a write tmp "tmpfile"
odd=$'bad \xff utf-8 \t and \\ and "'
: >"$MNT/$odd"
tail -f "$MNT/$odd" >/dev/null &
tailer=$!
wait_until 'ls -l "/proc/$tailer/fd" | grep -aq utf-8'
rm "$MNT/$odd"
# Named again by others: they are no part of it.
echo "another" >"$MNT/fifo"
assert_hidden 8
h a fstat f ino size mtime
before=$REPLY

trigger
assert_match '^[0-9a-f]{16}$' "$CKPT" "id"
assert_eq 8 "$(jq .entries <<<"$OUT")" "entries, as the trigger says"
assert_eq "$MNT/lost+found/checkpoint/unlink-at-restart-$CKPT.json" "$MANIFEST"
assert_eq "600 0 0" "$(stat -c '%a %u %g' "$MANIFEST")"
cmp "$MANIFEST" "$SRC${MANIFEST#"$MNT"}"
assert_eq "relinkfs-checkpoint 1" "$(jq -r '"\(.format) \(.version)"' "$MANIFEST")"
assert_eq 8 "$(jq '.entries | length' "$MANIFEST")" "entries in the manifest"
assert_eq "1 2 3 4 5 6 7 8" "$(jq -r '[.entries[].n] | sort | map(tostring) | join(" ")' "$MANIFEST")"

# Every link is where and what its entry says, in the mount and beneath it.
while IFS=$'\t' read -r n link type mode uid gid size ino; do
	assert_eq "lost+found/checkpoint/unlink-at-restart-$CKPT-$n" "$link" "name of link $n"
	assert_eq "$mode $uid $gid $size $ino" "$(stat -c '0%a %u %g %s %i' "$MNT/$link")" \
		"link $n ($type), by the mount"
	assert_eq "$ino" "$(stat -c %i "$SRC/$link")" "inode of link $n in the source"
	assert_eq "$type" "$(stat -c %F "$SRC/$link" | sed 's/ file$//; s/regular empty/regular/;
		s/symbolic link/symlink/; s/ special$//; s/character$/character device/')" "type of $n"
done < <(jq -r '.entries[] | [.n, .link, .type, .mode, .uid, .gid, .size, .ino] | @tsv' "$MANIFEST")

link=$(link_of "sub/file one")
assert_eq "content of one" "$(cat "$MNT/$link")"
assert_eq red "$(getfattr --only-values -n user.colour "$SRC/$link" 2>/dev/null)"
h_is "$before" a fstat f ino size mtime
assert_eq "to nowhere" "$(readlink "$MNT/$(link_of symlink)")"
assert_eq '"bad "' "$(jq '.entries[] | select(.path_base64) | .path_base64 | .[0:5] | if . == "YmFkI" then "bad " else . end' "$MANIFEST")"
base64=$(jq -r '.entries[] | select(.path_base64) | .path_base64' "$MANIFEST")
assert_eq "$(printf %s "$odd" | base64 -w0)" "$base64" "a name that is no UTF-8"
assert_eq 1 "$(jq '[.entries[] | select(.tmpfile == true)] | length' "$MANIFEST")" "tmpfiles"

# The openers: by whom, on which fd, with what flags and offset.
openers=$(entry_of "sub/file one" | jq -c '[.openers[] | select(.kind == "fd") |
	{pid, fd, offset, mode: (.flags[-1:] | tonumber % 4)}] | sort_by(.pid, .fd)')
expected=$(jq -nc "[{pid: ${HOLD_PID[a]}, fd: 3, offset: 14, mode: 2},
	{pid: ${HOLD_PID[a]}, fd: 4, offset: 7, mode: 0},
	{pid: ${HOLD_PID[b]}, fd: 3, offset: 0, mode: 1}] | sort_by(.pid, .fd)")
assert_eq "$expected" "$openers" "openers"
flags=$(entry_of "sub/file one" | jq -r ".openers[] | select(.pid == ${HOLD_PID[b]}) | .flags")
((8#$flags & 02000000)) || fail "O_CLOEXEC is not in the flags $flags"
((8#$flags & 04010000)) || fail "O_SYNC is not in the flags $flags"
assert_eq '["cwd"]' "$(entry_of dir | jq -c '[.openers[].kind]')" "openers of the working directory"
assert_eq hold "$(entry_of fifo | jq -r '.openers[0].comm')"

# With a frozen link the file has a visible name: one link.
h_is 1 a fstat f nlink
assert_eq 1 "$(stat -c %h "$MNT/$link")" "links of the frozen link"

# A second checkpoint has its own names, of the same inodes; folders are shared.
first=$MANIFEST first_id=$CKPT
trigger
assert_ne "$first_id" "$CKPT" "ids of two checkpoints"
second_link=$(link_of "sub/file one")
assert_ne "$link" "$second_link" "names in two checkpoints"
assert_eq "$(stat -c %i "$MNT/$link")" "$(stat -c %i "$MNT/$second_link")"
assert_eq "$(MANIFEST=$first link_of dir)" "$(link_of dir)" "link of the folder in both"
h_is 2 a fstat f nlink

# Dropping one leaves the other whole.
relinkctl drop "$first_id" "$MNT"
assert_missing "$first" "$MNT/$link"
assert_exists "$MNT/$second_link" "$MNT/$(link_of dir)"
h_is 1 a fstat f nlink
files=$(jq -r '.entries[].link' "$MANIFEST")
relinkctl drop "$CKPT" "$MNT"
for link in $files; do assert_missing "$MNT/$link"; done
h_is 0 a fstat f nlink
h_is "content of one" a pread g 0 20
assert_hidden 8
kill "$tailer"
wait "$tailer" || true
release_all
assert_vault 0

# A frozen link outlives the last user: that is what it is for.
h_file=$MNT/kept
holder a
h a open f "$h_file" rw,creat
h a write f "kept"
rm "$h_file"
trigger
link=$(link_of kept)
release a
assert_vault 0
assert_eq "kept" "$(cat "$MNT/$link")"
relinkctl drop "$CKPT" "$MNT"
assert_missing "$MNT/$link"
