/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who holds an inode: a walk of /proc.  Never sends a request to the filesystem it
 * looks at (statx with AT_STATX_DONT_SYNC, /proc/PID/maps), so the daemon may call it
 * for its own mount, also while mutations are held back.
 */
#ifndef RELINKFS_STORE_PROCSCAN_H
#define RELINKFS_STORE_PROCSCAN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/manifest.h"

enum procscan_scope {
	PROCSCAN_ALL,    /* every process */
	PROCSCAN_TREE,   /* a process and its descendants */
	PROCSCAN_CGROUP  /* the processes of a cgroup and those below it */
};

struct procscan_request {
	enum procscan_scope scope;
	pid_t pid;          /* PROCSCAN_TREE */
	const char *cgroup; /* PROCSCAN_CGROUP: path in the hierarchy, "/a/b" (a leading /sys/fs/cgroup is cut) */
	dev_t dev;          /* st_dev as the workload sees it */
};

/* One find: an opener of the inode @ino of that device. */
struct procscan_hit {
	uint64_t ino;
	struct opener opener;
};

/*
 * All holders on the device in that scope, sorted by ino, pid, kind, fd; *out is
 * malloc'd.  Processes that vanish meanwhile are passed over.  -ESRCH when the pid is not there, -ENOENT for
 * a cgroup without any process, -EACCES when /proc cannot be read, -ENOMEM.
 * Threads share their process's table and count once.
 */
int procscan(const struct procscan_request *request, struct procscan_hit **out, size_t *count);

#endif
