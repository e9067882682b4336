/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ends of a checkpoint: undone, or dropped.  Both can be repeated from any point.
 *
 * Undo takes the manifest first, and durably: a checkpoint that is half undone must not
 * look whole to anybody.  Drop takes it last: a checkpoint that is half dropped must be
 * known by it until all is gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/freeze_internal.h"
#include "store/log.h"

/* ---- a manifest for what has only a row ---- */

static char *original_of(
	struct store *store, const struct catalog_link *link, const struct manifest *file)
{
	struct entry_record record;
	uint32_t index;

	for (size_t i = 0; file && i < file->nentries; i++)
		if (file->entries[i].n == link->n)
			return strdup(file->entries[i].path);
	/* The lock on checkpoints does not keep an entry, so its path may be gone by now. */
	if (link->entry && !store_find_id(store, link->entry, &record, &index)) {
		store_mutation_begin(store);
		if (!store_find_id(store, link->entry, &record, &index)) {
			char *path = store_entry_path(store, index);

			store_mutation_end(store);
			return path;
		}
		store_mutation_end(store);
	}
	return strdup(link->path);
}

static int fill_from_row(struct store *store, const struct catalog_checkpoint *row,
	const struct manifest *file, struct manifest *out)
{
	out->entries = calloc(row->link_count + 1, sizeof(*out->entries));
	out->folders = calloc(row->folder_count + 1, sizeof(*out->folders));
	if (!out->entries || !out->folders)
		return -ENOMEM;
	for (size_t i = 0; i < row->link_count; i++) {
		const struct catalog_link *link = &row->links[i];
		struct manifest_entry *entry = &out->entries[out->nentries];

		if (link->state == CATALOG_LINK_LEFT_OUT)
			continue;
		out->nentries++;
		entry->n = link->n;
		entry->ino = link->ino;
		entry->mode = link->mode;
		entry->link = strdup(link->path);
		entry->path = original_of(store, link, file);
		if (!entry->link || !entry->path)
			return -ENOMEM;
	}
	for (size_t i = 0; i < row->folder_count; i++) {
		out->folders[i] = strdup(row->folders[i]);
		if (!out->folders[i])
			return -ENOMEM;
		out->nfolders++;
	}
	return 0;
}

struct manifest *manifest_from_row(
	struct store *store, const struct catalog_checkpoint *row, const struct manifest *file)
{
	struct manifest *manifest = calloc(1, sizeof(*manifest));

	if (!manifest)
		return NULL;
	manifest->ktime = row->ktime;
	if (fill_from_row(store, row, file, manifest)) {
		manifest_free(manifest);
		return NULL;
	}
	return manifest;
}

/* ---- links ---- */

struct removal {
	struct store *store;
	const struct manifest *manifest;
	const struct catalog_checkpoint *row; /* may be NULL */
	bool copies;                          /* take copies for what was frozen */
	bool missing_is_failure;
	struct failure_list *failures; /* NULL: logged instead */
	int error;                     /* the first one that leaves something behind */
};

static void fail(
	struct removal *removal, const struct manifest_entry *entry, int error, const char *message)
{
	struct freeze_failure *failure;

	if (!message)
		message = strerrordesc_np(error);
	if (!removal->failures) {
		log_warn("link %s of %s: %s", entry->link, entry->path, message);
		return;
	}
	failure = reallocarray(
		removal->failures->items, removal->failures->count + 1, sizeof(*failure));
	if (!failure)
		return;
	removal->failures->items = failure;
	failure[removal->failures->count++] = (struct freeze_failure){
		.path = strdup(entry->path),
		.step = strdup("drop"),
		.link = strdup(entry->link),
		.error = error,
		.message = strdup(message),
	};
}

void checkpoint_unmark(struct store *store, uint64_t id)
{
	struct entry_record record;

	if (!id || store_mark_frozen(store, id, -1) || store_find_id(store, id, &record, NULL))
		return;
	if (store->hooks.attributes_changed)
		store->hooks.attributes_changed(store->hooks.ctx, record.owner);
}

static int compare_n(const void *key, const void *item)
{
	const uint32_t *n = key;
	const struct catalog_link *link = item;

	return (*n > link->n) - (*n < link->n);
}

static void unmark(struct removal *removal, uint32_t n)
{
	const struct catalog_link *link;

	if (!removal->row || !removal->row->link_count)
		return;
	link = bsearch(&n, removal->row->links, removal->row->link_count, sizeof(*link), compare_n);
	if (link)
		checkpoint_unmark(removal->store, link->entry);
}

