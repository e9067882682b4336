# SPDX-License-Identifier: LGPL-2.1-or-later
# filesystems: ext4 xfs btrfs
# deadline: 200
# A thousand removed files, in one process, both ways.
. "$(dirname "$CASE")/../lib.sh"

mount_relinkfs
mkdir "$MNT/d"
holder a setsid
h a many "$MNT/d/f" 1000

wrapped_dump a
no_ghosts
wrapped_restore
h_is 0 a checkmany 3 1000
assert_hidden 1000
assert_eq "" "$(checkpoint_files)" "left of the checkpoint"
assert_eq "" "$(ls -A "$MNT/d")"

rm -rf "${IMAGES:?}"/*
criu_dump a
no_ghosts
assert_eq "" "$(ls -A "$MNT/d")"
criu_restore
h_is 0 a checkmany 3 1000
assert_eq "" "$(checkpoint_files)" "left of the checkpoint"
assert_eq "" "$(ls -A "$MNT/d")"
part a
