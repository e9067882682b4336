/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/recovery.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/log.h"
#include "store/recovery_internal.h"

static void complain(const struct catalog_checkpoint *row, const char *what, int ret)
{
	log_warn("recovery: checkpoint %08llx cannot be %s now: %s; the next mount tries again",
		(unsigned long long)row->ktime, what, strerrordesc_np(-ret));
}

/* The manifest of @row if it is whole and is that; else NULL. */
static struct manifest *manifest_of(struct store *store, const struct catalog_checkpoint *row)
{
	struct manifest *manifest = NULL;

	if (manifest_load(store->source_fd, row->manifest, &manifest, NULL))
		return NULL;
	if (manifest->ktime == row->ktime)
		return manifest;
	manifest_free(manifest);
	return NULL;
}

static int undo(struct recovery *recovery, const struct catalog_checkpoint *row)
{
	int ret = checkpoint_undo(recovery->store, row);

	if (ret)
		complain(row, "undone", ret);
	else
		recovery->undone++;
	return ret;
}

/* Where its manifest is, its links are on disk: that is the order of a freeze. */
static int finish_durable(struct recovery *recovery, const struct catalog_checkpoint *row)
{
	struct manifest *manifest = manifest_of(recovery->store, row);
	int ret;

	if (!manifest)
		return undo(recovery, row);
	manifest_free(manifest);
	ret = catalog_checkpoint_set(
		recovery->store->catalog, row->ktime, CHECKPOINT_COMMITTED, NULL, 0);
	if (ret)
		complain(row, "committed", ret);
	else
		recovery->committed++;
	return ret;
}

static int finish_drop(struct recovery *recovery, const struct catalog_checkpoint *row)
{
	struct manifest *manifest = manifest_of(recovery->store, row);
	int ret;

	if (!manifest)
		manifest = manifest_from_row(recovery->store, row, NULL);
	if (!manifest)
		return -ENOMEM;
	ret = checkpoint_drop(recovery->store, manifest, row->manifest, row, false, NULL);
	manifest_free(manifest);
	if (ret)
		complain(row, "dropped", ret);
	else
		recovery->dropped++;
	return ret;
}

/* Which links of a committed checkpoint went behind our back: their N, and how many there are. */
static size_t find_lost(
	struct store *store, const struct manifest *manifest, uint32_t *lost, size_t *present)
{
	enum link_status status;
	size_t count = 0;

	*present = 0;
	for (size_t i = 0; i < manifest->nentries; i++) {
		if (link_check(store->source_fd, manifest->entries[i].link, &manifest->entries[i],
			    true, &status) ||
			status == LINK_PRESENT)
			(*present)++;
		else
			lost[count++] = manifest->entries[i].n;
	}
	return count;
}

static int note_lost(struct recovery *recovery, const struct catalog_checkpoint *row,
	const struct manifest *manifest, bool has_manifest)
{
	autofree uint32_t *lost = calloc(manifest->nentries + 1, sizeof(*lost));
	size_t present, count;
	int ret = 0;

	if (!lost)
		return -ENOMEM;
	count = find_lost(recovery->store, manifest, lost, &present);
	if (count)
		ret = catalog_links_lost(recovery->store->catalog, row->ktime, lost, count);
	if (!ret && !present && (count || !has_manifest)) {
		ret = catalog_checkpoint_set(
			recovery->store->catalog, row->ktime, CHECKPOINT_LOST, NULL, 0);
		recovery->lost++;
	} else if (count || !has_manifest) {
		log_warn("recovery: of checkpoint %08llx %zu of %zu links%s are missing",
			(unsigned long long)row->ktime, count, manifest->nentries,
			has_manifest ? "" : " and the manifest");
	}
	return ret;
}

static int check_committed(struct recovery *recovery, const struct catalog_checkpoint *row)
{
	struct manifest *manifest = manifest_of(recovery->store, row);
	bool has_manifest = manifest != NULL;
	int ret;

	if (!manifest)
		manifest = manifest_from_row(recovery->store, row, NULL);
	if (!manifest)
		return -ENOMEM;
	ret = note_lost(recovery, row, manifest, has_manifest);
	manifest_free(manifest);
	return ret;
}

static int recover_checkpoint(struct recovery *recovery, uint64_t ktime)
{
	struct catalog_checkpoint *row = NULL;
	int ret = catalog_checkpoint_get(recovery->store->catalog, ktime, &row);

	if (ret)
		return ret;
	switch (row->state) {
	case CHECKPOINT_PREPARING:
		ret = undo(recovery, row);
		break;
	case CHECKPOINT_DURABLE:
		ret = finish_durable(recovery, row);
		break;
	case CHECKPOINT_DROPPING:
		ret = finish_drop(recovery, row);
		break;
	case CHECKPOINT_COMMITTED:
		ret = check_committed(recovery, row);
		break;
	default:
		break;
	}
	catalog_checkpoint_free(row);
	return ret;
}

static int recover_checkpoints(struct recovery *recovery)
{
	struct catalog_checkpoint *rows = NULL;
	size_t count = 0;
	int ret = catalog_checkpoint_list(recovery->store->catalog, false, &rows, &count);

	for (size_t i = 0; i < count && ret != -ENOMEM; i++)
		ret = recover_checkpoint(recovery, rows[i].ktime);
	catalog_checkpoints_free(rows, count);
	return ret == -ENOMEM ? ret : 0;
}

static int note_entries(struct store *store)
{
	struct store_snapshot_entry *entries = NULL;
	size_t count = 0;
	int ret = store_snapshot(store, &entries, &count);

	for (size_t i = 0; i < count; i++)
		catalog_entry_hidden(store->catalog, &entries[i].record, entries[i].path);
	store_snapshot_free(entries, count);
	return ret;
}

static void report(const struct recovery *recovery)
{
	if (recovery->undone + recovery->committed + recovery->dropped + recovery->adopted +
		recovery->lost + recovery->strays)
		log_info("recovery: checkpoints: %u undone, %u committed, %u dropped, %u adopted, "
			 "%u lost; links of none: %u",
			recovery->undone, recovery->committed, recovery->dropped, recovery->adopted,
			recovery->lost, recovery->strays);
}

int recovery_run(struct store *store, enum catalog_origin origin, bool resumed)
{
	struct recovery recovery = { .store = store };
	int ret = 0;

	pthread_mutex_lock(&store->checkpoints);
	if (origin != CATALOG_KEPT)
		ret = note_entries(store);
	if (!ret)
		ret = recover_checkpoints(&recovery);
	if (!ret)
		ret = recovery_read_folder(&recovery);
	/* What cannot be removed now is tried again next time. */
	if (!ret && entries_reap(store) == -ENOMEM)
		ret = -ENOMEM;
	if (!ret && !resumed)
		catalog_reap_entries(store->catalog);
	pthread_mutex_unlock(&store->checkpoints);
	report(&recovery);
	return ret;
}

int recovery_refill(struct store *store)
{
	struct recovery recovery = { .store = store };
	int ret = note_entries(store);

	if (!ret)
		ret = recovery_read_folder(&recovery);
	report(&recovery);
	return ret;
}
