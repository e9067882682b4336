/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The writer thread and what it is given: notes on entries, written in groups, and calls
 * that somebody waits for.
 *
 * A group begins with the first note and is written GROUP_NS later, or once it has
 * GROUP_NOTES notes, or before a call.  So one transaction serves many entries, nobody
 * who hides a file waits for the disk, and what a crash can lose of the history is small
 * - and found again in the vault.
 */
#include "store/catalog.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/catalog_internal.h"
#include "store/catalog_queue.h"
#include "store/log.h"
#include "store/util.h"

#define GROUP_NOTES 256
#define GROUP_NS (INT64_C(5) * 1000 * 1000)
/* The history keeps this many entries that are gone, and as many old sessions. */
#define HISTORY_ENTRIES 100000
#define HISTORY_SESSIONS 1000
#define PRUNE_EVERY 10000
/* After a failure, notes are tried again no sooner than this. */
#define RETRY_NS (5 * NSEC_PER_SEC)

struct call {
	int (*run)(struct catalog *catalog, void *arg);
	void *arg;
	int result;
	bool done;
	struct call *next;
};

struct catalog {
	/* Constant. */
	int dirfd;
	char *instance;
	pthread_t thread;

	pthread_mutex_t mutex; /* guards what follows, up to the next comment */
	pthread_cond_t wake;   /* for the writer */
	pthread_cond_t done;   /* for callers */
	struct catalog_queue queue;
	struct call *calls; /* first come, first served */
	int64_t group_end;  /* CLOCK_MONOTONIC ns; when the queue is not empty */
	bool stop;
	int error; /* of the first failure; 0: all is well */
	char message[256];
	uint64_t lost;

	/* The writer's own. */
	struct db *db; /* NULL after it could not be opened */
	int64_t session;
	int64_t gone_since_prune;
	int64_t retry_at;
};

/* ---- failure ---- */

/* True for errors of the database itself, not of what was asked of it. */
static bool is_failure(int error)
{
	return error == -ENOSPC || error == -EIO || error == -EUCLEAN || error == -EBUSY ||
	       error == -EROFS || error == -EACCES;
}

static void note_failure(struct catalog *catalog, int error, const char *message)
{
	catalog->retry_at = monotonic_ns() + RETRY_NS;
	pthread_mutex_lock(&catalog->mutex);
	if (!catalog->error) {
		log_error("catalog: %s; the history of hidden entries has a gap from here on, and "
			  "no checkpoint can be made until it works again",
			message);
		snprintf(catalog->message, sizeof(catalog->message), "%s", message);
		catalog->error = error;
	}
	pthread_mutex_unlock(&catalog->mutex);
}

static void note_success(struct catalog *catalog)
{
	pthread_mutex_lock(&catalog->mutex);
	if (catalog->error)
		log_info("catalog: it works again; %" PRIu64 " notes on hidden entries were lost",
			catalog->lost + catalog->queue.lost);
	catalog->error = 0;
	catalog->message[0] = '\0';
	pthread_mutex_unlock(&catalog->mutex);
}

static void lose_notes(struct catalog *catalog, const struct catalog_queue *group)
{
	pthread_mutex_lock(&catalog->mutex);
	catalog->lost += group->live;
	pthread_mutex_unlock(&catalog->mutex);
}

/* ---- the writer's work ---- */

static int write_note(struct catalog *catalog, const struct catalog_note *note)
{
	const struct entry_record *record = &note->record;

	if (note->gone) {
		catalog->gone_since_prune++;
		return db_run(
			catalog->db, SQL_ENTRY_GONE, NULL, "ii", note->when, (int64_t)note->id);
	}
	return db_run(catalog->db, SQL_ENTRY_HIDDEN, NULL, "iibiiiiiti", (int64_t)note->id,
		catalog->session, note->path, (int64_t)record->mode, (int64_t)record->uid,
		(int64_t)record->gid, (int64_t)record->ino,
		(int64_t) !!(record->flags & ENTRY_F_TMPFILE),
		entry_state_name((enum entry_state)record->state), record->hidden_at);
}

static int prune(struct catalog *catalog)
{
	if (catalog->gone_since_prune < PRUNE_EVERY)
		return 0;
	catalog->gone_since_prune = 0;
	return db_run(catalog->db, SQL_ENTRY_PRUNE, NULL, "i", (int64_t)HISTORY_ENTRIES);
}

