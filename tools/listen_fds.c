/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/listen_fds.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/util.h"

#define NAME_LENGTH_MAX 255
/* The kernel's MAX_ARG_STRLEN: 32 pages, of 4096 bytes at least. */
#define VARIABLE_MAX (size_t)131072

static void put_name(FILE *out, const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t length = 0;

	for (const char *at = slash ? slash + 1 : path; *at; at++) {
		unsigned char c = (unsigned char)*at;
		bool plain = c > 0x20 && c < 0x7f && !strchr("%:\\", c);

		length += plain || c == ' ' ? 1 : 3;
		if (length > NAME_LENGTH_MAX)
			return;
		if (plain || c == ' ')
			fputc(c, out);
		else
			fprintf(out, "%%%02X", c);
	}
}

static void put_path(FILE *out, const char *path)
{
	for (; *path; path++) {
		unsigned char c = (unsigned char)*path;

		if (c < 0x20 || c == 0x7f || c == '\\')
			fprintf(out, "\\%03o", c);
		else
			fputc(c, out);
	}
}

/* A stream into memory has no other error than the want of it. */
static char *finish(FILE *out, char **text)
{
	bool failed = ferror(out);

	failed |= fclose(out) != 0;
	if (failed) {
		free(*text);
		*text = NULL;
	}
	return *text;
}

char *listen_fds_names(const struct restart_item *const *items, size_t count)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			fputc(':', out);
		put_name(out, items[i]->path);
	}
	return finish(out, &text);
}

char *listen_fds_table(const struct restart_item *const *items, size_t count)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		fprintf(out, "%s%d=", i > 0 ? "\n" : "", items[i]->number);
		put_path(out, items[i]->path);
	}
	return finish(out, &text);
}

static int by_number(const void *a, const void *b)
{
	const struct restart_item *x = *(const struct restart_item *const *)a;
	const struct restart_item *y = *(const struct restart_item *const *)b;

	return (x->number > y->number) - (x->number < y->number);
}

static int set(const char *name, const char *value)
{
	if (!value)
		return -ENOMEM;
	if (strlen(name) + strlen(value) + 2 > VARIABLE_MAX) {
		unsetenv(name);
		return -E2BIG;
	}
	return setenv(name, value, 1) < 0 ? -errno : 0;
}

static int set_listen(const struct restart_item *const *items, size_t count)
{
	autofree char *names = NULL;
	char number[32];
	int r;

	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
	if (count == 0 || items[0]->number != RESTART_FIRST_FD ||
	    (size_t)(items[count - 1]->number - RESTART_FIRST_FD) != count - 1)
		return 0;
	snprintf(number, sizeof(number), "%zu", count);
	r = set("LISTEN_FDS", number);
	snprintf(number, sizeof(number), "%d", (int)getpid());
	if (r == 0)
		r = set("LISTEN_PID", number);
	names = listen_fds_names(items, count);
	return r < 0 ? r : set("LISTEN_FDNAMES", names);
}

int listen_fds_set(const struct restart_item *items, size_t count)
{
	autofree const struct restart_item **sorted = calloc(count + 1, sizeof(void *));
	autofree char *table = NULL;
	size_t n = 0;
	int r, table_r;

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		if (items[i].number >= 0)
			sorted[n++] = &items[i];
	qsort(sorted, n, sizeof(void *), by_number);
	r = set_listen(sorted, n);
	if (r < 0 && r != -E2BIG)
		return r;
	table = listen_fds_table(sorted, n);
	table_r = set("RELINKFS_FDS", table);
	return table_r < 0 ? table_r : r;
}
