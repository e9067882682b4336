# SPDX-License-Identifier: LGPL-2.1-or-later
# Ways to mount: in the background, over the source itself, with mount(8), the root of a
# filesystem, read-only, with track=all, a template, a log file, as another instance.

# In the background relinkfs returns when the mount can be used.
background() {
	capture 0 relinkfs "$@"
	DAEMON=$(relinkctl status --json "${*: -1}" | jq .pid)
	kill -0 "$DAEMON"
}
gone() {
	wait_until '! kill -0 "$DAEMON"'
	DAEMON=
}

use() { # MOUNT
	holder a
	h a open f "$1/f" rw,creat
	h a write f "some text"
	rm "$1/f"
	h_is 0 a fstat f nlink
	capture 0 ckpt-trigger --json "$1"
	release a
	relinkctl drop "$(jq -r .id <<<"$OUT")" "$1"
}

background -o "log=$LOGS/background.log" "$SRC" "$MNT"
assert_eq "fuse.relinkfs" "$(findmnt -no FSTYPE "$MNT")"
assert_eq "$SRC" "$(findmnt -no SOURCE "$MNT")"
assert_eq / "$(readlink "/proc/$DAEMON/cwd")" "working directory of the daemon"
use "$MNT"
umount "$MNT"
gone
[[ -s $LOGS/background.log ]] || fail "the log file is empty"

# Over itself.
echo below >"$SRC/file"
background "$SRC" "$SRC"
assert_eq below "$(cat "$SRC/file")"
assert_missing "$SRC/.relinkfs"
use "$SRC"
echo changed >"$SRC/file"
umount "$SRC"
gone
assert_eq changed "$(cat "$SRC/file")"
assert_exists "$SRC/.relinkfs"

# The root of a whole filesystem, with what mkfs made there.
background "$FSROOT" "$MNT"
[[ $FSTYPE != ext4 ]] || assert_exists "$MNT/lost+found"
use "$MNT"
umount "$MNT"
gone
rm -r "$FSROOT/.relinkfs"

# By the helper of mount(8), as fstab would.
ln -s "$BUILD_DIR/bin/relinkfs" "$WORK/mount.fuse.relinkfs"
capture 0 "$WORK/mount.fuse.relinkfs" "$SRC" "$MNT" -o rw,noatime,nosuid,x-something
DAEMON=$(relinkctl status --json "$MNT" | jq .pid)
assert_match "noatime" "$(findmnt -no OPTIONS "$MNT")"
assert_match "nosuid" "$(findmnt -no OPTIONS "$MNT")"
use "$MNT"
umount "$MNT"
gone

# Read-only: nothing is written to the source.
rm -rf "$SRC/.relinkfs" "$SRC/lost+found"
background -o ro "$SRC" "$MNT"
assert_eq changed "$(cat "$MNT/file")"
capture '!' touch "$MNT/x"
assert_match "Read-only" "$ERR"
capture '!' ckpt-trigger "$MNT"
umount "$MNT"
gone
assert_missing "$SRC/.relinkfs" "$SRC/lost+found"
mount -o remount,ro "$FSROOT"
background -o ro "$SRC" "$MNT"
assert_eq changed "$(cat "$MNT/file")"
umount "$MNT"
gone
mount -o remount,rw "$FSROOT"

# track=all hides even what nobody uses... and drops it as soon as the kernel forgets it.
background -o track=all "$SRC" "$MNT"
use "$MNT"
echo x >"$MNT/idle"
rm "$MNT/idle"
assert_vault 0
umount "$MNT"
gone

# A template of the mount.
background -o template=frozen/%c/%t-%n "$SRC" "$MNT"
holder a
h a open f "$MNT/f" rw,creat
rm "$MNT/f"
trigger
assert_eq "frozen/$CKPT/$CKPT-1" "$(link_of f)"
relinkctl drop "$CKPT" "$MNT"
release a
umount "$MNT"
gone

# One thread only; no passthrough; both caches.
for options in threads=1 threads=8 passthrough=off cache=owned cache=shared; do
	background -o "$options" "$SRC" "$MNT"
	use "$MNT"
	umount "$MNT"
	gone
done
mkdir -p "$SRC/lost+found/checkpoint"
