# SPDX-License-Identifier: LGPL-2.1-or-later
# --force: a link that is not what was frozen is taken all the same, and goes.

mount_relinkfs
holder old
for name in one two; do
	h old open "$name" "$MNT/$name" rw,creat
	h old write "$name" "$name"
	h old seek "$name" 0 set
	rm "$MNT/$name"
done
trigger
kill_holder old
two=$MNT/$(link_of two)
rm "$two"
echo other >"$two"

files=$(checkpoint_files)
capture 1 ckpt-restart "$MANIFEST" -- true
capture 0 ckpt-restart --keep --force "$MANIFEST" -- sh -c 'cat <&3; cat <&4'
assert_eq "oneother" "$OUT"
assert_eq "$files" "$(checkpoint_files)" "a kept checkpoint"

# By the daemon it would be left alone.
holder new ckpt-restart --force "$MANIFEST" --
h new adopt one 3
h new adopt two 4
h_is one new pread one 0 10
h_is "$MNT/one (deleted)" new name one
h_is "$MNT/two (deleted)" new name two
h_is "0" new fstat one nlink
h_is "0" new fstat two nlink
assert_eq "" "$(checkpoint_files)"
release new
assert_vault 0

# A copy that was used since.
holder old
h old open f "$MNT/f" rw,creat
h old write f "frozen"
rm "$MNT/f"
trigger
rsync -aHAX "$MNT/" "$FSROOT/copy/"
copy=$FSROOT/copy/${MANIFEST#"$MNT/"}
capture 0 ckpt-restart --keep "$copy" -- sh -c 'echo " and used" >&3'
capture 1 ckpt-restart "$copy" -- true
assert_match "--force" "$ERR"
capture 0 ckpt-restart --force "$copy" -- sh -c 'cat /proc/self/fd/3'
assert_eq "frozen and used" "$OUT"
assert_eq "" "$(checkpoint_files "$FSROOT/copy")"
relinkctl drop "$CKPT" "$MNT"
