/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is there: hidden entries and checkpoints. */
#include <errno.h>
#include <string.h>

#include "fuse/control_internal.h"
#include "store/catalog.h"
#include "store/procscan.h"
#include "store/vault.h"

bool control_may_see(const struct request *request, uid_t owner)
{
	return request->privileged || request->caller.uid == owner;
}

static int stat_entry(
	const struct control_host *host, const struct entry_record *record, struct stat *out)
{
	struct vault *vault = store_vault(host->store);

	if (record->state == ENTRY_HIDDEN && vault)
		return vault_stat(vault, record->id, out);
	return host->stat_owner ? host->stat_owner(host->ctx, record->owner, out) : -ENOENT;
}

/* The owner may have changed since it was hidden: who it belongs to now decides. */
bool control_look_at(
	const struct request *request, const struct entry_record *record, struct stat *out)
{
	if (stat_entry(request->host, record, out) < 0)
		*out = (struct stat){
			.st_mode = record->mode,
			.st_uid = record->uid,
			.st_gid = record->gid,
			.st_size = -1,
		};
	return control_may_see(request, out->st_uid);
}

/* ---- holders ---- */

struct holders {
	const struct request *request;
	struct procscan_hit *hits; /* sorted by inode */
	size_t count;
};

static int holders_find(struct holders *holders, const struct request *request)
{
	const struct procscan_request all = { .scope = PROCSCAN_ALL,
		.dev = request->host->mount_dev };

	holders->request = request;
	return procscan(&all, &holders->hits, &holders->count);
}

/* Whose process it is; the unprivileged are told of their own only. */
static bool may_see_process(const struct request *request, pid_t pid)
{
	struct stat st;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", pid);
	return request->privileged || (stat(path, &st) == 0 && st.st_uid == request->caller.uid);
}

static json_t *holder_json(const struct opener *opener)
{
	json_t *holder = json_pack("{s:i, s:o, s:s}", "pid", opener->pid, "comm",
		control_text(opener->comm), "kind", opener_kind_name(opener->kind));

	if (!holder || opener->kind != OPENER_FD)
		return holder;
	json_object_set_new(holder, "fd", json_integer(opener->fd));
	json_object_set_new(holder, "flags", json_integer(opener->flags));
	json_object_set_new(holder, "offset", json_integer(opener->offset));
	return holder;
}

