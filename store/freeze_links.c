/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Making the links of a checkpoint, and unmaking them. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "store/freeze_internal.h"
#include "store/log.h"

/*
 * Links made at one time under the barrier: few enough that nobody who removes a file
 * notices, enough that the barrier costs nothing.
 */
#define CHUNK 256

/* The directory of the last link: most links lie beside each other. */
struct place {
	int fd;
	const char *link;
};

static int open_place(struct freezing *freezing, struct place *place, const char *link)
{
	size_t length = (size_t)(path_last(link) - link);

	if (place->fd >= 0 && (size_t)(path_last(place->link) - place->link) == length &&
		memcmp(place->link, link, length) == 0)
		return 0;
	util_close(&place->fd);
	place->fd = path_open_parent(freezing->store->source_fd, link);
	place->link = link;
	return place->fd < 0 ? place->fd : 0;
}

/* ---- folders ---- */

static int make_folders(struct freezing *freezing)
{
	for (size_t i = 0; i < freezing->nfolders; i++) {
		struct freeze_folder *folder = &freezing->folders[i];
		autofree char *message = NULL;
		int ret = 0;

		freezing->folders_tried = i + 1;
		if (!folder->made)
			continue;
		ret = freeze_point("folder", 0);
		if (!ret)
			ret = folder_make(freezing->store->source_fd, folder->path);
		if (ret == -EEXIST) {
			/* Made by somebody in between: not ours to remove. */
			folder->made = false;
			continue;
		}
		if (ret) {
			message = util_printf("cannot make the folder \"%s\": %s", folder->path,
				strerrordesc_np(-ret));
			return freeze_fail(freezing, NULL, "folder", -ret, message);
		}
	}
	return 0;
}

/* ---- links ---- */

/* Reasons that lie in one entry, not in the filesystem as a whole. */
static bool is_of_entry(int error)
{
	return error == -EMLINK || error == -EPERM || error == -EACCES || error == -EXDEV ||
	       error == -EOPNOTSUPP || error == -ELOOP;
}

static const char *reason_of(int error)
{
	if (error == -EMLINK)
		return "too many links: it has as many as the filesystem allows";
	if (error == -EPERM)
		return "operation not permitted: an immutable or append-only file, or a "
		       "filesystem without hard links";
	return NULL;
}

static int link_failed(struct freezing *freezing, struct freeze_item *item, int error)
{
	if (error == -EEXIST)
		return error; /* tried again under other names */
	if (!freezing->request->partial || !is_of_entry(error))
		return freeze_abort(freezing, item, "link", -error, reason_of(error));
	item->state = ITEM_LEFT_OUT;
	freeze_fail(freezing, item, "link", -error, reason_of(error));
	return 0;
}

/* Barrier held for writing. */
static int move_directory(struct freezing *freezing, struct freeze_item *item, int dirfd)
{
	struct store *store = freezing->store;
	uint64_t id = item->entry->record.id;
	const char *name = path_last(item->link);
	int ret = vault_move_to(store->vault, id, dirfd, name);

	if (ret)
		return ret;
	ret = store_mark_moved(store, id, freezing->ktime, item->n);
	if (ret)
		vault_move_from(store->vault, dirfd, name, id);
	return ret;
}

/*
 * Barrier held for writing: the entry is what its record says.  Since the set was taken
 * its last user may have gone, or the directory come back into the vault.
 */
static int link_item(struct freezing *freezing, struct freeze_item *item, int dirfd)
{
	struct store *store = freezing->store;
	uint64_t id = item->entry->record.id;
	struct entry_record record;
	int ret;

	if (store_find_id(store, id, &record, NULL)) {
		item->state = ITEM_GONE;
		return 0;
	}
	if ((record.state == ENTRY_MOVED) != item->shared)
		return -EAGAIN;
	ret = freeze_point("link", item->n);
	if (ret)
		return ret;
	if (!item->shared)
		ret = S_ISDIR(record.mode)
			      ? move_directory(freezing, item, dirfd)
			      : vault_link_to(store->vault, id, dirfd, path_last(item->link));
	if (ret)
		return ret;
	item->state = item->shared ? ITEM_SHARED : ITEM_MADE;
	store_mark_frozen(store, id, 1);
	return 0;
}

static int link_chunk(struct freezing *freezing, size_t first, size_t end, struct place *place)
{
	int64_t start;
	int ret = 0;

	store_barrier_lock(freezing->store);
	start = monotonic_ns();
	for (size_t i = first; i < end && !ret; i++) {
		struct freeze_item *item = &freezing->items[i];

		if (item->state != ITEM_PLANNED)
			continue;
		ret = open_place(freezing, place, item->link);
		if (!ret)
			ret = link_item(freezing, item, place->fd);
		if (ret)
			ret = link_failed(freezing, item, ret);
	}
	freezing->result->barrier_ns += monotonic_ns() - start;
	store_barrier_unlock(freezing->store);
	return ret;
}

/* ---- what they are links of ---- */

static struct manifest_time time_of(const struct statx_timestamp *time)
{
	return (struct manifest_time){ .sec = time->tv_sec, .nsec = time->tv_nsec };
}

