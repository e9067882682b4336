# SPDX-License-Identifier: LGPL-2.1-or-later
# A rename over an open file hides it, and its name never vanishes meanwhile.

mount_relinkfs
holder a
echo old >"$MNT/f"
h a open old "$MNT/f" rw
h a fstat old ino
inode=$REPLY

echo new >"$MNT/f.new"
mv "$MNT/f.new" "$MNT/f"
assert_eq new "$(cat "$MNT/f")"
assert_missing "$MNT/f.new"
assert_vault 1
h_is "0 $inode" a fstat old nlink ino
h_is "old" a pread old 0 10
h a pwrite old 0 "OLD"
assert_eq new "$(cat "$MNT/f")" "the file that has the name"

# Over and over, while readers must always find one of the contents.
readers=()
for i in 1 2; do
	(
		while [[ ! -e $WORK/enough ]]; do
			read -r line <"$MNT/f" || { echo "the name vanished" >>"$WORK/gaps" && exit; }
			[[ $line == new* ]] || echo "content: $line" >>"$WORK/gaps"
		done
	) &
	readers+=($!)
done
for i in {1..100}; do
	echo "new $i" >"$MNT/f.$i"
	mv "$MNT/f.$i" "$MNT/f"
done
: >"$WORK/enough"
wait "${readers[@]}"
assert_missing "$WORK/gaps"
assert_vault 1
h a close old
assert_vault 0

# NOREPLACE and EXCHANGE hide nothing; an exchange moves names, not files.
echo one >"$MNT/one"
echo two >"$MNT/two"
h a open one "$MNT/one" rw
mv --no-clobber "$MNT/two" "$MNT/one" || true
assert_eq one "$(cat "$MNT/one")"
assert_eq 0 "$(vault_count)"

# To another name of the same inode: nothing happens, and both names stay.
ln "$MNT/one" "$MNT/uno"
h a rename "$MNT/one" "$MNT/uno"
assert_exists "$MNT/one" "$MNT/uno"
h_is 2 a fstat one nlink
assert_eq 0 "$(vault_count)"

# Over one of two names: the other stays, and so does its inode.
mv "$MNT/two" "$MNT/uno"
h_is 1 a fstat one nlink
h a pwrite one 0 "ONE"
assert_eq ONE "$(cat "$MNT/one")"

# A folder over an empty one that somebody is in.
mkdir "$MNT/empty" "$MNT/full"
echo in >"$MNT/full/file"
h a open dir "$MNT/empty" r,dir
h a rename "$MNT/full" "$MNT/empty"
assert_eq in "$(cat "$MNT/empty/file")"
h a fstat dir nlink
assert_eq 0 "$REPLY" "links of the folder that was renamed over"
h_err ENOENT a openat x dir file r
release a
assert_vault 0
