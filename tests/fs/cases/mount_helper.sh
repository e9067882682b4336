# SPDX-License-Identifier: LGPL-2.1-or-later
# By mount(8): its helper is found by its name, and a line of fstab is enough.

# A directory of system programs that has the helper, too, for this case alone.
real=$WORK/sbin.real
shown=$WORK/sbin.shown
mkdir "$real" "$shown"
sbin=$(realpath /sbin)
mount --bind "$sbin" "$real"
for program in "$real"/*; do
	ln -s "$program" "$shown/"
done
ln -sf "$BUILD_DIR/bin/relinkfs" "$shown/mount.fuse.relinkfs"
mount --bind "$shown" "$sbin"

daemon() {
	DAEMON=$(pgrep -x "mount.fuse.reli|relinkfs")
}
unmounted() {
	umount "$1"
	wait_until '! kill -0 "$DAEMON"'
	DAEMON=
}

echo text >"$SRC/file"
capture 0 mount -t fuse.relinkfs "$SRC" "$MNT"
daemon
assert_eq "fuse.relinkfs $SRC" "$(findmnt -no FSTYPE,SOURCE "$MNT" | tr -s ' ')"
assert_eq text "$(cat "$MNT/file")"
unmounted "$MNT"

capture 0 mount -v -t fuse.relinkfs -o noatime,nodev,nosuid,track=all,x-something=1,_netdev "$SRC" "$MNT"
daemon
for word in noatime nodev nosuid; do
	assert_match "(^|,)$word(,|$)" "$(findmnt -no OPTIONS "$MNT")"
done
unmounted "$MNT"

# From fstab, with what stands there usually; read-only by a flag of mount.
fstab=$WORK/fstab
echo "$SRC $MNT fuse.relinkfs defaults,nofail,user,exec,suid,dev,comment=x,cache=shared 0 0" >"$fstab"
capture 0 mount -T "$fstab" "$MNT"
daemon
assert_eq text "$(cat "$MNT/file")"
unmounted "$MNT"
capture 0 mount -T "$fstab" -r "$MNT"
daemon
assert_match "(^|,)ro(,|$)" "$(findmnt -no OPTIONS "$MNT")"
capture '!' touch "$MNT/x"
unmounted "$MNT"

# A mistake is one, unless mount is told to be sloppy; -f only looks.
capture '!' mount -t fuse.relinkfs -o bogus "$SRC" "$MNT"
assert_match "bogus: unknown option" "$ERR"
capture 0 "$sbin/mount.fuse.relinkfs" "$SRC" "$MNT" -s -n -v -N 1 -o rw,bogus
daemon
unmounted "$MNT"
capture 0 "$sbin/mount.fuse.relinkfs" "$SRC" "$MNT" -f -o rw
mountpoint -q "$MNT" && fail "mounted with -f"
capture '!' "$sbin/mount.fuse.relinkfs" "$SRC" "$WORK/none" -f
assert_match "$WORK/none" "$ERR"

# The flags of the mount that the source is on hold for the new one, unless told otherwise.
# (mount(8) does not pass words on that are its defaults, such as suid.)
mount -o remount,bind,nosuid,nodev "$FSROOT" || skip "cannot change flags of a mount here"
capture 0 mount -t fuse.relinkfs "$SRC" "$MNT"
daemon
for word in nosuid nodev; do
	assert_match "(^|,)$word(,|$)" "$(findmnt -no OPTIONS "$MNT")"
done
unmounted "$MNT"
capture 0 relinkfs -o suid "$SRC" "$MNT"
daemon
[[ ,$(findmnt -no OPTIONS "$MNT"), != *,nosuid,* ]] || fail "nosuid in spite of -o suid"
assert_match "(^|,)nodev(,|$)" "$(findmnt -no OPTIONS "$MNT")"
unmounted "$MNT"
umount -l "$sbin"
umount "$real"
