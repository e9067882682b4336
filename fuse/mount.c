/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define FUSE_USE_VERSION 317

#include "fuse/mount.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <spawn.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuse/mountinfo.h"
#include "fuse/options.h"
#include "store/log.h"
#include "store/util.h"
#include "store/varlink.h"

#define FILESYSTEM_TYPE "fuse.relinkfs"
#define FUSE_DEVICE "/dev/fuse"
#define FUSE_CONF "/etc/fuse.conf"
#define FUSERMOUNT "fusermount3"

struct mount {
	const struct options *options;
	bool root;   /* we mount by ourselves */
	int held_fd; /* O_PATH of SOURCE by its path: its mount stays busy */
	int source_fd;
	int point_fd;    /* O_PATH of the mount point; -1 once attached */
	int detached_fd; /* the mount while it has no path; -1 before and after */
	char *source_type;
	dev_t dev; /* valid once @connected */
	bool connected;
};

/* ---- looking at mounts without asking their filesystem ---- */

static int stat_mount(int fd, struct statx *out)
{
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_MNT_ID, out) < 0)
		return -errno;
	return 0;
}

static dev_t statx_dev(const struct statx *stx)
{
	return makedev(stx->stx_dev_major, stx->stx_dev_minor);
}

/*
 * The mount that @fd is on.  *out is to be freed with mountinfo_free(*out, *count), and
 * *index is its place in there.  -ENOENT: not in our namespace (or a detached one).
 */
static int find_mount_of(int fd, struct mountinfo **out, size_t *count, size_t *index)
{
	struct statx stx;
	int r = stat_mount(fd, &stx);

	if (r == 0)
		r = mountinfo_read(out, count);
	if (r < 0)
		return r;
	for (size_t i = 0; i < *count; i++) {
		if ((*out)[i].id != stx.stx_mnt_id)
			continue;
		*index = i;
		return 0;
	}
	mountinfo_free(*out, *count);
	return -ENOENT;
}

/* The type of the filesystem that @fd is on, and its source; malloc'd, NULL if unknown. */
static void describe_mount(int fd, char **type, char **source)
{
	struct mountinfo *mounts;
	size_t count, index;

	*type = NULL;
	*source = NULL;
	if (find_mount_of(fd, &mounts, &count, &index) < 0)
		return;
	*type = steal_ptr(&mounts[index].type);
	*source = steal_ptr(&mounts[index].source);
	mountinfo_free(mounts, count);
}

/* The source of the relinkfs mount that @fd lies in, malloc'd; NULL: it lies in none. */
static char *relinkfs_around(int fd)
{
	autofree char *type = NULL;
	autofree char *source = NULL;

	describe_mount(fd, &type, &source);
	return type && !strcmp(type, FILESYSTEM_TYPE) ? steal_ptr(&source) : NULL;
}