static int write_notes(struct catalog *catalog, const struct catalog_queue *group)
{
	int ret = db_begin(catalog->db, false);

	for (size_t i = 0; i < group->count && !ret; i++)
		if (group->notes[i].id)
			ret = write_note(catalog, &group->notes[i]);
	if (!ret)
		ret = prune(catalog);
	if (!ret)
		return db_commit(catalog->db);
	db_rollback(catalog->db);
	return ret;
}

static void write_group(struct catalog *catalog, const struct catalog_queue *group)
{
	int ret;

	if (!group->live)
		return;
	if (!catalog->db || (catalog->retry_at && monotonic_ns() < catalog->retry_at)) {
		lose_notes(catalog, group);
		return;
	}
	ret = write_notes(catalog, group);
	if (ret) {
		note_failure(catalog, ret, db_error(catalog->db));
		lose_notes(catalog, group);
	} else if (catalog->retry_at) {
		catalog->retry_at = 0;
		note_success(catalog);
	}
}

/* Until there is a call, or the group is due, or the end. */
static void wait_locked(struct catalog *catalog)
{
	while (!catalog->calls && !catalog->stop) {
		struct timespec until = {
			.tv_sec = catalog->group_end / NSEC_PER_SEC,
			.tv_nsec = catalog->group_end % NSEC_PER_SEC,
		};

		if (!catalog->queue.count)
			pthread_cond_wait(&catalog->wake, &catalog->mutex);
		else if (catalog->queue.live >= GROUP_NOTES ||
			 pthread_cond_timedwait(&catalog->wake, &catalog->mutex, &until) ==
				 ETIMEDOUT)
			return;
	}
}

static struct catalog_queue take_queue_locked(struct catalog *catalog)
{
	struct catalog_queue group = catalog->queue;

	memset(&catalog->queue, 0, sizeof(catalog->queue));
	catalog->lost += group.lost;
	return group;
}

static struct call *take_call_locked(struct catalog *catalog)
{
	struct call *call = catalog->calls;

	if (call)
		catalog->calls = call->next;
	return call;
}

/* One round: the notes that are there, then one call.  The mutex is left meanwhile. */
static void work_locked(struct catalog *catalog)
{
	struct catalog_queue group = take_queue_locked(catalog);
	struct call *call = take_call_locked(catalog);

	pthread_mutex_unlock(&catalog->mutex);
	write_group(catalog, &group);
	catalog_queue_clear(&group);
	if (call)
		call->result = call->run(catalog, call->arg);
	pthread_mutex_lock(&catalog->mutex);
	if (call) {
		call->done = true;
		pthread_cond_broadcast(&catalog->done);
	}
}

static void *writer(void *arg)
{
	struct catalog *catalog = arg;

	pthread_mutex_lock(&catalog->mutex);
	while (!catalog->stop || catalog->calls || catalog->queue.count) {
		wait_locked(catalog);
		work_locked(catalog);
	}
	pthread_mutex_unlock(&catalog->mutex);
	return NULL;
}

static int call_writer(
	struct catalog *catalog, int (*run)(struct catalog *catalog, void *arg), void *arg)
{
	struct call call = { .run = run, .arg = arg }, **last;

	if (!catalog)
		return -EROFS;
	pthread_mutex_lock(&catalog->mutex);
	for (last = &catalog->calls; *last; last = &(*last)->next)
		;
	*last = &call;
	pthread_cond_signal(&catalog->wake);
	while (!call.done)
		pthread_cond_wait(&catalog->done, &catalog->mutex);
	pthread_mutex_unlock(&catalog->mutex);
	return call.result;
}

struct db_call {
	bool durable;
	int (*run)(struct db *db, void *arg);
	void *arg;
};

static int run_on_db(struct db *db, const struct db_call *call)
{
	int ret;

	if (!call->durable)
		return call->run(db, call->arg);
	ret = db_begin(db, true);
	if (!ret)
		ret = call->run(db, call->arg);
	if (!ret)
		return db_commit(db);
	db_rollback(db);
	return ret;
}

static int run_db_call(struct catalog *catalog, void *arg)
{
	int ret;

	if (!catalog->db)
		return catalog->error;
	ret = run_on_db(catalog->db, arg);
	if (is_failure(ret))
		note_failure(catalog, ret, db_error(catalog->db));
	return ret;
}

int catalog_call(
	struct catalog *catalog, bool durable, int (*run)(struct db *db, void *arg), void *arg)
{
	struct db_call call = { durable, run, arg };

