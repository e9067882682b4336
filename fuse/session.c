/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/session.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuse/creds.h"
#include "fuse/hide.h"
#include "fuse/ops.h"
#include "fuse/settle.h"
#include "store/entry.h"
#include "store/log.h"
#include "store/util.h"

/* Idle fds kept open: enough for a busy tree, little of the process's limit. */
#define FD_CACHE_MAX 1024
#define FD_CACHE_SHARE 8
#define TEXT_CHUNK 64

/* The session's own header in the session state. */
struct session_meta {
	uint64_t nodes_made; /* first: fuse/node.c counts ids here */
	uint64_t reserved[15];
};

const struct arena_spec *session_arena_spec(void)
{
	static const struct arena_spec spec = {
		.table = {
			[ARENA_NODES] = { sizeof(struct node_record), NODE_SLOTS },
			[ARENA_HANDLES] = { sizeof(struct handle_record), HANDLES_MAX },
			[ARENA_ENTRIES] = { sizeof(struct entry_record), 1u << 24 },
			[ARENA_TEXT] = { TEXT_CHUNK, 1u << 25 },
		},
		.meta_size = sizeof(struct session_meta),
	};

	return &spec;
}

/* ---- what the store asks of us ---- */

static void attributes_changed(void *ctx, uint64_t owner)
{
	struct session *session = ctx;

	/* Attributes only (offset -1): takes no lock in the kernel that a request could hold. */
	if (session->se)
		fuse_lowlevel_notify_inval_inode(session->se, owner, -1, 0);
}

/* Protocol 7.45, newer than the library's header: struct fuse_notify_prune_out with one id. */
#define NOTIFY_PRUNE 9

struct notify_prune {
	struct {
		uint32_t len;
		int32_t error;
		uint64_t unique;
	} header;
	uint32_t count;
	uint32_t padding;
	uint64_t spare;
	uint64_t id;
};

bool session_prune(struct session *session, uint64_t id)
{
	const struct notify_prune notify = {
		.header = { .len = sizeof(notify), .error = NOTIFY_PRUNE },
		.count = 1,
		.id = id,
	};

	if (!session->se || session->cannot_prune)
		return false;
	if (write(fuse_session_fd(session->se), &notify, sizeof(notify)) >= 0 || errno == ENOENT)
		return true;
	/* EINVAL: an older kernel.  Nothing else is known to come. */
	session->cannot_prune = true;
	log_debug("the kernel does not prune names: %m");
	return false;
}

int session_open_folder(const struct session *session, const char *path, char **name)
{
	autofree char *folder = strdup(path), *last = strdup(path);
	int fd;

	if (!folder || !last)
		return -ENOMEM;
	fd = xopenat_beneath(store_source_fd(session->store), dirname(folder),
			     O_PATH | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	*name = strdup(basename(last));
	if (*name)
		return fd;
	close(fd);
	return -ENOMEM;
}

static void name_changed(void *ctx, const char *path)
{
	struct session *session = ctx;
	autofree char *name = NULL;
	autofd int dirfd = -1;
	struct node_key key;
	struct stat st;
	uint32_t slot;
	uint64_t id;

	if (!session->se)
		return;
	dirfd = session_open_folder(session, path, &name);
	if (dirfd < 0 || backing_identify(session->backings, dirfd, &key, &st))
		return;
	slot = node_find(session->nodes, &key);
	if (!slot)
		return;
	id = node_at(session->nodes, slot)->id;
	fuse_lowlevel_notify_inval_entry(session->se, id, name, strlen(name));
	/* The cached listing, too. */
	fuse_lowlevel_notify_inval_inode(session->se, id, 0, 0);
}

/*
 * Without passthrough: stores through mappings.  Told to drop its cache, the kernel first
 * has what is new in it written, to the threads of the loop.  The node may have ended
 * meanwhile: only the kernel is asked.
 */
static void write_back(void *ctx, uint64_t owner)
{
	struct session *session = ctx;

	if (session->se && (!session->passthrough || session->warned_passthrough))
		fuse_lowlevel_notify_inval_inode(session->se, owner, 0, 0);
}

static void install_hooks(struct session *session)
{
	const struct store_hooks hooks = {
		.ctx = session,
		.attributes_changed = attributes_changed,
		.name_changed = name_changed,
		.remove_link = hide_remove_link,
		.write_back = write_back,
		.mount_dev = session->mount_dev,
		.mount_path = session->mount_path,
	};
	const struct node_hooks node_hooks = {
		.ctx = session,
		.begin = hide_last_begin,
		.last = hide_last,
		.end = hide_last_end,
	};

	store_set_hooks(session->store, &hooks);
	nodes_set_hooks(session->nodes, &node_hooks);
}

/* ---- life ---- */

static unsigned fd_cache_size(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur / FD_CACHE_SHARE > FD_CACHE_MAX)
		return FD_CACHE_MAX;
	return (unsigned)(limit.rlim_cur / FD_CACHE_SHARE) + 1;
}

