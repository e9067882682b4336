/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a checkpoint leaves in the source, beneath its root: looking at it, and removing it.
 * Every path is resolved beneath the root and through no symlink.  0 or -errno.
 */
#ifndef RELINKFS_STORE_CHECKPOINT_FILES_H
#define RELINKFS_STORE_CHECKPOINT_FILES_H

#include <stdbool.h>

#include "store/manifest.h"
#include "store/store.h"

/* The last component of @path, within it. */
const char *path_last(const char *path);

/* Opens (O_PATH) the directory that @path lies in: an fd or -errno. */
int path_open_parent(int root_fd, const char *path);

enum link_status { LINK_PRESENT, LINK_MISSING, LINK_REPLACED };

/*
 * Is what lies at @link what @record says: the inode itself, or, with @copies, what looks
 * like a copy of it made elsewhere (store/likeness.h).
 */
int link_check(int root_fd, const char *link, const struct manifest_entry *record, bool copies,
	enum link_status *out);

/*
 * Removes the link @link, of an inode whose original path is @original.  One that is in
 * use stays hidden in the vault.  Takes the barrier for reading.
 */
int link_remove(struct store *store, const char *link, const char *original, bool dir);

/* Makes a directory, 0700.  -EEXIST. */
int folder_make(int root_fd, const char *path);

/* Removes those of the @count directories that are empty, the last one first. */
void folders_remove(struct store *store, char *const *folders, size_t count);

/*
 * Removes the manifest durably, so that nothing takes its links for whole any more; and
 * what a crash may have left of the writing of it.  0 also when it is not there.
 */
int manifest_remove(struct store *store, const char *path);

/* Tells the filesystem above that a name appeared or went.  Takes no lock. */
void name_changed(struct store *store, const char *path);

#endif
