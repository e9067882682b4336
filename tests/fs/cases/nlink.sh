# SPDX-License-Identifier: LGPL-2.1-or-later
# The number of links is what the workload made, never the store's own; another name of
# the same inode stays the same inode, also after all names have gone and come again.

mount_relinkfs
holder a

h a open f "$MNT/a" rw,creat
ln "$MNT/a" "$MNT/b"
h_is 2 a fstat f nlink
rm "$MNT/a"
h_is 1 a fstat f nlink
assert_eq 1 "$(stat -c %h "$MNT/b")"
h a write f "reaches b"
assert_eq "reaches b" "$(cat "$MNT/b")"
h a fstat f ino
assert_eq "$REPLY" "$(stat -c %i "$MNT/b")" "inode of the other name"

# The seed of it all: the name is taken again by a new file.
: >"$MNT/a"
h a pwrite f 0 "REACHES"
assert_eq "REACHES b" "$(cat "$MNT/b")"
assert_eq "" "$(cat "$MNT/a")"

ln "$MNT/b" "$MNT/c"
h_is 2 a fstat f nlink
rm "$MNT/b"
h_is 1 a fstat f nlink
rm "$MNT/c"
h_is 0 a fstat f nlink
h_is "REACHES b" a pread f 0 20

# As on any filesystem, an inode without a name gets none from link(2).
h_err ENOENT a linkfd f "$MNT/again"
h_err ENOENT a linkproc f "$MNT/again"
assert_missing "$MNT/again"
h a close f
assert_vault 0

# One vault entry for one inode, whatever names it had, and by however many it is held.
h a open f "$MNT/1" rw,creat
ln "$MNT/1" "$MNT/2"
h a open g "$MNT/2" r
rm "$MNT/1" "$MNT/2"
h_is 0 a fstat f nlink
h_is 0 a fstat g nlink
assert_vault 1
h a close f
h_is 0 a fstat g nlink
h a close g
assert_vault 0

# Folders, too, count as the backing counts them.
mkdir "$MNT/d" "$FSROOT/plain"
for n in 1 2; do
	mkdir "$MNT/d/$n" "$FSROOT/plain/$n"
	assert_eq "$(stat -c %h "$FSROOT/plain")" "$(stat -c %h "$MNT/d")" "links of a folder"
done
h a open sub "$MNT/d/1" r,dir
rmdir "$MNT/d/1" "$FSROOT/plain/1"
h_is 0 a fstat sub nlink
assert_eq "$(stat -c %h "$FSROOT/plain")" "$(stat -c %h "$MNT/d")" "links after rmdir"
release a

# The store's own folders do not show in the links of the root.
root_links=$(stat -c %h "$MNT")
case $root_links in
1) ;; # a filesystem that does not count
*)
	folders=$(find "$MNT" -mindepth 1 -maxdepth 1 -type d | wc -l)
	assert_eq "$((folders + 2))" "$root_links" "links of the root"
	;;
esac
