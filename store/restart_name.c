/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a frozen inode gets its original name back in /proc/PID/fd.
 *
 * The kernel shows the name under which a file was opened, and " (deleted)" once that
 * name is gone.  So the inode has to stand under its original name while it is opened,
 * and the name must then go, with whatever had that name meanwhile back in its place.
 *
 * On a mount the daemon plays this for one process only: nothing moves on disk (see the
 * method Alias).  On a plain directory it is done for real, so that every step can be
 * undone, by us or, after a kill, by the next restart:
 *
 *   1. a second link J of the inode is made beside the original name: the journal
 *   2. name free:   link the inode there, open it, unlink the name, unlink J
 *      name taken:  exchange J and the name, open the name, rename J over the name
 *
 * A leftover J says where it stopped: J and the name both the inode: both were ours;
 * only J: step 2 had not begun; only the name: J is what the name had.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/restart_internal.h"

#define JOURNAL_SIZE 64

/* ---- places ---- */

static int place_step(struct restart_place *place, char *name, bool make)
{
	int next = xopenat_beneath(place->dirfd, name, O_PATH | O_DIRECTORY, 0);
	int made_in;

	if (next == -ENOENT && make) {
		made_in = fcntl(place->dirfd, F_DUPFD_CLOEXEC, 0);
		if (made_in < 0)
			return -errno;
		if (mkdirat(made_in, name, 0700) < 0) {
			int error = -errno;

			close(made_in);
			return error;
		}
		place->made_in[place->nmade] = made_in;
		place->made[place->nmade++] = name;
		next = xopenat_beneath(place->dirfd, name, O_PATH | O_DIRECTORY, 0);
	}
	if (next < 0)
		return next;
	close(place->dirfd);
	place->dirfd = next;
	return 0;
}

static size_t depth(const char *path)
{
	size_t slashes = 0;

	for (; *path; path++)
		slashes += *path == '/';
	return slashes;
}

int restart_place_open(struct restart *restart, const char *path, bool make,
		       struct restart_place *out)
{
	struct restart_place place = RESTART_PLACE_NONE;
	int r = 0;

	place.dirfd = xopenat_beneath(restart->root_fd, ".", O_PATH | O_DIRECTORY, 0);
	if (place.dirfd < 0)
		return place.dirfd;
	place.made_in = calloc(depth(path) + 1, sizeof(int));
	place.made = calloc(depth(path) + 1, sizeof(char *));
	if (!place.made_in || !place.made)
		r = -ENOMEM;
	while (r == 0 && strchr(path, '/')) {
		autofree char *name = strndup(path, strcspn(path, "/"));
		size_t made = place.nmade;

		path += strcspn(path, "/") + 1;
		r = name ? place_step(&place, name, make) : -ENOMEM;
		if (place.nmade > made)
			name = NULL; /* it is the place's now */
	}
	place.base = path;
	if (r == 0 && (!*path || strcmp(path, ".") == 0 || strcmp(path, "..") == 0))
		r = -EINVAL;
	if (r < 0) {
		restart_place_close(&place);
		return r;
	}
	*out = place;
	return 0;
}

void restart_place_close(struct restart_place *place)
{
	while (place->nmade-- > 0) {
		unlinkat(place->made_in[place->nmade], place->made[place->nmade], AT_REMOVEDIR);
		close(place->made_in[place->nmade]);
		free(place->made[place->nmade]);
	}
	free(place->made_in);
	free(place->made);
	util_close(&place->dirfd);
	*place = RESTART_PLACE_NONE;
}

int restart_is_entry(const struct restart_entry *entry, int dirfd, const char *name)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return st.st_dev == entry->dev && st.st_ino == entry->ino &&
	       ((st.st_mode ^ entry->record->mode) & S_IFMT) == 0;
}

/* ---- opening by the original name ---- */

/* Fills @fds with descriptions of the entry, opened by its name. */
static int open_by_name(struct restart *restart, const struct restart_entry *entry,
			const struct restart_place *at, int *fds)
{
	autofd int pin = xopenat_beneath(at->dirfd, at->base, O_PATH | O_NOFOLLOW, 0);
	const struct restart_item *item;
	struct stat st;

	if (pin < 0)
		return pin;
	if (fstat(pin, &st) < 0)
		return -errno;
	if (st.st_dev != entry->dev || st.st_ino != entry->ino)
		return -ESTALE;
	return restart_open_descriptions(restart, entry, pin, fds, &item);
}

