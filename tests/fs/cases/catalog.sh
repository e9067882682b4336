# SPDX-License-Identifier: LGPL-2.1-or-later
# The catalog is an index: without it, or with nonsense in its place, everything is found
# again; a damaged one is kept aside, and said.

mount_relinkfs
holder a
h a open f "$MNT/f" rw,creat
h a write f "content"
rm "$MNT/f"
trigger
release a
stop_relinkfs
known() {
	assert_eq "content" "$(cat "$MNT/$(link_of f)")"
	assert_eq "committed" "$(relinkctl checkpoints --json "$MNT" | jq -r --arg id "$CKPT" '(.checkpoints // .)[] | select(.id == $id) | .state')"
	assert_eq present "$(relinkctl show --json "$CKPT" "$MNT" | jq -r '.links[0].status')"
	assert_eq ok "$(sqlite_check)"
}
# A copy is looked at: the daemon has the database for itself.
sqlite_check() {
	rm -rf "$WORK/copy"*
	cp "$CATALOG" "$WORK/copy.db"
	[[ ! -e $CATALOG-wal ]] || cp "$CATALOG-wal" "$WORK/copy.db-wal"
	sqlite3 "$WORK/copy.db" 'PRAGMA integrity_check'
}

assert_exists "$CATALOG"
assert_missing "$CATALOG-shm"
assert_eq "wal" "$(sqlite3 "$CATALOG" 'PRAGMA journal_mode')"
(($(sqlite3 "$CATALOG" 'PRAGMA application_id') != 0)) || fail "no application_id"
(($(sqlite3 "$CATALOG" 'PRAGMA user_version') > 0)) || fail "no user_version"
assert_eq "" "$(sqlite3 "$CATALOG" "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT strict AND name NOT LIKE 'sqlite%'")" "tables that are not STRICT"
rm -f "$CATALOG-shm"

rm -f "$CATALOG"*
mount_relinkfs
known
stop_relinkfs

damage() {
	case $1 in
	garbage) head -c 20000 /dev/urandom >"$CATALOG" ;;
	empty) : >"$CATALOG" ;;
	truncated) truncate -s 5000 "$CATALOG" ;;
	page) dd if=/dev/urandom of="$CATALOG" bs=4096 seek=1 count=2 conv=notrunc status=none ;;
	wal) head -c 9000 /dev/urandom >"$CATALOG-wal" ;;
	foreign) rm -f "$CATALOG" && sqlite3 "$CATALOG" 'CREATE TABLE t (x)' ;;
	folder) rm -f "$CATALOG" && mkdir "$CATALOG" ;;
	esac
}
for kind in garbage truncated page foreign empty wal; do
	echo "== damage: $kind" >>"$DAEMON_LOG"
	lines=$(wc -l <"$DAEMON_LOG")
	rm -f "$CATALOG-wal"
	damage "$kind"
	before=$(find "$SRC/.relinkfs/default" -name 'catalog.db*' | wc -l)
	mount_relinkfs
	known
	case $kind in
	garbage | truncated | foreign | page)
		tail -n "+$((lines + 1))" "$DAEMON_LOG" | grep -qi 'catalog' || fail "$kind: nothing said of it"
		(($(find "$SRC/.relinkfs/default" -name 'catalog*' ! -name '*-wal' | wc -l) > 1)) ||
			fail "$kind: the damaged file was not kept aside"
		;;
	esac
	stop_relinkfs
done

# Vault entries and frozen links that no catalog knows: reaped, and adopted.
rm -rf "$SRC/.relinkfs"
mount_relinkfs
known
stop_relinkfs
: >"$VAULT/00000000deadbeef"
mkdir "$VAULT/00000000deadbee0"
mount_relinkfs
assert_vault 0
known
stop_relinkfs

# A row without its link is lost, and said to be.
rm "$SRC/lost+found/checkpoint/"*
mount_relinkfs
assert_eq lost "$(relinkctl checkpoints --json "$MNT" | jq -r --arg id "$CKPT" '(.checkpoints // .)[] | select(.id == $id) | .state')"
