/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One freeze on its way, shared by the files of freeze.h. */
#ifndef RELINKFS_STORE_FREEZE_INTERNAL_H
#define RELINKFS_STORE_FREEZE_INTERNAL_H

#include "store/checkpoint_files.h"
#include "store/freeze.h"
#include "store/store_internal.h"
#include "store/template.h"
#include "store/util.h"

/*
 * Called, where set, before each step of a freeze, undo or drop, with N where the step is
 * about one link, else 0.  What it returns other than 0 is taken as the step's -errno; it
 * may as well not return.  For tests.
 */
extern int (*freeze_test_point)(const char *step, uint32_t n);
int freeze_point(const char *step, uint32_t n);

enum item_state {
	ITEM_PLANNED,
	ITEM_MADE,     /* its link is there */
	ITEM_SHARED,   /* its link is that of another checkpoint */
	ITEM_GONE,     /* its last user went away before it was linked */
	ITEM_LEFT_OUT, /* could not be linked */
};

struct freeze_item {
	const struct store_snapshot_entry *entry;
	uint32_t n;
	char *link;
	bool shared; /* to become ITEM_SHARED */
	enum item_state state;
	struct manifest_entry record;
};

struct freeze_folder {
	char *path;
	bool made; /* by us; else by another checkpoint that is there */
};

struct freezing {
	struct store *store;
	const struct freeze_request *request;
	struct link_template *template;
	struct store_snapshot_entry *snapshot;
	size_t snapshot_count;
	struct freeze_item *items;
	size_t count;
	struct freeze_folder *folders; /* outermost first */
	size_t nfolders, folders_tried;
	struct procscan_hit *hits; /* sorted by inode */
	size_t nhits;
	uint64_t ktime;
	char id[17];
	char *manifest_path;
	bool row, saved; /* the catalog has it; the manifest lies there */
	struct freeze_result *result;
};

/*
 * Notes a failure, of @item or (NULL) of the whole; @message NULL: what @error means.
 * Returns -@error.
 */
int freeze_fail(struct freezing *freezing, const struct freeze_item *item, const char *step,
	int error, const char *message);
/* Likewise, and it is the only one: with partial, entries may have been left out before. */
int freeze_abort(struct freezing *freezing, const struct freeze_item *item, const char *step,
	int error, const char *message);

/* The set, numbered; what can be known to be impossible has failed. */
int freeze_plan_set(struct freezing *freezing);
/* Names and folders for the time @freezing->ktime. */
int freeze_plan_names(struct freezing *freezing);
void freeze_forget_names(struct freezing *freezing);

/* Makes folders and links, and notes what they are links of. */
int freeze_make_links(struct freezing *freezing);
/* Removes all that was made; what cannot be is logged and left to the next recovery. */
int freeze_unmake(struct freezing *freezing);

/* The manifest of what was made; NULL when out of memory. */
struct manifest *freeze_manifest(struct freezing *freezing);

/* The walk of /proc, once: for the set with a pid or cgroup, else for the record only. */
int freeze_scan(struct freezing *freezing);

/*
 * Takes the lock on checkpoints, with a catalog that works and knows them; 0, or -errno
 * and it is not taken.  Given back by pthread_mutex_unlock().
 */
int checkpoints_lock(struct store *store);

/*
 * Undoes a checkpoint by its row, which tells the links and folders that may be there.
 * Needs the lock on checkpoints.
 */
int checkpoint_undo(struct store *store, const struct catalog_checkpoint *row);

/* The entry of @id, if it is there, has one frozen link less, which its users see. */
void checkpoint_unmark(struct store *store, uint64_t id);

struct failure_list {
	struct freeze_failure *items;
	size_t count;
};

/*
 * Removes links, manifest (at @path) and folders of @manifest, and notes the end of it in
 * @row, if there is one.  Needs the lock on checkpoints.  @missing_is_failure: say so
 * when links are gone already.  @failures NULL: they are logged.
 */
int checkpoint_drop(struct store *store, const struct manifest *manifest, const char *path,
	const struct catalog_checkpoint *row, bool missing_is_failure, struct failure_list *failures);

/* What a row tells of a checkpoint, as a manifest; original paths from @file, if not NULL. */
struct manifest *manifest_from_row(
	struct store *store, const struct catalog_checkpoint *row, const struct manifest *file);

#endif
