/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What lies in the folder of checkpoints and is in no catalog. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/idmap.h"
#include "store/log.h"
#include "store/recovery_internal.h"

#define BEGINNING "unlink-at-restart-"
/* Stray links that are named one by one; the rest is counted. */
#define STRAYS_NAMED 10

/* What is known before the folder is read. */
struct known {
	struct idmap ktimes;  /* of checkpoints that are not past */
	struct idmap entries; /* st_ino -> index in the snapshot, + 1 */
	struct store_snapshot_entry *snapshot;
	size_t count;
};

static void known_free(struct known *known)
{
	idmap_free(&known->ktimes);
	idmap_free(&known->entries);
	store_snapshot_free(known->snapshot, known->count);
}

static int known_fill(struct store *store, struct known *known)
{
	struct catalog_checkpoint *rows = NULL;
	size_t count = 0;
	int ret = catalog_checkpoint_list(store->catalog, false, &rows, &count);

	for (size_t i = 0; i < count && !ret; i++)
		ret = idmap_add(&known->ktimes, rows[i].ktime, 1);
	catalog_checkpoints_free(rows, count);
	if (!ret)
		ret = store_snapshot(store, &known->snapshot, &known->count);
	for (size_t i = 0; i < known->count && !ret; i++)
		ret = idmap_add(&known->entries, known->snapshot[i].record.ino, (uint32_t)i + 1);
	return ret;
}

static uint64_t entry_of(const struct known *known, uint64_t ino)
{
	uint32_t index = idmap_find(&known->entries, ino, 0);

	return index ? known->snapshot[index - 1].record.id : 0;
}

/* ---- adopting ---- */

static struct catalog_link *links_of(
	struct store *store, const struct known *known, const struct manifest *manifest)
{
	struct catalog_link *links = calloc(manifest->nentries + 1, sizeof(*links));
	enum link_status status;

	for (size_t i = 0; links && i < manifest->nentries; i++) {
		const struct manifest_entry *entry = &manifest->entries[i];
		bool there = link_check(store->source_fd, entry->link, entry, true, &status) == 0 &&
			     status == LINK_PRESENT;

		links[i] = (struct catalog_link){
			.n = entry->n,
			.path = entry->link,
			.entry = entry_of(known, entry->ino),
			.ino = entry->ino,
			.mode = entry->mode,
			.state = there ? CATALOG_LINK_MADE : CATALOG_LINK_LOST,
		};
	}
	return links;
}

/* @path: where the manifest lies, whatever it says of itself. */
static int adopt(
	struct recovery *recovery, struct known *known, const struct manifest *manifest, char *path)
{
	struct store *store = recovery->store;
	autofree struct catalog_link *links = links_of(store, known, manifest);
	struct catalog_checkpoint row = {
		.ktime = manifest->ktime,
		.state = CHECKPOINT_COMMITTED,
		.link_template = manifest->link_template,
		.manifest = path,
		.scope = manifest->scope,
		.creator_pid = manifest->creator_pid,
		.creator_uid = manifest->creator_uid,
		.created = (int64_t)manifest->ktime,
		.changed = realtime_ns(),
		.links = links,
		.link_count = manifest->nentries,
		.folders = manifest->folders,
		.folder_count = manifest->nfolders,
	};
	int ret;

	if (!links)
		return -ENOMEM;
	memcpy(row.creator_comm, manifest->creator_comm, sizeof(row.creator_comm));
	ret = catalog_checkpoint_add(store->catalog, &row);
	if (!ret)
		ret = idmap_add(&known->ktimes, manifest->ktime, 1);
	if (ret && ret != -ENOMEM) {
		log_warn("recovery: %s cannot be noted in the catalog: %s", path,
			strerrordesc_np(-ret));
		return 0;
	}
	recovery->adopted += !ret;
	return ret;
}

/* A name "unlink-at-restart-TIME.json"; @ktime: of the name. */
static int read_manifest(
	struct recovery *recovery, struct known *known, const char *name, uint64_t ktime)
{
	autofree char *path = util_printf(MANIFEST_DIR "/%s", name);
	autofree char *why = NULL;
	struct manifest *manifest = NULL;
	int ret;

	if (idmap_find(&known->ktimes, ktime, 0))
		return 0;
	if (!path)
		return -ENOMEM;
	ret = manifest_load(recovery->store->source_fd, path, &manifest, &why);
	if (ret) {
		log_warn("recovery: %s is left alone: %s", path, why ? why : strerrordesc_np(-ret));
		return ret == -ENOMEM ? ret : 0;
	}
	if (manifest->ktime == ktime)
		ret = adopt(recovery, known, manifest, path);
	else
		log_warn("recovery: %s is left alone: it says it is of checkpoint %s", path,
			manifest->id);
	manifest_free(manifest);
	return ret;
}

/* ---- the folder ---- */

/* The time in a name of ours, and what comes after it; NULL: it is not one. */
static const char *parse_name(const char *name, uint64_t *ktime)
{
	char *end;

	if (strncmp(name, BEGINNING, strlen(BEGINNING)) != 0)
		return NULL;
	name += strlen(BEGINNING);
	if (strspn(name, "0123456789abcdef") < 8)
		return NULL;
	*ktime = strtoull(name, &end, 16);
	return end;
}

static int read_names(DIR *dir, char ***names, size_t *count)
{
	const struct dirent *item;
	uint64_t ktime;
	size_t size = 0;

	while ((item = readdir(dir))) {
		if (!parse_name(item->d_name, &ktime))
			continue;
		if (*count == size) {
			char **grown =
				reallocarray(*names, size = size ? size * 2 : 64, sizeof(**names));

			if (!grown)
				return -ENOMEM;
			*names = grown;
		}
		(*names)[*count] = strdup(item->d_name);
		if (!(*names)[*count])
			return -ENOMEM;
		(*count)++;
	}
	return 0;
}

static void warn_of_stray(struct recovery *recovery, const char *name)
{
	if (recovery->strays++ < STRAYS_NAMED)
		log_warn("recovery: " MANIFEST_DIR "/%s belongs to no checkpoint that is known; it "
			 "is left in place: look at it and remove it",
			name);
}

/* Manifests first: a link belongs to something when its checkpoint is known. */
static int read_all(struct recovery *recovery, struct known *known, char **names, size_t count)
{
	const char *rest;
	uint64_t ktime;
	int ret = 0;

	for (size_t i = 0; i < count && !ret; i++) {
		rest = parse_name(names[i], &ktime);
		if (rest && strcmp(rest, ".json") == 0)
			ret = read_manifest(recovery, known, names[i], ktime);
	}
	for (size_t i = 0; i < count && !ret; i++) {
		rest = parse_name(names[i], &ktime);
		if (rest && *rest == '-' && !idmap_find(&known->ktimes, ktime, 0))
			warn_of_stray(recovery, names[i]);
	}
	return ret;
}

int recovery_read_folder(struct recovery *recovery)
{
	struct known known = { 0 };
	autofd int fd = xopenat_beneath(
		recovery->store->source_fd, MANIFEST_DIR, O_RDONLY | O_DIRECTORY, 0);
	autodir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	char **names = NULL;
	size_t count = 0;
	int ret;

	if (!dir)
		return fd == -ENOENT ? 0 : -ENOMEM;
	steal_fd(&fd);
	ret = known_fill(recovery->store, &known);
	if (!ret)
		ret = read_names(dir, &names, &count);
	if (!ret)
		ret = read_all(recovery, &known, names, count);
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
	known_free(&known);
	/* A catalog that does not work has said so itself. */
	return ret == -ENOMEM ? ret : 0;
}
