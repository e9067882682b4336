/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define FUSE_USE_VERSION 317

#include <errno.h>
#include <fuse_lowlevel.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuse/background.h"
#include "fuse/daemon.h"
#include "fuse/mount.h"
#include "fuse/options.h"
#include "store/log.h"
#include "store/util.h"

#define NOFILE_WANTED 1048576

static void log_libfuse(enum fuse_log_level level, const char *format, va_list args)
{
	autofree char *text = NULL;

	if (vasprintf(&text, format, args) < 0) {
		text = NULL;
		return;
	}
	text[strcspn(text, "\n")] = '\0';
	if (level <= FUSE_LOG_ERR)
		log_error("libfuse: %s", text);
	else if (level == FUSE_LOG_WARNING)
		log_warn("libfuse: %s", text);
	else
		log_debug("libfuse: %s", text);
}

/* Every inode that is open or hidden has an fd here; without the right, what there is. */
static void raise_nofile(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	if (limit.rlim_max < NOFILE_WANTED) {
		const struct rlimit more = { NOFILE_WANTED, NOFILE_WANTED };

		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			return;
	}
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warn("cannot raise the limit of open files: %m");
}

/*
 * Writing dirty pages of the mount back may need the daemon: the kernel must not make it
 * wait for that while it finds memory for it.
 */
static void be_io_flusher(void)
{
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) < 0)
		log_debug("cannot become an I/O flusher: %m");
}

/* Nothing that is opened later must get the number of a standard stream. */
static void fill_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

static int block_signals(void)
{
	sigset_t set;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

/* Why there will be no mount: for whoever asked for it, and for the log if that is elsewhere. */
static void complain(const struct options *options, const char *why, int error)
{
	log_error("%s", why ? why : strerror(-error));
	if (options->log_file)
		fprintf(stderr, "relinkfs: error: %s\n", why ? why : strerror(-error));
}

/* @ready_fd: -1 in the foreground. */
static int tell_ready(const struct options *options, int ready_fd)
{
	int r;

	/* No directory is to be kept busy. */
	if (chdir("/") < 0)
		return -errno;
	log_info("%s is mounted at %s (instance %s, cache %s)", options->source,
		options->mountpoint, options->instance, options_cache_name(options->cache));
	if (ready_fd < 0) {
		r = notify_manager("READY=1");
		if (r < 0)
			log_warn("cannot tell the service manager: %s", strerror(-r));
		return 0;
	}
	if (!options->log_file)
		log_open(LOG_SINK_SYSLOG, "relinkfs", NULL);
	r = background_ready(ready_fd);
	if (r < 0)
		log_error("cannot tell the caller that the mount is ready: %s", strerror(-r));
	return r;
}

static int serve(struct options *options, int ready_fd)
{
	autofree char *why = NULL;
	autofd int signal_fd = block_signals();
	struct daemon *daemon;
	int r = signal_fd < 0 ? signal_fd : daemon_start(options, &daemon, &why);
	int error;

	if (r < 0) {
		complain(options, why, r);
		return EXIT_FAILURE;
	}
	error = tell_ready(options, ready_fd);
	if (error == 0)
		daemon_wait(daemon, signal_fd);
	if (ready_fd < 0)
		notify_manager("STOPPING=1");
	r = daemon_stop(daemon, signal_fd);
	return r < 0 || error < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int check_only(struct options *options)
{
	autofree char *why = NULL;
	struct mount *mount;
	int r = mount_new(options, &mount, &why);

	if (r < 0) {
		log_error("%s", why ? why : strerror(-r));
		return EXIT_FAILURE;
	}
	mount_free(mount);
	return EXIT_SUCCESS;
}

static int open_log(const struct options *options)
{
	int r = 0;

	log_set_level(options->log_level);
	fuse_set_log_func(log_libfuse);
	if (options->log_file)
		r = log_open(LOG_SINK_FILE, "relinkfs", options->log_file);
	if (r < 0)
		log_error("-o log=%s: %s", options->log_file, strerror(-r));
	return r;
}

static int run(struct options *options)
{
	int ready_fd = -1;
	int r = 0;

	umask(022);
	if (options->fake)
		return check_only(options);
	if (!options->foreground)
		r = background_start(&ready_fd);
	if (r < 0) {
		log_error("cannot go to the background: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	if (open_log(options) < 0)
		return EXIT_FAILURE;
	raise_nofile();
	be_io_flusher();
	return serve(options, ready_fd);
}

int main(int argc, char *argv[])
{
	autofree char *why = NULL;
	struct options options;
	int status = EXIT_FAILURE;
	int r;

	fill_standard_fds();
	r = options_parse(argc, argv, geteuid() == 0, &options, &why);
	if (r < 0) {
		log_error("%s", why ? why : strerror(-r));
	} else if (options.action == OPTIONS_HELP) {
		options_help(stdout);
		status = EXIT_SUCCESS;
	} else if (options.action == OPTIONS_VERSION) {
		printf("relinkfs %s (libfuse %s)\n", RELINKFS_VERSION, fuse_pkgversion());
		status = EXIT_SUCCESS;
	} else {
		status = run(&options);
	}
	options_clear(&options);
	return status;
}
