/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One mounted filesystem: the FUSE operations and the state that they share.  The
 * only folder-internal contract that main, the loop and the control server need.
 */
#ifndef RELINKFS_FUSE_SESSION_H
#define RELINKFS_FUSE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct arena;
struct arena_spec;
struct fuse_lowlevel_ops;
struct fuse_session;
struct session;
struct store;

enum session_passthrough { PASSTHROUGH_AUTO, PASSTHROUGH_ON, PASSTHROUGH_OFF };

/* What the options decide; copied by session_new(). */
struct session_config {
	double attr_timeout;     /* seconds */
	double entry_timeout;
	double negative_timeout;
	bool cache_shared;       /* others change the source: nothing is kept across opens */
	bool track_all;          /* hide always, also what was never opened */
	enum session_passthrough passthrough;
	bool read_only;
	unsigned threads;        /* that serve requests */
};

/* The layout of the session state (tables and meta) that this program writes. */
const struct arena_spec *session_arena_spec(void);

/*
 * Nodes, handles and fd cache over @store's source.  Takes over neither @store nor
 * @arena; both must outlive the session.  Installs hooks into the store.  0 or -errno
 * (-ENOSYS without /proc).
 */
int session_new(const struct session_config *config, struct store *store, struct arena *arena,
		struct session **out);

/* After the loop has ended and every thread is joined. */
void session_free(struct session *session);

/* The operations, for fuse_session_new(..., userdata = the struct session). */
const struct fuse_lowlevel_ops *session_operations(size_t *size);

/*
 * Once, after fuse_session_new() and the mount, before the first request is read: the
 * channel for notifications, the device number of the mount and its path.  Starts a
 * thread.  0 or -errno.
 */
int session_bind(struct session *session, struct fuse_session *se, dev_t mount_dev,
		 const char *mount_path);

/* Before fuse_session_destroy(), when no request is served any more.  May be repeated. */
void session_unbind(struct session *session);

/*
 * The first thing that each thread of the loop does: a umask and credentials of its
 * own.  0 or -errno.
 */
int session_thread_init(struct session *session);

/* True once INIT was answered. */
bool session_ready(const struct session *session);

/* Numbers for Status(). */
struct session_status {
	const char *io;        /* "passthrough" or "splice" */
	const char *io_reason; /* why, one line */
	uint64_t nodes, open_handles, open_fds;
};
void session_status(const struct session *session, struct session_status *out);

/*
 * Attributes of the backing inode of node @id, which is open or hidden; for a thread that
 * serves no request.  -ENOENT: the node has ended.
 */
struct stat;
int session_stat_node(struct session *session, uint64_t id, struct stat *out);

/*
 * Restart names (control method Alias): requests of the thread @tid are answered as if
 * the frozen link @link stood at @path, see fuse/alias.h.  *mode is "lookup",
 * "exchange" or "replace-type".  0; -ENOENT: no such link or no such parent directory
 * of @path (*why says which); -EBUSY: the thread has an alias already; -EINVAL.
 */
int session_alias(struct session *session, pid_t tid, const char *link, const char *path,
		  const char **mode, char **why);
void session_unalias(struct session *session, pid_t tid);

#endif
