/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file is reached by "/proc/self/fd/DIRFD/NAME", never by the path of the source: the
 * mount may lie over that path, and then a request to our own mount would wait for ever
 * for us.  SQLite resolves symlinks of a name it is given; so a copy of its default VFS is
 * used that leaves names as they are.
 */
#include "store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/log.h"
#include "store/util.h"

#define VFS_NAME "relinkfs"
/* Another program may look at the file for a moment while nothing is mounted. */
#define BUSY_MS 2000

struct db {
	sqlite3 *handle;
	sqlite3_stmt *statements[SQL_COUNT];
	bool full; /* synchronous = FULL now */
	char error[512];
};

static int keep_pathname(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
	sqlite3_snprintf(size, out, "%s", name);
	return SQLITE_OK;
}

static void register_vfs(void)
{
	static sqlite3_vfs vfs;
	const sqlite3_vfs *base = sqlite3_vfs_find(NULL);

	if (!base)
		return;
	vfs = *base;
	vfs.pNext = NULL;
	vfs.zName = VFS_NAME;
	vfs.xFullPathname = keep_pathname;
	sqlite3_vfs_register(&vfs, 0);
}

static int errno_of(int code)
{
	switch (code & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
		return -EUCLEAN;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_TOOBIG:
		return -E2BIG;
	default:
		return -EIO;
	}
}

/* The error of the last call, noted with the statement that it was about. */
static int fail(struct db *db, const char *sql)
{
	int code = sqlite3_extended_errcode(db->handle);
	int os_error = sqlite3_system_errno(db->handle);

	snprintf(db->error, sizeof(db->error), "%s (SQLite code %d%s%s) in \"%.*s\"",
		sqlite3_errmsg(db->handle), code, os_error ? ", " : "",
		os_error ? strerrordesc_np(os_error) : "", (int)strcspn(sql, ";\n"), sql);
	if ((code & 0xff) == SQLITE_IOERR && (os_error == ENOSPC || os_error == EDQUOT))
		return -ENOSPC;
	return errno_of(code);
}

const char *db_error(const struct db *db)
{
	return db->error;
}

static int run_text(struct db *db, const char *sql)
{
	return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) ? fail(db, sql) : 0;
}

static int first_value(void *out, int columns, char **values, char **names)
{
	char **text = out;

	if (columns > 0 && values[0] && !*text)
		*text = strdup(values[0]);
	return 0;
}

/* The first value that @sql gives, as text: malloc'd, NULL for none. */
static int ask_text(struct db *db, const char *sql, char **out)
{
	*out = NULL;
	return sqlite3_exec(db->handle, sql, first_value, out, NULL) ? fail(db, sql) : 0;
}

static int ask_int(struct db *db, const char *sql, int64_t *out)
{
	autofree char *text = NULL;
	int ret = ask_text(db, sql, &text);

	*out = text ? strtoll(text, NULL, 10) : 0;
	return ret;
}

static int unusable(struct db *db, const char *reason)
{
	snprintf(db->error, sizeof(db->error), "%s", reason);
	return -EUCLEAN;
}

/* Whose file it is: *version is 0 for an empty one. */
static int identify(struct db *db, int64_t *version)
{
	int64_t application = 0, tables = 0;
	int ret;

	ret = ask_int(db, "PRAGMA application_id", &application);
	if (!ret)
		ret = ask_int(db, "PRAGMA user_version", version);
	if (!ret)
		ret = ask_int(db, "SELECT count(*) FROM sqlite_schema", &tables);
	if (ret || (!application && !*version && !tables))
		return ret;
	if (application != SCHEMA_APPLICATION_ID)
		return unusable(db, "it is a database of another program");
	if (*version > SCHEMA_VERSION)
		return unusable(db, "it was written by a newer version of relinkfs");
	if (*version < 1 || !tables)
		return unusable(db, "it is not whole");
	return 0;
}

static int check_whole(struct db *db)
{
	autofree char *result = NULL;
	int ret = ask_text(db, "PRAGMA quick_check(1)", &result);

	if (ret)
		return ret;
	if (result && strcmp(result, "ok") == 0)
		return 0;
	snprintf(db->error, sizeof(db->error), "quick_check: %.400s", result ? result : "nothing");
	return -EUCLEAN;
}

