# SPDX-License-Identifier: LGPL-2.1-or-later
# Extended attributes and ACLs, on every type of file, also of hidden ones.

mount_relinkfs
cd "$MNT"
echo x >file
mkdir dir
setfattr -n user.text -v "some words" file
setfattr -n user.empty file
setfattr -n user.binary -v 0x000102ff file
setfattr -n trusted.who -v root file
setfattr -n user.on.dir -v d dir
setfacl -m u:1:rwx,m::rx file
setfacl -d -m g:2:rw dir
long=$(head -c 1500 /dev/zero | tr '\0' v)
setfattr -n user.long -v "$long" file

for path in file dir; do
	for what in "getfattr -d -m- -e hex --absolute-names" "getfacl -n --absolute-names"; do
		assert_eq "$($what "$SRC/$path" | sed 's|^# file.*||')" \
			"$($what "$MNT/$path" | sed 's|^# file.*||')" "$what $path"
	done
done
assert_eq 000102ff "$(getfattr --only-values -n user.binary file | od -An -tx1 | tr -d ' \n')"
assert_eq "$long" "$(getfattr --only-values -n user.long file)"
setfattr -x user.long file
capture '!' getfattr -n user.long file
assert_match "No such attribute" "$ERR"

# trusted.* is for the privileged alone.
capture 0 setpriv --reuid=1234 --regid=1234 --clear-groups --inh-caps=-all \
	getfattr -d -m- "$MNT/file"
[[ $OUT != *trusted.who* ]] || fail "trusted.who was shown to an unprivileged user"

# An ACL takes effect at once.
chmod 0600 file
setfacl -b file
setfacl -m u:1234:r file
assert_eq x "$(setpriv --reuid=1234 --regid=1234 --clear-groups cat file)"
setfacl -x u:1234 file
capture '!' setpriv --reuid=1234 --regid=1234 --clear-groups cat file

# File capabilities are kept, and a write takes them away.
cp /bin/true tool
setcap cap_net_raw+ep tool
assert_match "cap_net_raw" "$(getcap tool)"
assert_match "cap_net_raw" "$(getcap "$SRC/tool")"
echo more >>tool
assert_eq "" "$(getcap tool)" "capabilities after a write"

# Those of an unlinked file stay, and can be changed.
holder a
h a open f "$MNT/file" rw
rm file
assert_vault 1
h_is "some words" a getxattr f user.text
h a setxattr f user.text "other words"
h_is "other words" a getxattr f user.text
assert_eq "other words" "$(getfattr --only-values -n user.text "$VAULT"/* 2>/dev/null)"
cd "$WORK"
