/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The store of one mounted source: vault, catalog and hidden entries, and the
 * operations that keep the three in step.  Knows nothing of FUSE; what it needs
 * from the filesystem above comes through struct store_hooks.
 *
 * Threads: every function may be called from any thread.
 *
 * Lock order (outermost first):
 *   barrier (rwlock)  ->  the caller's node lock  ->  entries mutex  ->  catalog queue
 * The barrier is taken by store_mutation_begin() for reading around every hide, drop,
 * rename; a freeze takes it for writing.  Hooks are called with no store lock held but
 * that on checkpoints, which nobody takes who serves the kernel, except where their
 * comment says otherwise.
 */
#ifndef RELINKFS_STORE_STORE_H
#define RELINKFS_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/arena.h"
#include "store/entry.h"

struct store;
struct catalog;
struct vault;

struct store_hooks {
	void *ctx;
	/* The visible link count of the inode of @owner changed: forget cached attributes. */
	void (*attributes_changed)(void *ctx, uint64_t owner);
	/*
	 * The name @path (relative to the root of the mount) was made or removed behind the
	 * kernel's back: forget what is cached for it and for its directory's listing.
	 */
	void (*name_changed)(void *ctx, const char *path);
	/*
	 * Remove the link @link (relative to the root, under the checkpoint folder).  If
	 * its inode is in use through the mount and has no hidden entry yet, hide it with
	 * @original as its path instead of deleting it.  @dir: a directory.  Called with
	 * the barrier held for reading.  0 or -errno.  NULL: plain unlinkat().
	 */
	int (*remove_link)(void *ctx, const char *link, const char *original, bool dir);
	/*
	 * What the workload stored into the file of @owner may lie in a cache above the source:
	 * have it written there.  Called before a checkpoint is made durable, with the
	 * `checkpoints` lock held.  NULL: there is no such cache.
	 */
	void (*write_back)(void *ctx, uint64_t owner);
	/* The st_dev that the workload sees (for finding who holds an entry); 0 = unknown. */
	dev_t mount_dev;
	/* Absolute path of the mount point, for manifests; may be NULL. */
	const char *mount_path;
};

struct store_options {
	const char *source_path;  /* of the source, for messages; NULL = as /proc/self/fd has it */
	const char *instance;     /* name of this mount's private part of the vault; NULL = "default" */
	const char *link_template; /* default template of frozen links; NULL = built-in */
	bool read_only;           /* never write to the source: nothing can be hidden */
};

/*
 * Opens or makes the store of the source directory @source_fd (kept open by the
 * caller; the store duplicates it): makes .relinkfs/<instance>/, locks it, opens the
 * catalog (or builds a new one from the vault), makes lost+found/checkpoint (0700
 * root), and recovers what an earlier session left (store/recovery.h).
 * 0 or -errno; -EBUSY when another mount holds the instance (*why says who).
 * On error *why, if not NULL, is a malloc'd message for the user.
 * @arena holds entries that are adopted as they are if it was attached, not new.
 */
int store_open(int source_fd, const struct store_options *options, struct arena *arena,
	       struct store **out, char **why);

/*
 * Ends the session: writes out the catalog's queue, unlocks, frees.  Vault entries
 * that are still in use stay; the next store_open() reaps them.
 */
void store_close(struct store *store);

/* Set before the filesystem serves anything; @hooks is copied. */
void store_set_hooks(struct store *store, const struct store_hooks *hooks);

struct vault *store_vault(struct store *store);
struct catalog *store_catalog(struct store *store);
int store_source_fd(const struct store *store); /* O_RDONLY|O_DIRECTORY, owned by the store */

/* Take and leave the barrier for reading.  Do not nest. */
void store_mutation_begin(struct store *store);
void store_mutation_end(struct store *store);

/* What is being hidden. */
struct store_object {
	uint64_t owner;   /* node id */
	uint64_t ino;
	uint32_t mode;    /* st_mode */
	uint32_t uid, gid;
	uint16_t fs;
	uint16_t flags;   /* ENTRY_F_* */
	const char *path; /* original path, relative to the root of the mount; bytes, NUL-ended */
};

/*
 * The four ways to hide.  All need the barrier held for reading and the caller's lock
 * on the inode.  Give the index of the new entry record in *entry (refs 1).
 * Nothing changed on error.  The catalog is told in the background.
 *
 * store_hide_move: rename(@dirfd/@name) into the vault (unlink, rmdir).
 * store_hide_link: make a vault link of the inode behind @fd (any fd, O_PATH too; not a
 *                  directory); the caller then renames over the name.  Undo: store_forget().
 * store_hide_pinned: only a record (O_TMPFILE|O_EXCL; a filesystem without links).
 * store_hide_moved_dir: a record for a directory that lies at the frozen link
 *                  (@checkpoint, @n) - it was opened from there, and then its name removed.
 * store_find_dir:  the live entry of a directory inode, or 0; takes a reference on it.
 */
int store_hide_move(struct store *store, const struct store_object *object, int dirfd,
		    const char *name, uint32_t *entry);
int store_hide_link(struct store *store, const struct store_object *object, int fd,
		    uint32_t *entry);
int store_hide_pinned(struct store *store, const struct store_object *object, uint32_t *entry);
int store_hide_moved_dir(struct store *store, const struct store_object *object,
			 uint64_t checkpoint, uint32_t n, uint32_t *entry);
uint32_t store_find_dir(struct store *store, uint64_t ino, uint16_t fs);

/*
 * The directory of the entry @entry, which lies at @dirfd/@name (its frozen link, in state
 * MOVED), comes back into the vault: state HIDDEN.  Locks as for hiding.  0 or -errno,
 * and then nothing changed; -EINVAL: the entry is not in state MOVED.
 */
int store_hide_back(struct store *store, uint32_t entry, int dirfd, const char *name);

/*
 * The end of an entry: drops one reference; with the last one the vault link is
 * removed and the record freed.  Needs the barrier held for reading.  A failure to
 * remove the link is logged, returned, and left for the next recovery.
 */
int store_forget(struct store *store, uint32_t entry);

/*
 * Links in the backing inode's link count that the workload must not see: 1 if the
 * entry has its vault link, else 0.  No lock needed beyond the caller's node lock.
 */
unsigned store_hidden_links(const struct store *store, uint32_t entry);

/* Checkpoints that have a frozen link of the entry now.  Locks as for store_hidden_links(). */
unsigned store_frozen_links(const struct store *store, uint32_t entry);

/*
 * The record itself; valid while the caller holds a reference.  What a freeze changes in
 * it (state, refs, nfrozen, moved_*) is to be had from the functions here instead.
 */
const struct entry_record *store_entry(const struct store *store, uint32_t entry);

/* The original path of an entry: malloc'd, NULL when out of memory. */
char *store_entry_path(struct store *store, uint32_t entry);

/* A copy of all live entries at one instant; *out is malloc'd, paths too: store_snapshot_free(). */
struct store_snapshot_entry {
	uint32_t index;
	struct entry_record record;
	char *path;
};
int store_snapshot(struct store *store, struct store_snapshot_entry **out, size_t *count);
void store_snapshot_free(struct store_snapshot_entry *entries, size_t count);

#endif
