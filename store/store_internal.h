/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of the store (store.c, entries.c, freeze, recovery) share.  Nobody
 * outside store/ includes this.
 *
 * Lock order, outermost first:
 *   checkpoints -> barrier -> (the caller's node lock) -> entries.mutex -> catalog queue
 * No lock but `checkpoints` and `barrier` is held across a syscall on the source.
 */
#ifndef RELINKFS_STORE_STORE_INTERNAL_H
#define RELINKFS_STORE_STORE_INTERNAL_H

#include <pthread.h>

#include "store/catalog.h"
#include "store/idmap.h"
#include "store/store.h"
#include "store/vault.h"

struct entries {
	pthread_mutex_t mutex; /* guards all below, and the ARENA_ENTRIES records' content */
	struct idmap by_id;    /* id -> index, of every entry with a reference */
	struct idmap dirs;     /* st_ino -> index, of directories with a reference */
};

struct store {
	/* Constant while others run. */
	int source_fd;
	bool read_only;
	char *link_template;     /* default; never NULL */
	struct arena *arena;     /* the caller's */
	struct vault *vault;     /* NULL if read_only */
	struct catalog *catalog; /* NULL if read_only */
	struct store_hooks hooks;
	char *mount_path; /* hooks.mount_path is this copy */

	/* One freeze, commit, undo or drop at a time. */
	pthread_mutex_t checkpoints;
	/* Read: around each hide, forget and rename.  Write: while a freeze makes its links. */
	pthread_rwlock_t barrier;

	struct entries entries;
};

/* Take and leave the barrier for writing: no entry comes, goes or moves meanwhile. */
void store_barrier_lock(struct store *store);
void store_barrier_unlock(struct store *store);

/* A copy of the record of @id and its index in *index (may be NULL).  -ENOENT: it is gone. */
int store_find_id(struct store *store, uint64_t id, struct entry_record *out, uint32_t *index);

/*
 * Another checkpoint has (@delta 1), or has no longer (-1), a frozen link of the entry.
 * -ENOENT: it is gone, which is no fault when a link is dropped.
 */
int store_mark_frozen(struct store *store, uint64_t id, int delta);

/*
 * A directory's entry was renamed to the frozen link @n of @checkpoint, or back into
 * the vault.  Only the record changes.  -ENOENT: it is gone; -EINVAL: no such transition.
 * Needs the barrier for writing, or that nothing runs yet.
 */
int store_mark_moved(struct store *store, uint64_t id, uint64_t checkpoint, uint32_t n);
int store_mark_back(struct store *store, uint64_t id);

/* ---- entries.c for store.c and recovery ---- */

int entries_init(struct store *store);
void entries_destroy(struct store *store);

/*
 * After arena_attach(): finds the entries again.  One whose hiding had begun and not
 * ended is completed if its vault link is there, and forgotten if not; so with the end.
 */
int entries_attach(struct store *store);

/*
 * The last step of recovery: removes every entry of the vault that no record has, which
 * are all those of a session that ended.  Says in one line what it did, if anything.
 */
int entries_reap(struct store *store);

/*
 * Once recovery is done: an entry that should have a vault link and has none any more is
 * only held by its open descriptions; it is reported and becomes what it is.
 */
void entries_verify(struct store *store);

#endif
