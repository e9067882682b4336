/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From struct manifest to JSON, and durably into a file. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/manifest.h"
#include "store/manifest_internal.h"
#include "store/util.h"

/* jansson's setters tell out of memory by nonzero: collected here, looked at once. */
static int set(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value);
}

/* JSON's integers end at 2^63: what lies above is a decimal text. */
static int set_u64(json_t *object, const char *key, uint64_t value)
{
	char text[24];

	if (value <= INT64_MAX)
		return set(object, key, json_integer((json_int_t)value));
	snprintf(text, sizeof(text), "%" PRIu64, value);
	return set(object, key, json_string(text));
}

static int set_octal(json_t *object, const char *key, uint32_t value)
{
	char text[16];

	snprintf(text, sizeof(text), "0%o", value);
	return set(object, key, json_string(text));
}

static int set_time(json_t *object, const char *key, const struct manifest_time *time)
{
	return set(object, key,
		json_pack("{s:I, s:I}", "sec", (json_int_t)time->sec, "nsec",
			(json_int_t)time->nsec));
}

/* Takes @value, also on error; NULL is the error of whoever made it. */
static int append(json_t *array, json_t *value)
{
	return json_array_append_new(array, value);
}

/* @object, or NULL when @failed. */
static json_t *checked(json_t *object, int failed)
{
	if (!failed)
		return object;
	json_decref(object);
	return NULL;
}

static json_t *opener_to_json(const struct opener *opener)
{
	json_t *object = json_object();
	int failed = 0;

	failed |= set(object, "pid", json_integer(opener->pid));
	failed |= manifest_json_set_name(object, "comm", opener->comm);
	failed |= set(object, "kind", json_string(opener_kind_name(opener->kind)));
	if (opener->kind == OPENER_FD) {
		failed |= set(object, "fd", json_integer(opener->fd));
		failed |= set_octal(object, "flags", opener->flags);
		failed |= set(object, "offset", json_integer(opener->offset));
	}
	return checked(object, failed);
}

static json_t *openers_to_json(const struct manifest_entry *entry)
{
	json_t *array = json_array();
	int failed = 0;

	for (size_t i = 0; i < entry->nopeners; i++)
		failed |= append(array, opener_to_json(&entry->openers[i]));
	return checked(array, failed);
}

static json_t *handle_to_json(const struct manifest_entry *entry)
{
	json_t *object = json_object();
	int failed = 0;

	failed |= set(object, "type", json_integer(entry->handle_type));
	failed |= manifest_json_set_bytes(object, "bytes", entry->handle, entry->handle_len);
	return checked(object, failed);
}

static json_t *entry_to_json(const struct manifest_entry *entry)
{
	json_t *object = json_object();
	int failed = 0;

	failed |= set(object, "n", json_integer(entry->n));
	failed |= manifest_json_set_name(object, "link", entry->link);
	failed |= manifest_json_set_name(object, "path", entry->path);
	failed |= set(object, "type", json_string(manifest_type_name(entry->mode)));
	failed |= set_octal(object, "mode", entry->mode & 07777);
	failed |= set(object, "uid", json_integer(entry->uid));
	failed |= set(object, "gid", json_integer(entry->gid));
	failed |= set_u64(object, "size", entry->size);
	failed |= set_u64(object, "blocks", entry->blocks);
	failed |= set_u64(object, "ino", entry->ino);
	failed |= set(object, "nlink", json_integer(entry->nlink));
	if (S_ISBLK(entry->mode) || S_ISCHR(entry->mode))
		failed |= set(object, "rdev",
			json_pack("{s:I, s:I}", "major", (json_int_t)entry->rdev_major, "minor",
				(json_int_t)entry->rdev_minor));
	failed |= set_time(object, "atime", &entry->atime);
	failed |= set_time(object, "mtime", &entry->mtime);
	failed |= set_time(object, "ctime", &entry->ctime);
	if (entry->btime.sec)
		failed |= set_time(object, "btime", &entry->btime);
	if (entry->handle_len)
		failed |= set(object, "handle", handle_to_json(entry));
	failed |= set(object, "tmpfile", json_boolean(entry->tmpfile));
	failed |= set(object, "openers", openers_to_json(entry));
	return checked(object, failed);
}