/* The identities of lost+found and lost+found/checkpoint; of none if they are not there. */
static void find_own_folders(struct session *session)
{
	static const char *const paths[] = { CHECKPOINT_PARENT, CHECKPOINT_DIR };
	struct node_key *const keys[] = { &session->checkpoint_parent, &session->checkpoint_dir };
	struct stat st;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(paths); i++)
		if (backing_identify_at(session->backings, store_source_fd(session->store), paths[i],
					keys[i], &st))
			memset(keys[i], 0xff, sizeof(*keys[i]));
}

static int session_init(struct session *session)
{
	int source_fd = store_source_fd(session->store), error;

	if (access("/proc/self/fd", X_OK) < 0) {
		log_error("/proc is not mounted here, and nothing works without it: %m");
		return -ENOSYS;
	}
	error = backings_new(source_fd, &session->backings);
	if (!error)
		error = nodes_new(session->arena, session->backings, source_fd, fd_cache_size(),
				  &session->nodes);
	if (!error)
		error = handles_new(session->arena, &session->handles);
	if (!error)
		error = aliases_new(&session->aliases);
	if (error)
		return error;
	find_own_folders(session);
	install_hooks(session);
	return 0;
}

int session_new(const struct session_config *config, struct store *store, struct arena *arena,
		struct session **out)
{
	struct session *session = calloc(1, sizeof(*session));
	int error;

	if (!session)
		return -ENOMEM;
	session->config = *config;
	session->store = store;
	session->arena = arena;
	session->io_reason = "the kernel has not answered yet";
	error = session_init(session);
	if (error) {
		session_free(session);
		return error;
	}
	*out = session;
	return 0;
}

void session_free(struct session *session)
{
	if (!session)
		return;
	session_unbind(session);
	aliases_free(session->aliases);
	handles_free(session->handles);
	nodes_free(session->nodes);
	backings_free(session->backings);
	free(session->mount_path);
	free(session);
}

int session_bind(struct session *session, struct fuse_session *se, dev_t mount_dev,
		 const char *mount_path)
{
	session->mount_path = strdup(mount_path);
	if (!session->mount_path)
		return -ENOMEM;
	session->se = se;
	session->mount_dev = mount_dev;
	install_hooks(session);
	return settler_new(session, &session->settler);
}

void session_unbind(struct session *session)
{
	settler_free(session->settler);
	session->settler = NULL;
	session->se = NULL;
}

int session_thread_init(struct session *session)
{
	return creds_thread_init();
}

bool session_ready(const struct session *session)
{
	return session->ready;
}

void session_status(const struct session *session, struct session_status *out)
{
	bool refused = session->warned_passthrough;

	out->io = session->passthrough && !refused ? "passthrough" : "splice";
	out->io_reason = refused ? "the kernel refused passthrough for a file, see the log"
				 : session->io_reason;
	out->nodes = arena_count(session->arena, ARENA_NODES);
	out->open_handles = arena_count(session->arena, ARENA_HANDLES);
	out->open_fds = nodes_open_fds(session->nodes) + out->open_handles;
}

int session_stat_node(struct session *session, uint64_t id, struct stat *out)
{
	autofd int fd = node_fd_copy(session->nodes, id);

	if (fd < 0)
		return fd;
	return fstat(fd, out) < 0 ? -errno : 0;
}

int session_alias(struct session *session, pid_t tid, const char *link, const char *path,
		  const char **mode, char **why)
{
	return alias_set(session, tid, link, path, mode, why);
}

void session_unalias(struct session *session, pid_t tid)
{
	alias_clear(session, tid);
}

/* ---- INIT ---- */

static bool have_sys_admin(void)
{
	cap_flag_value_t value = CAP_CLEAR;
	cap_t caps = cap_get_proc();

	if (caps)
		cap_get_flag(caps, CAP_SYS_ADMIN, CAP_EFFECTIVE, &value);
	cap_free(caps);
	return value == CAP_SET;
}

