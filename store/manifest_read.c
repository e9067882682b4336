/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From JSON to struct manifest.  A manifest may come from anywhere and may have been
 * edited: nothing in it is believed before it is checked.
 *
 * The getters note the first error in the reader and give a harmless value after it,
 * so a record is read in one go and the error looked at once.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/manifest.h"
#include "store/manifest_internal.h"
#include "store/util.h"

#define FILE_MAX (INT64_C(1) << 30)

struct reader {
	int error;
	char **why;
	size_t entry, opener; /* from 1: where we are; 0: outside */
};

printf_format(2, 3) static void fail(struct reader *reader, const char *format, ...)
{
	char what[512], place[80] = "";
	va_list args;

	if (reader->error)
		return;
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	if (reader->opener)
		snprintf(place, sizeof(place), "entry %zu, opener %zu: ", reader->entry,
			reader->opener);
	else if (reader->entry)
		snprintf(place, sizeof(place), "entry %zu: ", reader->entry);
	reader->error = util_why(reader->why, -EINVAL, "manifest: %s%s", place, what);
}

static void out_of_memory(struct reader *reader)
{
	if (!reader->error)
		reader->error = -ENOMEM;
}

static int64_t checked_integer(
	struct reader *reader, const json_t *value, const char *key, int64_t min, int64_t max)
{
	if (!json_is_integer(value) || json_integer_value(value) < min ||
		json_integer_value(value) > max) {
		fail(reader, "\"%s\" must be an integer from %" PRId64 " to %" PRId64, key, min,
			max);
		return 0;
	}
	return json_integer_value(value);
}

static int64_t get_integer(
	struct reader *reader, const json_t *object, const char *key, int64_t min, int64_t max)
{
	return checked_integer(reader, json_object_get(object, key), key, min, max);
}

static int64_t get_integer_or(
	struct reader *reader, const json_t *object, const char *key, int64_t max, int64_t fallback)
{
	const json_t *value = json_object_get(object, key);

	return value ? checked_integer(reader, value, key, 0, max) : fallback;
}

/* An integer, or above 2^63 a decimal text. */
static uint64_t get_u64(struct reader *reader, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	const char *text = json_string_value(value);
	uint64_t number;
	char *end;

	if (!text)
		return (uint64_t)checked_integer(reader, value, key, 0, INT64_MAX);
	errno = 0;
	number = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || strlen(text) > 20) {
		fail(reader, "\"%s\" must be a number below 2^64", key);
		return 0;
	}
	return number;
}

static uint32_t get_octal(
	struct reader *reader, const json_t *object, const char *key, uint32_t max)
{
	const char *text = json_string_value(json_object_get(object, key));
	size_t length = text ? strlen(text) : 0;

	if (length == 0 || length > 12 || strspn(text, "01234567") != length ||
		strtoull(text, NULL, 8) > max) {
		fail(reader, "\"%s\" must be a text of octal digits, at most %o", key, max);
		return 0;
	}
	return (uint32_t)strtoull(text, NULL, 8);
}

static const char *get_text(struct reader *reader, const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	if (!text)
		fail(reader, "\"%s\" must be a text", key);
	return text ? text : "";
}

/* The members of an array that need not be there. */
static size_t get_array(
	struct reader *reader, const json_t *object, const char *key, const json_t **array)
{
	*array = json_object_get(object, key);
	if (*array && !json_is_array(*array))
		fail(reader, "\"%s\" must be an array", key);
	return json_array_size(*array);
}

/* Bytes without NUL, of any length; "" after an error has not been allocated: NULL. */
static char *get_name(struct reader *reader, const json_t *object, const char *key)
{
	autofree char *what = NULL;
	char *name;

	if (reader->error)
		return NULL;
	name = manifest_json_get_name(object, key, &what);
	if (!name && what)
		fail(reader, "%s", what);
	else if (!name)
		out_of_memory(reader);
	return name;
}

static bool has_name(const json_t *object, const char *key)
{
	autofree char *long_key = util_printf("%s_base64", key);

	return json_object_get(object, key) || (long_key && json_object_get(object, long_key));
}

/* A relative path beneath the root. */
static char *get_path(struct reader *reader, const json_t *object, const char *key)
{
	char *path = get_name(reader, object, key);
	const char *what = path ? manifest_name_error(path) : NULL;

	if (what)
		fail(reader, "\"%s\" %s: \"%.256s\"", key, what, path);
	return path;
}