static void close_all(const struct restart_entry *entry, const int *fds)
{
	for (size_t i = 0; i < entry->count; i++)
		close(fds[i]);
}

/* ---- on a mount ---- */

static int remove_name(const struct restart_place *at, bool dir)
{
	return unlinkat(at->dirfd, at->base, dir ? AT_REMOVEDIR : 0) < 0 ? -errno : 0;
}

static int exchange(const struct restart_place *a, const struct restart_place *b)
{
	return renameat2(a->dirfd, a->base, b->dirfd, b->base, RENAME_EXCHANGE) < 0 ? -errno : 0;
}

/* The link's place has what stood at the name: back with it; the inode loses the name. */
static int put_back(const struct restart_place *link, const struct restart_place *at,
		    bool replace_type, bool dir)
{
	int r = 0;

	if (replace_type)
		r = remove_name(at, dir);
	if (r == 0 && renameat2(link->dirfd, link->base, at->dirfd, at->base,
			      replace_type ? RENAME_NOREPLACE : 0) < 0)
		r = -errno;
	return r;
}

static int play_free(struct restart *restart, const struct restart_entry *entry,
		     const struct restart_place *at, int *fds)
{
	int r = open_by_name(restart, entry, at, fds);

	if (r < 0)
		return r;
	r = remove_name(at, S_ISDIR(entry->record->mode));
	if (r < 0)
		close_all(entry, fds);
	return r;
}

static int play_taken(struct restart *restart, const struct restart_entry *entry,
		      const struct restart_place *at, bool replace_type, int *fds)
{
	struct restart_place link;
	int r = restart_place_open(restart, entry->record->link, false, &link), back;

	if (r < 0)
		return r;
	r = exchange(&link, at);
	if (r == 0) {
		r = open_by_name(restart, entry, at, fds);
		if (r < 0) {
			exchange(&link, at);
		} else {
			back = put_back(&link, at, replace_type, S_ISDIR(entry->record->mode));
			if (back < 0) {
				exchange(&link, at);
				close_all(entry, fds);
				r = back;
			}
		}
	}
	restart_place_close(&link);
	return r;
}

static int play(struct restart *restart, const struct restart_entry *entry,
		const struct restart_namer *namer, const struct restart_place *at, int *fds,
		char **why)
{
	enum restart_alias_mode mode;
	int r = namer->alias(namer->ctx, entry->record->link, entry->path, &mode, why);

	if (r < 0)
		return r;
	if (mode == RESTART_LOOKUP)
		r = play_free(restart, entry, at, fds);
	else
		r = play_taken(restart, entry, at, mode == RESTART_REPLACE_TYPE, fds);
	if (r < 0)
		namer->unalias(namer->ctx);
	return r;
}

/* ---- on a plain directory ---- */

static const char *journal_name(const struct restart *restart, const struct restart_entry *entry,
				char name[JOURNAL_SIZE])
{
	snprintf(name, JOURNAL_SIZE, ".unlink-at-restart-%08llx-%u",
		(unsigned long long)restart->manifest->ktime, entry->record->n);
	return name;
}

/* What the exchange put into the journal's place goes back to the name. */
static int finish_exchange(const struct restart_place *at, const char *journal)
{
	if (renameat(at->dirfd, journal, at->dirfd, at->base) == 0)
		return 0;
	if (errno != EISDIR && errno != ENOTDIR)
		return -errno;
	/* A directory had the name: it cannot replace what is no directory. */
	if (unlinkat(at->dirfd, at->base, 0) < 0 ||
	    renameat2(at->dirfd, journal, at->dirfd, at->base, RENAME_NOREPLACE) < 0)
		return -errno;
	return 0;
}

/* Ends what a restart began that was killed.  -EEXIST: the journal's name is not ours. */
static int clear_journal(const struct restart_entry *entry, const struct restart_place *at,
			 const char *journal)
{
	int ours = restart_is_entry(entry, at->dirfd, journal);
	int there = restart_is_entry(entry, at->dirfd, at->base);

	if (ours == -ENOENT)
		return 0;
	if (ours < 0)
		return ours;
	if (!ours)
		return there == 1 ? finish_exchange(at, journal) : -EEXIST;
	if (there == 1 && unlinkat(at->dirfd, at->base, 0) < 0)
		return -errno;
	return unlinkat(at->dirfd, journal, 0) < 0 ? -errno : 0;
}

