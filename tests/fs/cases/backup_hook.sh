# SPDX-License-Identifier: LGPL-2.1-or-later
# The use of it all: freeze, let a hook make a backup (a snapshot on btrfs, reflinks on
# XFS, a copy on ext4), go on; later restart from the backup, with the content of then.

source=$FSROOT/volume
backup=$FSROOT/backup
case $FSTYPE in
btrfs) btrfs -q subvolume create "$source" && hook="btrfs -q subvolume snapshot '$source' '$backup'" ;;
xfs) mkdir "$source" && hook="cp -a --reflink=always '$source' '$backup'" ;;
*) mkdir "$source" && hook="rsync -aHAX --exclude=/.relinkfs '$source/' '$backup/'" ;;
esac
VAULT=$source/.relinkfs/default/vault

start_relinkfs "$source" "$MNT"
holder a
h a open log "$MNT/log" rw,creat,append 0640
h a write log "before the checkpoint"
h a fstat log mtime
mtime=$REPLY
echo "named then" >"$MNT/named"
rm "$MNT/log"

capture 0 ckpt-trigger --json --run "$hook && sync -f '$backup'" --undo-on-failure "$MNT"
id=$(jq -r .id <<<"$OUT")
relinkctl drop "$id" "$MNT"

# The workload goes on, to its bad end.
h a write log ", and after it"
echo "named now" >"$MNT/named"
h_is "before the checkpoint, and after it" a pread log 0 100
kill_holder a
stop_relinkfs
rm -rf "$source"/*

# The backup takes the place of the source.
mkdir "$WORK/restored"
VAULT=$backup/.relinkfs/default/vault
start_relinkfs "$backup" "$WORK/restored"
holder b ckpt-restart --fds "$WORK/restored/lost+found/checkpoint/unlink-at-restart-$id.json" --
h b adopt log 3
h_is "before the checkpoint" b pread log 0 100
h_is "0 $mtime 640" b fstat log nlink mtime mode
h_is "$WORK/restored/log (deleted)" b name log
h_is "rw,append" b flags log
assert_eq "named then" "$(cat "$WORK/restored/named")"
h b write log ", again"
h_is "before the checkpoint, again" b pread log 0 100
release b
assert_eq "" "$(checkpoint_files "$backup")"
assert_vault 0
stop_relinkfs "$WORK/restored"
