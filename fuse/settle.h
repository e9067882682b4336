/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asks the kernel to let go of unused names of a hidden inode, a little later.
 *
 * A name that the kernel keeps in its caches keeps the inode, and FORGET does not come.
 * There is one after somebody looked at it (a frozen link, another link), and after the
 * last close: the kernel sends RELEASE before it lets go of the name under which the file
 * was open.  No request tells when the name is out of use.  So a thread asks a few times,
 * at growing distances; a name that is in use longer sends a RELEASE of its own, or is
 * one of those that are left to the kernel's shortage of memory.
 */
#ifndef RELINKFS_FUSE_SETTLE_H
#define RELINKFS_FUSE_SETTLE_H

struct node_record;
struct session;
struct settler;

/* Starts the thread; @session must outlive it.  0 or -errno. */
int settler_new(struct session *session, struct settler **out);

/* Ends the thread; what waits is forgotten.  NULL is allowed. */
void settler_free(struct settler *settler);

/*
 * @node: one that cannot end meanwhile, as a request on it is being served.  From any
 * thread, with no lock held.  One that cannot be queued is left out; so with NULL.
 */
void settler_add(struct settler *settler, const struct node_record *node);

#endif