static bool is_mount_root(int fd)
{
	struct statx stx;

	return stat_mount(fd, &stx) == 0 && (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

/* ---- unmounting ---- */

static int run_fusermount(const char *mountpoint)
{
	const char *const argv[] = { FUSERMOUNT, "-u", "-z", "-q", "--", mountpoint, NULL };
	int status;
	pid_t pid;
	int r = posix_spawnp(&pid, FUSERMOUNT, NULL, NULL, (char *const *)argv, environ);

	if (r != 0)
		return -r;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

/*
 * @fd (O_PATH) is the root of the mount; its path is only for fusermount3, which cannot
 * be given an fd.
 */
static int unmount_fd(bool root, int fd, const char *path)
{
	char fd_path[PROC_FD_PATH_SIZE];

	if (!root)
		return run_fusermount(path);
	return umount2(proc_fd_path(fd, fd_path), MNT_DETACH) < 0 ? -errno : 0;
}

/* Between the mount table and the open another mount may have come on top: look. */
static int unmount_listed(const struct mount *mount, const struct mountinfo *listed)
{
	autofd int fd = open(listed->mountpoint, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	struct statx stx;
	int r = fd < 0 ? -errno : stat_mount(fd, &stx);

	if (r == 0 && (statx_dev(&stx) != mount->dev || stx.stx_mnt_id != listed->id))
		r = -EBUSY;
	if (r == 0)
		r = unmount_fd(mount->root, fd, listed->mountpoint);
	if (r < 0)
		log_warn("cannot unmount %s: %s", listed->mountpoint,
			r == -EBUSY ? "another mount covers it" : strerror(-r));
	return r;
}

int mount_detach(struct mount *mount)
{
	struct mountinfo *mounts;
	size_t count;
	int first = 0;
	int r;

	if (!mount->connected)
		return 0;
	if (mount->detached_fd >= 0) {
		close(steal_fd(&mount->detached_fd));
		return 0;
	}
	r = mountinfo_read(&mounts, &count);
	if (r < 0) {
		log_warn("cannot unmount %s: /proc/self/mountinfo: %s", mount->options->mountpoint,
			strerror(-r));
		return r;
	}
	/* Backwards, so that a mount comes before the one that it is in. */
	for (size_t i = count; i-- > 0;) {
		r = mounts[i].dev == mount->dev ? unmount_listed(mount, &mounts[i]) : 0;
		if (first == 0)
			first = r;
	}
	mountinfo_free(mounts, count);
	return first;
}

void mount_abort(const struct mount *mount)
{
	autofree char *path = NULL;
	autofd int fd = -1;

	if (!mount->connected)
		return;
	path = util_printf("/sys/fs/fuse/connections/%u/abort", minor(mount->dev));
	if (path)
		fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) < 0)
		log_warn("cannot abort the connection by %s: %m", path ? path : "name");
}

/* ---- checks before mounting ---- */

/* Whether the filesystem at @path has lost its daemon; what the kernel cached says nothing. */
static bool is_dead(const char *path)
{
	struct statx stx;

	return statx(AT_FDCWD, path, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &stx) < 0 &&
	       (errno == ENOTCONN || errno == ECONNABORTED);
}

/* As long as the dead mount exists, no other can have its device number, and its socket. */
static void remove_socket(bool root, int fd)
{
	autofree char *socket = NULL;
	struct statx stx;

	if (stat_mount(fd, &stx) == 0)
		socket = varlink_socket_path(statx_dev(&stx), root);
	if (socket && unlink(socket) < 0 && errno != ENOENT)
		log_warn("cannot remove %s: %m", socket);
}

/*
 * What a relinkfs that was killed left at @path is in the way of the next one, and cannot
 * be of use to anybody: every access fails.
 */
static int clear_stale(bool root, const char *path, char **why)
{
	while (is_dead(path)) {
		autofd int fd = open(path, O_PATH | O_CLOEXEC);
		autofree char *source = fd < 0 ? NULL : relinkfs_around(fd);
		int r;

		if (!source || !is_mount_root(fd))
			return util_why(why, -ENOTCONN,
				"%s lies in a FUSE mount whose server is gone: unmount that first",
				path);
		remove_socket(root, fd);
		r = unmount_fd(root, fd, path);
		if (r < 0)
			return util_why(why, r,
				"cannot unmount the relinkfs mount at %s, whose daemon is gone: %s",
				path, strerror(-r));
		log_info("unmounted %s: the relinkfs mount of %s there had lost its daemon", path,
			source);
	}
	return 0;
}

static int make_absolute(char **path, const char *what, char **why)
{
	char *absolute = realpath(*path, NULL);

	if (!absolute)
		return util_why(why, -errno, "%s %s: %m", what, *path);
	free(*path);
	*path = absolute;
	return 0;
}

static int open_point(struct mount *mount, char **why)
{
	const char *path = mount->options->mountpoint;
	autofree char *source = NULL;

	mount->point_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (mount->point_fd < 0)
		return util_why(why, -errno, "mount point %s: %m", path);
	if (is_mount_root(mount->point_fd))
		source = relinkfs_around(mount->point_fd);
	if (source)
		return util_why(why, -EBUSY,
			"mount point %s: a relinkfs of %s is mounted there already", path, source);
	return 0;
}

/*
 * A mount of its own for the source, that no path leads to and that nothing is mounted
 * in.  A user namespace may forbid it (mounts that are locked together), and then the
 * directory itself has to do.
 */
static int open_view(const char *path)
{
	struct mount_attr private = { .propagation = MS_PRIVATE };
	autofd int tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	autofd int fd = -1;

	if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &private, sizeof(private)) < 0)
		return -errno;
	fd = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : steal_fd(&fd);
}