	return call_writer(catalog, run_db_call, &call);
}

/* ---- sessions ---- */

static void read_boot_id(char out[64])
{
	autofree char *text = NULL;

	out[0] = '\0';
	if (util_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 63, &text, NULL))
		return;
	snprintf(out, 64, "%.*s", (int)strcspn(text, "\n"), text);
}

static int begin_session(struct catalog *catalog, bool resume)
{
	char boot_id[64];
	int ret = 0;

	catalog->session = 0;
	if (resume)
		ret = db_query_int(
			catalog->db, SQL_SESSION_LAST, &catalog->session, "t", catalog->instance);
	if (ret || catalog->session)
		return ret;
	read_boot_id(boot_id);
	return db_query_int(catalog->db, SQL_SESSION_BEGIN, &catalog->session, "iitt",
		realtime_ns(), (int64_t)getpid(), boot_id, catalog->instance);
}

static int note_origin(struct catalog *catalog)
{
	int ret = db_run(catalog->db, SQL_META_SET, NULL, "tt", "made_by", RELINKFS_VERSION);

	return ret ? ret : db_run(catalog->db, SQL_META_SET, NULL, "ti", "made_at", realtime_ns());
}

/*
 * Everything that a session's begin writes, in one transaction.  Something always is:
 * only so a catalog that cannot be written to is found out.
 */
static int write_begin(struct catalog *catalog, enum catalog_origin origin, bool resume)
{
	int ret = db_begin(catalog->db, false);

	if (!ret && origin != CATALOG_KEPT)
		ret = note_origin(catalog);
	if (!ret)
		ret = db_run(catalog->db, SQL_META_SET, NULL, "ti", "opened_at", realtime_ns());
	if (!ret)
		ret = begin_session(catalog, resume);
	if (!ret)
		ret = db_run(catalog->db, SQL_ENTRY_PRUNE, NULL, "i", (int64_t)HISTORY_ENTRIES);
	if (!ret)
		ret = db_run(catalog->db, SQL_SESSION_PRUNE, NULL, "i",
			catalog->session - HISTORY_SESSIONS);
	if (!ret)
		return db_commit(catalog->db);
	db_rollback(catalog->db);
	return ret;
}

static int open_db(struct catalog *catalog, bool resume, enum catalog_origin *origin, char **why)
{
	int ret = db_open(catalog->dirfd, CATALOG_NAME, &catalog->db, origin, why);

	if (ret)
		return ret;
	ret = write_begin(catalog, *origin, resume);
	if (ret) {
		util_why(why, ret, "%s", db_error(catalog->db));
		db_close(steal_ptr(&catalog->db));
	}
	return ret;
}

static int end_session(struct catalog *catalog, void *arg)
{
	int ret;

	if (!catalog->db)
		return 0;
	ret = db_run(catalog->db, SQL_SESSION_END, NULL, "ii", realtime_ns(), catalog->session);
	if (ret)
		note_failure(catalog, ret, db_error(catalog->db));
	return ret;
}

static int verify(struct catalog *catalog, void *arg)
{
	autofree char *why = NULL;
	int ret;

	if (catalog->db && db_moved(catalog->db))
		log_warn("catalog: its file was removed or replaced while in use; it is made anew "
			 "from the vault and the manifests");
	else if (catalog->db && !catalog->error)
		return 0;
	db_close(steal_ptr(&catalog->db));
	ret = open_db(catalog, true, arg, &why);
	if (ret) {
		note_failure(catalog, ret, why ? why : strerrordesc_np(-ret));
		return ret;
	}
	catalog->retry_at = 0;
	note_success(catalog);
	return 0;
}

int catalog_verify(struct catalog *catalog, enum catalog_origin *origin)
{
	*origin = CATALOG_KEPT;
	return call_writer(catalog, verify, origin);
}

/* ---- opening and closing ---- */

static void init_sync(struct catalog *catalog)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&catalog->mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&catalog->wake, &attr);
	pthread_cond_init(&catalog->done, &attr);
	pthread_condattr_destroy(&attr);
}

static void catalog_free(struct catalog *catalog)
{
	db_close(catalog->db);
	catalog_queue_clear(&catalog->queue);
	pthread_cond_destroy(&catalog->wake);
	pthread_cond_destroy(&catalog->done);
	pthread_mutex_destroy(&catalog->mutex);
	util_close(&catalog->dirfd);
	free(catalog->instance);
	free(catalog);
}

