/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one place that speaks to SQLite: the catalog's connection and its statements.  One
 * thread at a time.  Functions give 0 or -errno; db_error() then says which statement
 * failed and how; nothing is logged here but what becomes of an unusable file.
 *
 *	-ENOSPC disk full   -EIO input/output error   -EUCLEAN damaged   -EBUSY in use
 */
#ifndef RELINKFS_STORE_DB_H
#define RELINKFS_STORE_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "store/catalog.h"
#include "store/schema.h"

struct db;
struct db_row; /* a row of a result, while it is visited */

/*
 * Opens @name in the directory @dirfd, which must stay open; brings an older format up to
 * date.  A file that is damaged, of something else, or from a newer version is renamed
 * to "@name.corrupt-TIME", with its log, and a new one made: *origin says so.
 */
int db_open(int dirfd, const char *name, struct db **out, enum catalog_origin *origin, char **why);
void db_close(struct db *db); /* NULL is fine */

/* The file under the name is not the one that is open: removed, or replaced. */
bool db_moved(struct db *db);

const char *db_error(const struct db *db);

/* A transaction; @durable: on disk when db_commit() returns 0.  A failed commit rolls back. */
int db_begin(struct db *db, bool durable);
int db_commit(struct db *db);
void db_rollback(struct db *db);

/*
 * Runs @statement with the values that @types tells: 'i' int64_t, 't' const char * (text),
 * 'b' const char * (bytes up to the NUL); *changed, if not NULL, is the count of rows changed.
 */
int db_run(struct db *db, enum statement statement, int64_t *changed, const char *types, ...);

/* Likewise; @visit gets each row.  What it returns other than 0 ends the query and comes back. */
int db_query(struct db *db, enum statement statement,
	int (*visit)(void *ctx, const struct db_row *row), void *ctx, const char *types, ...);

/* The only value of the only row; *out stays as it is when it is NULL or there is none. */
int db_query_int(struct db *db, enum statement statement, int64_t *out, const char *types, ...);

int64_t db_int(const struct db_row *row, int column);
/* Bytes or text as a C string, valid during the visit; never NULL. */
const char *db_text(const struct db_row *row, int column);

#endif