/* Whether @inner is @outer or lies in it, by going up from it. */
static bool lies_inside(int inner, int outer)
{
	autofd int at = openat(inner, ".", O_PATH | O_CLOEXEC);
	struct stat wanted, before, now;

	if (at < 0 || fstat(outer, &wanted) < 0 || fstat(at, &now) < 0)
		return false;
	do {
		int up;

		if (now.st_dev == wanted.st_dev && now.st_ino == wanted.st_ino)
			return true;
		before = now;
		up = openat(at, "..", O_PATH | O_CLOEXEC);
		if (up < 0)
			return false;
		close(at);
		at = up;
	} while (fstat(at, &now) == 0 &&
		 (now.st_dev != before.st_dev || now.st_ino != before.st_ino));
	return false;
}

static bool same_directory(int a, int b)
{
	struct stat st_a, st_b;

	return fstat(a, &st_a) == 0 && fstat(b, &st_b) == 0 && st_a.st_dev == st_b.st_dev &&
	       st_a.st_ino == st_b.st_ino;
}

static int open_source(struct mount *mount, char **why)
{
	const char *path = mount->options->source;
	autofree char *around = NULL;
	int fd;

	mount->held_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mount->held_fd < 0)
		return util_why(why, -errno, "source %s: %m", path);
	describe_mount(mount->held_fd, &mount->source_type, &around);
	if (mount->source_type && !strcmp(mount->source_type, FILESYSTEM_TYPE))
		return util_why(why, -EBUSY,
			"source %s lies in a relinkfs mount, of %s: use a directory there, or "
			"unmount it first",
			path, around ? around : "?");
	fd = open_view(path);
	if (fd >= 0) {
		mount->source_fd = fd;
		return 0;
	}
	log_debug("no private view of %s: %s", path, strerror(-fd));
	if (lies_inside(mount->point_fd, mount->held_fd) &&
		!same_directory(mount->point_fd, mount->held_fd))
		return util_why(why, -ELOOP,
			"mount point %s lies inside of the source %s: without the right to make "
			"mounts (CAP_SYS_ADMIN) it must lie outside, or be the source itself",
			mount->options->mountpoint, path);
	mount->source_fd = steal_fd(&mount->held_fd);
	return 0;
}

/* The mount must not allow what the one below forbids, unless told so. */
static int inherit_flags(struct options *options, int source_fd, char **why)
{
	static const struct {
		unsigned long st, ms;
	} inherited[] = {
		{ ST_NOSUID, MS_NOSUID },
		{ ST_NODEV, MS_NODEV },
		{ ST_NOEXEC, MS_NOEXEC },
	};
	struct statvfs st;

	if (fstatvfs(source_fd, &st) < 0)
		return util_why(why, -errno, "source %s: statfs: %m", options->source);
	for (size_t i = 0; i < ARRAY_SIZE(inherited); i++)
		if ((st.f_flag & inherited[i].st) &&
			!(options->mount_flags_given & inherited[i].ms))
			options->mount_flags |= inherited[i].ms;
	if ((st.f_flag & ST_RDONLY) && !(options->mount_flags & MS_RDONLY)) {
		log_info("%s is on a read-only filesystem, so the mount is read-only too",
			options->source);
		options->mount_flags |= MS_RDONLY;
	}
	return 0;
}