static json_t *entries_to_json(const struct manifest *manifest)
{
	json_t *array = json_array();
	int failed = 0;

	for (size_t i = 0; i < manifest->nentries && !failed; i++)
		failed |= append(array, entry_to_json(&manifest->entries[i]));
	return checked(array, failed);
}

static json_t *folders_to_json(const struct manifest *manifest)
{
	json_t *array = json_array();
	int failed = 0;

	for (size_t i = 0; i < manifest->nfolders; i++) {
		json_t *object = json_object();

		failed |= manifest_json_set_name(object, "path", manifest->folders[i]);
		failed |= append(array, object);
	}
	return checked(array, failed);
}

static json_t *creator_to_json(const struct manifest *manifest)
{
	json_t *object = json_object();
	int failed = 0;

	failed |= set(object, "pid", json_integer(manifest->creator_pid));
	failed |= set(object, "uid", json_integer(manifest->creator_uid));
	failed |= manifest_json_set_name(object, "comm", manifest->creator_comm);
	return checked(object, failed);
}

json_t *manifest_to_json(const struct manifest *manifest)
{
	json_t *object = json_object();
	char created[RFC3339_SIZE];
	int failed = 0;

	failed |= set(object, "format", json_string(MANIFEST_FORMAT));
	failed |= set(object, "version", json_integer(MANIFEST_VERSION));
	failed |= set(object, "id", json_string(manifest->id));
	failed |= set_u64(object, "ktime", manifest->ktime);
	failed |= set(
		object, "created", json_string(format_rfc3339((int64_t)manifest->ktime, created)));
	failed |= manifest_json_set_name(object, "path", manifest->path);
	failed |= manifest_json_set_name(object, "link_template", manifest->link_template);
	if (manifest->mount_path)
		failed |= manifest_json_set_name(object, "mount", manifest->mount_path);
	failed |= manifest_json_set_name(object, "scope", manifest->scope);
	failed |= set(object, "creator", creator_to_json(manifest));
	failed |= set(object, "folders", folders_to_json(manifest));
	failed |= set(object, "entries", entries_to_json(manifest));
	return checked(object, failed);
}

static int write_text(int dirfd, const char *name, const char *text)
{
	autofd int fd =
		openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int ret;

	if (fd < 0)
		return -errno;
	ret = util_write_all(fd, text, strlen(text));
	if (!ret && fsync(fd))
		ret = -errno;
	if (ret)
		unlinkat(dirfd, name, 0);
	return ret;
}

/* Some filesystems have no RENAME_NOREPLACE; a hard link does not replace either. */
static int rename_noreplace(int dirfd, const char *from, const char *to)
{
	if (!renameat2(dirfd, from, dirfd, to, RENAME_NOREPLACE))
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (linkat(dirfd, from, dirfd, to, 0))
		return -errno;
	unlinkat(dirfd, from, 0);
	return 0;
}

static int save_text(int dirfd, const char *name, const char *text)
{
	autofree char *temporary = util_printf("%s" MANIFEST_TEMPORARY, name);
	int ret;

	if (!temporary)
		return -ENOMEM;
	ret = write_text(dirfd, temporary, text);
	if (ret)
		return ret;
	ret = rename_noreplace(dirfd, temporary, name);
	if (ret) {
		unlinkat(dirfd, temporary, 0);
		return ret;
	}
	ret = fsync_dir(dirfd, ".");
	if (ret)
		unlinkat(dirfd, name, 0);
	return ret;
}

int manifest_save(int root_fd, const struct manifest *manifest)
{
	const char *slash = strrchr(manifest->path, '/');
	autofree char *folder =
		slash ? strndup(manifest->path, (size_t)(slash - manifest->path)) : strdup(".");
	autofree char *text = NULL;
	autofd int dirfd = -1;
	json_t *json = manifest_to_json(manifest);

	if (json)
		text = json_dumps(json, JSON_INDENT(1));
	json_decref(json);
	if (!text || !folder)
		return -ENOMEM;
	dirfd = xopenat_beneath(root_fd, folder, O_RDONLY | O_DIRECTORY, 0);
	if (dirfd < 0)
		return dirfd;
	return save_text(dirfd, slash ? slash + 1 : manifest->path, text);
}
