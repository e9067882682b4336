/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/mountinfo.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "store/util.h"

#define MOUNTINFO_MAX (64u << 20)

static bool is_octal(const char *text)
{
	return text[0] >= '0' && text[0] <= '3' && text[1] >= '0' && text[1] <= '7' &&
	       text[2] >= '0' && text[2] <= '7';
}

/* The kernel writes space, tab, newline and backslash as \ooo. */
static char *unescape(const char *text, size_t length)
{
	char *plain = malloc(length + 1);
	char *to = plain;

	if (!plain)
		return NULL;
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '\\' && i + 3 < length && is_octal(text + i + 1)) {
			*to++ = (char)((text[i + 1] - '0') << 6 | (text[i + 2] - '0') << 3 |
				       (text[i + 3] - '0'));
			i += 3;
		} else {
			*to++ = text[i];
		}
	}
	*to = '\0';
	return plain;
}

/* The next field of a line: its length, 0 at the end; *@at moves behind it. */
static size_t next_field(const char **at, const char **field)
{
	*at += strspn(*at, " ");
	*field = *at;
	*at += strcspn(*at, " \n");
	return (size_t)(*at - *field);
}

/*
 * id parent major:minor root mountpoint options [tag ...] - type source options
 * 0: taken; 1: makes no sense; -ENOMEM.
 */
static int parse_line(const char *line, struct mountinfo *out)
{
	unsigned major_number, minor_number;
	const char *field;
	size_t length;

	if (sscanf(line, "%" SCNu64 " %*u %u:%u", &out->id, &major_number, &minor_number) != 3)
		return 1;
	out->dev = makedev(major_number, minor_number);
	for (int i = 0; i < 5; i++)
		length = next_field(&line, &field);
	if (!length)
		return 1;
	out->mountpoint = unescape(field, length);
	do
		length = next_field(&line, &field);
	while (length && !(length == 1 && *field == '-'));
	length = next_field(&line, &field);
	out->type = unescape(field, length);
	length = next_field(&line, &field);
	out->source = unescape(field, length);
	return out->mountpoint && out->type && out->source ? 0 : -ENOMEM;
}

static void clear(struct mountinfo *mount)
{
	free(mount->mountpoint);
	free(mount->type);
	free(mount->source);
	*mount = (struct mountinfo){ 0 };
}

static size_t count_lines(const char *text)
{
	size_t lines = 1;

	for (; *text; text++)
		lines += *text == '\n';
	return lines;
}

int mountinfo_parse(const char *text, struct mountinfo **out, size_t *count)
{
	struct mountinfo *mounts = calloc(count_lines(text), sizeof(*mounts));
	size_t n = 0;

	if (!mounts)
		return -ENOMEM;
	while (*text) {
		int r = parse_line(text, &mounts[n]);

		if (r < 0) {
			mountinfo_free(mounts, n + 1);
			return r;
		}
		if (r == 0)
			n++;
		else
			clear(&mounts[n]);
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	*out = mounts;
	*count = n;
	return 0;
}

int mountinfo_read(struct mountinfo **out, size_t *count)
{
	autofree char *text = NULL;
	int r = util_read_file(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text, NULL);

	return r < 0 ? r : mountinfo_parse(text, out, count);
}

void mountinfo_free(struct mountinfo *mounts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		clear(&mounts[i]);
	free(mounts);
}