static size_t holders_first(const struct holders *holders, uint64_t ino)
{
	size_t low = 0, high = holders->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (holders->hits[middle].ino < ino)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static json_t *holders_json(const struct holders *holders, uint64_t ino)
{
	json_t *array = json_array();

	for (size_t i = holders_first(holders, ino); i < holders->count; i++) {
		const struct procscan_hit *hit = &holders->hits[i];

		if (hit->ino != ino)
			break;
		if (may_see_process(holders->request, hit->opener.pid))
			json_array_append_new(array, holder_json(&hit->opener));
	}
	return array;
}

/* ---- hidden entries ---- */

static json_t *entry_json(
	const struct store_snapshot_entry *entry, const struct stat *st, int64_t now)
{
	const struct entry_record *record = &entry->record;
	json_t *object = json_pack("{s:o, s:s, s:s, s:i, s:I, s:I, s:I, s:o, s:I, s:i, s:b}", "id",
		control_id(record->id), "state", entry_state_name(record->state), "type",
		manifest_type_name(st->st_mode), "mode", (int)st->st_mode, "uid",
		(json_int_t)st->st_uid, "gid", (json_int_t)st->st_gid, "ino",
		(json_int_t)record->ino, "hidden_at", control_time(record->hidden_at),
		"age_seconds", (json_int_t)((now - record->hidden_at) / NSEC_PER_SEC), "frozen",
		(int)record->nfrozen, "tmpfile", record->flags & ENTRY_F_TMPFILE);

	if (!object)
		return NULL;
	if (entry->path && *entry->path)
		manifest_json_set_name(object, "path", entry->path);
	if (st->st_size >= 0) {
		json_object_set_new(object, "size", json_integer(st->st_size));
		json_object_set_new(object, "blocks", json_integer(st->st_blocks));
	}
	return object;
}

static json_t *entries_json(const struct request *request, const struct holders *holders)
{
	struct store_snapshot_entry *entries = NULL;
	json_t *array = json_array(), *object;
	int64_t now = realtime_ns();
	size_t count = 0;
	struct stat st;

	if (store_snapshot(request->host->store, &entries, &count) < 0) {
		json_decref(array);
		return NULL;
	}
	for (size_t i = 0; i < count; i++) {
		if (!control_look_at(request, &entries[i].record, &st))
			continue;
		object = entry_json(&entries[i], &st, now);
		if (object && holders)
			json_object_set_new(
				object, "holders", holders_json(holders, entries[i].record.ino));
		json_array_append_new(array, object);
	}
	store_snapshot_free(entries, count);
	return array;
}

void control_list_entries(struct request *request)
{
	const struct control_host *host = request->host;
	struct holders holders = { 0 };
	bool with_holders = false;
	const struct request_parameter table[] = { { "holders", JSON_TRUE, &with_holders } };
	json_t *entries;
	int ret = 0;

	if (!request_parameters(request, table, ARRAY_SIZE(table)))
		return;
	if (host->flush)
		host->flush(host->ctx);
	if (with_holders)
		ret = host->mount_dev ? holders_find(&holders, request) : -ENODEV;
	if (ret < 0) {
		request_fail(request, ret, NULL, "cannot find out who holds the entries: %s",
			strerror(-ret));
		return;
	}
	entries = entries_json(request, with_holders ? &holders : NULL);
	free(holders.hits);
	request_reply(request, entries ? json_pack("{s:o}", "entries", entries) : NULL);
}

/* ---- checkpoints ---- */

/* Leaves only the entries that the caller may see. */
static void manifest_filter(const struct request *request, struct manifest *manifest)
{
	size_t kept = 0;

	for (size_t i = 0; i < manifest->nentries; i++) {
		struct manifest_entry entry = manifest->entries[i];

		if (!control_may_see(request, entry.uid))
			continue;
		manifest->entries[i] = manifest->entries[kept];
		manifest->entries[kept++] = entry;
	}
	/* Those behind are still the manifest's: they are shown to nobody, and freed with it. */
	manifest->nentries = kept;
}

/* A manifest of which only a part may be seen. */
struct view {
	struct manifest *manifest;
	size_t all; /* nentries as it was */
};

static void view_close(struct view *view)
{
	if (!view->manifest)
		return;
	view->manifest->nentries = view->all;
	manifest_free(view->manifest);
}
#define autoview __attribute__((cleanup(view_close)))

static int view_open(struct view *view, const struct request *request, const char *path, char **why)
{
	int ret = manifest_load(store_source_fd(request->host->store), path, &view->manifest, why);

	if (ret < 0)
		return ret;
	view->all = view->manifest->nentries;
	manifest_filter(request, view->manifest);
	return 0;
}

static uint64_t view_bytes(const struct view *view)
{
	uint64_t blocks = 0;

	for (size_t i = 0; i < view->manifest->nentries; i++)
		blocks += view->manifest->entries[i].blocks;
	return blocks * 512;
}

static json_t *checkpoint_json(
	const struct request *request, const struct catalog_checkpoint *checkpoint)
{
	autoview struct view view = { 0 };
	bool readable = view_open(&view, request, checkpoint->manifest, NULL) == 0;
	uint64_t entries = readable ? view.manifest->nentries : checkpoint->nlinks;
	json_t *object;

	if (!request->privileged && (!readable || entries == 0))
		return NULL;
	object = json_pack("{s:o, s:I, s:s, s:o, s:I, s:I, s:o}", "id",
		json_sprintf("%08llx", (unsigned long long)checkpoint->ktime), "ktime",
		(json_int_t)checkpoint->ktime, "state", checkpoint_state_name(checkpoint->state),
		"created", control_time(checkpoint->created), "entries", (json_int_t)entries,
		"creator_uid", (json_int_t)checkpoint->creator_uid, "creator_comm",
		control_text(checkpoint->creator_comm));
	if (!object)
		return NULL;
	manifest_json_set_name(object, "manifest", checkpoint->manifest);
	if (readable)
		json_object_set_new(object, "bytes", json_integer((json_int_t)view_bytes(&view)));
	return object;
}

void control_list_checkpoints(struct request *request)
{
	struct catalog_checkpoint *checkpoints = NULL;
	json_t *array, *object;
	size_t count = 0;
	int ret;

	if (!request_parameters(request, NULL, 0))
		return;
	ret = catalog_checkpoint_list(
		store_catalog(request->host->store), false, &checkpoints, &count);
	if (ret < 0) {
		request_fail(request, ret, NULL, "cannot read the checkpoints in the catalog: %s",
			strerror(-ret));
		return;
	}
	array = json_array();
	for (size_t i = 0; i < count; i++) {
		object = checkpoint_json(request, &checkpoints[i]);
		if (object)
			json_array_append_new(array, object);
	}
	catalog_checkpoints_free(checkpoints, count);
	request_reply(request, json_pack("{s:o}", "checkpoints", array));
}

/* ---- one checkpoint ---- */

static json_t *links_json(const struct request *request, const struct manifest *manifest)
{
	struct checkpoint_link_status *links = NULL;
	json_t *array;

	if (freeze_link_status(request->host->store, manifest, &links) < 0)
		return NULL;
	array = json_array();
	for (size_t i = 0; i < manifest->nentries; i++)
		json_array_append_new(array, json_pack("{s:I, s:s}", "n", (json_int_t)links[i].n,
						     "status", links[i].status));
	free(links);
	return array;
}

static void show(struct request *request, const char *path)
{
	struct catalog_checkpoint *checkpoint = NULL;
	autoview struct view view = { 0 };
	autofree char *why = NULL;
	int ret = view_open(&view, request, path, &why);

	if (ret == 0 && !request->privileged && view.manifest->nentries == 0)
		ret = -ENOENT;
	if (ret == -ENOENT) {
		request_fail(request, ret, NULL, "%s: no such checkpoint", path);
		return;
	}
	if (ret < 0) {
		/* What is in a file that is no manifest is not for everybody. */
		request_fail(request, ret, NULL, "%s: %s", path,
			why && request->privileged ? why : strerror(-ret));
		return;
	}
	catalog_checkpoint_get(
		store_catalog(request->host->store), view.manifest->ktime, &checkpoint);
	request_reply(
		request, json_pack("{s:s, s:o, s:o}", "state",
				 checkpoint ? checkpoint_state_name(checkpoint->state) : "unknown",
				 "manifest", manifest_to_json(view.manifest), "links",
				 links_json(request, view.manifest)));
	catalog_checkpoint_free(checkpoint);
}

void control_show_checkpoint(struct request *request)
{
	autofree char *path = control_manifest_path(request);

	if (path)
		show(request, path);
}
