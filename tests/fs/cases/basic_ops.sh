# SPDX-License-Identifier: LGPL-2.1-or-later
# Every operation does through the mount what it does on the backing filesystem.

compare() {
	diff -u --label backing --label mount "$1" "$2" >"$WORK/differences" ||
		fail "the mount is unlike its backing:"$'\n'"$(cat "$WORK/differences")"
}

mkdir "$FSROOT/plain"
fsops "$FSROOT/plain" >"$WORK/plain.txt"
(($(wc -l <"$WORK/plain.txt") > 250)) || fail "fsops did not do its work"

for options in passthrough=auto passthrough=off cache=shared cache=owned track=all threads=1; do
	mount_relinkfs -o "$options"
	mkdir "$MNT/$options"
	fsops "$MNT/$options" >"$WORK/mount.txt"
	compare "$WORK/plain.txt" "$WORK/mount.txt"

	# What was left behind is the same too, seen through the mount and beneath it.
	rsync -aHAXn --itemize-changes --delete "$MNT/$options/" "$SRC/$options/" >"$WORK/items"
	assert_eq "" "$(cat "$WORK/items")" "differences between mount and source"
	assert_hidden 0
	stop_relinkfs
done
