# SPDX-License-Identifier: LGPL-2.1-or-later
# Every type of file can be hidden: FIFO, socket, symbolic link, device, folder.

mount_relinkfs
holder a
holder b

# gone TYPE PATH: it has left its folder and lies in the vault.
gone() {
	assert_missing "$2"
	assert_vault 1
	assert_eq "$1" "$(stat -c %F "$VAULT"/*)" "type in the vault"
}

mkfifo -m 0640 "$MNT/fifo"
h a open fifo "$MNT/fifo" rw,nonblock
h a write fifo "in the pipe"
rm "$MNT/fifo"
gone fifo "$MNT/fifo"
h_is "0 fifo 640" a fstat fifo nlink type mode
h_is "$MNT/fifo (deleted)" a name fifo
h a reopen fifo reader r,nonblock
h_is "in the pipe" a read reader 20
h a close fifo
assert_eq 1 "$(vault_count)" "vault entries while one end is open"
h a close reader
assert_vault 0

h a bind server "$MNT/sock"
h b connect client "$MNT/sock"
rm "$MNT/sock"
gone socket "$MNT/sock"
h_err ENOENT b connect late "$MNT/sock"
h b close client
h a close server
assert_vault 0

ln -s "points nowhere" "$MNT/link"
h a open link "$MNT/link" path,nofollow
rm "$MNT/link"
gone "symbolic link" "$MNT/link"
h_is "points nowhere" a readlinkfd link
h_is "0 symlink" a fstat link nlink type
h a close link
assert_vault 0

mknod -m 0666 "$MNT/null" c 1 3
h a open null "$MNT/null" rw
rm "$MNT/null"
gone "character special file" "$MNT/null"
h_is "0 char 1:3" a fstat null nlink type rdev
h a write null "swallowed"
h a close null
assert_vault 0

mknod -m 0600 "$MNT/block" b 7 250
h a open block "$MNT/block" path
rm "$MNT/block"
gone "block special file" "$MNT/block"
h_is "0 block 7:250" a fstat block nlink type rdev
h a close block
assert_vault 0

mkdir "$MNT/dir"
h a open dir "$MNT/dir" path
rmdir "$MNT/dir"
gone directory "$MNT/dir"
h_is "0 directory" a fstat dir nlink type
h a close dir
assert_vault 0

# Those that nobody uses just go.
mkfifo "$MNT/fifo"
ln -s x "$MNT/link"
mknod "$MNT/null" c 1 3
mkdir "$MNT/dir"
rm "$MNT/fifo" "$MNT/link" "$MNT/null"
rmdir "$MNT/dir"
assert_vault 0