/* A link of the inode itself, whatever its names do; AT_EMPTY_PATH asks for a capability. */
static int link_inode(int fd, int dirfd, const char *name)
{
	char path[PROC_FD_PATH_SIZE];

	if (linkat(fd, "", dirfd, name, AT_EMPTY_PATH) == 0)
		return 0;
	if (errno != ENOENT && errno != EPERM)
		return -errno;
	if (linkat(AT_FDCWD, proc_fd_path(fd, path), dirfd, name, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	return 0;
}

static int make_taken(struct restart *restart, const struct restart_entry *entry,
		      const struct restart_place *at, const char *journal, int *fds)
{
	int r, back;

	if (renameat2(at->dirfd, journal, at->dirfd, at->base, RENAME_EXCHANGE) < 0)
		return -errno;
	r = open_by_name(restart, entry, at, fds);
	back = finish_exchange(at, journal);
	if (back == 0)
		return r;
	if (r == 0)
		close_all(entry, fds);
	return restart_warn(restart, entry, "name", -back,
		"what has its original name now is left at '%s' beside it: %s", journal,
		strerror(-back));
}

static int make_name(struct restart *restart, const struct restart_entry *entry,
		     const struct restart_place *at, int *fds)
{
	int fd = restart->items[entry->first].fd;
	char journal[JOURNAL_SIZE];
	int r = clear_journal(entry, at, journal_name(restart, entry, journal));

	if (r < 0)
		return r;
	/* The inode has its name already: somebody linked it there. */
	if (restart_is_entry(entry, at->dirfd, at->base) == 1)
		return open_by_name(restart, entry, at, fds);
	r = link_inode(fd, at->dirfd, journal);
	if (r < 0)
		return r;
	r = link_inode(fd, at->dirfd, at->base);
	if (r == 0) {
		r = open_by_name(restart, entry, at, fds);
		if (unlinkat(at->dirfd, at->base, 0) < 0)
			restart_warn(restart, entry, "name", errno, "its original name is left");
	} else if (r == -EEXIST) {
		r = make_taken(restart, entry, at, journal, fds);
	}
	if (restart_is_entry(entry, at->dirfd, journal) == 1)
		unlinkat(at->dirfd, journal, 0);
	return r;
}

/* ---- all of them ---- */

/* After these no further entry can be named either. */
static bool hopeless(int r)
{
	return r == -EPERM || r == -ENOSYS || r == -EOPNOTSUPP || r == -EPIPE ||
	       r == -ECONNRESET || r == -EPROTO;
}

static int name_entry(struct restart *restart, struct restart_entry *entry,
		      const struct restart_namer *namer, char **why)
{
	autofree int *fds = calloc(entry->count, sizeof(int));
	struct restart_place at;
	int r;

	if (!fds)
		return -ENOMEM;
	r = restart_place_open(restart, entry->path, true, &at);
	if (r < 0)
		return r;
	if (namer)
		r = play(restart, entry, namer, &at, fds, why);
	else
		r = make_name(restart, entry, &at, fds);
	if (r == 0)
		restart_adopt(restart, entry, fds);
	restart_place_close(&at);
	return r;
}

/* One entry, by its place in the list: 0 to go on, 1 to stop naming, or -ENOMEM. */
static int name_next(struct restart *restart, size_t i, const struct restart_namer *namer)
{
	struct restart_entry *entry = &restart->entries[i];
	autofree char *why = NULL;
	int r;

	if (!namer && S_ISDIR(entry->record->mode)) {
		entry->name_at_drop = true;
		return 0;
	}
	r = name_entry(restart, entry, namer, &why);
	if (r == 0 || r == -ENOMEM)
		return r;
	if (namer && hopeless(r)) {
		restart_warn(restart, NULL, "name", -r, "original names cannot be had: %s",
			why ? why : strerror(-r));
		return 1;
	}
	restart_warn(restart, entry, "name", -r, "keeps the name of its link: %s",
		why ? why : strerror(-r));
	return 0;
}

int restart_name(struct restart *restart, const struct restart_namer *namer)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < restart->manifest->nentries; i++)
		r = name_next(restart, i, namer);
	if (namer)
		namer->unalias(namer->ctx);
	return r < 0 ? r : 0;
}
