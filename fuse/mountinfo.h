/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The mounts of our mount namespace, from /proc/self/mountinfo. */
#ifndef RELINKFS_FUSE_MOUNTINFO_H
#define RELINKFS_FUSE_MOUNTINFO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mountinfo {
	uint64_t id;
	dev_t dev;
	char *mountpoint; /* malloc'd, as are the others; escapes are undone */
	char *type;       /* "ext4", "fuse.relinkfs" */
	char *source;
};

/* All lines of @text in their order; a line that makes no sense is left out.  0 or -ENOMEM. */
int mountinfo_parse(const char *text, struct mountinfo **out, size_t *count);

/* The same from /proc.  0 or -errno. */
int mountinfo_read(struct mountinfo **out, size_t *count);

void mountinfo_free(struct mountinfo *mounts, size_t count);

#endif
