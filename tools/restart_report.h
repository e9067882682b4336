/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What ckpt-restart says: as text for people, as JSON for programs. */
#ifndef RELINKFS_TOOLS_RESTART_REPORT_H
#define RELINKFS_TOOLS_RESTART_REPORT_H

#include <stdio.h>

#include "store/restart.h"
#include "tools/checkpoint.h"

/* The checkpoint and what it reopens, as a table. */
void restart_report_list(FILE *out, const struct checkpoint *checkpoint,
			 const struct restart *restart);

/*
 * One object: id, manifest, root, created; fds (fd, n, path, link, type, size, recorded
 * fd, pid, comm, flags, offset) and problems.  New reference or NULL.
 */
json_t *restart_report_json(const struct checkpoint *checkpoint, const struct restart *restart);

/* To standard error: from the problem with index @from on.  The index after the last. */
size_t restart_report_problems(const struct restart *restart, size_t from);

#endif
