# SPDX-License-Identifier: LGPL-2.1-or-later
# A copy of a source that lies somewhere in a mount, but is not its root: no daemon plays
# its names, and the mount does what is done to it.

EXPECT_CHECKPOINTS=yes
mount_relinkfs
mkdir "$MNT/d"
holder old
h old open f "$MNT/d/f" rw,creat
h old write f "content"
mkdir "$MNT/d/wd"
h old chdir "$MNT/d/wd"
rm "$MNT/d/f"
rmdir "$MNT/d/wd"
trigger
kill_holder old
rsync -aHAX "$MNT/" "$FSROOT/copy/"
cp -a "$FSROOT/copy" "$MNT/copy"
copy=$MNT/copy/${MANIFEST#"$MNT/"}

capture 0 ckpt-restart --list "$copy"
assert_match "is not a relinkfs mount" "$ERR"
echo taken >"$MNT/copy/d/f"
holder there
h there open f "$MNT/copy/d/f" r
holder new ckpt-restart --fds "$copy" --
h new adopt f 3
h_is "content" new pread f 0 20
h_is "$MNT/copy/d/f (deleted)" new name f
h_is "$MNT/copy/d/wd (deleted)" new cwd
h_is "0" new fstat f nlink
h_is "$MNT/copy/d/f" there name f
assert_eq taken "$(cat "$MNT/copy/d/f")"
assert_eq "" "$(checkpoint_files "$MNT/copy")"
assert_eq f "$(ls -A "$MNT/copy/d")"
assert_exists "$MANIFEST"
assert_exists "$MNT/$(link_of d/f)"
release new there

# The other way round: a path in the mount's source is refused while it is mounted.
capture 5 ckpt-restart "$SRC/${MANIFEST#"$MNT/"}" -- true
assert_match "source of a relinkfs mount" "$ERR"

# A manifest that was taken elsewhere and edited: only what it names is opened, and goes.
jq 'del(.entries[0])' "$MANIFEST" >"$WORK/edited.json"
capture 1 ckpt-restart "$WORK/edited.json" -- true
assert_match "--mount" "$ERR"
first=$MNT/$(link_of d/f)
holder new ckpt-restart --mount "$MNT/d" "$WORK/edited.json" --
h_is 1 new env LISTEN_FDS
assert_exists "$first" "$MANIFEST"
assert_eq 2 "$(checkpoint_files | wc -l)" "files that are left"
release new
capture 1 ckpt-restart --mount "$MNT" "$CKPT" -- true
assert_match "d/wd" "$ERR"