static bool in_path(const char *program)
{
	const char *path = getenv("PATH");
	autofree char *copy = strdup(path ? path : "/usr/bin:/bin");
	char *rest = copy;
	char *folder;

	while (rest && (folder = strsep(&rest, ":"))) {
		autofree char *file = util_printf("%s/%s", *folder ? folder : ".", program);

		if (file && access(file, X_OK) == 0)
			return true;
	}
	return false;
}

/* Whether /etc/fuse.conf has the line that lets users give allow_other. */
static bool users_may_allow_other(void)
{
	autofree char *text = NULL;
	char *rest, *line;

	if (util_read_file(AT_FDCWD, FUSE_CONF, 1 << 20, &text, NULL) < 0)
		return false;
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		line += strspn(line, " \t");
		line[strcspn(line, " \t\r#")] = '\0';
		if (!strcmp(line, "user_allow_other"))
			return true;
	}
	return false;
}

static int check_user(const struct options *options, char **why)
{
	if (!in_path(FUSERMOUNT))
		return util_why(why, -ENOENT,
			FUSERMOUNT " is not in PATH, and only root can mount without it: install "
				   "the package fuse3, or run relinkfs as root");
	if (access(FUSE_DEVICE, R_OK | W_OK) < 0)
		return util_why(why, -errno, FUSE_DEVICE ": %m");
	if (options->allow_other && !users_may_allow_other())
		return util_why(why, -EPERM,
			"-o allow_other: only root may, unless " FUSE_CONF
			" has the line user_allow_other");
	if (options->mount_flags & MS_STRICTATIME)
		return util_why(why, -EPERM, "-o strictatime: only root may");
	for (size_t i = 0; i < LABELS; i++)
		if (options->label[i])
			return util_why(
				why, -EPERM, "-o %s: only root may", options_label_names[i]);
	return 0;
}

static int prepare(struct mount *mount, struct options *options, char **why)
{
	int r = mount->root ? 0 : check_user(options, why);

	if (r == 0)
		r = make_absolute(&options->mountpoint, "mount point", why);
	if (r == 0)
		r = clear_stale(mount->root, options->mountpoint, why);
	if (r == 0)
		r = make_absolute(&options->source, "source", why);
	if (r == 0)
		r = open_point(mount, why);
	if (r == 0)
		r = open_source(mount, why);
	return r < 0 ? r : inherit_flags(options, mount->source_fd, why);
}

int mount_new(struct options *options, struct mount **out, char **why)
{
	struct mount *mount = calloc(1, sizeof(*mount));
	int r;

	if (!mount)
		return -ENOMEM;
	mount->options = options;
	mount->root = geteuid() == 0;
	mount->held_fd = mount->source_fd = mount->point_fd = mount->detached_fd = -1;
	r = prepare(mount, options, why);
	if (r < 0) {
		mount_free(mount);
		return r;
	}
	*out = mount;
	return 0;
}

int mount_source_fd(const struct mount *mount)
{
	return mount->source_fd;
}

const char *mount_source_type(const struct mount *mount)
{
	return mount->source_type ? mount->source_type : "";
}

void mount_free(struct mount *mount)
{
	if (!mount)
		return;
	util_close(&mount->detached_fd);
	util_close(&mount->point_fd);
	util_close(&mount->source_fd);
	util_close(&mount->held_fd);
	free(mount->source_type);
	free(mount);
}

/* ---- making the filesystem ---- */

static const char *shown_source(const struct mount *mount)
{
	return mount->options->fsname ? mount->options->fsname : mount->options->source;
}

bool mount_source_is_mounted(const struct mount *mount)
{
	struct mountinfo *mounts;
	size_t count;
	bool found = false;

	if (mountinfo_read(&mounts, &count) < 0)
		return false;
	for (size_t i = 0; !found && i < count; i++)
		found = !strcmp(mounts[i].type, FILESYSTEM_TYPE) &&
			!strcmp(mounts[i].source, shown_source(mount));
	mountinfo_free(mounts, count);
	return found;
}

