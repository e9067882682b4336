# SPDX-License-Identifier: LGPL-2.1-or-later
# The vault cannot be seen, reached, named, moved or made again through the mount.

mount_relinkfs
mkdir "$MNT/dir" "$MNT/gone"
echo secret >"$MNT/f"
holder a
h a open f "$MNT/f" rw
h a chdir "$MNT/gone"
rm "$MNT/f"
rmdir "$MNT/gone"
assert_vault 2

assert_eq ".. dir lost+found" "$(ls -a "$MNT" | sort | grep -vx '\.' | tr '\n' ' ' | sed 's/ $//')"
assert_eq "" "$(find "$MNT" -name '*relinkfs*')"
assert_eq "" "$(find "$MNT" -samefile "$VAULT/$(ls "$VAULT" | head -n 1)" 2>/dev/null)"

for path in .relinkfs .relinkfs/ .relinkfs/default .relinkfs/default/vault dir/../.relinkfs \
	./.relinkfs .relinkfs/default/catalog.db; do
	capture '!' stat "$MNT/$path"
	assert_match "No such file" "$ERR"
	capture '!' ls "$MNT/$path"
	capture '!' cat "$MNT/$path"
done

# Every way of making or taking its name fails, and each says so by an error.
: >"$MNT/x"
mkdir "$MNT/folder"
capture '!' mkdir "$MNT/.relinkfs"
capture '!' touch "$MNT/.relinkfs"
capture '!' mkfifo "$MNT/.relinkfs"
capture '!' ln -s x "$MNT/.relinkfs"
capture '!' ln "$MNT/x" "$MNT/.relinkfs"
capture '!' rm -r "$MNT/.relinkfs/default"
capture '!' rmdir "$MNT/.relinkfs"
capture '!' mv -T "$MNT/x" "$MNT/.relinkfs"
capture '!' mv -T "$MNT/folder" "$MNT/.relinkfs"
capture '!' mv -T "$MNT/.relinkfs" "$MNT/taken"
h_err ENOENT a open v "$MNT/.relinkfs" path
hold_ask a rename "$MNT/.relinkfs" "$MNT/taken"
assert_match "^err " "$REPLY"
assert_missing "$MNT/taken"
assert_exists "$MNT/x" "$MNT/folder" "$VAULT" "$CATALOG"
assert_vault 2

# Elsewhere the name means nothing.
mkdir "$MNT/dir/.relinkfs"
echo mine >"$MNT/dir/.relinkfs/file"
assert_eq mine "$(cat "$MNT/dir/.relinkfs/file")"

# By file handle: neither with one of the backing filesystem nor by the way up from a
# hidden folder is the vault found.
entry=$VAULT/$(ls "$VAULT" | head -n 1)
for path in "$SRC/.relinkfs" "$VAULT" "$entry" "$CATALOG"; do
	capture 0 handle "$path" "$MNT"
	case $OUT in
	opened*) fail "a handle of $path was opened through the mount: $OUT" ;;
	esac
done
capture 0 handle "$MNT/dir" "$MNT"
assert_match "^opened 40000 $MNT/dir$|^no handle|^E" "$OUT"

forbidden=$(stat -c %i "$SRC/.relinkfs" "$SRC/.relinkfs/default" "$VAULT")
cwd_of_holder=/proc/${HOLD_PID[a]}/cwd
capture 0 handle --dotdot "$cwd_of_holder"
for inode in $forbidden; do
	! grep -qx "$inode" <<<"$OUT" || fail "'..' of a hidden folder leads into the vault"
done
grep -qx "$(stat -c %i "$MNT")" <<<"$OUT" || fail "'..' of a hidden folder does not lead to the root"

# Nor is it readable by others in the source itself.
assert_eq "700 0 0" "$(stat -c '%a %u %g' "$SRC/.relinkfs")"
assert_eq "700 0 0" "$(stat -c '%a %u %g' "$VAULT")"
assert_eq "700 0 0" "$(stat -c '%a %u %g' "$SRC/lost+found/checkpoint")"
capture '!' setpriv --reuid=1234 --regid=1234 --clear-groups ls "$SRC/.relinkfs"
