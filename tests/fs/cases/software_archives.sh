# SPDX-License-Identifier: LGPL-2.1-or-later
# tar and rsync -aHAX there and back: everything is the same.

mkdir "$FSROOT/tree"
cd "$FSROOT/tree"
mkdir -p a/b/c "with space" $'odd\nname' empty
for i in {1..200}; do head -c $((i * 37)) /dev/urandom >"a/b/f$i"; done
ln a/b/f1 a/hard
ln a/b/f1 "with space/hard"
ln -s ../a/b "with space/soft"
ln -s nowhere dangling
mkfifo fifo
mknod null c 1 3
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("sock")'
truncate -s 5M sparse
printf end | dd of=sparse bs=1 seek=4000000 conv=notrunc status=none
chmod 4755 a/b/f2
chmod 2750 empty
chmod 0000 a/b/f3
chown 1234:2345 a/b/f4 "with space"
chown -h 77:88 dangling
setfacl -m u:55:rw,g:66:r a/b/f5
setfacl -d -m u:77:rwx a/b/c
setfattr -n user.colour -v green a/b/f6
setfattr -n trusted.t -v t a/b/f6
touch -d '1999-12-31 23:59:59.123456789' a/b/f7 empty
touch -h -d '2000-01-01' dangling
setcap cap_net_raw+ep a/b/f8
cd "$WORK"

same() { # ONE OTHER: contents, all attributes, hard links
	rsync -aHAXnc --delete --itemize-changes --modify-window=-1 "$1/" "$2/" >"$WORK/items"
	assert_eq "" "$(cat "$WORK/items")" "differences between $1 and $2"
}

for options in passthrough=auto passthrough=off; do
	mount_relinkfs -o "$options"
	rsync -aHAXS --modify-window=-1 "$FSROOT/tree/" "$MNT/by-rsync/"
	same "$FSROOT/tree" "$MNT/by-rsync"
	rm -f "$FSROOT/tree/sock" "$MNT/by-rsync/sock" # tar leaves sockets out
	touch -d '2002-02-02' "$FSROOT/tree" "$MNT/by-rsync"
	tar -C "$MNT/by-rsync" --format=posix --acls --xattrs --xattrs-include='*' -Scf "$MNT/tar" .
	mkdir "$MNT/by-tar"
	tar -C "$MNT/by-tar" --acls --xattrs --xattrs-include='*' -xpf "$MNT/tar"
	same "$MNT/by-rsync" "$MNT/by-tar"
	cp -a "$MNT/by-tar" "$MNT/by-cp"
	same "$MNT/by-tar" "$MNT/by-cp"
	rsync -aHAXS --modify-window=-1 "$MNT/by-cp/" "$FSROOT/back/"
	same "$FSROOT/tree" "$FSROOT/back"
	assert_eq "$(stat -c %i "$MNT/by-cp/a/hard")" "$(stat -c %i "$MNT/by-cp/with space/hard")" "hard link"
	rm -rf "$MNT"/by-* "$MNT/tar" "$FSROOT/back"
	assert_vault 0
	stop_relinkfs
done
