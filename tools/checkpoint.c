/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/checkpoint.h"

#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/util.h"

static bool is_id(const char *name)
{
	return *name && strspn(name, "0123456789abcdef") == strlen(name);
}

static char *join(const char *directory, const char *name)
{
	return util_printf("%s%s%s", directory, strcmp(directory, "/") == 0 ? "" : "/", name);
}

/* Cuts the last component off; false: @path is "/". */
static bool go_up(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash[1])
		return false;
	slash[slash == path] = '\0';
	return true;
}

/* The first directory from @from upwards in which @name exists, or NULL; malloc'd. */
static char *find_upwards(const char *from, const char *name)
{
	autofree char *directory = realpath(from, NULL);

	while (directory) {
		autofree char *path = join(directory, name);

		if (!path)
			return NULL;
		if (faccessat(AT_FDCWD, path, F_OK, AT_EACCESS | AT_SYMLINK_NOFOLLOW) == 0)
			return steal_ptr(&directory);
		if (errno != ENOENT && errno != ENOTDIR)
			return NULL;
		if (!go_up(directory))
			errno = ENOENT;
		else
			continue;
		return NULL;
	}
	return NULL;
}

static int open_root(struct checkpoint *checkpoint, char **why)
{
	checkpoint->root_fd = open(checkpoint->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (checkpoint->root_fd < 0)
		return util_why(why, -errno, "%s: %s", checkpoint->root, strerror(errno));
	return 0;
}

/* After find_upwards(), which has set errno. */
static int not_above(const char *name, const char *at, char **why)
{
	int error = errno;

	if (error == ENOENT)
		return util_why(why, -error,
			"there is no %s in %s or above it: name the mount, or the copy, with"
			" --mount", name, strcmp(at, ".") == 0 ? "the working directory" : at);
	return util_why(why, -error, "looking for %s in %s or above it: %s", name, at,
		strerror(error));
}

static int find_by_id(const char *id, const char *at, struct checkpoint *out, char **why)
{
	int r;

	out->manifest_path = util_printf(MANIFEST_DIR "/unlink-at-restart-%s.json", id);
	if (!out->manifest_path)
		return -ENOMEM;
	out->root = find_upwards(at, out->manifest_path);
	if (!out->root)
		return not_above(out->manifest_path, at, why);
	r = open_root(out, why);
	return r < 0 ? r : manifest_load(out->root_fd, out->manifest_path, &out->manifest, why);
}

/* @file without "/NAME" at its end; NULL: it does not end so.  malloc'd. */
static char *without_end(const char *file, const char *name)
{
	size_t length = strlen(file), end = strlen(name);

	if (length <= end + 1 || strcmp(file + length - end, name) != 0 ||
	    file[length - end - 1] != '/')
		return length == end + 1 && strcmp(file + 1, name) == 0 ? strdup("/") : NULL;
	return strndup(file, length - end - 1);
}

static int find_by_file(const char *file, const char *at, struct checkpoint *out, char **why)
{
	autofree char *real = realpath(file, NULL);
	autofree char *around = NULL;
	int r;

	if (!real)
		return util_why(why, -errno, "%s: %s", file, strerror(errno));
	r = manifest_load(AT_FDCWD, real, &out->manifest, why);
	if (r < 0)
		return r;
	around = without_end(real, out->manifest->path);
	if (at) {
		out->root = find_upwards(at, MANIFEST_DIR);
		if (!out->root)
			return not_above(MANIFEST_DIR, at, why);
	} else if (around) {
		out->root = strdup(around);
	} else {
		return util_why(why, -EINVAL,
			"%s was moved here (it was made as %s): name the mount or copy that it"
			" belongs to with --mount", file, out->manifest->path);
	}
	if (!out->root)
		return -ENOMEM;
	if (around && strcmp(around, out->root) == 0) {
		out->manifest_path = strdup(out->manifest->path);
		if (!out->manifest_path)
			return -ENOMEM;
	}
	return open_root(out, why);
}

int checkpoint_find(const char *name, const char *at, struct checkpoint *out, char **why)
{
	int r;

	*out = (struct checkpoint){ .root_fd = -1 };
	if (is_id(name))
		r = find_by_id(name, at ? at : ".", out, why);
	else
		r = find_by_file(name, at, out, why);
	if (r < 0)
		checkpoint_free(out);
	return r;
}

void checkpoint_free(struct checkpoint *checkpoint)
{
	manifest_free(checkpoint->manifest);
	free(checkpoint->root);
	free(checkpoint->manifest_path);
	util_close(&checkpoint->root_fd);
	*checkpoint = (struct checkpoint){ .root_fd = -1 };
}

/* ---- whose directory it is ---- */

static bool same_directory(const char *path, const char *root)
{
	struct stat a, b;

	return stat(path, &a) == 0 && stat(root, &b) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

/* Where mount namespaces differ, the daemon's path means nothing here. */
static bool is_mount_root(const char *path)
{
	struct statx stx;

	return statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, 0, &stx) == 0 &&
	       (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static int is_served_root(const char *root, struct varlink_client *client, char **why)
{
	json_t *status = NULL;
	const char *mount;
	int r = varlink_call(client, "Status", NULL, &status, why);

	if (r == 0) {
		mount = json_string_value(json_object_get(status, "mount"));
		r = (mount && same_directory(mount, root)) || is_mount_root(root);
	}
	json_decref(status);
	return r;
}

/* Who has the instance directory @dir/@name locked: its daemon serves this source. */
static int check_instance(int dir, const char *name, const char *root, char **why)
{
	autofree char *path = util_printf("%s/lock", name);
	autofree char *holder = NULL;
	char *mount;
	autofd int fd = -1;

	if (!path)
		return -ENOMEM;
	fd = openat(dir, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return 0;
	if (util_read_file(dir, path, 4096, &holder, NULL) < 0)
		holder = NULL;
	mount = holder ? strstr(holder, "\nmount ") : NULL;
	if (mount) {
		mount += strlen("\nmount ");
		mount[strcspn(mount, "\n")] = '\0';
	}
	return util_why(why, -EBUSY,
		"%s is the source of a relinkfs mount: use the mount instead%s%s", root,
		mount && *mount ? ", " : "", mount ? mount : "");
}

static int check_no_source(const struct checkpoint *checkpoint, char **why)
{
	int fd = openat(checkpoint->root_fd, ".relinkfs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autodir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		int r = entry->d_name[0] == '.' ? 0
			: check_instance(dirfd(dir), entry->d_name, checkpoint->root, why);

		if (r < 0)
			return r;
	}
	return 0;
}

int checkpoint_connect(const struct checkpoint *checkpoint, struct varlink_client **out, char **why)
{
	int r = varlink_connect(checkpoint->root, out, why);

	if (r == 0) {
		r = is_served_root(checkpoint->root, *out, why);
		if (r == 1)
			return 0;
		varlink_disconnect(*out);
		*out = NULL;
		return r;
	}
	*out = NULL;
	return r == -ENXIO ? check_no_source(checkpoint, why) : r;
}
