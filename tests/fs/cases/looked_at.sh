# SPDX-License-Identifier: LGPL-2.1-or-later
# Looking at frozen links, and at other names of a hidden inode, does not keep its entry
# after its last user, whatever its type: not all of them send a RELEASE.

mount_relinkfs
holder a
mkfifo "$MNT/fifo"
h a open fifo "$MNT/fifo" rw
h a open file "$MNT/file" rw,creat
ln -s nowhere "$MNT/symlink"
h a open symlink "$MNT/symlink" path,nofollow
ln "$MNT/file" "$MNT/other"
mkdir "$MNT/dir"
h a open dir "$MNT/dir" r,dir
rm "$MNT/fifo" "$MNT/file" "$MNT/symlink"
rmdir "$MNT/dir"
assert_vault 4
trigger
ls -lR "$MNT" >/dev/null
stat "$MNT/other" "$MNT"/lost+found/checkpoint/* >/dev/null
release a
wait_until '(( $(vault_count) == 0 ))'
relinkctl drop "$CKPT" "$MNT"
assert_hidden 0
