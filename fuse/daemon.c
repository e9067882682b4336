/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define FUSE_USE_VERSION 317

#include "fuse/daemon.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <linux/magic.h>
#include <poll.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "fuse/control.h"
#include "fuse/loop.h"
#include "fuse/mount.h"
#include "fuse/options.h"
#include "fuse/session.h"
#include "store/arena.h"
#include "store/log.h"
#include "store/store.h"
#include "store/util.h"
#include "store/varlink.h"

/* How long a stop waits for requests under way; and for threads that were interrupted. */
#define DRAIN_NS (5 * NSEC_PER_SEC)
#define CUT_NS (5 * NSEC_PER_SEC)
/* How long a start waits for the end of an earlier one; how often it looks. */
#define TAKEN_NS (3 * NSEC_PER_SEC)
#define TAKEN_PAUSE_NS 20000000
/* A limit of open files below this is worth a warning. */
#define FEW_FILES 16384
/* How long a listing waits for what the kernel has queued. */
#define SETTLE_NS (NSEC_PER_SEC / 10)

struct daemon {
	const struct options *options;
	struct mount *mount;
	struct arena *arena;
	struct store *store;
	struct session *session;
	struct fuse_session *se;
	struct loop *loop;
	struct control_host host;
	struct control *control;
};

/* ---- what the control server asks for ---- */

static bool in_memory(int fd)
{
	struct statfs st;

	return fstatfs(fd, &st) == 0 && (st.f_type == TMPFS_MAGIC || st.f_type == RAMFS_MAGIC);
}

/* Every inode that is open or hidden has a descriptor here. */
static void warn_of_few_files(struct control_status *status)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < FEW_FILES)
		control_status_warn(status,
			"at most %llu inodes can be open or hidden: the daemon's limit of open "
			"files (ulimit -Hn, LimitNOFILE=) is low",
			(unsigned long long)limit.rlim_cur);
}

static void host_status(void *ctx, struct control_numbers *out, struct control_status *status)
{
	struct daemon *daemon = ctx;
	const struct options *options = daemon->options;
	bool volatile_source = in_memory(mount_source_fd(daemon->mount));
	struct session_status numbers;

	session_status(daemon->session, &numbers);
	*out = (struct control_numbers){
		.io = numbers.io,
		.io_reason = numbers.io_reason,
		.cache = options_cache_name(options->cache),
		.threads = loop_thread_count(options->threads),
		.nodes = numbers.nodes,
		.open_handles = numbers.open_handles,
	};
	control_status_backing(status, options->source, !volatile_source,
		volatile_source ? "a filesystem in memory: nothing survives a reboot" : NULL);
	warn_of_few_files(status);
	if (volatile_source)
		control_status_warn(status, "%s is in memory: checkpoints do not survive a reboot",
			options->source);
}

static void host_flush(void *ctx)
{
	struct daemon *daemon = ctx;

	loop_settle(daemon->loop, SETTLE_NS);
}

static int host_stat_owner(void *ctx, uint64_t owner, struct stat *out)
{
	struct daemon *daemon = ctx;

	return session_stat_node(daemon->session, owner, out);
}

static int host_alias_set(
	void *ctx, pid_t pid, const char *link, const char *path, const char **mode, char **why)
{
	struct daemon *daemon = ctx;

	return session_alias(daemon->session, pid, link, path, mode, why);
}

static void host_alias_clear(void *ctx, pid_t pid)
{
	struct daemon *daemon = ctx;

	session_unalias(daemon->session, pid);
}

static void fill_host(struct daemon *daemon)
{
	daemon->host = (struct control_host){
		.ctx = daemon,
		.store = daemon->store,
		.version = RELINKFS_VERSION,
		.mount_path = daemon->options->mountpoint,
		.source_path = daemon->options->source,
		.instance = daemon->options->instance,
		.fstype = mount_source_type(daemon->mount),
		.started = time(NULL),
		.mount_dev = mount_device(daemon->mount),
		.status = host_status,
		.flush = host_flush,
		.stat_owner = host_stat_owner,
		.alias_set = host_alias_set,
		.alias_clear = host_alias_clear,
	};
}