static int start(struct catalog *catalog, const struct catalog_options *options,
	enum catalog_origin *origin, char **why)
{
	autofree char *text = NULL;
	int ret;

	*origin = CATALOG_KEPT;
	ret = open_db(catalog, options->resume, origin, &text);
	if (ret == -ENOSPC || ret == -EIO) {
		note_failure(catalog, ret, text ? text : strerrordesc_np(-ret));
		*origin = CATALOG_KEPT;
	} else if (ret) {
		return util_why(why, ret, "%s", text ? text : strerrordesc_np(-ret));
	}
	return -pthread_create(&catalog->thread, NULL, writer, catalog);
}

int catalog_open(int dirfd, const struct catalog_options *options, struct catalog **out,
	enum catalog_origin *origin, char **why)
{
	struct catalog *catalog = calloc(1, sizeof(*catalog));
	int ret = 0;

	if (!catalog)
		return -ENOMEM;
	init_sync(catalog);
	catalog->instance = strdup(options->instance);
	catalog->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
	if (catalog->dirfd < 0)
		ret = -errno;
	else if (!catalog->instance)
		ret = -ENOMEM;
	if (!ret)
		ret = start(catalog, options, origin, why);
	if (ret)
		catalog_free(catalog);
	else
		*out = catalog;
	return ret;
}

void catalog_close(struct catalog *catalog)
{
	if (!catalog)
		return;
	call_writer(catalog, end_session, NULL);
	pthread_mutex_lock(&catalog->mutex);
	catalog->stop = true;
	pthread_cond_signal(&catalog->wake);
	pthread_mutex_unlock(&catalog->mutex);
	pthread_join(catalog->thread, NULL);
	catalog_free(catalog);
}

/* ---- entries ---- */

/* The first note of a group starts its time; the one that fills it wakes the writer too. */
static void queued_locked(struct catalog *catalog, size_t live_before)
{
	size_t live = catalog->queue.live;

	if (live_before == 0 && live == 1)
		catalog->group_end = monotonic_ns() + GROUP_NS;
	if (live != live_before && (live == 1 || live == GROUP_NOTES))
		pthread_cond_signal(&catalog->wake);
}

void catalog_entry_hidden(
	struct catalog *catalog, const struct entry_record *record, const char *path)
{
	size_t live;

	if (!catalog)
		return;
	pthread_mutex_lock(&catalog->mutex);
	live = catalog->queue.live;
	catalog_queue_hidden(&catalog->queue, record, path);
	queued_locked(catalog, live);
	pthread_mutex_unlock(&catalog->mutex);
}

void catalog_entry_gone(struct catalog *catalog, uint64_t id)
{
	size_t live;

	if (!catalog)
		return;
	pthread_mutex_lock(&catalog->mutex);
	live = catalog->queue.live;
	catalog_queue_gone(&catalog->queue, id, realtime_ns());
	queued_locked(catalog, live);
	pthread_mutex_unlock(&catalog->mutex);
}

static int flushed(struct catalog *catalog, void *arg)
{
	return catalog->error;
}

int catalog_flush(struct catalog *catalog)
{
	return call_writer(catalog, flushed, NULL);
}

static int reap(struct catalog *catalog, void *arg)
{
	int ret;

	if (!catalog->db)
		return catalog->error;
	ret = db_run(catalog->db, SQL_ENTRY_REAP, NULL, "ii", realtime_ns(), catalog->session);
	if (is_failure(ret))
		note_failure(catalog, ret, db_error(catalog->db));
	return ret;
}

int catalog_reap_entries(struct catalog *catalog)
{
	return call_writer(catalog, reap, NULL);
}

static int count_entries(struct db *db, void *arg)
{
	return db_query_int(db, SQL_ENTRY_COUNT, arg, "");
}

int catalog_status(struct catalog *catalog, struct catalog_status *out)
{
	int64_t rows = 0;
	int ret;

	memset(out, 0, sizeof(*out));
	ret = catalog_call(catalog, false, count_entries, &rows);
	out->entry_rows = (uint64_t)rows;
	if (!catalog)
		return ret;
	pthread_mutex_lock(&catalog->mutex);
	out->error = catalog->error;
	memcpy(out->message, catalog->message, sizeof(out->message));
	out->lost_notes = catalog->lost + catalog->queue.lost;
	pthread_mutex_unlock(&catalog->mutex);
	return ret;
}
