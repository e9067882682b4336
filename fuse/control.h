/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control server: answers the Varlink interface org.relinkfs (fuse/control_idl.c)
 * on a unix socket.  It knows the store; what only the filesystem above knows comes
 * through struct control_host, so there is no libfuse in here.
 *
 * One thread accepts, reads and parses, and never waits for a client.  A request runs in
 * a thread of its connection, so a Freeze or a walk of /proc holds up nobody else; those
 * of unprivileged callers only run one at a time.
 * At most CONTROL_CLIENTS_MAX connections, of them CONTROL_CLIENTS_UNPRIVILEGED of callers
 * that may not relink, CONTROL_CLIENTS_PER_USER of one uid; more are told so and closed.
 * A file descriptor that a client passes along never arrives, and the connection is
 * ended: no interface takes a caller's file.
 */
#ifndef RELINKFS_FUSE_CONTROL_H
#define RELINKFS_FUSE_CONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "store/store.h"

#define CONTROL_CLIENTS_MAX          256
#define CONTROL_CLIENTS_UNPRIVILEGED 192
#define CONTROL_CLIENTS_PER_USER     48

struct control;
struct control_status;

/* What Status tells and only the filesystem knows.  Strings must live until control_stop(). */
struct control_numbers {
	const char *io;        /* "passthrough" or "splice" */
	const char *io_reason; /* why it is not passthrough; NULL when it is */
	const char *cache;     /* the cache mode in words */
	unsigned threads;      /* that serve the kernel */
	uint64_t nodes;        /* inodes known to the kernel */
	uint64_t open_handles;
};

/*
 * What the server needs from the filesystem.  Everything in here stays as it is from
 * control_start() until control_stop() has returned.  The callbacks are called from
 * many threads at once, with no lock of the server or of the store held; they must not
 * send a request to the mount itself.  The four marked "optional" may be NULL.
 */
struct control_host {
	void *ctx;
	struct store *store;
	const char *version;     /* of the program */
	const char *mount_path;  /* absolute */
	const char *source_path; /* absolute */
	const char *instance;
	const char *fstype;      /* of the source, "ext4" */
	time_t started;
	dev_t mount_dev;         /* st_dev that the workload sees; 0: no holders can be told */

	/* Fills in the numbers; warnings and backings are added by the two functions below. */
	void (*status)(void *ctx, struct control_numbers *out, struct control_status *status);

	/*
	 * Optional.  Called before a Freeze and before a listing: let what is under way
	 * (a queue of FORGETs) reach the store.  Best effort, bounded in time.
	 */
	void (*flush)(void *ctx);

	/*
	 * Optional.  Attributes of the inode of the node @owner (struct entry_record), by
	 * the fd that the node keeps.  -ENOENT: it is gone.  NULL: entries without a link
	 * in the vault are listed without a size.
	 */
	int (*stat_owner)(void *ctx, uint64_t owner, struct stat *out);

	/*
	 * Optional, both or none; session_alias() and session_unalias().  From now on requests
	 * of the thread @pid (thread id equal to process id; in the daemon's pid namespace)
	 * see the frozen inode of @link under the name @path; both relative to the root of
	 * the mount, checked to be so (no leading '/', no empty, "." or ".." component, no
	 * component over NAME_MAX).  0 with *mode ("lookup", "exchange", "replace-type"), or
	 * -errno with *why (malloc'd, may stay NULL).
	 * alias_clear: does nothing when there is none.  The server calls it before it sets
	 * another one, and when the connection that set it closes.
	 */
	int (*alias_set)(void *ctx, pid_t pid, const char *link, const char *path,
			 const char **mode, char **why);
	void (*alias_clear)(void *ctx, pid_t pid);
};

/* For host->status only: a sentence for the administrator; what the source is made of. Copied. */
void control_status_warn(struct control_status *status, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void control_status_backing(struct control_status *status, const char *path, bool durable,
			    const char *why);

/*
 * Starts the server on @socket_path (varlink_socket_path() of the mount): its directory
 * is made (0755; only the last component), a socket there is replaced, ours is made 0666.
 * Starts threads, so call it after the daemon went to the background.  They block all
 * signals.  @host is kept, not copied.  0 or -errno with *why (malloc'd, for the user).
 */
int control_start(const struct control_host *host, const char *socket_path, struct control **out,
		  char **why);

/*
 * Removes the socket, refuses new requests, waits for those that run, closes every
 * connection (held checkpoints are undone or committed as their holder asked for).
 * Call it before store_close(), and while the filesystem still serves, because a
 * request that runs may need it.  NULL is allowed.
 */
void control_stop(struct control *control);

#endif
