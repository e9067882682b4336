/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names and constants of the manifest's JSON: bytes that may not be UTF-8, types, kinds. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/manifest.h"
#include "store/manifest_internal.h"
#include "store/util.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char *base64_encode(const unsigned char *bytes, size_t size)
{
	char *text = malloc((size + 2) / 3 * 4 + 1), *to = text;

	if (!text)
		return NULL;
	for (size_t i = 0; i < size; i += 3) {
		unsigned group = (unsigned)bytes[i] << 16;

		group |= i + 1 < size ? (unsigned)bytes[i + 1] << 8 : 0;
		group |= i + 2 < size ? bytes[i + 2] : 0;
		*to++ = digits[group >> 18];
		*to++ = digits[group >> 12 & 63];
		*to++ = i + 1 < size ? digits[group >> 6 & 63] : '=';
		*to++ = i + 2 < size ? digits[group & 63] : '=';
	}
	*to = '\0';
	return text;
}

/* The value of four digits and how many bytes they stand for in *count; -1: malformed. */
static int decode_group(const char *text, size_t *count)
{
	int group = 0;

	*count = text[3] != '=' ? 3 : text[2] != '=' ? 2 : 1;
	for (size_t i = 0; i < 4; i++) {
		const char *digit = text[i] ? strchr(digits, text[i]) : NULL;

		if (i > *count)
			digit = text[i] == '=' ? digits : NULL;
		if (!digit)
			return -1;
		group = group << 6 | (int)(digit - digits);
	}
	return group;
}

/* A NUL is added that *size does not count.  NULL with errno EINVAL or ENOMEM. */
static unsigned char *base64_decode(const char *text, size_t *size)
{
	size_t length = strlen(text), count = 3;
	autofree unsigned char *bytes = malloc(length / 4 * 3 + 1);

	if (!bytes)
		return NULL;
	*size = 0;
	for (; length >= 4 && count == 3; text += 4, length -= 4) {
		int group = decode_group(text, &count);

		if (group < 0)
			break;
		bytes[*size] = (unsigned char)(group >> 16);
		bytes[*size + 1] = (unsigned char)(group >> 8);
		bytes[*size + 2] = (unsigned char)group;
		*size += count;
	}
	if (length > 0) {
		errno = EINVAL;
		return NULL;
	}
	bytes[*size] = '\0';
	return steal_ptr(&bytes);
}

int manifest_json_set_bytes(json_t *object, const char *key, const void *bytes, size_t size)
{
	autofree char *text = base64_encode(bytes, size);

	return text && !json_object_set_new(object, key, json_string(text)) ? 0 : -ENOMEM;
}

int manifest_json_set_name(json_t *object, const char *key, const char *name)
{
	autofree char *long_key = NULL;
	json_t *text = json_string(name); /* NULL: not UTF-8 */

	if (text)
		return json_object_set_new(object, key, text) ? -ENOMEM : 0;
	long_key = util_printf("%s_base64", key);
	return long_key ? manifest_json_set_bytes(object, long_key, name, strlen(name)) : -ENOMEM;
}

/* Base64 in @value as a C string; *why says what is wrong with it. */
static char *name_from_base64(const json_t *value, const char *key, char **why)
{
	const char *text = json_string_value(value);
	size_t size;
	autofree char *name = text ? (char *)base64_decode(text, &size) : NULL;

	if (!name || strlen(name) != size) {
		util_why(why, -EINVAL, "\"%s\" is not the base64 text of a name", key);
		return NULL;
	}
	return steal_ptr(&name);
}

char *manifest_json_get_name(const json_t *object, const char *key, char **why)
{
	autofree char *long_key = util_printf("%s_base64", key);
	const json_t *text = json_object_get(object, key), *bytes;

	if (!long_key)
		return NULL;
	bytes = json_object_get(object, long_key);
	if (!text == !bytes) {
		util_why(why, -EINVAL,
			text ? "\"%s\" and \"%s\" exclude each other"
			     : "\"%s\" (or \"%s\") is missing",
			key, long_key);
		return NULL;
	}
	if (bytes)
		return name_from_base64(bytes, long_key, why);
	if (!json_is_string(text) || strlen(json_string_value(text)) != json_string_length(text)) {
		util_why(why, -EINVAL, "\"%s\" must be a text without NUL", key);
		return NULL;
	}
	return strdup(json_string_value(text));
}

ssize_t manifest_json_get_bytes(const json_t *value, void *bytes, size_t max)
{
	const char *text = json_string_value(value);
	size_t size;
	autofree unsigned char *decoded = text ? base64_decode(text, &size) : NULL;

	if (!decoded || size > max)
		return -EINVAL;
	memcpy(bytes, decoded, size);
	return (ssize_t)size;
}

const char *manifest_name_error(const char *name)
{
	for (;; name++) {
		size_t length = strcspn(name, "/");

		if (length == 0)
			return "is empty, absolute, or has an empty component";
		if (length <= 2 && strncmp(name, "..", length) == 0)
			return "has \".\" or \"..\" as a component";
		if (length > NAME_MAX)
			return "has a component that is too long";
		name += length;
		if (!*name)
			return NULL;
	}
}

static const struct {
	uint32_t type;
	const char *name;
} types[] = {
	{ S_IFREG, "regular" },
	{ S_IFDIR, "directory" },
	{ S_IFIFO, "fifo" },
	{ S_IFSOCK, "socket" },
	{ S_IFLNK, "symlink" },
	{ S_IFBLK, "block device" },
	{ S_IFCHR, "character device" },
};

const char *manifest_type_name(uint32_t mode)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (types[i].type == (mode & S_IFMT))
			return types[i].name;
	return "unknown";
}

uint32_t manifest_type_from_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (strcmp(types[i].name, name) == 0)
			return types[i].type;
	return 0;
}

const char *opener_kind_name(enum opener_kind kind)
{
	static const char *const names[] = {
		[OPENER_FD] = "fd",
		[OPENER_MMAP] = "mmap",
		[OPENER_CWD] = "cwd",
		[OPENER_ROOT] = "root",
		[OPENER_EXE] = "exe",
	};

	return (size_t)kind < ARRAY_SIZE(names) ? names[kind] : "unknown";
}
