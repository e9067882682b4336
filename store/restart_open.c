/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening without believing a name: each link is pinned by an O_PATH fd first, what is
 * pinned is checked, and descriptions are opened of the pinned inode through
 * /proc/self/fd.  So whatever happens to the name meanwhile, the inode that was checked
 * is the inode that is opened, and no device or FIFO is ever opened by surprise.
 */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "store/restart_internal.h"

/* Descriptors of our own at one time: pins, directories, a connection, what was inherited. */
#define SPARE_FDS 64

/* What open() takes of the recorded flags; O_SYNC holds O_DSYNC. */
#define KEPT_FLAGS (O_ACCMODE | O_APPEND | O_DIRECT | O_NONBLOCK | O_SYNC | O_NOATIME)

/* ---- room for the numbers ---- */

static rlim_t numbers_needed(const struct restart *restart)
{
	size_t most = 0;

	/* Naming opens all descriptions of one entry a second time. */
	for (size_t i = 0; i < restart->manifest->nentries; i++)
		if (restart->entries[i].count > most)
			most = restart->entries[i].count;
	return (rlim_t)restart->free_number + most + SPARE_FDS;
}

static int raise_limit(struct restart *restart)
{
	rlim_t needed = numbers_needed(restart);
	struct rlimit limit, old;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return restart_problem(restart, NULL, "limit", errno, "getrlimit: %m");
	if (limit.rlim_cur >= needed)
		return 0;
	old = limit;
	limit.rlim_cur = needed;
	if (limit.rlim_max < needed)
		limit.rlim_max = needed;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return 0;
	return restart_problem(restart, NULL, "limit", EMFILE,
		"descriptor numbers up to %llu are needed, and the hard limit is %llu; raise it"
		" (ulimit -Hn, and sysctl fs.nr_open)",
		(unsigned long long)needed, (unsigned long long)old.rlim_max);
}

/*
 * Each number is taken by a placeholder at once, and so are missing standard
 * descriptors: whatever is opened from here on gets another number, and an item is moved
 * to its own by one dup3() that cannot fail.
 */
static int reserve_numbers(struct restart *restart)
{
	autofd int placeholder = open("/", O_PATH | O_CLOEXEC);
	autofd int high = -1;

	if (placeholder < 0)
		return restart_problem(restart, NULL, "open", errno, "/: %m");
	high = fcntl(placeholder, F_DUPFD_CLOEXEC, restart->free_number);
	if (high < 0)
		return restart_problem(restart, NULL, "limit", errno, "descriptor %d: %m",
			restart->free_number);
	util_close(&placeholder);
	placeholder = -1;
	for (int fd = 0; fd < RESTART_FIRST_FD; fd++)
		if (fcntl(fd, F_GETFD) < 0 && dup3(high, fd, O_CLOEXEC) < 0)
			return restart_problem(restart, NULL, "limit", errno, "descriptor %d: %m",
				fd);
	for (size_t i = 0; i < restart->nitems; i++) {
		struct restart_item *item = &restart->items[i];

		if (item->number < RESTART_FIRST_FD)
			continue;
		if (dup3(high, item->number, O_CLOEXEC) < 0)
			return restart_problem(restart, NULL, "limit", errno, "descriptor %d: %m",
				item->number);
		item->fd = item->number;
	}
	return 0;
}

/* ---- identity ---- */

static int check_type(struct restart *restart, const struct restart_entry *entry,
		      const struct stat *st, dev_t root_dev)
{
	const struct manifest_entry *record = entry->record;

	if ((st->st_mode & S_IFMT) != (record->mode & S_IFMT))
		return restart_problem(restart, entry, "identity", ESTALE,
			"is a %s, and a %s was frozen", manifest_type_name(st->st_mode),
			manifest_type_name(record->mode));
	if ((S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) &&
	    (major(st->st_rdev) != record->rdev_major || minor(st->st_rdev) != record->rdev_minor))
		return restart_problem(restart, entry, "identity", ESTALE,
			"is device %u:%u, and %u:%u was frozen", major(st->st_rdev),
			minor(st->st_rdev), record->rdev_major, record->rdev_minor);
	if (st->st_dev != root_dev)
		return restart_problem(restart, entry, "identity", EXDEV,
			"lies on another filesystem");
	return 0;
}