/* Decides how file data travels, and says so once. */
static void choose_io(struct session *session, struct fuse_conn_info *conn)
{
	session->passthrough = false;
	if (session->config.passthrough == PASSTHROUGH_OFF)
		session->io_reason = "switched off by an option";
	else if (!(conn->capable_ext & FUSE_CAP_PASSTHROUGH))
		session->io_reason = "the kernel has no FUSE passthrough (6.9 or newer has)";
	else if (!have_sys_admin())
		session->io_reason = "the daemon lacks CAP_SYS_ADMIN, which passthrough needs";
	else
		session->passthrough = true;
	if (session->passthrough) {
		session->io_reason = NULL;
		fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH);
		/* The source may not be a stacked filesystem; overlayfs may be stacked on us. */
		conn->max_backing_stack_depth = 0;
		log_info("data of regular files: passthrough");
	} else {
		log_info("data of regular files: splice (%s)", session->io_reason);
	}
}

static void op_init(void *ctx, struct fuse_conn_info *conn)
{
	static const uint64_t wanted[] = {
		FUSE_CAP_EXPORT_SUPPORT, FUSE_CAP_DONT_MASK,     FUSE_CAP_SPLICE_WRITE,
		FUSE_CAP_SPLICE_MOVE,    FUSE_CAP_SPLICE_READ,   FUSE_CAP_IOCTL_DIR,
		FUSE_CAP_PARALLEL_DIROPS, FUSE_CAP_POSIX_ACL,
		FUSE_CAP_CACHE_SYMLINKS, FUSE_CAP_EXPIRE_ONLY,   FUSE_CAP_ATOMIC_O_TRUNC,
		FUSE_CAP_ASYNC_READ,     FUSE_CAP_ASYNC_DIO,     FUSE_CAP_AUTO_INVAL_DATA,
		FUSE_CAP_READDIRPLUS,    FUSE_CAP_READDIRPLUS_AUTO, FUSE_CAP_DIRECT_IO_ALLOW_MMAP,
#ifdef HAVE_FUSE_KILL_SUIDGID
		FUSE_CAP_HANDLE_KILLPRIV_V2,
#endif
	};
	struct session *session = ctx;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wanted); i++)
		if (conn->capable_ext & wanted[i])
			fuse_set_feature_flag(conn, wanted[i]);
	/* Locks belong to the kernel; a writeback cache would switch passthrough off; io_uring
	 * does not survive a change of worker. */
	fuse_unset_feature_flag(conn, FUSE_CAP_FLOCK_LOCKS);
	fuse_unset_feature_flag(conn, FUSE_CAP_POSIX_LOCKS);
	fuse_unset_feature_flag(conn, FUSE_CAP_WRITEBACK_CACHE);
#ifdef FUSE_CAP_OVER_IO_URING
	fuse_unset_feature_flag(conn, FUSE_CAP_OVER_IO_URING);
#endif
	conn->time_gran = 1;
	choose_io(session, conn);
	session->ready = true;
}

const struct fuse_lowlevel_ops *session_operations(size_t *size)
{
	static const struct fuse_lowlevel_ops operations = {
		.init = op_init,
		.lookup = op_lookup,
		.forget = op_forget,
		.forget_multi = op_forget_multi,
		.getattr = op_getattr,
		.setattr = op_setattr,
		.readlink = op_readlink,
		.statfs = op_statfs,
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 18)
		.statx = op_statx,
#endif
		.create = op_create,
		.tmpfile = op_tmpfile,
		.mknod = op_mknod,
		.mkdir = op_mkdir,
		.symlink = op_symlink,
		.link = op_link,
		.unlink = op_unlink,
		.rmdir = op_rmdir,
		.rename = op_rename,
		.open = op_open,
		.release = op_release,
		.read = op_read,
		.write_buf = op_write_buf,
		.flush = op_flush,
		.fsync = op_fsync,
		.fallocate = op_fallocate,
		.lseek = op_lseek,
		.copy_file_range = op_copy_file_range,
		.opendir = op_opendir,
		.releasedir = op_releasedir,
		.readdir = op_readdir,
		.readdirplus = op_readdirplus,
		.fsyncdir = op_fsyncdir,
		.setxattr = op_setxattr,
		.getxattr = op_getxattr,
		.listxattr = op_listxattr,
		.removexattr = op_removexattr,
		.ioctl = op_ioctl,
	};

	*size = sizeof(operations);
	return &operations;
}
