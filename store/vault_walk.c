/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Walks over the whole vault.  The names are read first and then worked on, because a
 * directory that is changed while it is read may leave names out.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "store/log.h"
#include "store/util.h"
#include "store/vault_internal.h"

struct id_list {
	uint64_t *ids;
	size_t count, capacity;
};

static int id_list_add(struct id_list *list, uint64_t id)
{
	if (list->count == list->capacity) {
		size_t capacity = list->capacity ? list->capacity * 2 : 64;
		uint64_t *larger = reallocarray(list->ids, capacity, sizeof(*larger));

		if (!larger)
			return -ENOMEM;
		list->ids = larger;
		list->capacity = capacity;
	}
	list->ids[list->count++] = id;
	return 0;
}

/* True only for exactly what vault_name() makes. */
static bool parse_name(const char *name, uint64_t *id)
{
	char again[VAULT_NAME_SIZE];
	char *end;

	if (strspn(name, "0123456789abcdef") != VAULT_NAME_SIZE - 1)
		return false;
	*id = strtoull(name, &end, 16);
	return *end == '\0' && strcmp(vault_name(*id, again), name) == 0;
}

static int compare_ids(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

/* @foreign: where to count, and say so in the log, names that are not of entries; or NULL. */
static int read_ids(struct vault *vault, struct id_list *list, uint64_t *foreign)
{
	autodir DIR *dir = NULL;
	autofd int fd = openat(vault->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *entry;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	steal_fd(&fd);
	while (errno = 0, (entry = readdir(dir)) != NULL) {
		uint64_t id;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (!parse_name(entry->d_name, &id)) {
			if (foreign) {
				(*foreign)++;
				log_warn("%s/vault/%s is not an entry of the vault: left alone",
					vault->where, entry->d_name);
			}
		} else if (id_list_add(list, id) < 0) {
			return -ENOMEM;
		}
	}
	if (errno)
		return -errno;
	if (list->count)
		qsort(list->ids, list->count, sizeof(*list->ids), compare_ids);
	return 0;
}

static int list_ids(struct vault *vault, uint64_t **out, size_t *count, uint64_t *foreign)
{
	struct id_list list = { 0 };
	int error = read_ids(vault, &list, foreign);

	if (error) {
		free(list.ids);
		return error;
	}
	*out = list.ids;
	*count = list.count;
	return 0;
}

int vault_list(struct vault *vault, uint64_t **out, size_t *count)
{
	return list_ids(vault, out, count, NULL);
}

int vault_walk(
	struct vault *vault, int (*visit)(void *ctx, uint64_t id, const struct stat *st), void *ctx)
{
	autofree uint64_t *ids = NULL;
	size_t count = 0;
	int result = vault_list(vault, &ids, &count);

	for (size_t i = 0; i < count && result == 0; i++) {
		struct stat st;

		result = vault_stat(vault, ids[i], &st);
		if (result == 0)
			result = visit(ctx, ids[i], &st);
		else if (result == -ENOENT)
			result = 0;
	}
	return result;
}

static void reap_one(struct vault *vault, uint64_t id, struct vault_reaped *out)
{
	struct stat st;
	int error = vault_stat(vault, id, &st);

	if (!error)
		error = vault_drop(vault, id, S_ISDIR(st.st_mode));
	if (error == -ENOENT)
		return;
	if (error) {
		out->failed++;
		log_warn("%s/vault/%016llx cannot be removed: %s; left for you to look at",
			vault->where, (unsigned long long)id, strerror(-error));
		return;
	}
	if (S_ISDIR(st.st_mode)) {
		out->dirs++;
		return;
	}
	out->files++;
	if (st.st_nlink == 1)
		out->bytes += (uint64_t)st.st_blocks * 512;
}

int vault_reap(struct vault *vault, bool (*keep)(void *ctx, uint64_t id), void *ctx,
	struct vault_reaped *out)
{
	autofree uint64_t *ids = NULL;
	size_t count = 0;
	int error;

	*out = (struct vault_reaped){ 0 };
	error = list_ids(vault, &ids, &count, &out->foreign);
	for (size_t i = 0; i < count; i++) {
		if (keep && keep(ctx, ids[i]))
			out->kept++;
		else
			reap_one(vault, ids[i], out);
	}
	return error;
}