/* A directory lies at one link only: it stays while another checkpoint has it there. */
static bool is_shared(struct removal *removal, const struct manifest_entry *entry)
{
	unsigned users = 0;

	if (!S_ISDIR(entry->mode))
		return false;
	if (catalog_path_users(
		    removal->store->catalog, removal->manifest->ktime, entry->link, &users))
		return true;
	return users > 0;
}

static int remove_present(struct removal *removal, const struct manifest_entry *entry)
{
	int ret = freeze_point("unlink", entry->n);

	if (!ret)
		ret = link_remove(removal->store, entry->link, entry->path, S_ISDIR(entry->mode));
	if (ret == -ENOENT)
		ret = 0;
	if (!ret)
		name_changed(removal->store, entry->link);
	return ret;
}

static void remove_entry(struct removal *removal, const struct manifest_entry *entry)
{
	enum link_status status = LINK_MISSING;
	int ret = 0;

	if (!is_shared(removal, entry)) {
		ret = link_check(
			removal->store->source_fd, entry->link, entry, removal->copies, &status);
		if (!ret && status == LINK_MISSING && removal->missing_is_failure)
			fail(removal, entry, ENOENT, "it is missing");
		else if (!ret && status == LINK_REPLACED)
			fail(removal, entry, ESTALE,
				"there is another inode in its place, which was left alone: if it "
				"is not needed, remove it by hand");
		else if (!ret && status == LINK_PRESENT)
			ret = remove_present(removal, entry);
	}
	if (!ret) {
		unmark(removal, entry->n);
		return;
	}
	fail(removal, entry, -ret, NULL);
	removal->error = removal->error ? removal->error : ret;
}

static int remove_entries(struct removal *removal)
{
	for (size_t i = 0; i < removal->manifest->nentries; i++)
		remove_entry(removal, &removal->manifest->entries[i]);
	return removal->error;
}

/* ---- undo ---- */

int checkpoint_undo(struct store *store, const struct catalog_checkpoint *row)
{
	struct manifest *file = NULL, *manifest;
	struct removal removal = { .store = store, .row = row };
	int ret;

	manifest_load(store->source_fd, row->manifest, &file, NULL);
	manifest = manifest_from_row(store, row, file);
	manifest_free(file);
	if (!manifest)
		return -ENOMEM;
	removal.manifest = manifest;
	ret = freeze_point("remove manifest", 0);
	if (!ret)
		ret = manifest_remove(store, row->manifest);
	if (!ret)
		ret = remove_entries(&removal);
	if (!ret)
		folders_remove(store, manifest->folders, manifest->nfolders);
	if (!ret)
		ret = freeze_point("abort", 0);
	if (!ret)
		ret = catalog_checkpoint_set(
			store->catalog, row->ktime, CHECKPOINT_ABORTED, NULL, 0);
	manifest_free(manifest);
	return ret;
}

int freeze_undo(struct store *store, uint64_t ktime)
{
	struct catalog_checkpoint *row = NULL;
	int ret = checkpoints_lock(store);

	if (ret)
		return ret;
	ret = catalog_checkpoint_get(store->catalog, ktime, &row);
	if (!ret)
		ret = row->state == CHECKPOINT_DURABLE ? checkpoint_undo(store, row) : -EINVAL;
	catalog_checkpoint_free(row);
	pthread_mutex_unlock(&store->checkpoints);
	return ret;
}

/* ---- drop ---- */

int checkpoint_drop(struct store *store, const struct manifest *manifest, const char *path,
	const struct catalog_checkpoint *row, bool missing_is_failure,
	struct failure_list *failures)
{
	struct removal removal = {
		.store = store,
		.manifest = manifest,
		.row = row,
		.copies = true,
		.missing_is_failure = missing_is_failure,
		.failures = failures,
	};
	int ret = remove_entries(&removal);

	if (!ret)
		ret = freeze_point("remove manifest", 0);
	if (!ret)
		ret = manifest_remove(store, path);
	if (ret)
		return ret;
	folders_remove(store, manifest->folders, manifest->nfolders);
	ret = freeze_point("dropped", 0);
	if (!ret && row)
		ret = catalog_checkpoint_set(
			store->catalog, row->ktime, CHECKPOINT_DROPPED, NULL, 0);
	return ret;
}

