/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The catalog: an SQLite database beside the vault with the history of hidden entries
 * and the state of checkpoints.  It is an index: the vault and the manifests are the
 * truth, and it can be built again from them.  store/schema.c is its format.
 *
 * Threads: every function may be called from any thread.  One writer thread owns the
 * connection; what concerns entries is queued and written in groups, what concerns
 * checkpoints is waited for, and is on disk when the function returns.
 *
 * A catalog that fails at run time never stops the filesystem: the first failure is
 * logged, the history of entries has a gap from there on, and checkpoint functions
 * return the error.  Every function takes a NULL catalog (a read-only source has none):
 * notes are ignored, all else is -EROFS.
 */
#ifndef RELINKFS_STORE_CATALOG_H
#define RELINKFS_STORE_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/entry.h"
#include "store/freeze.h"

#define CATALOG_NAME "catalog.db"

struct catalog;

struct catalog_options {
	const char *instance; /* of the mount, for the session's row */
	bool resume;          /* the last session goes on: its state was handed over */
};

enum catalog_origin {
	CATALOG_KEPT,     /* an earlier session's */
	CATALOG_MADE,     /* there was none: to be filled from vault and manifests */
	CATALOG_REPLACED, /* as CATALOG_MADE; the unusable one was renamed aside, and that logged */
};

/*
 * Opens CATALOG_NAME in the directory @dirfd (which is duplicated), or makes it; brings
 * an older format up to date; notes the begin of a session.  0, -EBUSY when another
 * program has it open, -errno; *why is then a malloc'd message.  A full disk or an
 * input/output error is logged, and gives a catalog that has failed already.
 */
int catalog_open(int dirfd, const struct catalog_options *options, struct catalog **out,
	enum catalog_origin *origin, char **why);

/* Writes the queue, notes the end of the session, frees.  NULL is fine. */
void catalog_close(struct catalog *catalog);

/*
 * Entries, in the background: never block on the disk, never fail.  A pair of hidden and
 * gone that is still in the queue cancels out.  @path is copied.
 */
void catalog_entry_hidden(
	struct catalog *catalog, const struct entry_record *record, const char *path);
void catalog_entry_gone(struct catalog *catalog, uint64_t id);

/* Waits until all that was queued before is written.  0, or why the catalog is degraded. */
int catalog_flush(struct catalog *catalog);

/* Notes every entry of the sessions before this one as gone. */
int catalog_reap_entries(struct catalog *catalog);

/* ---- checkpoints: durable when they return ---- */

/*
 * For the begin of every checkpoint operation: the catalog's file may have been removed
 * or replaced, or it may have failed; then it is opened anew, or a new one made.  With
 * any other *origin than CATALOG_KEPT it is to be filled.  0, or why there is no catalog.
 */
int catalog_verify(struct catalog *catalog, enum catalog_origin *origin);

enum catalog_link_state {         /* rows go when their checkpoint is dropped or undone */
	CATALOG_LINK_PLANNED = 1, /* may exist */
	CATALOG_LINK_MADE,
	CATALOG_LINK_LEFT_OUT, /* could not be made, or was not wanted any more */
	CATALOG_LINK_LOST,     /* was made, and is not there any more */
};

struct catalog_link {
	uint32_t n;
	char *path;     /* relative to the root */
	uint64_t entry; /* id in the vault; 0: unknown */
	uint64_t ino;
	uint32_t mode; /* st_mode */
	enum catalog_link_state state;
};

struct catalog_checkpoint {
	uint64_t ktime;
	enum checkpoint_state state;
	char *link_template;
	char *manifest; /* relative to the root */
	char *scope;
	pid_t creator_pid;
	uid_t creator_uid;
	char creator_comm[16];
	int64_t created, changed; /* CLOCK_REALTIME ns */
	uint64_t nlinks;          /* of those made */
	/* The two lists are filled by catalog_checkpoint_get() only. */
	struct catalog_link *links;
	size_t link_count;
	char **folders; /* directories made for the links, outermost first */
	size_t folder_count;
};
void catalog_checkpoint_free(struct catalog_checkpoint *checkpoint); /* frees @checkpoint too */
void catalog_checkpoints_free(struct catalog_checkpoint *checkpoints, size_t count);

/*
 * Adds the checkpoint with its links and folders, as they are in @checkpoint: PREPARING
 * with planned links, or in any state when it is adopted from a manifest.  The history of
 * one that was dropped or aborted gives way to it.  -EEXIST: the ktime is taken.
 */
int catalog_checkpoint_add(struct catalog *catalog, const struct catalog_checkpoint *checkpoint);

/*
 * Goes to the state @to, if checkpoint_transition_allowed().  DURABLE: the planned links
 * are made, but those with an N in @left_out, which are left out.  ABORTED, DROPPED: rows
 * of links and folders go.  -ENOENT, -EINVAL.
 */
int catalog_checkpoint_set(struct catalog *catalog, uint64_t ktime, enum checkpoint_state to,
	const uint32_t *left_out, size_t left_out_count);

/* Notes that links, by their N, are not there any more. */
int catalog_links_lost(struct catalog *catalog, uint64_t ktime, const uint32_t *n, size_t count);

/* All checkpoints, by ktime; the history of dropped and aborted ones only with @history. */
int catalog_checkpoint_list(
	struct catalog *catalog, bool history, struct catalog_checkpoint **out, size_t *count);

/* One, with its links.  -ENOENT. */
int catalog_checkpoint_get(
	struct catalog *catalog, uint64_t ktime, struct catalog_checkpoint **out);

/*
 * How many checkpoints other than @ktime that are not dropped, aborted or lost have
 * a link, or made a folder, at @path.
 */
int catalog_path_users(struct catalog *catalog, uint64_t ktime, const char *path, unsigned *count);

/*
 * Paths of the links to the inode @ino that checkpoints have which are durable, committed
 * or lost; *paths and each of them are malloc'd.
 */
int catalog_links_of(struct catalog *catalog, uint64_t ino, char ***paths, size_t *count);

struct catalog_status {
	int error;           /* 0: all is well; else the -errno of the first failure */
	char message[256];   /* what failed, for the user */
	uint64_t lost_notes; /* notes on entries that could not be kept */
	uint64_t entry_rows;
};
/* 0, or -errno when even that cannot be read; the first three are then still filled. */
int catalog_status(struct catalog *catalog, struct catalog_status *out);

#endif
