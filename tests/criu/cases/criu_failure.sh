# SPDX-License-Identifier: LGPL-2.1-or-later
# A dump that fails leaves nothing behind; a restore that fails can be tried again.
. "$(dirname "$CASE")/../lib.sh"

mount_relinkfs
mkdir "$MNT/d"
holder a setsid
h a open f "$MNT/d/f" rw,creat
h a write f content
rm "$MNT/d/f"

# CRIU refuses what is no file, and gives up after the checkpoint was made.
start=$(h a fstat f ino nlink mtime && echo "$REPLY")
criu_run '!' relinkfs-criu dump -t "${HOLD_PID[a]}" -D "$IMAGES" --external 'mnt[]:no' --root "$WORK/nowhere"
assert_eq "" "$(checkpoint_files)" "after a failed dump"
assert_missing "$IMAGES/relinkfs.json"
assert_eq "" "$(ls -A "$MNT/d")"
h_is "$start" a fstat f ino nlink mtime
h_is content a pread f 0 7
assert_hidden 1

capture 2 relinkfs-criu dump -D "$IMAGES"
assert_match "needs -t PID" "$ERR"
capture 1 relinkfs-criu dump -D "$IMAGES" -t 4194304
assert_match "no process 4194304" "$ERR"

# A part of the images is not there: the checkpoint stays for the next attempt.
wrapped_dump a
mv "$IMAGES"/core-*.img "$WORK"
criu_run '!' relinkfs-criu restore -D "$IMAGES" -d
assert_ne "" "$(checkpoint_files)" "checkpoint after a failed restore"
mv "$WORK"/core-*.img "$IMAGES"
wrapped_restore
h_is "$start" a fstat f ino nlink mtime
h_is content a pread f 0 7
assert_eq "" "$(checkpoint_files)" "left of the checkpoint"

# The same with stock CRIU.
rm -rf "${IMAGES:?}"/*
criu_dump a
mv "$IMAGES"/core-*.img "$WORK"
criu_run '!' criu restore --config "$WORK/criu.conf" -D "$IMAGES" -d
assert_ne "" "$(checkpoint_files)" "checkpoint after a failed restore"
mv "$WORK"/core-*.img "$IMAGES"
criu_restore
h_is "$start" a fstat f ino nlink mtime
assert_eq "" "$(ls -A "$MNT/d")"

# Goes on running: the images are as good as any, and the process is as it was.
rm -rf "${IMAGES:?}"/*
criu_dump a --leave-running
assert_eq "" "$(ls -A "$MNT/d")"
h_is content a pread f 0 7
murder a
criu_restore
h_is content a pread f 0 7
h_is "$start" a fstat f ino nlink mtime
part a
