/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asks the kernel again to let go of unused names of a hidden inode that was closed.
 *
 * The kernel sends RELEASE before it lets go of the name under which the file was open,
 * so what is asked at RELEASE can come too early by some microseconds, and no request
 * tells when it is done.  A thread asks again, a few times, at growing distances; after
 * that the name was not a leftover of that close.
 */
#ifndef RELINKFS_FUSE_SETTLE_H
#define RELINKFS_FUSE_SETTLE_H

#include <stdint.h>

struct session;
struct settler;

/* Starts the thread; @session must outlive it.  0 or -errno. */
int settler_new(struct session *session, struct settler **out);

/* Ends the thread; what waits is forgotten.  NULL is allowed. */
void settler_free(struct settler *settler);

/* From any thread, with no lock held.  One that cannot be queued is not asked for again. */
void settler_add(struct settler *settler, uint64_t node_id);

#endif