/* A path at which the daemon may remove something. */
static char *get_own_path(struct reader *reader, const json_t *object, const char *key)
{
	char *path = get_path(reader, object, key);

	if (path && strncmp(path, ".relinkfs", 9) == 0 && (!path[9] || path[9] == '/'))
		fail(reader, "\"%s\" lies in .relinkfs, which is not visible in the mount", key);
	if (path && strlen(path) >= PATH_MAX)
		fail(reader, "\"%s\" is too long", key);
	return path;
}

static void get_comm(struct reader *reader, const json_t *object, char comm[16])
{
	autofree char *name = get_name(reader, object, "comm");

	if (name && strlen(name) > 15)
		fail(reader, "\"comm\" is longer than 15 bytes");
	else if (name)
		memcpy(comm, name, strlen(name) + 1);
}

static void get_time(
	struct reader *reader, const json_t *object, const char *key, struct manifest_time *time)
{
	const json_t *value = json_object_get(object, key);

	if (!value)
		return;
	time->sec = get_integer(reader, value, "sec", INT64_MIN, INT64_MAX);
	time->nsec = (uint32_t)get_integer(reader, value, "nsec", 0, NSEC_PER_SEC - 1);
}

static enum opener_kind get_kind(struct reader *reader, const json_t *object)
{
	const char *text = get_text(reader, object, "kind");

	for (enum opener_kind kind = OPENER_FD; kind <= OPENER_EXE; kind++)
		if (strcmp(text, opener_kind_name(kind)) == 0)
			return kind;
	fail(reader, "\"kind\" must be fd, mmap, cwd, root or exe");
	return OPENER_FD;
}

static void read_opener(struct reader *reader, const json_t *object, struct opener *opener)
{
	opener->pid = (pid_t)get_integer(reader, object, "pid", 1, INT_MAX);
	get_comm(reader, object, opener->comm);
	opener->kind = get_kind(reader, object);
	opener->fd = -1;
	if (opener->kind != OPENER_FD)
		return;
	opener->fd = (int)get_integer(reader, object, "fd", 0, INT_MAX);
	opener->flags = get_octal(reader, object, "flags", UINT32_MAX);
	opener->offset = get_integer(reader, object, "offset", INT64_MIN, INT64_MAX);
}

static void read_openers(struct reader *reader, const json_t *object, struct manifest_entry *entry)
{
	const json_t *array;
	size_t count = get_array(reader, object, "openers", &array);

	if (reader->error || count == 0)
		return;
	entry->openers = calloc(count, sizeof(*entry->openers));
	if (!entry->openers) {
		out_of_memory(reader);
		return;
	}
	entry->nopeners = count;
	for (size_t i = 0; i < count && !reader->error; i++) {
		reader->opener = i + 1;
		read_opener(reader, json_array_get(array, i), &entry->openers[i]);
	}
	reader->opener = 0;
}

static void read_handle(struct reader *reader, const json_t *object, struct manifest_entry *entry)
{
	const json_t *value = json_object_get(object, "handle");
	ssize_t size;

	if (!value)
		return;
	entry->handle_type = (int32_t)get_integer(reader, value, "type", INT32_MIN, INT32_MAX);
	size = manifest_json_get_bytes(
		json_object_get(value, "bytes"), entry->handle, sizeof(entry->handle));
	if (size <= 0)
		fail(reader, "the \"bytes\" of \"handle\" must be base64 of 1 to %zu bytes",
			sizeof(entry->handle));
	else
		entry->handle_len = (uint32_t)size;
}

static void read_mode(struct reader *reader, const json_t *object, struct manifest_entry *entry)
{
	uint32_t type = manifest_type_from_name(get_text(reader, object, "type"));
	const json_t *rdev = json_object_get(object, "rdev");

	if (!type)
		fail(reader, "\"type\" is none that exists");
	entry->mode = type | get_octal(reader, object, "mode", 07777);
	if (!rdev)
		return;
	entry->rdev_major = (uint32_t)get_integer(reader, rdev, "major", 0, UINT32_MAX);
	entry->rdev_minor = (uint32_t)get_integer(reader, rdev, "minor", 0, UINT32_MAX);
}