static int not_the_same(struct restart *restart, const struct restart_entry *entry,
			const struct stat *st)
{
	const struct manifest_entry *record = entry->record;
	const int64_t ns[] = { record->mtime.sec * NSEC_PER_SEC + record->mtime.nsec,
		st->st_mtim.tv_sec * NSEC_PER_SEC + st->st_mtim.tv_nsec };
	char time[2][RFC3339_SIZE];

	return restart_problem(restart, entry, "identity", ESTALE,
		"is not what was frozen: inode %llu, %llu bytes, modified %s; but inode %llu,"
		" %lld bytes, modified %s; if it is a copy that was used since, --force takes it",
		(unsigned long long)record->ino, (unsigned long long)record->size,
		format_rfc3339(ns[0], time[0]), (unsigned long long)st->st_ino,
		(long long)st->st_size, format_rfc3339(ns[1], time[1]));
}

static int check_identity(struct restart *restart, struct restart_entry *entry, int pin)
{
	const struct manifest_entry *record = entry->record;
	struct stat st, root;
	int r;

	if (fstat(pin, &st) < 0 || fstat(restart->root_fd, &root) < 0)
		return restart_problem(restart, entry, "open", errno, "%s", strerror(errno));
	r = check_type(restart, entry, &st, root.st_dev);
	if (r < 0)
		return r;
	entry->like = likeness(record, pin, &st);
	if (entry->like == LIKE_NOTHING && !restart->force)
		return not_the_same(restart, entry, &st);
	if (entry->like == LIKE_NOTHING)
		restart_warn(restart, entry, "identity", ESTALE,
			"is not what was frozen, and was taken by force");
	else if (S_ISREG(st.st_mode) && (uint64_t)st.st_size != record->size)
		restart_warn(restart, entry, "identity", 0,
			"has %lld bytes, and had %llu when it was frozen", (long long)st.st_size,
			(unsigned long long)record->size);
	entry->dev = st.st_dev;
	entry->ino = st.st_ino;
	return 0;
}

/* ---- descriptions ---- */

static bool was_executed(const struct manifest_entry *record)
{
	for (size_t i = 0; i < record->nopeners; i++)
		if (record->openers[i].kind == OPENER_EXE)
			return true;
	return false;
}

