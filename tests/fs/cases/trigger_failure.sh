# SPDX-License-Identifier: LGPL-2.1-or-later
# All or none: a checkpoint that cannot be complete leaves nothing behind, and says why.

mount_relinkfs
holder a
holder b
for name in 1 2 3; do
	h a open "f$name" "$MNT/f$name" rw,creat
	rm "$MNT/f$name"
done
assert_hidden 3

# An immutable inode can have no further name.
h a fstat f2 ino
entry=$(find "$VAULT" -inum "$REPLY")
chattr +i "$entry"
capture '!' ckpt-trigger "$MNT"
[[ $ERR == *f2* ]] || fail "the error does not name f2: $ERR"
assert_match "not permitted" "$ERR"
assert_eq "" "$(checkpoint_files)" "left by a failed checkpoint"
for name in f1 f2 f3; do h_is 0 a fstat $name nlink; done
assert_eq 3 "$(vault_count)"
! grep -qwE "f1|f3" <<<"$ERR" || fail "the error names more than f2: $ERR"
capture 1 ckpt-trigger --json "$MNT"
assert_eq "" "$OUT" "output of a failure"
capture '!' ckpt-trigger --template 'made/%t-%n' "$MNT"
assert_missing "$MNT/made"
capture '!' ckpt-trigger --run "touch '$WORK/hook-ran'" "$MNT"
assert_missing "$WORK/hook-ran"

# With --partial it is left out, and named.
trigger --partial
assert_eq '["f1","f3"]' "$(jq -c '[.entries[].path] | sort' "$MANIFEST")"
assert_eq '["f2"]' "$(jq -c '[.left_out[].path]' <<<"$OUT")" "entries left out"
relinkctl drop "$CKPT" "$MNT"

# Another's processes are not affected.
h b open g "$MNT/g" rw,creat
rm "$MNT/g"
trigger --pid "${HOLD_PID[b]}"
relinkctl drop "$CKPT" "$MNT"
chattr -i "$entry"
trigger
assert_eq 4 "$(jq '.entries | length' "$MANIFEST")"
relinkctl drop "$CKPT" "$MNT"

# A name that exists is never overwritten. With an ambiguous template the checkpoint
# fails; what was there stays.
mkdir "$MNT/here"
for i in 1 2 3 4 5; do echo "mine $i" >"$MNT/here/$i"; done
capture '!' ckpt-trigger --template 'here/%n' "$MNT"
for i in 1 2 3 4 5; do assert_eq "mine $i" "$(cat "$MNT/here/$i")"; done

# Too many links.
if [[ $FSTYPE == ext4 ]]; then
	h a open many "$MNT/many" rw,creat
	python3 -c '
import os, sys
for i in range(64999):
    os.link(sys.argv[1], sys.argv[2] + str(i))' "$SRC/many" "$SRC/here/l-"
	capture '!' ln "$MNT/many" "$MNT/one-more"
	assert_match "Too many links" "$ERR"
	echo new >"$MNT/new"
	mv "$MNT/new" "$MNT/many"
	assert_eq new "$(cat "$MNT/many")"
	h_is 64999 a fstat many nlink
	capture '!' ckpt-trigger "$MNT"
	assert_eq "" "$(checkpoint_files)" "left by a checkpoint without a link to spare"
	h a close many
	find "$SRC/here" -name 'l-*' -delete
fi

# No space for the manifest, nor for links in a full folder: nothing is left.
release b
: >"$MNT/filler"
dd if=/dev/zero of="$FSROOT/filler" bs=1M status=none 2>/dev/null || true
dd if=/dev/zero of="$FSROOT/filler2" bs=4k status=none 2>/dev/null || true
status=0
ckpt-trigger --json "$MNT" >"$WORK/out" 2>"$WORK/err" || status=$?
if ((status)); then
	assert_eq "" "$(checkpoint_files)" "left by a checkpoint on a full disk"
	h_is 0 a fstat f1 nlink
else
	rm "$FSROOT/filler" "$FSROOT/filler2"
	relinkctl drop "$(jq -r .id "$WORK/out")" "$MNT"
fi
rm -f "$FSROOT/filler" "$FSROOT/filler2"
trigger
assert_eq 3 "$(jq '.entries | length' "$MANIFEST")"
relinkctl drop "$CKPT" "$MNT"