static void read_entry(struct reader *reader, const json_t *object, struct manifest_entry *entry)
{
	const json_t *tmpfile = json_object_get(object, "tmpfile");

	entry->n = (uint32_t)get_integer(reader, object, "n", 1, UINT32_MAX);
	entry->link = get_own_path(reader, object, "link");
	entry->path = get_path(reader, object, "path");
	read_mode(reader, object, entry);
	entry->uid = (uint32_t)get_integer(reader, object, "uid", 0, UINT32_MAX);
	entry->gid = (uint32_t)get_integer(reader, object, "gid", 0, UINT32_MAX);
	entry->size = (uint64_t)get_integer(reader, object, "size", 0, INT64_MAX);
	entry->blocks = (uint64_t)get_integer_or(reader, object, "blocks", INT64_MAX, 0);
	entry->ino = get_u64(reader, object, "ino");
	entry->nlink = (uint32_t)get_integer_or(reader, object, "nlink", UINT32_MAX, 0);
	get_time(reader, object, "atime", &entry->atime);
	get_time(reader, object, "mtime", &entry->mtime);
	get_time(reader, object, "ctime", &entry->ctime);
	get_time(reader, object, "btime", &entry->btime);
	read_handle(reader, object, entry);
	if (tmpfile && !json_is_boolean(tmpfile))
		fail(reader, "\"tmpfile\" must be true or false");
	entry->tmpfile = json_is_true(tmpfile);
	read_openers(reader, object, entry);
}

struct unique {
	uint32_t n;
	const char *link;
};

static int compare_n(const void *a, const void *b)
{
	const struct unique *x = a, *y = b;

	return (x->n > y->n) - (x->n < y->n);
}

static int compare_link(const void *a, const void *b)
{
	const struct unique *x = a, *y = b;

	return strcmp(x->link, y->link);
}

static void check_unique(struct reader *reader, const struct manifest *manifest)
{
	size_t count = manifest->nentries;
	autofree struct unique *sorted = calloc(count + 1, sizeof(*sorted));

	if (!sorted) {
		out_of_memory(reader);
		return;
	}
	for (size_t i = 0; i < count; i++)
		sorted[i] = (struct unique){ manifest->entries[i].n, manifest->entries[i].link };
	qsort(sorted, count, sizeof(*sorted), compare_n);
	for (size_t i = 1; i < count; i++)
		if (sorted[i - 1].n == sorted[i].n)
			fail(reader, "\"n\" %" PRIu32 " is there twice", sorted[i].n);
	qsort(sorted, count, sizeof(*sorted), compare_link);
	for (size_t i = 1; i < count; i++)
		if (compare_link(&sorted[i - 1], &sorted[i]) == 0)
			fail(reader, "\"link\" \"%.256s\" is there twice", sorted[i].link);
}

static void read_entries(struct reader *reader, const json_t *json, struct manifest *manifest)
{
	const json_t *array;
	size_t count = get_array(reader, json, "entries", &array);

	if (!array)
		fail(reader, "\"entries\" is missing");
	if (reader->error)
		return;
	manifest->entries = calloc(count + 1, sizeof(*manifest->entries));
	if (!manifest->entries) {
		out_of_memory(reader);
		return;
	}
	manifest->nentries = count;
	for (size_t i = 0; i < count && !reader->error; i++) {
		reader->entry = i + 1;
		read_entry(reader, json_array_get(array, i), &manifest->entries[i]);
	}
	reader->entry = 0;
	if (!reader->error)
		check_unique(reader, manifest);
}

static void read_folders(struct reader *reader, const json_t *json, struct manifest *manifest)
{
	const json_t *array;
	size_t count = get_array(reader, json, "folders", &array);

	if (reader->error || count == 0)
		return;
	manifest->folders = calloc(count, sizeof(*manifest->folders));
	if (!manifest->folders) {
		out_of_memory(reader);
		return;
	}
	manifest->nfolders = count;
	for (size_t i = 0; i < count; i++)
		manifest->folders[i] = get_own_path(reader, json_array_get(array, i), "path");
}

static void read_creator(struct reader *reader, const json_t *json, struct manifest *manifest)
{
	const json_t *creator = json_object_get(json, "creator");

	if (!creator)
		return;
	manifest->creator_pid = (pid_t)get_integer(reader, creator, "pid", 0, INT_MAX);
	manifest->creator_uid = (uid_t)get_integer(reader, creator, "uid", 0, UINT32_MAX);
	get_comm(reader, creator, manifest->creator_comm);
}

/*
 * The time is taken from the id.  As a number it has more digits than a double: programs
 * that take every number for one, jq 1.6 among them, round it when they edit a manifest.
 */
#define KTIME_ROUNDED 65536

