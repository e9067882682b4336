/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The manifest of a freeze: what was linked, and who held it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/freeze_internal.h"

static bool is_in(const struct freeze_item *item)
{
	return item->state == ITEM_MADE || item->state == ITEM_SHARED;
}

static char *scope_text(const struct procscan_request *scope)
{
	switch (scope->scope) {
	case PROCSCAN_TREE:
		return util_printf("pid %d", scope->pid);
	case PROCSCAN_CGROUP:
		return util_printf("cgroup %s", scope->cgroup);
	default:
		return strdup("all");
	}
}

/* The first hit on @ino, by halving: hits are sorted. */
static size_t first_hit(const struct freezing *freezing, uint64_t ino)
{
	size_t low = 0, high = freezing->nhits;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (freezing->hits[middle].ino < ino)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int fill_openers(const struct freezing *freezing, struct manifest_entry *entry)
{
	size_t first = first_hit(freezing, entry->ino), end = first;

	while (end < freezing->nhits && freezing->hits[end].ino == entry->ino)
		end++;
	if (first == end)
		return 0;
	entry->openers = calloc(end - first, sizeof(*entry->openers));
	if (!entry->openers)
		return -ENOMEM;
	for (size_t i = first; i < end; i++)
		entry->openers[entry->nopeners++] = freezing->hits[i].opener;
	return 0;
}

/* A path that no reader would take is not written: what cannot be told is named by inode. */
static char *original_path(const struct freeze_item *item)
{
	const char *path = item->entry->path;

	if (manifest_name_error(path))
		return util_printf("#%llu", (unsigned long long)item->entry->record.ino);
	return strdup(path);
}

static int fill_entry(const struct freezing *freezing, const struct freeze_item *item,
	struct manifest_entry *entry)
{
	*entry = item->record;
	entry->n = item->n;
	entry->tmpfile = item->entry->record.flags & ENTRY_F_TMPFILE;
	entry->link = strdup(item->link);
	entry->path = original_path(item);
	return entry->link && entry->path ? fill_openers(freezing, entry) : -ENOMEM;
}

static int fill_entries(const struct freezing *freezing, struct manifest *manifest)
{
	int ret = 0;

	manifest->entries = calloc(freezing->count + 1, sizeof(*manifest->entries));
	if (!manifest->entries)
		return -ENOMEM;
	for (size_t i = 0; i < freezing->count && !ret; i++)
		if (is_in(&freezing->items[i]))
			ret = fill_entry(freezing, &freezing->items[i],
				&manifest->entries[manifest->nentries++]);
	return ret;
}

static int fill_folders(const struct freezing *freezing, struct manifest *manifest)
{
	manifest->folders = calloc(freezing->nfolders + 1, sizeof(*manifest->folders));
	if (!manifest->folders)
		return -ENOMEM;
	for (size_t i = 0; i < freezing->nfolders; i++) {
		manifest->folders[i] = strdup(freezing->folders[i].path);
		if (!manifest->folders[i])
			return -ENOMEM;
		manifest->nfolders++;
	}
	return 0;
}

static int fill_head(const struct freezing *freezing, struct manifest *manifest)
{
	const struct freeze_request *request = freezing->request;
	const char *mount_path = freezing->store->hooks.mount_path;

	manifest->ktime = freezing->ktime;
	memcpy(manifest->id, freezing->id, sizeof(manifest->id));
	manifest->path = strdup(freezing->manifest_path);
	manifest->link_template = strdup(template_text(freezing->template));
	manifest->mount_path = mount_path ? strdup(mount_path) : NULL;
	manifest->scope = scope_text(&request->scope);
	manifest->creator_pid = request->creator_pid;
	manifest->creator_uid = request->creator_uid;
	if (request->creator_comm)
		strncpy(manifest->creator_comm, request->creator_comm,
			sizeof(manifest->creator_comm) - 1);
	return manifest->path && manifest->link_template && manifest->scope &&
			       (manifest->mount_path || !mount_path)
		       ? 0
		       : -ENOMEM;
}

struct manifest *freeze_manifest(struct freezing *freezing)
{
	struct manifest *manifest = calloc(1, sizeof(*manifest));
	int ret;

	if (!manifest)
		return NULL;
	ret = fill_head(freezing, manifest);
	if (!ret)
		ret = fill_folders(freezing, manifest);
	if (!ret)
		ret = fill_entries(freezing, manifest);
	if (ret) {
		manifest_free(manifest);
		return NULL;
	}
	return manifest;
}