/* ---- the steps of the start ---- */

/*
 * umount(8) returns while the daemon is still ending: a mount right after that must not
 * fail.  So if the store is taken, and nothing is mounted that could be why, it is asked
 * for again for a while.
 */
static int open_store(struct daemon *daemon, const struct store_options *options, char **why)
{
	int64_t deadline = monotonic_ns() + TAKEN_NS;

	for (;;) {
		const struct timespec pause = { .tv_nsec = TAKEN_PAUSE_NS };
		autofree char *text = NULL;
		int r = store_open(mount_source_fd(daemon->mount), options, daemon->arena,
			&daemon->store, &text);

		if (r != -EBUSY || monotonic_ns() > deadline ||
			mount_source_is_mounted(daemon->mount))
			return text ? util_why(why, r, "%s", text) : r;
		nanosleep(&pause, NULL);
	}
}

static int start_store(struct daemon *daemon, char **why)
{
	const struct options *options = daemon->options;
	const struct store_options store_options = {
		.source_path = options->source,
		.instance = options->instance,
		.link_template = options->link_template,
		.read_only = options->mount_flags & MS_RDONLY,
	};
	int r = arena_new(session_arena_spec(), &daemon->arena);

	if (r < 0)
		return util_why(why, r, "cannot make the session state: %s", strerror(-r));
	r = open_store(daemon, &store_options, why);
	if (r < 0 && why && !*why)
		return util_why(
			why, r, "cannot open the store of %s: %s", options->source, strerror(-r));
	return r;
}

static int start_session(struct daemon *daemon, char **why)
{
	const struct options *options = daemon->options;
	const struct session_config config = {
		.attr_timeout = options->attr_timeout,
		.entry_timeout = options->entry_timeout,
		.negative_timeout = options->negative_timeout,
		.cache_shared = options->cache == CACHE_SHARED,
		.track_all = options->track_all,
		.passthrough = options->passthrough,
		.read_only = options->mount_flags & MS_RDONLY,
		.threads = loop_thread_count(options->threads),
	};
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	const struct fuse_lowlevel_ops *operations;
	size_t size;
	int r = session_new(&config, daemon->store, daemon->arena, &daemon->session);

	if (r < 0)
		return util_why(why, r, "cannot make the session: %s%s", strerror(-r),
			r == -ENOSYS ? " (is /proc mounted?)" : "");
	r = mount_session_args(daemon->mount, &args);
	operations = session_operations(&size);
	if (r == 0)
		daemon->se = fuse_session_new(&args, operations, size, daemon->session);
	fuse_opt_free_args(&args);
	if (!daemon->se)
		return util_why(why, -ENOMEM, "cannot make a libfuse session");
	return 0;
}

/* What was asked for with "on" must be so, and not only be tried. */
static int check_passthrough(struct daemon *daemon, char **why)
{
	struct session_status numbers;

	if (daemon->options->passthrough != PASSTHROUGH_ON)
		return 0;
	session_status(daemon->session, &numbers);
	if (!strcmp(numbers.io, "passthrough"))
		return 0;
	return util_why(why, -EOPNOTSUPP, "-o passthrough=on: not possible: %s",
		numbers.io_reason ? numbers.io_reason : "the reason is not known");
}

static int start_connection(struct daemon *daemon, char **why)
{
	int r = mount_connect(daemon->mount, daemon->se, why);

	if (r < 0)
		return r;
	r = session_bind(daemon->session, daemon->se, mount_device(daemon->mount),
		daemon->options->mountpoint);
	if (r == 0)
		r = loop_handshake(daemon->se);
	if (r == 0 && !session_ready(daemon->session))
		r = -EPROTO;
	if (r < 0)
		return util_why(why, r, "the kernel and the daemon do not agree: %s", strerror(-r));
	return check_passthrough(daemon, why);
}

static int init_thread(void *ctx)
{
	struct daemon *daemon = ctx;

	return session_thread_init(daemon->session);
}

