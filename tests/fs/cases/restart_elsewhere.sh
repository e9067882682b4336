# SPDX-License-Identifier: LGPL-2.1-or-later
# A copy of the source, at another place, is enough to restart from: mounted there, and
# as the plain folder that it is. The catalog is not needed.

mount_relinkfs
mkdir "$MNT/d"
holder old
h old open f "$MNT/d/f" rw,creat,append 0640
h old write f "moves along"
h old setxattr f user.colour blue
mkfifo "$MNT/d/fifo"
h old open fifo "$MNT/d/fifo" rw,nonblock
mkdir -m 0711 "$MNT/d/wd"
setfacl -m u:55:rwx "$MNT/d/wd"
h old chdir "$MNT/d/wd"
ln "$MNT/d/f" "$MNT/d/second-name"
rm "$MNT/d/f" "$MNT/d/fifo"
rmdir "$MNT/d/wd"
trigger
original=$SRC${MANIFEST#"$MNT"}

# A backup, made of the mount while all still runs, or of the source beneath it.
rsync -aHAX "$MNT/" "$FSROOT/copy/"
rsync -aHAX --exclude=/.relinkfs "$SRC/" "$FSROOT/second-copy/"
rsync -aHAX "$MNT/" "$FSROOT/third-copy/"
assert_missing "$FSROOT/copy/.relinkfs"
relinkctl drop "$CKPT" "$MNT"
assert_missing "$original"
h_is 1 old fstat f nlink
release old
stop_relinkfs
rm -r "$SRC"
VAULT=$FSROOT/copy/.relinkfs/default/vault

restart_at() { # ROOT: as seen by the process
	holder new ckpt-restart --fds "$1/lost+found/checkpoint/unlink-at-restart-$CKPT.json" --
	h new adopt f 3
	h_is "moves along" new pread f 0 20
	h_is "rw,append" new flags f
	h_is blue new getxattr f user.colour
	h_is "1" new fstat f nlink
	h_is "$1/d/f (deleted)" new name f
	h_is "$1/d/wd (deleted)" new cwd
	h new adopt fifo 4
	h_is "fifo 0" new fstat fifo type nlink
	h new write f ", and on"
	assert_eq "moves along, and on" "$(cat "$1/d/second-name")"
	assert_eq "" "$(checkpoint_files "$1")" "left in $1"
	assert_eq "second-name" "$(ls -A "$1/d")"
}

mkdir -p "$WORK/other/mount"
start_relinkfs "$FSROOT/copy" "$WORK/other/mount"
restart_at "$WORK/other/mount"
release new
stop_relinkfs "$WORK/other/mount"
assert_eq 0 "$(vault_count)"

# No mount at all.
restart_at "$FSROOT/second-copy"
release new

# A copy that lost something is refused by name.
rm "$FSROOT/third-copy/$(jq -r '.entries[] | select(.path == "d/fifo") | .link' \
	"$FSROOT/third-copy/lost+found/checkpoint/unlink-at-restart-$CKPT.json")"
capture '!' ckpt-restart "$FSROOT/third-copy/lost+found/checkpoint/unlink-at-restart-$CKPT.json" -- true
assert_match "d/fifo" "$ERR"
