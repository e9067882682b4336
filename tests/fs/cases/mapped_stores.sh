# SPDX-License-Identifier: LGPL-2.1-or-later
# What a program stored through a shared mapping is in the frozen file beneath the mount,
# with and without passthrough.

for option in passthrough=auto passthrough=off; do
	mount_relinkfs -o "$option"
	holder a
	h a open f "$MNT/f" rw,creat
	h a write f "before the store"
	h a mmap f m 16 rw
	h a close f
	rm "$MNT/f"
	assert_vault 1
	h a mstore m 0 "AFTER "
	trigger
	assert_eq "AFTER  the store" "$(cat "$SRC/$(link_of f)")" "seen beneath the mount ($option)"
	relinkctl drop "$CKPT" "$MNT"
	release a
	assert_vault 0
	stop_relinkfs
done
