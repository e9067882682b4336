# SPDX-License-Identifier: LGPL-2.1-or-later
# sqlite with WAL: several writers at once, a crash of one, and a checkpoint with the
# database unlinked.

mount_relinkfs
db=$MNT/test.db
assert_eq wal "$(sqlite3 "$db" 'PRAGMA journal_mode=WAL')"
sqlite3 "$db" 'CREATE TABLE t (id INTEGER PRIMARY KEY, who TEXT, n INTEGER)'

writers=()
for who in a b c; do
	for n in {1..60}; do
		echo "INSERT INTO t (who, n) VALUES ('$who', $n);"
	done | sqlite3 -cmd '.timeout 30000' "$db" &
	writers+=($!)
done
(while [[ ! -e $WORK/enough ]]; do
	sqlite3 -cmd '.timeout 30000' "$db" 'SELECT count(*) FROM t' >/dev/null || touch "$WORK/reader-failed"
done) &
reader=$!
for pid in "${writers[@]}"; do wait "$pid"; done
touch "$WORK/enough"
wait "$reader"
assert_missing "$WORK/reader-failed"
assert_eq 180 "$(sqlite3 "$db" 'SELECT count(*) FROM t')"
assert_eq ok "$(sqlite3 "$db" 'PRAGMA integrity_check')"

# Killed in the midst of a transaction.
mkfifo "$WORK/sql"
sqlite3 "$db" <"$WORK/sql" >"$WORK/sql.out" &
pid=$!
exec {sql}>"$WORK/sql"
echo "BEGIN IMMEDIATE; INSERT INTO t (who) VALUES ('never'); SELECT 'in it';" >&$sql
wait_until 'grep -q "in it" "$WORK/sql.out"'
kill -KILL "$pid"
wait "$pid" || true
exec {sql}>&-
assert_eq 0 "$(sqlite3 "$db" "SELECT count(*) FROM t WHERE who = 'never'")"

for mode in TRUNCATE PERSIST MEMORY DELETE; do
	sqlite3 "$db" "PRAGMA journal_mode=$mode; INSERT INTO t (who) VALUES ('$mode'); VACUUM" >/dev/null
done
assert_eq 184 "$(sqlite3 "$db" 'SELECT count(*) FROM t')"
assert_eq ok "$(sqlite3 "$db" 'PRAGMA integrity_check')"

# The frozen link of an open, unlinked database is a database.
sqlite3 "$db" <"$WORK/sql" >"$WORK/sql.out" &
pid=$!
exec {sql}>"$WORK/sql"
echo "SELECT 'open', count(*) FROM t;" >&$sql
wait_until 'grep -q "open" "$WORK/sql.out"'
rm "$db"
assert_vault 1
trigger
assert_eq 184 "$(sqlite3 "file:$MNT/$(link_of test.db)?immutable=1" 'SELECT count(*) FROM t')"
echo "SELECT 'still', count(*) FROM t;" >&$sql
wait_until 'grep -q "still|184" "$WORK/sql.out"'
relinkctl drop "$CKPT" "$MNT"
exec {sql}>&-
wait "$pid"
rm -f "$db"*
assert_vault 0
