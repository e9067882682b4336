/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define FUSE_USE_VERSION 317

#include "fuse/mount.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <spawn.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuse/mount_internal.h"
#include "fuse/mountinfo.h"
#include "fuse/options.h"
#include "store/log.h"
#include "store/util.h"

int mount_stat(int fd, struct statx *out)
{
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_MNT_ID, out) < 0)
		return -errno;
	return 0;
}

dev_t mount_statx_dev(const struct statx *stx)
{
	return makedev(stx->stx_dev_major, stx->stx_dev_minor);
}

/* ---- unmounting ---- */

static int run_fusermount(const char *mountpoint)
{
	const char *const argv[] = { MOUNT_FUSERMOUNT, "-u", "-z", "-q", "--", mountpoint, NULL };
	int status;
	pid_t pid;
	int r = posix_spawnp(&pid, MOUNT_FUSERMOUNT, NULL, NULL, (char *const *)argv, environ);

	if (r != 0)
		return -r;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

int mount_unmount_fd(bool root, int fd, const char *path)
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
	int r = fd < 0 ? -errno : mount_stat(fd, &stx);

	if (r == 0 && (mount_statx_dev(&stx) != mount->dev || stx.stx_mnt_id != listed->id))
		r = -EBUSY;
	if (r == 0)
		r = mount_unmount_fd(mount->root, fd, listed->mountpoint);
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

int mount_new(struct options *options, struct mount **out, char **why)
{
	struct mount *mount = calloc(1, sizeof(*mount));
	int r;

	if (!mount)
		return -ENOMEM;
	mount->options = options;
	mount->root = geteuid() == 0;
	mount->held_fd = mount->source_fd = mount->point_fd = mount->detached_fd = -1;
	r = mount_prepare(mount, options, why);
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
		found = !strcmp(mounts[i].type, MOUNT_TYPE) &&
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
	autofd int device = open(MOUNT_FUSE_DEVICE, O_RDWR | O_CLOEXEC);
	struct statx stx;
	int r;

	if (device < 0)
		return util_why(why, -errno, MOUNT_FUSE_DEVICE ": %m%s",
			errno == ENOENT || errno == ENODEV ? " (modprobe fuse may help)" : "");
	r = make_filesystem(mount, device, why);
	if (r == 0)
		r = mount_stat(mount->detached_fd, &stx);
	if (r == 0)
		r = adopt(se, device, why);
	if (r < 0)
		return r;
	(void)steal_fd(&device);
	mount->dev = mount_statx_dev(&stx);
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
		return util_why(why, -EPERM,
			MOUNT_FUSERMOUNT " did not mount %s; what it says is above", path);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? -errno : mount_stat(fd, &stx);
	if (r < 0)
		return util_why(why, r, "mount point %s: %s", path, strerror(-r));
	mount->dev = mount_statx_dev(&stx);
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
