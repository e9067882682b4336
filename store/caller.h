/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who is at the other end of a control socket, and what it may do. */
#ifndef RELINKFS_STORE_CALLER_H
#define RELINKFS_STORE_CALLER_H

#include <stdbool.h>
#include <sys/types.h>

struct caller {
	pid_t pid; /* in our pid namespace; 0 if not visible there */
	uid_t uid; /* in our user namespace */
	gid_t gid;
	char comm[16];
	bool has_dac_override;    /* CAP_DAC_OVERRIDE, effective, in our user namespace */
	bool has_dac_read_search; /* CAP_DAC_READ_SEARCH, likewise */
	/* Why it may have no capability here, whatever its own set says; CALLER_OURS: neither. */
	enum caller_standing {
		CALLER_OURS,
		CALLER_OTHER_USERNS, /* lives in another user namespace than we do */
		CALLER_CHANGED,      /* is no longer the user that connected (exec of a set-user-ID file) */
		CALLER_UNSEEN        /* gone, or not in our pid namespace, or /proc is closed to us */
	} standing;
};

/*
 * The peer of the connected unix socket @fd, by SO_PEERCRED and, where the kernel has
 * it, SO_PEERPIDFD (so a reused pid cannot stand in for it).  Capabilities are those of
 * the process now; a process of another user namespace has none here, nor has one that
 * became another user after it connected: it did not ask for this.  0 or -errno.
 */
int caller_from_socket(int fd, struct caller *out);

/*
 * Each one is tested by itself.  0, or -EPERM with *why (malloc'd) naming exactly the
 * missing capability or capabilities, or that the caller lives in another user
 * namespace, and what to do.
 */
int caller_may_relink(const struct caller *caller, char **why);

#endif