static void read_id(struct reader *reader, const json_t *json, struct manifest *manifest)
{
	const char *id = get_text(reader, json, "id");
	int64_t ktime = get_integer(reader, json, "ktime", 1, INT64_MAX);

	manifest->ktime = strtoull(id, NULL, 16);
	snprintf(manifest->id, sizeof(manifest->id), "%08" PRIx64, manifest->ktime);
	if (manifest->ktime == 0 || manifest->ktime > INT64_MAX || strcmp(id, manifest->id) != 0 ||
		llabs((int64_t)manifest->ktime - ktime) > KTIME_ROUNDED)
		fail(reader, "\"id\" is not that of \"ktime\", %08" PRIx64, (uint64_t)ktime);
}

static void read_manifest(struct reader *reader, const json_t *json, struct manifest *manifest)
{
	read_id(reader, json, manifest);
	manifest->path = get_own_path(reader, json, "path");
	manifest->link_template = get_name(reader, json, "link_template");
	if (has_name(json, "mount"))
		manifest->mount_path = get_name(reader, json, "mount");
	manifest->scope = get_name(reader, json, "scope");
	read_creator(reader, json, manifest);
	read_folders(reader, json, manifest);
	read_entries(reader, json, manifest);
}

/* Before anything else: what another format or version means by its members is unknown. */
static void check_format(struct reader *reader, const json_t *json)
{
	int64_t version;

	if (!json_is_object(json) || strcmp(get_text(reader, json, "format"), MANIFEST_FORMAT) != 0)
		fail(reader, "\"format\" is not \"" MANIFEST_FORMAT "\"");
	version = get_integer(reader, json, "version", 1, INT64_MAX);
	if (!reader->error && version > MANIFEST_VERSION)
		reader->error = util_why(reader->why, -EPROTO,
			"manifest: version %" PRId64 " is from a newer relinkfs (this one "
			"reads up to %d)",
			version, MANIFEST_VERSION);
}

int manifest_from_json(const json_t *json, struct manifest **out, char **why)
{
	struct reader reader = { .why = why };
	struct manifest *manifest = calloc(1, sizeof(*manifest));

	if (!manifest)
		return -ENOMEM;
	check_format(&reader, json);
	if (!reader.error)
		read_manifest(&reader, json, manifest);
	if (reader.error)
		manifest_free(manifest);
	else
		*out = manifest;
	return reader.error;
}

/* What json_load_callback() reads from; the file may grow while it is read. */
struct source {
	int fd;
	int64_t left;
	int error;
};

static size_t read_source(void *buffer, size_t size, void *data)
{
	struct source *source = data;
	ssize_t got = util_read_all(source->fd, buffer, size);

	if (got >= 0)
		source->left -= got;
	if (got < 0)
		source->error = (int)got;
	else if (source->left < 0)
		source->error = -EFBIG;
	return source->error ? (size_t)-1 : (size_t)got;
}

static int load_json(int fd, const char *path, json_t **out, char **why)
{
	struct source source = { .fd = fd, .left = FILE_MAX };
	struct stat st;
	json_error_t error;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return util_why(why, -EINVAL, "%s is not a regular file", path);
	if (st.st_size > FILE_MAX)
		return -EFBIG;
	*out = json_load_callback(read_source, &source, JSON_REJECT_DUPLICATES, &error);
	if (*out)
		return 0;
	if (source.error)
		return source.error;
	if (json_error_code(&error) == json_error_out_of_memory)
		return -ENOMEM;
	return util_why(why, -EINVAL, "%s: line %d, column %d: %s", path, error.line, error.column,
		error.text);
}

int manifest_load(int dirfd, const char *path, struct manifest **out, char **why)
{
	/* A FIFO of that name must not block us. */
	autofd int fd = openat(dirfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	json_t *json = NULL;
	int ret;

	if (fd < 0) {
		ret = -errno;
		return util_why(why, ret, "%s: %s", path, strerrordesc_np(-ret));
	}
	ret = load_json(fd, path, &json, why);
	if (!ret)
		ret = manifest_from_json(json, out, why);
	else if (why && !*why)
		util_why(why, ret, "%s: %s", path, strerrordesc_np(-ret));
	json_decref(json);
	return ret;
}

void manifest_free(struct manifest *manifest)
{
	if (!manifest)
		return;
	for (size_t i = 0; i < manifest->nentries; i++) {
		free(manifest->entries[i].link);
		free(manifest->entries[i].path);
		free(manifest->entries[i].openers);
	}
	for (size_t i = 0; i < manifest->nfolders; i++)
		free(manifest->folders[i]);
	free(manifest->entries);
	free(manifest->folders);
	free(manifest->path);
	free(manifest->link_template);
	free(manifest->mount_path);
	free(manifest->scope);
	free(manifest);
}
