# SPDX-License-Identifier: LGPL-2.1-or-later
# deadline: 120
# Ownership, ACLs, set-id bits, limits, inode flags, locks, leases, inotify, unlinked files,
# extended attributes and errors of names: the same program gets the same answers from
# the source and from the mount.

# What the kernel's FUSE does by itself: before any fallocate it drops set-id bits and
# capabilities, where btrfs keeps them when a hole is punched; and without passthrough a
# store through a mapping becomes a write, which drops capabilities.  ext4 has no nameless
# files in a removed folder; ours is not removed there.
known() { # PASSTHROUGH
	local lines=(-e '^unlinked: tmpfile in it: ')
	[[ $FSTYPE != btrfs ]] || lines+=(-e '^setid[^:]*: [a-z]*-punch: ')
	[[ $1 != off ]] || lines+=(-e '^setid[^:]*: (cap|both)-mmap: [^m]')
	grep -vE "${lines[@]}"
}

chmod 0755 "$WORK" "$FSROOT" "$SRC"
mkdir "$SRC/source"
same "$SRC/source" >"$LOGS/source"
(($(wc -l <"$LOGS/source") > 500)) || fail "few answers: $(tail -n 3 "$LOGS/source")"
if grep "ended badly" "$LOGS/source"; then
	fail "the program does not work"
fi

for passthrough in auto off; do
	mkdir "$SRC/$passthrough"
	mount_relinkfs -o "passthrough=$passthrough"
	same "$MNT/$passthrough" >"$LOGS/$passthrough"
	diff <(known "$passthrough" <"$LOGS/source") <(known "$passthrough" <"$LOGS/$passthrough") ||
		fail "the mount gives other answers"
	assert_hidden 0
	assert_vault 0
	stop_relinkfs
done
