/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which entries are frozen, and under which names. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/freeze_internal.h"
#include "store/log.h"

/* ---- the set ---- */

static int compare_hit_ino(const void *key, const void *item)
{
	const uint64_t *ino = key;
	const struct procscan_hit *hit = item;

	return (*ino > hit->ino) - (*ino < hit->ino);
}

static bool is_held(const struct freezing *freezing, uint64_t ino)
{
	return freezing->nhits && bsearch(&ino, freezing->hits, freezing->nhits,
					  sizeof(*freezing->hits), compare_hit_ino);
}

int freeze_scan(struct freezing *freezing)
{
	struct procscan_request request = freezing->request->scope;
	int ret;

	request.dev = freezing->store->hooks.mount_dev;
	if (freezing->hits || !request.dev)
		return request.dev ? 0 : -ENODEV;
	ret = freeze_point("scan", 0);
	return ret ? ret : procscan(&request, &freezing->hits, &freezing->nhits);
}

static int fail_scan(struct freezing *freezing, int ret)
{
	const struct procscan_request *scope = &freezing->request->scope;
	autofree char *message = NULL;

	if (ret == -ESRCH)
		message = util_printf("there is no such process: %d", (int)scope->pid);
	else if (ret == -ENOENT)
		message = util_printf("there is no process in the cgroup %s", scope->cgroup);
	return freeze_fail(freezing, NULL, "scope", -ret, message);
}

/* In the order in which they were hidden, which is that of their ids. */
static int compare_items(const void *a, const void *b)
{
	const struct freeze_item *x = a, *y = b;

	return (x->entry->record.id > y->entry->record.id) -
	       (x->entry->record.id < y->entry->record.id);
}

static int choose(struct freezing *freezing)
{
	bool all = freezing->request->scope.scope == PROCSCAN_ALL;

	freezing->items = calloc(freezing->snapshot_count + 1, sizeof(*freezing->items));
	if (!freezing->items)
		return -ENOMEM;
	for (size_t i = 0; i < freezing->snapshot_count; i++) {
		const struct store_snapshot_entry *entry = &freezing->snapshot[i];

		if (all || is_held(freezing, entry->record.ino))
			freezing->items[freezing->count++].entry = entry;
	}
	qsort(freezing->items, freezing->count, sizeof(*freezing->items), compare_items);
	for (size_t i = 0; i < freezing->count; i++)
		freezing->items[i].n = (uint32_t)i + 1;
	return 0;
}

/* True if the directory of @item lies at @path. */
static bool lies_at(
	const struct freezing *freezing, const struct freeze_item *item, const char *path)
{
	const struct manifest_entry record = { .mode = S_IFDIR, .ino = item->entry->record.ino };
	enum link_status status;

	return link_check(freezing->store->source_fd, path, &record, false, &status) == 0 &&
	       status == LINK_PRESENT;
}

/* A directory outside of the vault lies at the link of a checkpoint: which one? */
static int find_shared_link(struct freezing *freezing, struct freeze_item *item)
{
	char **paths = NULL;
	size_t count = 0;
	int ret;

	ret = catalog_links_of(freezing->store->catalog, item->entry->record.ino, &paths, &count);
	for (size_t i = 0; i < count; i++) {
		if (!item->link && lies_at(freezing, item, paths[i]))
			item->link = steal_ptr(&paths[i]);
		free(paths[i]);
	}
	free(paths);
	item->shared = item->link != NULL;
	return ret;
}

static int leave_out(
	struct freezing *freezing, struct freeze_item *item, int error, const char *message)
{
	int ret = freeze_fail(freezing, item, "link", error, message);

	item->state = ITEM_LEFT_OUT;
	return freezing->request->partial ? 0 : ret;
}

static int check_item(struct freezing *freezing, struct freeze_item *item)
{
	int ret;

	switch (item->entry->record.state) {
	case ENTRY_PINNED:
		return leave_out(freezing, item, EOPNOTSUPP, "it has no link and can get none");
	case ENTRY_MOVED:
		ret = find_shared_link(freezing, item);
		if (ret)
			return freeze_fail(freezing, item, "catalog", -ret, NULL);
		return item->shared ? 0
				    : leave_out(freezing, item, ENOENT,
					      "the frozen directory is not where it was put");
	default:
		return 0;
	}
}

int freeze_plan_set(struct freezing *freezing)
{
	struct store *store = freezing->store;
	int64_t start;
	int ret;

	/* Renames over a name have two steps: none of them is half-way now. */
	store_barrier_lock(store);
	start = monotonic_ns();
	ret = store_snapshot(store, &freezing->snapshot, &freezing->snapshot_count);
	freezing->result->barrier_ns += monotonic_ns() - start;
	store_barrier_unlock(store);
	if (ret)
		return ret;
	if (freezing->request->scope.scope != PROCSCAN_ALL) {
		ret = freeze_scan(freezing);
		if (ret)
			return fail_scan(freezing, ret);
	}
	ret = choose(freezing);
	for (size_t i = 0; i < freezing->count && !ret; i++)
		ret = check_item(freezing, &freezing->items[i]);
	return ret;
}

/* ---- names ---- */

