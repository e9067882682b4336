/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is checked, cleared away and opened before a mount. */
#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fuse/mount_internal.h"
#include "fuse/mountinfo.h"
#include "fuse/options.h"
#include "store/log.h"
#include "store/util.h"
#include "store/varlink.h"

#define FUSE_CONF "/etc/fuse.conf"

/*
 * The mount that @fd is on.  *out is to be freed with mountinfo_free(*out, *count), and
 * *index is its place in there.  -ENOENT: not in our namespace (or a detached one).
 */
static int find_mount_of(int fd, struct mountinfo **out, size_t *count, size_t *index)
{
	struct statx stx;
	int r = mount_stat(fd, &stx);

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
	return type && !strcmp(type, MOUNT_TYPE) ? steal_ptr(&source) : NULL;
}

static bool is_mount_root(int fd)
{
	struct statx stx;

	return mount_stat(fd, &stx) == 0 && (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

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

	if (mount_stat(fd, &stx) == 0)
		socket = varlink_socket_path(mount_statx_dev(&stx), root);
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
		r = mount_unmount_fd(root, fd, path);
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
	if (mount->source_type && !strcmp(mount->source_type, MOUNT_TYPE))
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
	if (!in_path(MOUNT_FUSERMOUNT))
		return util_why(why, -ENOENT,
			MOUNT_FUSERMOUNT
			" is not in PATH, and only root can mount without it: install "
			"the package fuse3, or run relinkfs as root");
	if (access(MOUNT_FUSE_DEVICE, R_OK | W_OK) < 0)
		return util_why(why, -errno, MOUNT_FUSE_DEVICE ": %m");
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

int mount_prepare(struct mount *mount, struct options *options, char **why)
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
