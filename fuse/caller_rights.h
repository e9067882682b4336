/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rights of the caller of a request that the request itself does not tell: they are read
 * in /proc, and only where an answer depends on them.  A caller that cannot be seen there
 * has none.
 */
#ifndef RELINKFS_FUSE_CALLER_RIGHTS_H
#define RELINKFS_FUSE_CALLER_RIGHTS_H

#define FUSE_USE_VERSION 317
#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <sys/capability.h>
#include <sys/types.h>

/* Effective, in our user namespace. */
bool caller_has(fuse_req_t req, cap_value_t capability);

/* As its own group or as one of its supplementary ones, however many. */
bool caller_in_group(fuse_req_t req, gid_t gid);

#endif
