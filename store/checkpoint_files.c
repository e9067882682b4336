/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/checkpoint_files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/likeness.h"
#include "store/store_internal.h"
#include "store/util.h"

const char *path_last(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

int path_open_parent(int root_fd, const char *path)
{
	const char *last = path_last(path);
	autofree char *parent =
		last == path ? strdup(".") : strndup(path, (size_t)(last - path - 1));

	return parent ? xopenat_beneath(root_fd, parent, O_PATH | O_DIRECTORY, 0) : -ENOMEM;
}

/* ---- looking ---- */

int link_check(int root_fd, const char *link, const struct manifest_entry *record, bool copies,
	enum link_status *out)
{
	autofd int pin = xopenat_beneath(root_fd, link, O_PATH | O_NOFOLLOW, 0);
	enum likeness like;
	struct stat st, root;

	if (pin == -ENOENT || pin == -ENOTDIR) {
		*out = LINK_MISSING;
		return 0;
	}
	/* A symlink in place of a folder: whatever lies behind it is not ours. */
	if (pin == -ELOOP || pin == -EXDEV) {
		*out = LINK_REPLACED;
		return 0;
	}
	if (pin < 0)
		return pin;
	if (fstat(pin, &st) || fstat(root_fd, &root))
		return -errno;
	like = st.st_dev == root.st_dev ? likeness(record, pin, &st) : LIKE_NOTHING;
	*out = like >= LIKE_ITSELF || (copies && like == LIKE_A_COPY) ? LINK_PRESENT : LINK_REPLACED;
	return 0;
}

/* ---- removing ---- */

/*
 * A directory that is an entry still has no other place than its link, so it goes back
 * into the vault.  One whose entry says HIDDEN was on its way out of the vault when its
 * session was interrupted.
 */
static int remove_directory(struct store *store, int dirfd, const char *name, uint64_t ino)
{
	uint32_t index = store_find_dir(store, ino, 0);
	const struct entry_record *record;
	int ret;

	if (!index)
		return unlinkat(dirfd, name, AT_REMOVEDIR) ? -errno : 0;
	record = store_entry(store, index);
	if (record->state == ENTRY_HIDDEN)
		ret = vault_move_from(store->vault, dirfd, name, record->id);
	else
		ret = store_hide_back(store, index, dirfd, name);
	store_forget(store, index);
	return ret;
}

/* For a store that nothing is mounted on: only its own entries can be in use. */
static int remove_plainly(struct store *store, const char *link, bool dir)
{
	autofd int dirfd = path_open_parent(store->source_fd, link);
	const char *name = path_last(link);
	struct stat st;

	if (dirfd < 0)
		return dirfd;
	if (!dir)
		return unlinkat(dirfd, name, 0) ? -errno : 0;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW))
		return -errno;
	return remove_directory(store, dirfd, name, st.st_ino);
}

int link_remove(struct store *store, const char *link, const char *original, bool dir)
{
	int ret;

	store_mutation_begin(store);
	if (store->hooks.remove_link)
		ret = store->hooks.remove_link(store->hooks.ctx, link, original, dir);
	else
		ret = remove_plainly(store, link, dir);
	store_mutation_end(store);
	return ret;
}

int folder_make(int root_fd, const char *path)
{
	autofd int dirfd = path_open_parent(root_fd, path);

	if (dirfd < 0)
		return dirfd;
	return mkdirat(dirfd, path_last(path), 0700) ? -errno : 0;
}

void folders_remove(struct store *store, char *const *folders, size_t count)
{
	while (count-- > 0) {
		autofd int dirfd = path_open_parent(store->source_fd, folders[count]);

		if (dirfd >= 0 && unlinkat(dirfd, path_last(folders[count]), AT_REMOVEDIR) == 0)
			name_changed(store, folders[count]);
	}
}

int manifest_remove(struct store *store, const char *path)
{
	autofd int dirfd = path_open_parent(store->source_fd, path);
	autofree char *temporary = util_printf("%s" MANIFEST_TEMPORARY, path_last(path));

	if (dirfd < 0 || !temporary)
		return dirfd < 0 ? dirfd : -ENOMEM;
	unlinkat(dirfd, temporary, 0);
	if (unlinkat(dirfd, path_last(path), 0) && errno != ENOENT)
		return -errno;
	name_changed(store, path);
	return fsync_dir(dirfd, ".");
}

void name_changed(struct store *store, const char *path)
{
	if (store->hooks.name_changed)
		store->hooks.name_changed(store->hooks.ctx, path);
}
