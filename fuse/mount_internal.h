/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the two halves of the mount share: before (mount_prepare.c) and from then on (mount.c). */
#ifndef RELINKFS_FUSE_MOUNT_INTERNAL_H
#define RELINKFS_FUSE_MOUNT_INTERNAL_H

#include <stdbool.h>
#include <sys/types.h>

struct options;
struct statx;

#define MOUNT_TYPE "fuse.relinkfs"
#define MOUNT_FUSE_DEVICE "/dev/fuse"
#define MOUNT_FUSERMOUNT "fusermount3"

struct mount {
	const struct options *options;
	bool root;   /* we mount by ourselves */
	int held_fd; /* SOURCE by its path, so that its mount stays busy; -1: source_fd is that */
	int source_fd;
	int point_fd;    /* O_PATH of the mount point; -1 once attached */
	int detached_fd; /* the mount while it has no path; -1 before and after */
	char *source_type;
	dev_t dev; /* valid once @connected */
	bool connected;
};

/*
 * Checks and opens all that can be before anything is mounted: fills in point_fd,
 * held_fd, source_fd and source_type, and in @options what mount_new() says.
 */
int mount_prepare(struct mount *mount, struct options *options, char **why);

/* Mount and device of @fd, without asking their filesystem.  0 or -errno. */
int mount_stat(int fd, struct statx *out);
dev_t mount_statx_dev(const struct statx *stx);

/*
 * Unmounts lazily.  @fd (O_PATH) is the root of the mount; its path is only for
 * fusermount3, which cannot be given an fd.  0 or -errno.
 */
int mount_unmount_fd(bool root, int fd, const char *path);

#endif
