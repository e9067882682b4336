/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening the vault, its lock, and the single operations on its entries.  Walks over
 * all of it are in vault_walk.c.
 */
#include "store/vault.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "store/log.h"
#include "store/util.h"
#include "store/vault_internal.h"

/*
 * Ids begin at the time.  If it is not later than where the last session began, the
 * clock was set back: then far above anything that session can have used.
 */
#define ID_SESSION_STEP (INT64_C(1) << 30) /* about a second */
#define ID_SESSION_SPAN (INT64_C(1) << 40)

bool vault_instance_valid(const char *instance)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._-";
	size_t length = strlen(instance);

	if (length < 1 || length > VAULT_INSTANCE_MAX || strspn(instance, allowed) != length)
		return false;
	return strcmp(instance, ".") != 0 && strcmp(instance, "..") != 0;
}

const char *vault_name(uint64_t id, char name[VAULT_NAME_SIZE])
{
	snprintf(name, VAULT_NAME_SIZE, "%016llx", (unsigned long long)id);
	return name;
}

/* What a folder of ours must be: nobody else may have been able to put things there. */
static int check_folder(int parent, int fd, const char *where, char **why)
{
	struct statx above, here;

	if (statx(parent, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID, &above) < 0 ||
		statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID, &here) < 0)
		return util_why(why, -errno, "cannot stat %s: %m", where);
	if (above.stx_dev_major != here.stx_dev_major ||
		above.stx_dev_minor != here.stx_dev_minor ||
		(above.stx_mask & here.stx_mask & STATX_MNT_ID &&
			above.stx_mnt_id != here.stx_mnt_id))
		return util_why(why, -EXDEV,
			"%s is a mount point or a subvolume of its own, but must lie on the "
			"filesystem of the source: unmount or remove it",
			where);
	if (here.stx_uid != geteuid())
		return util_why(why, -EPERM,
			"%s belongs to uid %u, not to uid %u that this runs as: "
			"see what it is, and move it away",
			where, here.stx_uid, geteuid());
	if ((here.stx_mode & 07777) != 0700 && fchmod(fd, 0700) < 0)
		return util_why(why, -errno, "cannot make %s private (mode 0700): %m", where);
	return 0;
}

static int why_no_folder(char **why, int error, const char *where)
{
	switch (error) {
	case -EROFS:
		return util_why(why, error,
			"%s cannot be made: the source is read-only; make it writable, or mount "
			"with -o ro (nothing is hidden then)",
			where);
	case -ENOTDIR:
		return util_why(why, error,
			"%s is not a directory: see what it is, and move it away", where);
	case -ELOOP:
		return util_why(why, error,
			"%s is a symbolic link, and must be a directory: remove it", where);
	default:
		return util_why(why, error, "cannot make or open %s: %s", where, strerror(-error));
	}
}

int vault_open_folder(int parent, const char *name, const char *where, char **why)
{
	autofd int fd = -1;
	bool made = mkdirat(parent, name, 0700) == 0;
	int error;

	if (!made && errno != EEXIST)
		return why_no_folder(why, -errno, where);
	fd = xopenat_beneath(parent, name, O_RDONLY | O_DIRECTORY, 0);
	/* O_DIRECTORY says ENOTDIR of a link before anybody looks whether it is one. */
	if (fd == -ENOTDIR) {
		struct stat st;

		if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
			return why_no_folder(why, -ELOOP, where);
	}
	if (fd < 0)
		return why_no_folder(why, fd, where);
	error = check_folder(parent, fd, where, why);
	if (!error && made)
		error = fsync_dir(parent, ".");
	return error ? error : steal_fd(&fd);
}

/* The text of the lock: one "key value" a line, the mount point last as it may hold newlines. */
struct lock_text {
	long pid;
	uint64_t ids;
	char mount[PATH_MAX];
};

static void lock_read(int fd, struct lock_text *text)
{
	char content[PATH_MAX + 128] = "";
	unsigned long long ids = 0;
	const char *mount;

	*text = (struct lock_text){ 0 };
	if (pread(fd, content, sizeof(content) - 1, 0) <= 0)
		return;
	if (sscanf(content, "pid %ld\nids %llx\n", &text->pid, &ids) < 1)
		return;
	text->ids = ids;
	mount = strstr(content, "\nmount ");
	if (mount)
		snprintf(text->mount, sizeof(text->mount), "%s", mount + strlen("\nmount "));
	text->mount[strcspn(text->mount, "\n")] = '\0';
}