static int reopen(int pin, int flags)
{
	char path[PROC_FD_PATH_SIZE];
	int fd;

	do
		fd = open(proc_fd_path(pin, path), flags | O_CLOEXEC | O_NOCTTY);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

/* No descriptor was recorded: whatever can be had. */
static int open_unrecorded(const struct manifest_entry *record, int pin)
{
	int fd = -EACCES;

	if (S_ISFIFO(record->mode))
		return reopen(pin, O_RDWR | O_NONBLOCK);
	if (!was_executed(record))
		fd = reopen(pin, O_RDWR);
	if (fd == -EACCES || fd == -EPERM || fd == -EROFS || fd == -ETXTBSY)
		fd = reopen(pin, O_RDONLY);
	return fd;
}

static int seek_to(int fd, const struct opener *opener)
{
	return lseek(fd, opener->offset, SEEK_SET) < 0 ? -errno : 0;
}

static int open_recorded(const struct restart *restart, const struct restart_item *item, int pin)
{
	int flags = (int)item->opener->flags & KEPT_FLAGS;
	int fd = reopen(pin, flags);
	int r = 0;

	if (fd == -EINVAL && (flags & O_DIRECT) && restart->force)
		fd = reopen(pin, flags & ~O_DIRECT);
	if (fd < 0)
		return fd;
	if (S_ISREG(item->entry->mode))
		r = seek_to(fd, item->opener);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

static int open_description(const struct restart *restart, const struct restart_item *item, int pin)
{
	uint32_t type = item->entry->mode & S_IFMT;

	bool by_path = item->opener && item->opener->kind == OPENER_FD &&
		       (item->opener->flags & O_PATH);
	int fd;

	if (by_path || (type != S_IFREG && type != S_IFDIR && type != S_IFIFO)) {
		fd = fcntl(pin, F_DUPFD_CLOEXEC, 0);
		return fd < 0 ? -errno : fd;
	}
	if (type == S_IFDIR)
		return reopen(pin, O_RDONLY | O_DIRECTORY);
	if (!item->opener)
		return open_unrecorded(item->entry, pin);
	return open_recorded(restart, item, pin);
}

int restart_open_descriptions(struct restart *restart, const struct restart_entry *entry, int pin,
			      int *fds, const struct restart_item **item)
{
	autofd int both_ends = -1;

	*item = &restart->items[entry->first];
	/* With both ends open no later open() of one end waits for the other. */
	if (S_ISFIFO(entry->record->mode)) {
		both_ends = reopen(pin, O_RDWR | O_NONBLOCK);
		if (both_ends < 0)
			return both_ends;
	}
	for (size_t i = 0; i < entry->count; i++) {
		*item = &restart->items[entry->first + i];
		fds[i] = open_description(restart, *item, pin);
		if (fds[i] < 0) {
			int error = fds[i];

			while (i-- > 0)
				close(fds[i]);
			return error;
		}
	}
	return 0;
}

void restart_adopt(struct restart *restart, const struct restart_entry *entry, int *fds)
{
	for (size_t i = 0; i < entry->count; i++) {
		struct restart_item *item = &restart->items[entry->first + i];

		if (item->number < RESTART_FIRST_FD) {
			util_close(&item->fd);
			item->fd = fds[i];
			continue;
		}
		/* The number is ours since reserve_numbers(): this cannot fail. */
		dup3(fds[i], item->number, O_CLOEXEC);
		close(fds[i]);
		item->fd = item->number;
	}
}

static const char *access_name(const struct restart_item *item)
{
	static const char *const names[] = { "for reading", "for writing",
		"for reading and writing", "for ioctl" };

	return item->opener ? names[item->opener->flags & O_ACCMODE] : "at all";
}

static int open_entry(struct restart *restart, struct restart_entry *entry)
{
	autofd int pin = xopenat_beneath(restart->root_fd, entry->record->link,
		O_PATH | O_NOFOLLOW, 0);
	autofree int *fds = calloc(entry->count, sizeof(int));
	const struct restart_item *item;
	int r;

	if (!fds)
		return -ENOMEM;
	if (pin < 0)
		return restart_problem(restart, entry, "open", -pin, "%s",
			pin == -ELOOP ? "there is a symbolic link on the way" : strerror(-pin));
	r = check_identity(restart, entry, pin);
	if (r < 0)
		return r;
	r = restart_open_descriptions(restart, entry, pin, fds, &item);
	if (r < 0)
		return restart_problem(restart, entry, "open", -r,
			"cannot be opened %s%s at offset %lld: %s", access_name(item),
			item->opener && (item->opener->flags & O_DIRECT) ? " with O_DIRECT" : "",
			item->opener ? (long long)item->opener->offset : 0, strerror(-r));
	restart_adopt(restart, entry, fds);
	return 0;
}

/*
 * Where one entry is the frozen inode beyond doubt, this is the source itself and no
 * copy: then what is only alike has been put there.
 */
static int check_no_mixture(struct restart *restart)
{
	bool source = false;
	int first = 0;

	for (size_t i = 0; i < restart->manifest->nentries; i++)
		source |= restart->entries[i].like == LIKE_ITSELF_SURELY;
	for (size_t i = 0; source && !restart->force && i < restart->manifest->nentries; i++) {
		struct restart_entry *entry = &restart->entries[i];

		if (entry->like == LIKE_A_COPY)
			first = restart_problem(restart, entry, "identity", ESTALE,
				"is not the file that was frozen but looks like it, where other"
				" entries are no copies");
	}
	return first;
}

static void close_items(struct restart *restart)
{
	for (size_t i = 0; i < restart->nitems; i++) {
		util_close(&restart->items[i].fd);
		restart->items[i].fd = -1;
	}
}

/* Out of the way of the numbers of the plan. */
static int take_root(struct restart *restart, int root_fd)
{
	autofd int taken = root_fd;
	int r = raise_limit(restart);

	if (r < 0)
		return r;
	restart->root_fd = fcntl(taken, F_DUPFD_CLOEXEC, restart->free_number);
	if (restart->root_fd < 0)
		return restart_problem(restart, NULL, "limit", errno, "descriptor %d: %s",
			restart->free_number, strerror(errno));
	return 0;
}

int restart_open(struct restart *restart, int root_fd)
{
	int first = take_root(restart, root_fd);

	if (first == 0)
		first = reserve_numbers(restart);
	/* After a failure the rest is still looked at, so that all is said at once. */
	for (size_t i = 0; restart->root_fd >= 0 && i < restart->manifest->nentries; i++) {
		int r = open_entry(restart, &restart->entries[i]);

		if (r < 0 && first == 0)
			first = r;
	}
	if (first == 0)
		first = check_no_mixture(restart);
	if (first < 0)
		close_items(restart);
	return first;
}
