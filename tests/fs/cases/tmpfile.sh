# SPDX-License-Identifier: LGPL-2.1-or-later
# O_TMPFILE: born hidden; can be linked, then is an ordinary file; with O_EXCL never.

mount_relinkfs
mkdir "$MNT/d"
holder a
h a open f "$MNT/d" tmpfile,rw 0640
h a write f "no name yet"
h_is "0 640 regular 11" a fstat f nlink mode type size
assert_hidden 1
assert_eq "" "$(ls -A "$MNT/d")"
h a fstat f ino
inode=$REPLY

h a linkfd f "$MNT/d/named"
h_is "1 $inode" a fstat f nlink ino
assert_eq "no name yet" "$(cat "$MNT/d/named")"
assert_eq "1 $inode" "$(stat -c '%h %i' "$MNT/d/named")"
h a pwrite f 0 "NO"
assert_eq "NO name yet" "$(cat "$MNT/d/named")"
h a close f
assert_vault 0
assert_eq "1" "$(stat -c %h "$SRC/d/named")" "links in the source"

h a open f "$MNT/d" tmpfile,rw
h a linkproc f "$MNT/d/by-proc"
h a close f
assert_exists "$MNT/d/by-proc"

# Linked, then unlinked again while open: an unlinked file as any other.
h a open f "$MNT/d" tmpfile,rw
h a write f "round trip"
h a linkfd f "$MNT/d/soon-gone"
rm "$MNT/d/soon-gone"
h_is "0" a fstat f nlink
h_is "round trip" a pread f 0 20
assert_vault 1
h a close f
assert_vault 0

h a open f "$MNT/d" tmpfile,rw,excl
h a write f "never"
h_err ENOENT a linkfd f "$MNT/d/never"
assert_missing "$MNT/d/never"
h_is "0" a fstat f nlink
h a close f
assert_hidden 0

# Owner and group are the caller's, the setgid folder's group counts.
mkdir -m 2777 "$MNT/group"
chown :777 "$MNT/group"
holder u setpriv --reuid=1234 --regid=2345 --clear-groups
h u open f "$MNT/group" tmpfile,rw
h_is "1234 777" u fstat f uid gid
release_all
assert_vault 0
