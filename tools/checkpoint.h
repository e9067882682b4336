/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From what the user calls a checkpoint to its manifest and the directory it belongs to. */
#ifndef RELINKFS_TOOLS_CHECKPOINT_H
#define RELINKFS_TOOLS_CHECKPOINT_H

#include "store/manifest.h"
#include "store/varlink.h"

struct checkpoint {
	struct manifest *manifest;
	char *root;          /* absolute path of the directory that names are relative to */
	int root_fd;         /* O_RDONLY | O_DIRECTORY */
	char *manifest_path; /* relative to the root; NULL: the manifest lies elsewhere */
};

/*
 * @name: the path of a manifest file, or an id.  @at: a path in the mount (or the copy)
 * that it belongs to; NULL: for a file where the file lies, for an id the working
 * directory.  An id is looked for at @at and in the directories above it.
 * 0; -ENOENT, -EINVAL, other -errno, with *why (malloc'd).  Free with checkpoint_free().
 */
int checkpoint_find(const char *name, const char *at, struct checkpoint *out, char **why);
void checkpoint_free(struct checkpoint *checkpoint);

/*
 * The daemon that serves the root of @checkpoint: *out, or NULL if it is a plain
 * directory (also one inside a mount, but not its root).  -ECONNREFUSED: it is a mount,
 * and no daemon answers; -EBUSY: it is the source of a mount, which must be used instead.
 * *why is malloc'd.
 */
int checkpoint_connect(const struct checkpoint *checkpoint, struct varlink_client **out,
		       char **why);

#endif
