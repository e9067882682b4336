/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The identity with which a thread of the loop makes objects.
 *
 * The kernel has checked every right already (default_permissions), with all of the
 * caller's groups and capabilities, and has cleared what setgid rules clear.  What is
 * left for us is ownership: the thread takes the caller's fsuid, fsgid and umask, but
 * keeps its capabilities, so that nothing is refused a second time for want of groups
 * or capabilities that a request does not carry.  But for CAP_SYS_RESOURCE: to take
 * space beyond quotas, and what is reserved for root, is for requests of root.
 */
#ifndef RELINKFS_FUSE_CREDS_H
#define RELINKFS_FUSE_CREDS_H

#include <sys/types.h>

/*
 * Once per thread, before its first request: a umask of its own (unshare), and
 * capabilities that stay when the fsuid changes (securebits).  0 or -errno.
 */
int creds_thread_init(void);

/*
 * From now on this thread makes objects as that user, with that umask.  Costs nothing
 * when it was so before.  0, or -EPERM where we may not (an ordinary user's mount).
 */
int creds_become(uid_t uid, gid_t gid, mode_t umask);

/*
 * From now on this thread takes space as that user: from what is left for him, with his
 * quota, and not from what is kept for root.  0 or -EPERM.
 */
int creds_spend(uid_t uid);

/* Back to the daemon's own identity. */
void creds_own(void);

#endif
