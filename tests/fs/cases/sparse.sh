# SPDX-License-Identifier: LGPL-2.1-or-later
# Holes stay holes, in named and in hidden files; nothing is copied by hiding.

mount_relinkfs
f=$MNT/f
holder a
h a open f "$f" rw,creat
h a truncate f $((1 << 30))
h a pwrite f $((512 << 20)) "island"
h a fsync f
(($(stat -c %b "$f") * 512 < 2 << 20)) || fail "a sparse file takes $(stat -c %b "$f") blocks"
h a seek f 0 data
data=$REPLY
((data > 500 << 20 && data <= 512 << 20)) || fail "data begins at $data"
h_is 0 a seek f 0 hole

rm "$f"
assert_vault 1
h_is "$data" a seek f 0 data
h_is "island" a pread f $((512 << 20)) 6
h_is "0 $((1 << 30))" a fstat f nlink size
(($(stat -c %b "$VAULT"/*) * 512 < 2 << 20)) || fail "hiding filled the holes"

# fallocate, punching, and a copy within the filesystem, by the hidden file's fd.
fd=/proc/${HOLD_PID[a]}/fd/3
fallocate -l 8M -o 0 "$fd"
h a fstat f blocks
((REPLY * 512 >= 8 << 20)) || fail "fallocate took only $REPLY blocks"
fallocate -p -l 8M -o 0 "$fd"
h a fstat f blocks
((REPLY * 512 < 4 << 20)) || fail "punching left $REPLY blocks"
cp --sparse=auto --reflink=auto "$fd" "$MNT/copy"
assert_eq island "$(dd if="$MNT/copy" bs=1M skip=512 count=1 status=none | tr -d "\0")"
(($(stat -c %b "$MNT/copy") * 512 < 2 << 20)) || fail "the copy is not sparse"

# A terabyte with nothing in it is frozen and restarted like any other file.
h a open huge "$MNT/huge" rw,creat
h a truncate huge $((1 << 40))
h a pwrite huge $(((1 << 40) - 3)) "end"
h a seek huge $((1 << 39)) set
rm "$MNT/huge" "$MNT/copy"
h a close f
assert_vault 1
trigger
(($(jq .total_ns <<<"$OUT") < 2000000000)) || fail "a sparse file took $(jq .total_ns <<<"$OUT") ns"
link=$MNT/$(link_of huge)
assert_eq "$((1 << 40))" "$(stat -c %s "$link")"
(($(stat -c %b "$link") * 512 < 2 << 20)) || fail "the frozen file is not sparse"
kill_holder a
holder b ckpt-restart "$MANIFEST" --
h b adopt huge 3
h_is "$((1 << 39))" b seek huge 0 cur
h_is "end" b pread huge $(((1 << 40) - 3)) 3
h b fstat huge blocks
((REPLY * 512 < 2 << 20)) || fail "the restarted file is not sparse"
