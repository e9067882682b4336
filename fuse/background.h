/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Going to the background in such a way that whoever started the daemon is told when it
 * is ready, or that it failed; and the same for a service manager.
 */
#ifndef RELINKFS_FUSE_BACKGROUND_H
#define RELINKFS_FUSE_BACKGROUND_H

/*
 * Forks.  The parent never returns: it waits for background_ready() in the child, and
 * exits with 0 then, or with the child's exit status (at least 1) when the child ended
 * before that, which says why on standard error.  The child returns with *ready_fd and in
 * a session of its own.  Descriptors above standard error are closed first: those of the
 * caller would be held as long as the daemon lives.  0 or -errno.
 */
int background_start(int *ready_fd);

/*
 * Lets the parent go, and gives up the caller's standard input, output and error.  Takes
 * over @ready_fd.  0 or -errno.
 */
int background_ready(int ready_fd);

/*
 * Sends @state ("READY=1", "STOPPING=1") to the service manager, if there is one: to the
 * datagram socket that NOTIFY_SOCKET in the environment names.  0 or -errno.
 */
int notify_manager(const char *state);

#endif