static int name_item(struct freezing *freezing, struct freeze_item *item)
{
	const struct template_values values = {
		.ktime = freezing->ktime,
		.id = freezing->id,
		.n = item->n,
		.uid = item->entry->record.uid,
		.ino = item->entry->record.ino,
	};

	if (item->shared || item->state == ITEM_LEFT_OUT)
		return 0;
	item->link = template_expand(freezing->template, &values);
	return item->link ? 0 : -ENOMEM;
}

/* All folders that lie on the way to the links; a name once, but for chance. */
struct prefixes {
	char **paths;
	size_t count, size;
};

static int add_prefix(struct prefixes *prefixes, const char *path, size_t length)
{
	if (prefixes->count == prefixes->size) {
		size_t size = prefixes->size ? prefixes->size * 2 : 16;
		char **paths = reallocarray(prefixes->paths, size, sizeof(char *));

		if (!paths)
			return -ENOMEM;
		prefixes->paths = paths;
		prefixes->size = size;
	}
	prefixes->paths[prefixes->count] = strndup(path, length);
	return prefixes->paths[prefixes->count++] ? 0 : -ENOMEM;
}

static int add_prefixes_of(struct prefixes *prefixes, const char *link)
{
	int ret = 0;

	for (const char *slash = strchr(link, '/'); slash && !ret; slash = strchr(slash + 1, '/'))
		ret = add_prefix(prefixes, link, (size_t)(slash - link));
	return ret;
}

static bool same_parent(const char *a, const char *b)
{
	size_t length = (size_t)(path_last(a) - a);

	return length == (size_t)(path_last(b) - b) && memcmp(a, b, length) == 0;
}

static int collect_prefixes(const struct freezing *freezing, struct prefixes *prefixes)
{
	const char *last = NULL;
	int ret = 0;

	for (size_t i = 0; i < freezing->count && !ret; i++) {
		const struct freeze_item *item = &freezing->items[i];

		if (!item->link || (last && same_parent(last, item->link)))
			continue;
		last = item->link;
		ret = add_prefixes_of(prefixes, last);
	}
	return ret;
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* 1: to be made; 0: is there and another checkpoint's, so its end is ours too; -1: neither. */
static int folder_kind(struct freezing *freezing, const char *path, int *error)
{
	autofd int fd = xopenat_beneath(freezing->store->source_fd, path, O_PATH | O_DIRECTORY, 0);
	unsigned users = 0;

	*error = 0;
	if (fd == -ENOENT)
		return 1;
	if (fd < 0)
		*error = fd;
	else if (strcmp(path, MANIFEST_DIR) != 0)
		*error =
			catalog_path_users(freezing->store->catalog, freezing->ktime, path, &users);
	return users ? 0 : -1;
}

static int plan_folder(struct freezing *freezing, const char *path)
{
	struct freeze_folder *folder = &freezing->folders[freezing->nfolders];
	int error, kind = folder_kind(freezing, path, &error);
	autofree char *message = NULL;

	if (error) {
		message = util_printf(
			"the template's folder \"%s\": %s", path, strerrordesc_np(-error));
		return freeze_fail(freezing, NULL, "template", -error, message);
	}
	if (kind < 0)
		return 0;
	folder->path = strdup(path);
	folder->made = kind > 0;
	freezing->nfolders++;
	return folder->path ? 0 : -ENOMEM;
}

/* Sorted, a folder comes before what lies in it. */
static int plan_folders(struct freezing *freezing)
{
	struct prefixes prefixes = { 0 };
	int ret = collect_prefixes(freezing, &prefixes);

	freezing->folders = calloc(prefixes.count + 1, sizeof(*freezing->folders));
	if (!freezing->folders)
		ret = -ENOMEM;
	if (prefixes.count)
		qsort(prefixes.paths, prefixes.count, sizeof(char *), compare_paths);
	for (size_t i = 0; i < prefixes.count && !ret; i++)
		if (i == 0 || strcmp(prefixes.paths[i - 1], prefixes.paths[i]) != 0)
			ret = plan_folder(freezing, prefixes.paths[i]);
	for (size_t i = 0; i < prefixes.count; i++)
		free(prefixes.paths[i]);
	free(prefixes.paths);
	return ret;
}

int freeze_plan_names(struct freezing *freezing)
{
	int ret = 0;

	snprintf(freezing->id, sizeof(freezing->id), "%08" PRIx64, freezing->ktime);
	freezing->manifest_path = util_printf(
		MANIFEST_DIR "/" MANIFEST_NAME_FMT, (unsigned long long)freezing->ktime);
	if (!freezing->manifest_path)
		return -ENOMEM;
	for (size_t i = 0; i < freezing->count && !ret; i++)
		ret = name_item(freezing, &freezing->items[i]);
	return ret ? ret : plan_folders(freezing);
}

void freeze_forget_names(struct freezing *freezing)
{
	for (size_t i = 0; i < freezing->count; i++)
		if (!freezing->items[i].shared)
			free(steal_ptr(&freezing->items[i].link));
	for (size_t i = 0; i < freezing->nfolders; i++)
		free(freezing->folders[i].path);
	free(steal_ptr(&freezing->folders));
	free(steal_ptr(&freezing->manifest_path));
	freezing->nfolders = freezing->folders_tried = 0;
}