/* The checkpoint whose manifest is, or was, at @path. */
static int find_row_by_path(struct store *store, const char *path, struct catalog_checkpoint **out)
{
	struct catalog_checkpoint *rows = NULL;
	size_t count = 0;
	uint64_t ktime = 0;
	int ret = catalog_checkpoint_list(store->catalog, false, &rows, &count);

	if (ret)
		return ret;
	for (size_t i = 0; i < count; i++)
		if (strcmp(rows[i].manifest, path) == 0)
			ktime = rows[i].ktime;
	catalog_checkpoints_free(rows, count);
	return ktime ? catalog_checkpoint_get(store->catalog, ktime, out) : -ENOENT;
}

/* The manifest at @path, never through a symlink; or what the catalog still knows of it. */
static int load(struct store *store, const char *path, struct manifest **manifest,
	struct catalog_checkpoint **row, char **why)
{
	autofd int dirfd = path_open_parent(store->source_fd, path);
	struct stat st;
	int ret = dirfd < 0 ? dirfd : 0;

	if (!ret && fstatat(dirfd, path_last(path), &st, AT_SYMLINK_NOFOLLOW))
		ret = -errno;
	if (!ret && S_ISLNK(st.st_mode))
		return util_why(why, -EINVAL, "%s is a symbolic link", path);
	if (!ret)
		ret = manifest_load(dirfd, path_last(path), manifest, why);
	if (!ret) {
		ret = catalog_checkpoint_get(store->catalog, (*manifest)->ktime, row);
		return ret == -ENOENT ? 0 : ret;
	}
	if (ret != -ENOENT)
		return util_why(
			why && *why ? NULL : why, ret, "%s: %s", path, strerrordesc_np(-ret));
	ret = find_row_by_path(store, path, row);
	if (ret)
		return util_why(why, ret, "there is no such manifest");
	*manifest = manifest_from_row(store, *row, NULL);
	return *manifest ? 0 : -ENOMEM;
}

/* To DROPPING, where it is not yet.  A row whose checkpoint is past is of an earlier life. */
static int begin_drop(struct store *store, struct catalog_checkpoint **row, bool *again, char **why)
{
	switch (*row ? (*row)->state : CHECKPOINT_DROPPED) {
	case CHECKPOINT_PREPARING:
	case CHECKPOINT_DURABLE:
		return util_why(why, -EINVAL,
			"the checkpoint is not committed yet: commit or undo it first");
	case CHECKPOINT_DROPPING:
		*again = true;
		return 0;
	case CHECKPOINT_DROPPED:
	case CHECKPOINT_ABORTED:
		catalog_checkpoint_free(steal_ptr(row));
		return 0;
	default:
		return catalog_checkpoint_set(
			store->catalog, (*row)->ktime, CHECKPOINT_DROPPING, NULL, 0);
	}
}

int freeze_drop(struct store *store, const char *manifest_path, struct freeze_failure **failures,
	size_t *nfailures, char **why)
{
	struct catalog_checkpoint *row = NULL;
	struct failure_list list = { 0 };
	struct manifest *manifest = NULL;
	bool again = false;
	int ret = checkpoints_lock(store);

	*failures = NULL;
	*nfailures = 0;
	if (why)
		*why = NULL;
	if (ret)
		return util_why(why, ret, "the catalog does not work: %s", strerrordesc_np(-ret));
	ret = load(store, manifest_path, &manifest, &row, why);
	if (!ret)
		ret = begin_drop(store, &row, &again, why);
	if (!ret) {
		ret = checkpoint_drop(store, manifest, manifest_path, row, !again, &list);
		if (ret)
			util_why(why, ret, "%s: not all of it could be removed: %s", manifest_path,
				strerrordesc_np(-ret));
	}
	*failures = list.items;
	*nfailures = list.count;
	catalog_checkpoint_free(row);
	manifest_free(manifest);
	pthread_mutex_unlock(&store->checkpoints);
	return ret;
}

int freeze_link_status(
	struct store *store, const struct manifest *manifest, struct checkpoint_link_status **out)
{
	static const char *const names[] = {
		[LINK_PRESENT] = "present",
		[LINK_MISSING] = "missing",
		[LINK_REPLACED] = "replaced",
	};
	struct checkpoint_link_status *list = calloc(manifest->nentries + 1, sizeof(*list));
	enum link_status status;

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < manifest->nentries; i++) {
		if (link_check(store->source_fd, manifest->entries[i].link, &manifest->entries[i],
			    true, &status))
			status = LINK_MISSING;
		list[i].n = manifest->entries[i].n;
		list[i].status = names[status];
	}
	*out = list;
	return 0;
}