static void fill_handle(struct manifest_entry *record, int dirfd, const char *name)
{
	_Alignas(struct file_handle) char buffer[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	struct file_handle *handle = (struct file_handle *)buffer;
	int mount_id;

	handle->handle_bytes = sizeof(record->handle);
	if (name_to_handle_at(dirfd, name, handle, &mount_id, 0))
		return;
	record->handle_len = handle->handle_bytes;
	record->handle_type = handle->handle_type;
	memcpy(record->handle, handle->f_handle, handle->handle_bytes);
}

/* The vault's link and the new one are not among those that the workload had. */
static uint32_t visible_links(const struct statx *stx)
{
	if (S_ISDIR(stx->stx_mode) || stx->stx_nlink < 2)
		return 0;
	return stx->stx_nlink - 2;
}

static int describe(struct freeze_item *item, int dirfd)
{
	struct manifest_entry *record = &item->record;
	const char *name = path_last(item->link);
	struct statx stx;

	if (statx(dirfd, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &stx))
		return -errno;
	record->mode = stx.stx_mode;
	record->uid = stx.stx_uid;
	record->gid = stx.stx_gid;
	record->size = stx.stx_size;
	record->blocks = stx.stx_blocks;
	record->ino = stx.stx_ino;
	record->nlink = visible_links(&stx);
	record->rdev_major = stx.stx_rdev_major;
	record->rdev_minor = stx.stx_rdev_minor;
	record->atime = time_of(&stx.stx_atime);
	record->mtime = time_of(&stx.stx_mtime);
	record->ctime = time_of(&stx.stx_ctime);
	if (stx.stx_mask & STATX_BTIME)
		record->btime = time_of(&stx.stx_btime);
	fill_handle(record, dirfd, name);
	/* Somebody may have put another inode in place of the link. */
	return stx.stx_ino == item->entry->record.ino ? 0 : -ESTALE;
}

static int describe_all(struct freezing *freezing, struct place *place)
{
	int ret = 0;

	for (size_t i = 0; i < freezing->count && !ret; i++) {
		struct freeze_item *item = &freezing->items[i];

		if (item->state != ITEM_MADE && item->state != ITEM_SHARED)
			continue;
		ret = freeze_point("stat", item->n);
		if (!ret)
			ret = open_place(freezing, place, item->link);
		if (!ret)
			ret = describe(item, place->fd);
		if (ret)
			freeze_abort(freezing, item, "stat", -ret, NULL);
	}
	return ret;
}

/* Folders that were made for links which then were not. */
static void remove_unused_folders(struct freezing *freezing)
{
	bool unused = false;

	for (size_t i = 0; i < freezing->count; i++)
		unused |= freezing->items[i].state == ITEM_GONE ||
			  freezing->items[i].state == ITEM_LEFT_OUT;
	for (size_t i = freezing->nfolders; unused && i-- > 0;)
		if (freezing->folders[i].made)
			folders_remove(freezing->store, &freezing->folders[i].path, 1);
}

int freeze_make_links(struct freezing *freezing)
{
	struct place place = { .fd = -1 };
	int ret = make_folders(freezing);

	for (size_t i = 0; i < freezing->count && !ret; i += CHUNK)
		ret = link_chunk(freezing, i,
			i + CHUNK < freezing->count ? i + CHUNK : freezing->count, &place);
	if (!ret)
		remove_unused_folders(freezing);
	if (!ret)
		ret = describe_all(freezing, &place);
	util_close(&place.fd);
	return ret;
}

/* ---- and back ---- */

static int unmake_item(struct freezing *freezing, struct freeze_item *item)
{
	const struct entry_record *record = &item->entry->record;
	int ret = 0;

	if (item->state == ITEM_MADE) {
		ret = freeze_point("unlink", item->n);
		if (!ret)
			ret = link_remove(freezing->store, item->link, item->entry->path,
				S_ISDIR(record->mode));
		if (ret && ret != -ENOENT) {
			log_error("checkpoint %s: its link %s cannot be removed: %s; the next "
				  "mount tries again",
				freezing->id, item->link, strerrordesc_np(-ret));
			return ret;
		}
		name_changed(freezing->store, item->link);
	}
	if (item->state == ITEM_MADE || item->state == ITEM_SHARED)
		checkpoint_unmark(freezing->store, record->id);
	if (item->state != ITEM_LEFT_OUT)
		item->state = ITEM_PLANNED;
	return 0;
}

static void unmake_folders(struct freezing *freezing)
{
	while (freezing->folders_tried > 0) {
		struct freeze_folder *folder = &freezing->folders[--freezing->folders_tried];

		if (folder->made)
			folders_remove(freezing->store, &folder->path, 1);
	}
}

int freeze_unmake(struct freezing *freezing)
{
	int ret = 0, error;

	if (freezing->saved) {
		ret = freeze_point("remove manifest", 0);
		if (!ret)
			ret = manifest_remove(freezing->store, freezing->manifest_path);
		freezing->saved = false;
	}
	for (size_t i = 0; i < freezing->count; i++) {
		error = unmake_item(freezing, &freezing->items[i]);
		ret = ret ? ret : error;
	}
	unmake_folders(freezing);
	return ret;
}