static int upgrade(struct db *db, int64_t from)
{
	char sql[128];
	int ret = 0;

	for (int64_t version = from; version < SCHEMA_VERSION && !ret; version++) {
		snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %d",
			SCHEMA_APPLICATION_ID, (int)version + 1);
		ret = run_text(db, "BEGIN IMMEDIATE");
		if (!ret)
			ret = run_text(db, schema_steps[version]);
		if (!ret)
			ret = run_text(db, sql);
		if (!ret)
			ret = run_text(db, "COMMIT");
	}
	return ret;
}

/* All of them now: a table that lacks what it should have is found when it can be cured. */
static int prepare_all(struct db *db)
{
	for (unsigned i = 0; i < SQL_COUNT; i++) {
		const char *sql = schema_statements[i];

		if (sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT,
			    &db->statements[i], NULL) == SQLITE_OK)
			continue;
		if (sqlite3_errcode(db->handle) == SQLITE_ERROR)
			return fail(db, sql), -EUCLEAN;
		return fail(db, sql);
	}
	return 0;
}

static int open_file(struct db *db, const char *path, bool *empty)
{
	int64_t version = 0;
	int ret;

	if (sqlite3_open_v2(path, &db->handle,
		    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, VFS_NAME))
		return db->handle ? fail(db, "open") : -ENOMEM;
	sqlite3_extended_result_codes(db->handle, 1);
	sqlite3_busy_timeout(db->handle, BUSY_MS);
	ret = run_text(db, schema_before_read);
	if (!ret)
		ret = identify(db, &version);
	*empty = version == 0;
	if (!ret)
		ret = run_text(db, schema_before_write);
	if (!ret && !*empty)
		ret = check_whole(db);
	if (!ret)
		ret = upgrade(db, version);
	if (!ret)
		ret = prepare_all(db);
	return ret;
}

static void close_file(struct db *db)
{
	for (unsigned i = 0; i < SQL_COUNT; i++) {
		sqlite3_finalize(db->statements[i]);
		db->statements[i] = NULL;
	}
	sqlite3_close(db->handle);
	db->handle = NULL;
}

/* The file and what SQLite keeps beside it, under one new name, so that it still opens. */
static int set_aside(int dirfd, const char *name, const char *reason)
{
	static const char *const suffixes[] = { "", "-wal", "-journal", "-shm" };
	int64_t now = realtime_ns();
	time_t seconds = (time_t)(now / NSEC_PER_SEC);
	char time[32], from[64], to[128];
	struct tm tm;

	strftime(time, sizeof(time), "%Y%m%dT%H%M%S", gmtime_r(&seconds, &tm));
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		snprintf(from, sizeof(from), "%s%s", name, suffixes[i]);
		snprintf(to, sizeof(to), "%s.corrupt-%s.%09dZ%s", name, time,
			(int)(now % NSEC_PER_SEC), suffixes[i]);
		if (renameat(dirfd, from, dirfd, to) && errno != ENOENT)
			return -errno;
		if (i == 0)
			log_warn("catalog: %s cannot be used: %s; it is kept as %s, and a new one "
				 "is "
				 "made from the vault and the manifests",
				name, reason, to);
	}
	return 0;
}

/* Whatever else may lie under that name, a link to somewhere else above all. */
static bool is_no_file(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode);
}

static int open_or_replace(struct db *db, int dirfd, const char *name, enum catalog_origin *origin)
{
	char base[PROC_FD_PATH_SIZE];
	autofree char *path = util_printf("%s/%s", proc_fd_path(dirfd, base), name);
	bool empty = false;
	int ret;

	if (!path)
		return -ENOMEM;
	if (is_no_file(dirfd, name))
		ret = unusable(db, "it is not a regular file");
	else
		ret = open_file(db, path, &empty);
	*origin = empty ? CATALOG_MADE : CATALOG_KEPT;
	if (ret != -EUCLEAN)
		return ret;
	close_file(db);
	ret = set_aside(dirfd, name, db->error);
	if (ret) {
		snprintf(db->error, sizeof(db->error), "the damaged file cannot be renamed: %s",
			strerrordesc_np(-ret));
		return ret;
	}
	*origin = CATALOG_REPLACED;
	return open_file(db, path, &empty);
}