static int start_loop(struct daemon *daemon, char **why)
{
	const struct loop_config config = {
		.se = daemon->se,
		.threads = daemon->options->threads,
		.thread_init = init_thread,
		.ctx = daemon,
	};
	int r = loop_start(&config, &daemon->loop);

	return r < 0 ? util_why(why, r, "cannot start the threads: %s", strerror(-r)) : 0;
}

static int start_control(struct daemon *daemon, char **why)
{
	autofree char *path = varlink_socket_path(mount_device(daemon->mount), geteuid() == 0);

	if (!path)
		return util_why(
			why, -ENOENT, "no place for the control socket: is XDG_RUNTIME_DIR set?");
	fill_host(daemon);
	return control_start(&daemon->host, path, &daemon->control, why);
}

static int attach(struct daemon *daemon, char **why)
{
	return mount_attach(daemon->mount, why);
}

int daemon_start(struct options *options, struct daemon **out, char **why)
{
	static int (*const steps[])(struct daemon *, char **) = { start_store, start_session,
		start_connection, start_loop, start_control, attach };
	struct daemon *daemon = calloc(1, sizeof(*daemon));
	int r;

	if (!daemon)
		return -ENOMEM;
	daemon->options = options;
	r = mount_new(options, &daemon->mount, why);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(steps); i++)
		r = steps[i](daemon, why);
	if (r < 0) {
		daemon_stop(daemon, -1);
		return r;
	}
	*out = daemon;
	return 0;
}

/* ---- running and stopping ---- */

static int read_signal(int signal_fd)
{
	struct signalfd_siginfo info;

	if (read(signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return 0;
	return (int)info.ssi_signo;
}

void daemon_wait(struct daemon *daemon, int signal_fd)
{
	struct pollfd fds[] = { { .fd = loop_event_fd(daemon->loop), .events = POLLIN },
		{ .fd = signal_fd, .events = POLLIN } };

	while (poll(fds, ARRAY_SIZE(fds), -1) < 0)
		if (errno != EINTR)
			return;
	if (fds[1].revents)
		log_info("stopping: %s", strsignal(read_signal(signal_fd)));
	else if (loop_error(daemon->loop) == 0)
		log_info("stopping: %s was unmounted", daemon->options->mountpoint);
}

/*
 * Nothing is freed while a thread can still use it.  The process ends here, so the
 * connection does, too; the store's own locks end with the process.
 */
static __attribute__((noreturn)) void give_up(struct daemon *daemon)
{
	log_error("a request does not end; leaving it, and the store of %s to the recovery at the "
		  "next mount",
		daemon->options->source);
	mount_abort(daemon->mount);
	_exit(EXIT_FAILURE);
}

static void stop_loop(struct daemon *daemon, int signal_fd)
{
	int r;

	loop_drain(daemon->loop);
	r = loop_wait(daemon->loop, DRAIN_NS, signal_fd);
	if (r < 0) {
		log_warn("not waiting for requests that are under way any more (%s)",
			r == -EINTR ? "a second signal" : "they take too long");
		loop_cut(daemon->loop);
		r = loop_wait(daemon->loop, CUT_NS, -1);
	}
	if (r < 0)
		give_up(daemon);
}

int daemon_stop(struct daemon *daemon, int signal_fd)
{
	int error = 0;

	control_stop(daemon->control);
	if (daemon->mount)
		mount_detach(daemon->mount);
	if (daemon->loop) {
		stop_loop(daemon, signal_fd);
		error = loop_error(daemon->loop);
		loop_free(daemon->loop);
	}
	if (daemon->session)
		session_unbind(daemon->session);
	/* Closes the connection: whoever has a file open gets ENOTCONN from now on. */
	if (daemon->se)
		fuse_session_destroy(daemon->se);
	session_free(daemon->session);
	if (daemon->store)
		store_close(daemon->store);
	if (daemon->arena)
		arena_free(daemon->arena);
	mount_free(daemon->mount);
	free(daemon);
	return error;
}
