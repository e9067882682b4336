# SPDX-License-Identifier: LGPL-2.1-or-later
# What a filesystem reserves for root, users do not get through the mount either; root does.

chmod 0755 "$WORK"
truncate -s 64M "$WORK/image"
mkfs.ext4 -qF -m 25 "$WORK/image"
mkdir "$WORK/small"
mount -o loop -t ext4 "$WORK/image" "$WORK/small"
mkdir -m 0777 "$WORK/small/source"

# fill DIR COMMAND...: how many bytes fit.
fill() {
	local file=$1/file
	"${@:2}" sh -c 'head -c 100M /dev/zero >"$1"' sh "$file" 2>"$WORK/err" && fail "100M fitted"
	grep -q "No space left" "$WORK/err" || fail "$(cat "$WORK/err")"
	FILLED=$(stat -c %s "$file")
	rm "$file"
	# Its blocks are free when the inode has ended here and beneath.
	wait_until '(( $(df --output=used "$WORK/small" | tail -n 1) < 1000 ))'
}

user=(setpriv --reuid=4001 --regid=4001 --clear-groups)
fill "$WORK/small/source" "${user[@]}"
below=$FILLED
fill "$WORK/small/source"
reserved=$(((FILLED - below) / 2))
((reserved > 4 << 20)) || fail "nothing is reserved: $below, $FILLED"

for passthrough in auto off; do
	start_relinkfs "$WORK/small/source" "$MNT" -o "passthrough=$passthrough"
	fill "$MNT" "${user[@]}"
	((FILLED < below + reserved)) || fail "$passthrough: a user had $FILLED, without the mount $below"
	fill "$MNT"
	((FILLED > below + reserved)) || fail "$passthrough: root had only $FILLED"
	stop_relinkfs
done
umount "$WORK/small"
