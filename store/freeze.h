/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checkpoints: made from hidden entries, all or none.
 *
 *   PREPARING --links, manifest, syncfs--> DURABLE --commit--> COMMITTED --drop--> DROPPING --> DROPPED
 *       |                                     |                                  (row kept as history)
 *       +--failure, crash--> ABORTED <--undo--+                COMMITTED --links gone--> LOST
 *
 * 1. The set is a copy of the entries at one instant, under the barrier; with a pid or
 *    cgroup those of them that a walk of /proc, after it, finds held there.  Numbered from
 *    1 in the order in which they were hidden.
 * 2. Row PREPARING and its planned links are committed (synchronous=FULL), so that a
 *    crash from here on can be undone by name.
 * 3. Links: linkat vault -> link (a directory: renamed; one that already lies at the link
 *    of another checkpoint is shared with it).  The barrier is taken for some of them at a
 *    time.  Never overwrites: on EEXIST everything is undone and tried with the next
 *    ktime.  An entry whose last user went away in between is left out.
 * 4. syncfs, then the manifest with its own fsync: where there is a manifest, its links
 *    are on disk.
 * 5. Row DURABLE.  With hold, the caller now runs its hook and then calls freeze_commit()
 *    or freeze_undo(); without, COMMITTED at once.
 * 6. hooks.attributes_changed for each entry, hooks.name_changed for each link.
 * On any failure everything is undone and *failure names the entry and the errno.
 */
#ifndef RELINKFS_STORE_FREEZE_H
#define RELINKFS_STORE_FREEZE_H

#include <stdbool.h>
#include <stdint.h>

#include "store/manifest.h"
#include "store/procscan.h"
#include "store/store.h"

enum checkpoint_state {
	CHECKPOINT_PREPARING = 1,
	CHECKPOINT_DURABLE,
	CHECKPOINT_COMMITTED,
	CHECKPOINT_DROPPING,
	CHECKPOINT_DROPPED,
	CHECKPOINT_ABORTED,
	CHECKPOINT_LOST
};
const char *checkpoint_state_name(enum checkpoint_state state); /* "preparing", ... */
bool checkpoint_transition_allowed(enum checkpoint_state from, enum checkpoint_state to);

struct freeze_request {
	struct procscan_request scope; /* dev is filled in by freeze() */
	const char *link_template;     /* NULL: the store's default */
	bool partial;                  /* leave out entries that cannot be frozen, and say so */
	bool hold;                     /* stop at DURABLE */
	pid_t creator_pid;
	uid_t creator_uid;
	const char *creator_comm;
};

/* Why an entry could not be frozen. */
struct freeze_failure {
	char *path;   /* of the entry; NULL: not about one entry */
	char *step;   /* "link", "manifest", "template", "catalog", "sync" ... */
	char *link;   /* the link that was tried, or NULL */
	int error;    /* positive errno */
	char *message; /* for the user, without the names; NULL when out of memory */
};
void freeze_failures_free(struct freeze_failure *failures, size_t count);

struct freeze_result {
	struct manifest *manifest;        /* of the checkpoint made; NULL on failure */
	struct freeze_failure *failures;  /* the one that aborted it, or with partial those left out */
	size_t nfailures;
	int64_t barrier_ns;               /* how long mutations were held back, both times together */
	int64_t total_ns;
};
void freeze_result_free(struct freeze_result *result);

/* 0 or -errno; *out is given in both cases unless -ENOMEM. */
int freeze(struct store *store, const struct freeze_request *request, struct freeze_result **out);

/* DURABLE -> COMMITTED.  -ENOENT: no such checkpoint; -EINVAL: not in that state. */
int freeze_commit(struct store *store, uint64_t ktime);

/*
 * DURABLE -> ABORTED: manifest, links, made folders removed.  -ENOENT: no such checkpoint;
 * -EINVAL: not in that state; else the first -errno, and then it can be repeated.
 */
int freeze_undo(struct store *store, uint64_t ktime);

/*
 * What is on disk of one checkpoint, read from its manifest: every link with its state.
 * "present", "missing", "replaced" (another inode under that name).
 */
struct checkpoint_link_status {
	uint32_t n;
	const char *status;
};
/* One for each entry of @manifest, in its order; *out is malloc'd.  0 or -ENOMEM. */
int freeze_link_status(struct store *store, const struct manifest *manifest,
		       struct checkpoint_link_status **out);

/*
 * Drop: the links (identity checked; a replaced or missing one is reported in *failures
 * and left alone), then the manifest, then folders that the template made and that are
 * empty.  An inode still in use stays hidden in the vault.  Can be repeated after any
 * crash.  @manifest_path: relative to the root; works for a checkpoint that the catalog
 * does not know (a copied source).  0, -ENOENT, -EINVAL (*why), -errno: what could not be
 * removed is in *failures, and the manifest stays, so that it can be repeated.  *failures
 * is freed with freeze_failures_free().
 */
int freeze_drop(struct store *store, const char *manifest_path, struct freeze_failure **failures,
		size_t *nfailures, char **why);

#endif
