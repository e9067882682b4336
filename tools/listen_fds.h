/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a command learns of the descriptors that it was given.
 *
 *   LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES   as systemd passes sockets, if the numbers
 *       are 3, 4, 5 ... without a gap.  A name is the last component of the original
 *       path; bytes that such a name cannot have (control characters, ':', what is not
 *       ASCII), '%' and '\' stand as %XX, and it ends after 255 characters.
 *   RELINKFS_FDS   "FD=PATH" for each, a newline between two; control characters and '\' in the
 *       original path stand as \ooo, three octal digits, as in /proc/self/mounts.
 *
 * A variable longer than the kernel takes is left out: LISTEN_FDS tells how many there are.
 */
#ifndef RELINKFS_TOOLS_LISTEN_FDS_H
#define RELINKFS_TOOLS_LISTEN_FDS_H

#include <stdbool.h>
#include <stddef.h>

#include "store/restart.h"

/*
 * The two values, malloc'd; NULL when out of memory.  @items in the order of their
 * numbers, those with a number below 0 are passed over.
 */
char *listen_fds_names(const struct restart_item *const *items, size_t count);
char *listen_fds_table(const struct restart_item *const *items, size_t count);

/* Sets all four for this process.  0; -E2BIG: something was left out; -ENOMEM. */
int listen_fds_set(const struct restart_item *items, size_t count);

#endif
