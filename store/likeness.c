/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/likeness.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static bool handles_comparable(int pin)
{
	struct statfs fs;

	/* Ours are those of the filesystem below; a FUSE mount makes up its own. */
	return fstatfs(pin, &fs) == 0 && fs.f_type != FUSE_SUPER_MAGIC;
}

/* What a comparison says of two inodes with one number. */
enum same { SAME_UNKNOWN, SAME_NO, SAME_YES };

static enum same same_handle(const struct manifest_entry *record, int pin)
{
	_Alignas(struct file_handle) char buffer[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	struct file_handle *handle = (struct file_handle *)buffer;
	int mount_id;

	handle->handle_bytes = MAX_HANDLE_SZ;
	if (record->handle_len == 0 || !handles_comparable(pin) ||
	    name_to_handle_at(pin, "", handle, &mount_id, AT_EMPTY_PATH) < 0)
		return SAME_UNKNOWN;
	return handle->handle_type == record->handle_type &&
		handle->handle_bytes == record->handle_len &&
		memcmp(handle->f_handle, record->handle, record->handle_len) == 0
		? SAME_YES : SAME_NO;
}

static enum same same_birth(const struct manifest_entry *record, int pin)
{
	struct statx stx;

	if (record->btime.sec == 0 || statx(pin, "", AT_EMPTY_PATH, STATX_BTIME, &stx) < 0 ||
	    !(stx.stx_mask & STATX_BTIME))
		return SAME_UNKNOWN;
	return stx.stx_btime.tv_sec == record->btime.sec &&
		stx.stx_btime.tv_nsec == record->btime.nsec ? SAME_YES : SAME_NO;
}

/*
 * Copying tools keep times, some of them only whole seconds; and rsync leaves the time of
 * what is no regular file alone when it differs by less than a second.
 */
static bool same_time(const struct manifest_time *recorded, const struct stat *st)
{
	if (recorded->sec != st->st_mtim.tv_sec)
		return false;
	return !S_ISREG(st->st_mode) || st->st_mtim.tv_nsec == 0 ||
	       recorded->nsec == (uint32_t)st->st_mtim.tv_nsec;
}

static bool types_match(const struct manifest_entry *record, const struct stat *st)
{
	if ((st->st_mode ^ record->mode) & S_IFMT)
		return false;
	return (!S_ISCHR(st->st_mode) && !S_ISBLK(st->st_mode)) ||
	       (major(st->st_rdev) == record->rdev_major && minor(st->st_rdev) == record->rdev_minor);
}

static bool same_content(const struct manifest_entry *record, const struct stat *st)
{
	if (!same_time(&record->mtime, st))
		return false;
	return (!S_ISREG(st->st_mode) && !S_ISLNK(st->st_mode)) ||
	       (uint64_t)st->st_size == record->size;
}

enum likeness likeness(const struct manifest_entry *record, int pin, const struct stat *st)
{
	enum same same = SAME_NO;

	if (!types_match(record, st))
		return LIKE_NOTHING;
	if (st->st_ino == record->ino)
		same = same_birth(record, pin);
	if (st->st_ino == record->ino && same == SAME_UNKNOWN)
		same = same_handle(record, pin);
	if (same != SAME_NO)
		return same == SAME_YES ? LIKE_ITSELF_SURELY : LIKE_ITSELF;
	return same_content(record, st) ? LIKE_A_COPY : LIKE_NOTHING;
}
