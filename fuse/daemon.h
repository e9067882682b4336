/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The daemon as a whole: everything is started in one order and stopped in the reverse
 * one.  For one thread; start it in the process that stays (threads do not survive a
 * fork), with SIGTERM, SIGINT and SIGHUP blocked.
 */
#ifndef RELINKFS_FUSE_DAEMON_H
#define RELINKFS_FUSE_DAEMON_H

struct daemon;
struct options;

/*
 * Checks the directories, opens the store, recovers, mounts, serves.  When it returns 0
 * the filesystem can be used and the control socket answers.  @options must outlive the
 * daemon; its paths become absolute.  On error everything is undone, and *why is a
 * malloc'd message.
 */
int daemon_start(struct options *options, struct daemon **out, char **why);

/*
 * Returns when the daemon is to end: the filesystem was unmounted and its last file
 * closed, one of the three signals came on @signal_fd (a signalfd), or serving failed.
 */
void daemon_wait(struct daemon *daemon, int signal_fd);

/*
 * Unmounts if that has not happened, serves what the kernel has queued, ends the session
 * and frees everything.  A signal on @signal_fd meanwhile: no more waiting for requests
 * that are under way.  0, or -errno of what made the daemon end by itself.
 *
 * Does not return (status 1) when a thread is stuck in a request and cannot be ended:
 * then the connection is aborted, and the store is left to the next start's recovery.
 */
int daemon_stop(struct daemon *daemon, int signal_fd);

#endif