/* One parameter of a filesystem that is being made; all arguments are kept until used. */
struct parameter {
	const char *key;
	const char *value; /* NULL: a flag */
};

/* The kernel says more about a refusal than an errno does: "e fuse: Bad value for 'fd'". */
static int config_error(int fs, const char *step, char **why)
{
	int error = -errno;
	char text[256];
	ssize_t length = read(fs, text, sizeof(text) - 1);

	if (length <= 2)
		return util_why(why, error, "the kernel refuses the mount (%s): %s", step,
			strerror(-error));
	text[length] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return util_why(why, error, "the kernel refuses the mount (%s): %s", step, text + 2);
}

static int set_parameter(int fs, const struct parameter *parameter, char **why)
{
	unsigned command = parameter->value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;

	if (fsconfig(fs, command, parameter->key, parameter->value, 0) < 0)
		return config_error(fs, parameter->key, why);
	return 0;
}

static int set_connection(int fs, int device, char **why)
{
	char fd[16], user[16], group[16];
	const struct parameter parameters[] = {
		{ "subtype", "relinkfs" },
		{ "fd", fd },
		{ "rootmode", "40000" },
		{ "user_id", user },
		{ "group_id", group },
		{ "default_permissions", NULL },
	};
	int r = 0;

	snprintf(fd, sizeof(fd), "%d", device);
	snprintf(user, sizeof(user), "%u", geteuid());
	snprintf(group, sizeof(group), "%u", getegid());
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(parameters); i++)
		r = set_parameter(fs, &parameters[i], why);
	return r;
}

static int set_options(int fs, const struct mount *mount, char **why)
{
	const struct options *options = mount->options;
	const struct {
		bool on;
		const char *key;
	} flags[] = {
		{ options->allow_other, "allow_other" },
		{ options->mount_flags & MS_RDONLY, "ro" },
		{ options->mount_flags & MS_SYNCHRONOUS, "sync" },
		{ options->mount_flags & MS_DIRSYNC, "dirsync" },
	};
	int r = set_parameter(fs, &(struct parameter){ "source", shown_source(mount) }, why);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(flags); i++)
		if (flags[i].on)
			r = set_parameter(fs, &(struct parameter){ flags[i].key, NULL }, why);
	for (size_t i = 0; r == 0 && i < LABELS; i++)
		if (options->label[i])
			r = set_parameter(fs,
				&(struct parameter){ options_label_names[i], options->label[i] },
				why);
	return r;
}

static unsigned mount_attributes(unsigned long flags)
{
	static const struct {
		unsigned long ms;
		unsigned attribute;
	} table[] = {
		{ MS_RDONLY, MOUNT_ATTR_RDONLY },
		{ MS_NOSUID, MOUNT_ATTR_NOSUID },
		{ MS_NODEV, MOUNT_ATTR_NODEV },
		{ MS_NOEXEC, MOUNT_ATTR_NOEXEC },
		{ MS_NODIRATIME, MOUNT_ATTR_NODIRATIME },
		{ MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW },
	};
	unsigned attributes = MOUNT_ATTR_RELATIME;

	/* The two exclude each other, and noatime promises more. */
	if (flags & MS_NOATIME)
		attributes = MOUNT_ATTR_NOATIME;
	else if (flags & MS_STRICTATIME)
		attributes = MOUNT_ATTR_STRICTATIME;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (flags & table[i].ms)
			attributes |= table[i].attribute;
	return attributes;
}

static int make_filesystem(struct mount *mount, int device, char **why)
{
	autofd int fs = fsopen("fuse", FSOPEN_CLOEXEC);
	int r;

	if (fs < 0)
		return util_why(why, -errno, "cannot mount: %m%s",
			errno == EPERM ? " (CAP_SYS_ADMIN is missing)" : "");
	r = set_connection(fs, device, why);
	if (r == 0)
		r = set_options(fs, mount, why);
	if (r < 0)
		return r;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return config_error(fs, "create", why);
	mount->detached_fd =
		fsmount(fs, FSMOUNT_CLOEXEC, mount_attributes(mount->options->mount_flags));
	return mount->detached_fd < 0 ? config_error(fs, "fsmount", why) : 0;
}

