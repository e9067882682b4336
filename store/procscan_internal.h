/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which processes a walk of /proc looks at. */
#ifndef RELINKFS_STORE_PROCSCAN_INTERNAL_H
#define RELINKFS_STORE_PROCSCAN_INTERNAL_H

#include "store/procscan.h"

struct pid_list {
	pid_t *pids;
	size_t count, size;
};

/* 0 or -ENOMEM. */
int pid_list_add(struct pid_list *list, pid_t pid);

/* The processes of @request's scope, ascending.  -ESRCH, -ENOENT, -EACCES, -ENOMEM. */
int procscan_select(int proc_fd, const struct procscan_request *request, struct pid_list *out);

#endif
