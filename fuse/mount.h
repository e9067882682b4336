/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The source, the mount and the connection between kernel and daemon.
 *
 * As root the filesystem is made detached, where no path leads to it, and only attached
 * at MOUNT when the daemon is ready to serve: a daemon that dies while it starts leaves
 * nothing behind.  As another user fusermount3 mounts, and what it mounts is visible
 * at once.
 *
 * The source is a private view of SOURCE's own filesystem, as "mount --bind" makes one:
 * what is mounted inside SOURCE, before or after, is not seen in it.  So MOUNT may be
 * SOURCE, lie inside it or around it, and the daemon never walks into its own mount.
 * Where no such view can be had (not root), MOUNT must not lie inside SOURCE.
 *
 * Not thread-safe: for the thread that starts and stops the daemon.
 */
#ifndef RELINKFS_FUSE_MOUNT_H
#define RELINKFS_FUSE_MOUNT_H

#include <stdbool.h>
#include <sys/types.h>

struct fuse_args;
struct fuse_session;
struct mount;
struct options;

/*
 * Checks source and mount point, unmounts what a relinkfs that died left at MOUNT (with
 * a message), opens the source.  Changes in @options: source and mountpoint become
 * absolute paths without symlinks; mount_flags get ro, nosuid, nodev, noexec of the
 * mount that the source is on, unless they were given (ro always).
 * @options must outlive the mount.  0 or -errno with *why (malloc'd, for the user).
 */
int mount_new(struct options *options, struct mount **out, char **why);

/* O_RDONLY|O_DIRECTORY, owned by the mount. */
int mount_source_fd(const struct mount *mount);

/* The type of the filesystem that the source is on, "ext4"; "" when it cannot be told. */
const char *mount_source_type(const struct mount *mount);

/* Whether a relinkfs of the same source is mounted somewhere in our mount namespace. */
bool mount_source_is_mounted(const struct mount *mount);

/* What fuse_session_new() has to be told for this mount.  0 or -ENOMEM. */
int mount_session_args(const struct mount *mount, struct fuse_args *args);

/*
 * Makes the filesystem and gives the connection to @se, which owns it from now on.
 * 0 or -errno with *why.
 */
int mount_connect(struct mount *mount, struct fuse_session *se, char **why);

/* st_dev of the filesystem; after mount_connect().  Sends no request. */
dev_t mount_device(const struct mount *mount);

/* Makes it visible at MOUNT.  0 or -errno with *why. */
int mount_attach(struct mount *mount, char **why);

/*
 * Takes it out of our mount namespace wherever it is in there, at MOUNT or bound
 * elsewhere; what is open stays open.  Nothing else is ever unmounted: the device is
 * compared first.  No error when it is gone already; else 0 or the first -errno, logged.
 */
int mount_detach(struct mount *mount);

/*
 * Ends the connection by force: every request, also one that a thread of the daemon is
 * stuck with, fails.  The connection ends by itself when the session is destroyed; this
 * is for when that cannot be.
 */
void mount_abort(const struct mount *mount);

/* Does not unmount, except what was never attached. */
void mount_free(struct mount *mount);

#endif