/* libfuse takes a connection that exists already by this name instead of a mount point. */
static int adopt(struct fuse_session *se, int device, char **why)
{
	char name[32];

	snprintf(name, sizeof(name), "/dev/fd/%d", device);
	if (fuse_session_mount(se, name) < 0)
		return util_why(why, -EBADF, "libfuse does not take %s as its connection", name);
	return 0;
}

static int connect_as_root(struct mount *mount, struct fuse_session *se, char **why)
{
	autofd int device = open(FUSE_DEVICE, O_RDWR | O_CLOEXEC);
	struct statx stx;
	int r;

	if (device < 0)
		return util_why(why, -errno, FUSE_DEVICE ": %m%s",
			errno == ENOENT || errno == ENODEV ? " (modprobe fuse may help)" : "");
	r = make_filesystem(mount, device, why);
	if (r == 0)
		r = stat_mount(mount->detached_fd, &stx);
	if (r == 0)
		r = adopt(se, device, why);
	if (r < 0)
		return r;
	(void)steal_fd(&device);
	mount->dev = statx_dev(&stx);
	mount->connected = true;
	return 0;
}

static int connect_as_user(struct mount *mount, struct fuse_session *se, char **why)
{
	const char *path = mount->options->mountpoint;
	autofd int fd = -1;
	struct statx stx;
	int r;

	if (fuse_session_mount(se, path) < 0)
		return util_why(
			why, -EPERM, FUSERMOUNT " did not mount %s; what it says is above", path);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? -errno : stat_mount(fd, &stx);
	if (r < 0)
		return util_why(why, r, "mount point %s: %s", path, strerror(-r));
	mount->dev = statx_dev(&stx);
	mount->connected = true;
	close(steal_fd(&mount->point_fd));
	return 0;
}

int mount_connect(struct mount *mount, struct fuse_session *se, char **why)
{
	return mount->root ? connect_as_root(mount, se, why) : connect_as_user(mount, se, why);
}

static int user_args(const struct mount *mount, struct fuse_args *args)
{
	const struct options *options = mount->options;
	autofree char *flags = options_flag_words(options->mount_flags);
	autofree char *fsname = util_printf("fsname=%s", shown_source(mount));
	autofree char *escaped = NULL;
	autofree char *list = NULL;

	if (!flags || !fsname || fuse_opt_add_opt_escaped(&escaped, fsname) < 0)
		return -ENOMEM;
	list = util_printf("subtype=relinkfs,default_permissions%s%s%s,%s",
		options->allow_other ? ",allow_other" : "", *flags ? "," : "", flags, escaped);
	if (!list || fuse_opt_add_arg(args, "-o") < 0 || fuse_opt_add_arg(args, list) < 0)
		return -ENOMEM;
	return 0;
}

int mount_session_args(const struct mount *mount, struct fuse_args *args)
{
	if (fuse_opt_add_arg(args, "relinkfs") < 0)
		return -ENOMEM;
	if (mount->options->debug && fuse_opt_add_arg(args, "-d") < 0)
		return -ENOMEM;
	return mount->root ? 0 : user_args(mount, args);
}

dev_t mount_device(const struct mount *mount)
{
	return mount->dev;
}

int mount_attach(struct mount *mount, char **why)
{
	if (mount->detached_fd < 0)
		return 0;
	if (move_mount(mount->detached_fd, "", mount->point_fd, "",
		    MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return util_why(why, -errno, "cannot mount at %s: %m", mount->options->mountpoint);
	/* Both would keep umount(8) from unmounting. */
	close(steal_fd(&mount->detached_fd));
	close(steal_fd(&mount->point_fd));
	return 0;
}