/* Informs whoever finds the lock held; the lock does not depend on it. */
static void lock_write(struct vault *vault, const char *mount_path)
{
	autofree char *content = util_printf("pid %ld\nids %016llx\nmount %s\n", (long)getpid(),
		(unsigned long long)vault->first_id, mount_path ? mount_path : "");
	size_t length = content ? strlen(content) : 0;

	if (!content || pwrite(vault->lock_fd, content, length, 0) != (ssize_t)length ||
		ftruncate(vault->lock_fd, (off_t)length) < 0)
		log_warn("%s/lock: cannot note who holds it: %m", vault->where);
}

static int why_held(char **why, const struct vault *vault)
{
	struct lock_text text;
	char holder[64] = "another process";

	lock_read(vault->lock_fd, &text);
	if (text.pid > 0)
		snprintf(holder, sizeof(holder), "process %ld", text.pid);
	return util_why(why, -EBUSY,
		"%s is in use by %s%s%s: unmount that first, or mount with an instance name of "
		"its own (-o instance=NAME)",
		vault->where, holder, text.mount[0] ? ", mounted on " : "", text.mount);
}

static int lock_take(struct vault *vault, char **why)
{
	vault->lock_fd =
		xopenat_beneath(vault->instance_fd, "lock", O_RDWR | O_CREAT | O_NONBLOCK, 0600);
	if (vault->lock_fd == -EROFS) {
		autofree char *where = util_printf("%s/lock", vault->where);

		return why_no_folder(why, -EROFS, where ? where : "lock");
	}
	if (vault->lock_fd < 0)
		return util_why(why, vault->lock_fd, "cannot open %s/lock: %s", vault->where,
			strerror(-vault->lock_fd));
	if (flock(vault->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return why_held(why, vault);
	return util_why(why, -errno, "cannot lock %s/lock: %m", vault->where);
}

/* Where ids begin: above all in the vault, above the last session's, and at the time if it can. */
static int choose_first_id(struct vault *vault, char **why)
{
	autofree uint64_t *ids = NULL;
	uint64_t first = (uint64_t)realtime_ns();
	struct lock_text text;
	size_t count = 0;
	int error;

	error = vault_list(vault, &ids, &count);
	if (error)
		return util_why(
			why, error, "cannot read %s/vault: %s", vault->where, strerror(-error));
	lock_read(vault->lock_fd, &text);
	if (first < text.ids + ID_SESSION_STEP)
		first = text.ids + ID_SESSION_SPAN;
	if (count && first <= ids[count - 1])
		first = ids[count - 1] + 1;
	vault->first_id = first;
	atomic_store(&vault->next_id, first);
	return 0;
}

static char *path_of(int source_fd)
{
	char link[PROC_FD_PATH_SIZE], path[PATH_MAX];
	ssize_t length = readlink(proc_fd_path(source_fd, link), path, sizeof(path) - 1);

	if (length < 0)
		length = 0;
	path[length] = '\0';
	return strdup(path);
}

static int open_folders(struct vault *vault, int source_fd, const char *source_path, char **why)
{
	autofree char *source = source_path ? strdup(source_path) : path_of(source_fd);
	autofree char *top = source ? util_printf("%s/" VAULT_FOLDER, source) : NULL;
	autofree char *entries = NULL;
	autofd int top_fd = -1;

	vault->where = top ? util_printf("%s/%s", top, vault->instance) : NULL;
	entries = vault->where ? util_printf("%s/vault", vault->where) : NULL;
	if (!entries)
		return -ENOMEM;
	top_fd = vault_open_folder(source_fd, VAULT_FOLDER, top, why);
	if (top_fd < 0)
		return top_fd;
	vault->instance_fd = vault_open_folder(top_fd, vault->instance, vault->where, why);
	if (vault->instance_fd < 0)
		return vault->instance_fd;
	vault->fd = vault_open_folder(vault->instance_fd, "vault", entries, why);
	return vault->fd < 0 ? vault->fd : 0;
}

int vault_open(int source_fd, const char *source_path, const char *instance, struct vault **out,
	char **why)
{
	struct vault *vault;
	int error;

	if (!vault_instance_valid(instance))
		return util_why(why, -EINVAL,
			"\"%s\" cannot be the name of an instance: give 1 to %d of the "
			"characters A-Z a-z 0-9 . _ -",
			instance, VAULT_INSTANCE_MAX);
	vault = calloc(1, sizeof(*vault));
	if (!vault)
		return -ENOMEM;
	vault->fd = vault->instance_fd = vault->lock_fd = -1;
	strcpy(vault->instance, instance);
	error = open_folders(vault, source_fd, source_path, why);
	if (!error)
		error = lock_take(vault, why);
	if (!error)
		error = choose_first_id(vault, why);
	if (error) {
		vault_close(vault);
		return error;
	}
	lock_write(vault, NULL);
	*out = vault;
	return 0;
}

void vault_close(struct vault *vault)
{
	if (!vault)
		return;
	util_close(&vault->fd);
	util_close(&vault->lock_fd);
	util_close(&vault->instance_fd);
	free(vault->where);
	free(vault);
}

void vault_set_holder(struct vault *vault, const char *mount_path)
{
	lock_write(vault, mount_path);
}

const char *vault_instance(const struct vault *vault)
{
	return vault->instance;
}

int vault_instance_fd(const struct vault *vault)
{
	return vault->instance_fd;
}

int vault_fd(const struct vault *vault)
{
	return vault->fd;
}

uint64_t vault_next_id(struct vault *vault)
{
	return atomic_fetch_add(&vault->next_id, 1);
}

void vault_raise_next_id(struct vault *vault, uint64_t id)
{
	uint64_t next = atomic_load(&vault->next_id);

	while (next <= id && !atomic_compare_exchange_weak(&vault->next_id, &next, id + 1))
		;
}

/*
 * Some filesystems know no RENAME_NOREPLACE and say EINVAL.  Then look first: names in
 * the vault are made by us alone and used once; of names elsewhere a rename could in
 * theory overwrite one that came in between, on such a filesystem only.
 */
static int rename_noreplace(int from_fd, const char *from, int to_fd, const char *to)
{
	struct stat st;

	if (renameat2(from_fd, from, to_fd, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL)
		return -errno;
	if (fstatat(to_fd, to, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	if (errno != ENOENT || renameat(from_fd, from, to_fd, to) < 0)
		return -errno;
	return 0;
}

int vault_hide_name(struct vault *vault, int dirfd, const char *name, uint64_t id)
{
	char entry[VAULT_NAME_SIZE];

	return rename_noreplace(dirfd, name, vault->fd, vault_name(id, entry));
}

/*
 * AT_EMPTY_PATH wants CAP_DAC_READ_SEARCH (and says ENOENT without); the way through
 * /proc does not, but wants /proc.  Neither links an inode whose links are all gone,
 * unless it was born by O_TMPFILE.
 */
int vault_hide_fd(struct vault *vault, int fd, uint64_t id)
{
	char entry[VAULT_NAME_SIZE], path[PROC_FD_PATH_SIZE];

	vault_name(id, entry);
	if (linkat(fd, "", vault->fd, entry, AT_EMPTY_PATH) == 0)
		return 0;
	if (errno != ENOENT && errno != EPERM && errno != EINVAL)
		return -errno;
	if (linkat(AT_FDCWD, proc_fd_path(fd, path), vault->fd, entry, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	return 0;
}

int vault_drop(struct vault *vault, uint64_t id, bool dir)
{
	char entry[VAULT_NAME_SIZE];

	return unlinkat(vault->fd, vault_name(id, entry), dir ? AT_REMOVEDIR : 0) < 0 ? -errno : 0;
}

int vault_link_to(struct vault *vault, uint64_t id, int dirfd, const char *name)
{
	char entry[VAULT_NAME_SIZE];

	return linkat(vault->fd, vault_name(id, entry), dirfd, name, 0) < 0 ? -errno : 0;
}

int vault_move_to(struct vault *vault, uint64_t id, int dirfd, const char *name)
{
	char entry[VAULT_NAME_SIZE];

	return rename_noreplace(vault->fd, vault_name(id, entry), dirfd, name);
}

int vault_move_from(struct vault *vault, int dirfd, const char *name, uint64_t id)
{
	return vault_hide_name(vault, dirfd, name, id);
}

int vault_open_entry(struct vault *vault, uint64_t id, int flags)
{
	char entry[VAULT_NAME_SIZE];
	int fd = openat(vault->fd, vault_name(id, entry),
		flags | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

int vault_stat(struct vault *vault, uint64_t id, struct stat *st)
{
	char entry[VAULT_NAME_SIZE];

	return fstatat(vault->fd, vault_name(id, entry), st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}