int db_open(int dirfd, const char *name, struct db **out, enum catalog_origin *origin, char **why)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct db *db = calloc(1, sizeof(*db));
	int ret;

	if (!db)
		return -ENOMEM;
	pthread_once(&once, register_vfs);
	ret = open_or_replace(db, dirfd, name, origin);
	if (!ret) {
		*out = db;
		return 0;
	}
	util_why(why, ret, "%s: %s%s", name, db->error,
		ret == -EBUSY ? "; close the program that has it open" : "");
	db_close(db);
	return ret;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	close_file(db);
	free(db);
}

bool db_moved(struct db *db)
{
	int moved = 0;

	return sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_HAS_MOVED, &moved) ==
		       SQLITE_OK &&
	       moved;
}

static int bind(sqlite3_stmt *stmt, int index, char type, va_list *values)
{
	const char *text;

	if (type == 'i')
		return sqlite3_bind_int64(stmt, index, va_arg(*values, int64_t));
	text = va_arg(*values, const char *);
	if (type == 't')
		return sqlite3_bind_text(stmt, index, text, -1, SQLITE_STATIC);
	return sqlite3_bind_blob64(stmt, index, text, strlen(text), SQLITE_STATIC);
}

/* Rows are visited until there are no more; the statement is ready again afterwards. */
static int execute(struct db *db, enum statement statement,
	int (*visit)(void *ctx, const struct db_row *row), void *ctx, const char *types,
	va_list *values)
{
	sqlite3_stmt *stmt = db->statements[statement];
	int code = SQLITE_OK, ret = 0;

	for (int i = 0; types[i] && code == SQLITE_OK; i++)
		code = bind(stmt, i + 1, types[i], values);
	if (code == SQLITE_OK)
		while ((code = sqlite3_step(stmt)) == SQLITE_ROW && !ret)
			ret = visit ? visit(ctx, (const struct db_row *)stmt) : 0;
	if (code != SQLITE_DONE && code != SQLITE_ROW)
		ret = fail(db, schema_statements[statement]);
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return ret;
}

int db_run(struct db *db, enum statement statement, int64_t *changed, const char *types, ...)
{
	va_list values;
	int ret;

	va_start(values, types);
	ret = execute(db, statement, NULL, NULL, types, &values);
	va_end(values);
	if (changed)
		*changed = sqlite3_changes64(db->handle);
	return ret;
}

int db_query(struct db *db, enum statement statement,
	int (*visit)(void *ctx, const struct db_row *row), void *ctx, const char *types, ...)
{
	va_list values;
	int ret;

	va_start(values, types);
	ret = execute(db, statement, visit, ctx, types, &values);
	va_end(values);
	return ret;
}

static int take_int(void *ctx, const struct db_row *row)
{
	int64_t *out = ctx;

	if (sqlite3_column_type((sqlite3_stmt *)row, 0) != SQLITE_NULL)
		*out = db_int(row, 0);
	return 0;
}

int db_query_int(struct db *db, enum statement statement, int64_t *out, const char *types, ...)
{
	va_list values;
	int ret;

	va_start(values, types);
	ret = execute(db, statement, take_int, out, types, &values);
	va_end(values);
	return ret;
}

int db_begin(struct db *db, bool durable)
{
	int ret = 0;

	if (durable != db->full)
		ret = run_text(
			db, durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
	if (ret)
		return ret;
	db->full = durable;
	return db_run(db, SQL_BEGIN, NULL, "");
}

int db_commit(struct db *db)
{
	int ret = db_run(db, SQL_COMMIT, NULL, "");

	if (ret)
		db_rollback(db);
	return ret;
}

/* Some errors have rolled back already.  What went wrong first is what is kept. */
void db_rollback(struct db *db)
{
	char error[sizeof(db->error)];

	if (sqlite3_get_autocommit(db->handle))
		return;
	memcpy(error, db->error, sizeof(error));
	db_run(db, SQL_ROLLBACK, NULL, "");
	memcpy(db->error, error, sizeof(error));
}

int64_t db_int(const struct db_row *row, int column)
{
	return sqlite3_column_int64((sqlite3_stmt *)row, column);
}

const char *db_text(const struct db_row *row, int column)
{
	const unsigned char *text = sqlite3_column_text((sqlite3_stmt *)row, column);

	return text ? (const char *)text : "";
}
