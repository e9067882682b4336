# SPDX-License-Identifier: LGPL-2.1-or-later
# size: 1G
# deadline: 200
# PostgreSQL: initdb, a pgbench run, a crash and its recovery, a clean stop.

bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
[[ -x $bin/initdb ]] || skip "PostgreSQL is not installed"
id postgres >/dev/null 2>&1 || skip "there is no user postgres"

mount_relinkfs
mkdir -m 0700 "$MNT/cluster"
mkdir -m 0755 "$WORK/postgres"
chown postgres: "$MNT/cluster" "$WORK/postgres"
data=$MNT/cluster/data
as=(setpriv --reuid=postgres --regid=postgres --init-groups env -u LD_PRELOAD LC_ALL=C
	HOME="$WORK/postgres" PGHOST="$WORK/postgres" PGUSER=postgres PGDATABASE=postgres)
cd "$WORK/postgres"

server() { # ARG...
	"${as[@]}" "$bin/pg_ctl" -D "$data" -w -t 60 "$@" >>"$LOGS/postgres.log" 2>&1 </dev/null ||
		fail "pg_ctl ${*@Q}: $(tail -n 20 "$LOGS/postgres.log" "$WORK/postgres/server.log")"
}
# pg_ctl takes the end of the pid file for the end of the server, which still has its
# folder as working directory then.
stop_server() { # MODE
	local pid
	pid=$(head -n 1 "$data/postmaster.pid")
	server -m "$1" stop
	wait_until "[[ ! -e /proc/$pid ]]"
}
sql() {
	"${as[@]}" "$bin/psql" -XAtqc "$1"
}
sum_is_right() {
	assert_eq "t" "$(sql 'SELECT (SELECT sum(abalance) FROM pgbench_accounts) =
		(SELECT coalesce(sum(delta), 0) FROM pgbench_history)')" "balances and history"
}

"${as[@]}" "$bin/initdb" -D "$data" -A trust -U postgres --no-locale -E UTF8 >"$LOGS/postgres.log" 2>&1
cat >>"$data/postgresql.conf" <<END
listen_addresses = ''
unix_socket_directories = '$WORK/postgres'
shared_buffers = 16MB
max_wal_size = 64MB
min_wal_size = 32MB
END
server -l "$WORK/postgres/server.log" start
"${as[@]}" "$bin/pgbench" -i -s 1 -q >>"$LOGS/postgres.log" 2>&1
"${as[@]}" "$bin/pgbench" -c 4 -j 2 -t 100 >>"$LOGS/postgres.log" 2>&1
sum_is_right

# Tables that are dropped while another session has them open.
sql 'CREATE TABLE big AS SELECT generate_series(1, 20000) AS x; CHECKPOINT; DROP TABLE big; CHECKPOINT'
trigger
relinkctl drop "$CKPT" "$MNT"

stop_server immediate
server -l "$WORK/postgres/server.log" start
sum_is_right
"${as[@]}" "$bin/pgbench" -n -c 4 -j 2 -t 50 >>"$LOGS/postgres.log" 2>&1
sum_is_right
sql 'VACUUM FULL'
sql 'REINDEX DATABASE postgres'
stop_server fast
remount_relinkfs
server -l "$WORK/postgres/server.log" start
sum_is_right
stop_server fast
"${as[@]}" "$bin/pg_controldata" -D "$data" | grep -q "shut down$" || fail "not shut down cleanly"
cd "$WORK"
assert_vault 0
