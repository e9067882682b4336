# SPDX-License-Identifier: LGPL-2.1-or-later
# size: 320M
# On a full disk files can still be removed, also open ones, and give their space back.

mount_relinkfs
holder a
for name in unlinked replaced kept; do
	h a open "$name" "$MNT/$name" rw,creat
	h a write "$name" "$name"
	h a fsync "$name"
done
dd if=/dev/zero of="$MNT/big" bs=1M count=40 status=none
h a open big "$MNT/big" rw
mkdir "$MNT/folder"
h a chdir "$MNT/folder"
echo small >"$MNT/small"

fill() {
	for block in 1M 64k 4k; do
		dd if=/dev/zero of="$FSROOT/fill-$block" bs=$block status=none conv=fsync 2>/dev/null || true
	done
}
fill
capture '!' dd if=/dev/zero of="$MNT/more" bs=1M count=20 status=none
assert_match "No space left" "$ERR"
rm -f "$MNT/more"
fill

rm "$MNT/unlinked"
mv "$MNT/small" "$MNT/replaced"
rmdir "$MNT/folder"
rm "$MNT/big"
assert_eq small "$(cat "$MNT/replaced")"
assert_missing "$MNT/unlinked" "$MNT/folder" "$MNT/big" "$MNT/small"
for name in unlinked replaced; do
	h_is 0 a fstat "$name" nlink
	h_is "$name" a pread "$name" 0 20
done
h_is "1" a fstat kept nlink

# The space is there again as soon as the last user is gone.
h a close big
available() { df --output=avail -k "$FSROOT" | tail -n 1; }
wait_until '(( $(sync -f "$FSROOT"; available) > 30000 ))'
rm "$FSROOT"/fill-*
trigger
assert_eq 3 "$(jq '.entries | length' "$MANIFEST")"
relinkctl drop "$CKPT" "$MNT"
release a
assert_vault 0
