/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The records of hidden entries: how they begin, are found, and end.
 *
 * A record is made before the vault is touched and given back after it, so that a kill
 * between two steps leaves a record that tells entries_attach() what to finish:
 *
 *	state FREE, id set      hiding had begun: it is complete if the vault link is there
 *	refs 0                  the end had begun: the vault link, if still there, goes
 *
 * Such records are in no map, and lookups and snapshots pass over them.
 *
 * The mutex guards the maps and what changes in a record (state, refs, nfrozen,
 * moved_*); all else is constant between store_hide_*() and the last store_forget(), and
 * is read without it by whoever has a reference.  `state` and `nfrozen` are written
 * atomically because store_hidden_links() and store_frozen_links() read them without it.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "store/log.h"
#include "store/store_internal.h"
#include "store/text.h"
#include "store/util.h"

#define ID_TRIES 16

static struct entry_record *record_at(const struct store *store, uint32_t index)
{
	return arena_at(store->arena, ARENA_ENTRIES, index);
}

static enum entry_state state_of(const struct entry_record *record)
{
	return (enum entry_state)__atomic_load_n(&record->state, __ATOMIC_ACQUIRE);
}

static void set_state(struct entry_record *record, enum entry_state state)
{
	__atomic_store_n(&record->state, (uint32_t)state, __ATOMIC_RELEASE);
}

static void change_state(struct entry_record *record, enum entry_state state)
{
	assert(entry_transition_allowed((enum entry_state)record->state, state));
	set_state(record, state);
}

/*
 * True for records that are entries now: neither begun nor ended half-way.  Those are in
 * the hands of one thread, which may set their state without the mutex.
 */
static bool present_locked(const struct entry_record *record)
{
	return record->refs > 0 && state_of(record) != ENTRY_FREE;
}

int entries_init(struct store *store)
{
	return -pthread_mutex_init(&store->entries.mutex, NULL);
}

void entries_destroy(struct store *store)
{
	idmap_free(&store->entries.by_id);
	idmap_free(&store->entries.dirs);
	pthread_mutex_destroy(&store->entries.mutex);
}

static int map_locked(struct entries *entries, const struct entry_record *record, uint32_t index)
{
	int error = idmap_add(&entries->by_id, record->id, index);

	if (!error && S_ISDIR(record->mode)) {
		error = idmap_add(&entries->dirs, record->ino, index);
		if (error)
			idmap_remove(&entries->by_id, record->id, index);
	}
	return error;
}

static void unmap_locked(struct entries *entries, const struct entry_record *record, uint32_t index)
{
	idmap_remove(&entries->by_id, record->id, index);
	if (S_ISDIR(record->mode))
		idmap_remove(&entries->dirs, record->ino, index);
}

/* The record is in no map.  In the order that entries_attach() can take up again. */
static void discard(struct store *store, uint32_t index)
{
	struct entry_record *record = record_at(store, index);
	uint32_t text = record->path_text;

	set_state(record, ENTRY_FREE);
	record->path_text = 0;
	text_free(store->arena, text);
	arena_release(store->arena, ARENA_ENTRIES, index);
}

/* ---- hiding ---- */

/*
 * Makes the record, still in state FREE.  It is mapped at once, so that nothing can fail
 * any more after the vault was changed.
 */
static int begin(struct store *store, const struct store_object *object, uint32_t *index)
{
	struct entries *entries = &store->entries;
	struct entry_record *record;
	uint32_t text;
	int error;

	error = text_put(store->arena, object->path, strlen(object->path), &text);
	if (error)
		return error;
	pthread_mutex_lock(&entries->mutex);
	*index = arena_alloc(store->arena, ARENA_ENTRIES);
	if (!*index) {
		pthread_mutex_unlock(&entries->mutex);
		text_free(store->arena, text);
		return -ENOSPC;
	}
	record = record_at(store, *index);
	record->path_text = text;
	record->owner = object->owner;
	record->ino = object->ino;
	record->hidden_at = realtime_ns();
	record->refs = 1;
	record->mode = object->mode;
	record->uid = object->uid;
	record->gid = object->gid;
	record->fs = object->fs;
	record->flags = object->flags;
	/* Last, and not earlier: entries_attach() looks into the vault for it. */
	__atomic_store_n(&record->id, vault_next_id(store->vault), __ATOMIC_RELEASE);
	error = map_locked(entries, record, *index);
	pthread_mutex_unlock(&entries->mutex);
	if (error)
		discard(store, *index);
	return error;
}

static void cancel(struct store *store, uint32_t index)
{
	pthread_mutex_lock(&store->entries.mutex);
	unmap_locked(&store->entries, record_at(store, index), index);
	pthread_mutex_unlock(&store->entries.mutex);
	discard(store, index);
}

static void complete(struct store *store, uint32_t index, enum entry_state state, const char *path)
{
	struct entry_record *record = record_at(store, index);
	struct entry_record copy;

	pthread_mutex_lock(&store->entries.mutex);
	change_state(record, state);
	copy = *record;
	pthread_mutex_unlock(&store->entries.mutex);
	catalog_entry_hidden(store->catalog, &copy, path);
}

/* An inode to be put into the vault: by its name, or by an fd if that is NULL. */
static int to_vault(struct store *store, uint64_t id, int fd, const char *name)
{
	if (name)
		return vault_hide_name(store->vault, fd, name, id);
	return vault_hide_fd(store->vault, fd, id);
}

static int hide(struct store *store, const struct store_object *object, int fd, const char *name,
	uint32_t *entry)
{
	int error;

	if (!store->vault)
		return -EROFS;
	/* Only somebody else's doing can put a file where a new id points: take another. */
	for (int tries = 0; tries < ID_TRIES; tries++) {
		error = begin(store, object, entry);
		if (error)
			return error;
		error = to_vault(store, record_at(store, *entry)->id, fd, name);
		if (!error) {
			complete(store, *entry, ENTRY_HIDDEN, object->path);
			return 0;
		}
		cancel(store, *entry);
		if (error != -EEXIST)
			break;
	}
	return error;
}

int store_hide_move(struct store *store, const struct store_object *object, int dirfd,
	const char *name, uint32_t *entry)
{
	return hide(store, object, dirfd, name, entry);
}

int store_hide_link(struct store *store, const struct store_object *object, int fd, uint32_t *entry)
{
	return hide(store, object, fd, NULL, entry);
}

int store_hide_pinned(struct store *store, const struct store_object *object, uint32_t *entry)
{
	int error = store->vault ? begin(store, object, entry) : -EROFS;

	if (!error)
		complete(store, *entry, ENTRY_PINNED, object->path);
	return error;
}

int store_hide_moved_dir(struct store *store, const struct store_object *object,
	uint64_t checkpoint, uint32_t n, uint32_t *entry)
{
	struct entry_record *record;
	int error = store->vault ? begin(store, object, entry) : -EROFS;

	if (error)
		return error;
	record = record_at(store, *entry);
	pthread_mutex_lock(&store->entries.mutex);
	record->moved_to = checkpoint;
	record->moved_n = n;
	__atomic_store_n(&record->nfrozen, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&store->entries.mutex);
	complete(store, *entry, ENTRY_MOVED, object->path);
	return 0;
}

/* ---- finding ---- */

uint32_t store_find_dir(struct store *store, uint64_t ino, uint16_t fs)
{
	struct entries *entries = &store->entries;
	uint32_t index = 0;

	pthread_mutex_lock(&entries->mutex);
	while ((index = idmap_find(&entries->dirs, ino, index)) != 0) {
		struct entry_record *record = record_at(store, index);

		if (record->fs == fs && present_locked(record)) {
			record->refs++;
			break;
		}
	}
	pthread_mutex_unlock(&entries->mutex);
	return index;
}

static struct entry_record *find_id_locked(struct store *store, uint64_t id, uint32_t *index)
{
	*index = idmap_find(&store->entries.by_id, id, 0);
	if (!*index || !present_locked(record_at(store, *index)))
		return NULL;
	return record_at(store, *index);
}

int store_find_id(struct store *store, uint64_t id, struct entry_record *out, uint32_t *index)
{
	const struct entry_record *record;
	uint32_t found;

	pthread_mutex_lock(&store->entries.mutex);
	record = find_id_locked(store, id, &found);
	if (record)
		*out = *record;
	pthread_mutex_unlock(&store->entries.mutex);
	if (record && index)
		*index = found;
	return record ? 0 : -ENOENT;
}

unsigned store_hidden_links(const struct store *store, uint32_t entry)
{
	return state_of(record_at(store, entry)) == ENTRY_HIDDEN;
}

unsigned store_frozen_links(const struct store *store, uint32_t entry)
{
	return __atomic_load_n(&record_at(store, entry)->nfrozen, __ATOMIC_RELAXED);
}

const struct entry_record *store_entry(const struct store *store, uint32_t entry)
{
	return record_at(store, entry);
}

/* A path that cannot be read any more is an empty one: the entry itself is what counts. */
static char *path_of(const struct store *store, const struct entry_record *record)
{
	char *path = NULL;
	int error = text_get(store->arena, record->path_text, &path, NULL);

	if (error == -EPROTO) {
		log_warn(
			"entry %016llx: its original path is lost", (unsigned long long)record->id);
		path = strdup("");
	}
	return path;
}

char *store_entry_path(struct store *store, uint32_t entry)
{
	return path_of(store, record_at(store, entry));
}

/* ---- the end ---- */

static int drop_from_vault(struct store *store, const struct entry_record *record)
{
	int error = vault_drop(store->vault, record->id, S_ISDIR(record->mode));

	if (error == -ENOENT) {
		log_warn("entry %016llx: somebody else removed it from the vault",
			(unsigned long long)record->id);
		return 0;
	}
	if (error)
		log_error("entry %016llx: cannot remove it from the vault: %s; "
			  "the next mount tries again",
			(unsigned long long)record->id, strerror(-error));
	return error;
}

int store_forget(struct store *store, uint32_t entry)
{
	struct entry_record *record = record_at(store, entry);
	struct entry_record copy;
	int error = 0;

	pthread_mutex_lock(&store->entries.mutex);
	assert(present_locked(record));
	record->refs--;
	if (record->refs == 0)
		unmap_locked(&store->entries, record, entry);
	copy = *record;
	pthread_mutex_unlock(&store->entries.mutex);
	if (copy.refs > 0)
		return 0;

	/* Nobody finds the record any more: it is ours alone. */
	if (copy.state == ENTRY_HIDDEN)
		error = drop_from_vault(store, &copy);
	if (!error)
		catalog_entry_gone(store->catalog, copy.id);
	discard(store, entry);
	return error;
}

/* ---- checkpoints ---- */

int store_mark_frozen(struct store *store, uint64_t id, int delta)
{
	struct entry_record *record;
	uint32_t index;

	pthread_mutex_lock(&store->entries.mutex);
	record = find_id_locked(store, id, &index);
	if (record && (delta > 0 || record->nfrozen > 0))
		__atomic_store_n(
			&record->nfrozen, record->nfrozen + (delta > 0 ? 1 : -1), __ATOMIC_RELAXED);
	pthread_mutex_unlock(&store->entries.mutex);
	return record ? 0 : -ENOENT;
}

static int mark(
	struct store *store, uint64_t id, enum entry_state state, uint64_t checkpoint, uint32_t n)
{
	struct entry_record *record;
	uint32_t index;
	int error = 0;

	pthread_mutex_lock(&store->entries.mutex);
	record = find_id_locked(store, id, &index);
	if (!record) {
		error = -ENOENT;
	} else if (!S_ISDIR(record->mode) ||
		   !entry_transition_allowed((enum entry_state)record->state, state)) {
		error = -EINVAL;
	} else {
		record->moved_to = checkpoint;
		record->moved_n = n;
		change_state(record, state);
	}
	pthread_mutex_unlock(&store->entries.mutex);
	return error;
}

int store_mark_moved(struct store *store, uint64_t id, uint64_t checkpoint, uint32_t n)
{
	return mark(store, id, ENTRY_MOVED, checkpoint, n);
}

int store_mark_back(struct store *store, uint64_t id)
{
	return mark(store, id, ENTRY_HIDDEN, 0, 0);
}

int store_hide_back(struct store *store, uint32_t entry, int dirfd, const char *name)
{
	const struct entry_record *record = record_at(store, entry);
	int error;

	if (state_of(record) != ENTRY_MOVED)
		return -EINVAL;
	error = vault_move_from(store->vault, dirfd, name, record->id);
	return error ? error : store_mark_back(store, record->id);
}

static int copy_entry(const struct store *store, uint32_t index, struct store_snapshot_entry *out)
{
	const struct entry_record *record = record_at(store, index);

	out->path = path_of(store, record);
	if (!out->path)
		return -ENOMEM;
	out->index = index;
	out->record = *record;
	return 0;
}

/* Records are made under the mutex too, so their number cannot grow meanwhile. */
static int snapshot_locked(struct store *store, struct store_snapshot_entry *copies, size_t *count)
{
	uint32_t high = arena_high(store->arena, ARENA_ENTRIES);

	for (uint32_t index = 1; index < high; index++) {
		int error;

		if (!arena_live(store->arena, ARENA_ENTRIES, index) ||
			!present_locked(record_at(store, index)))
			continue;
		error = copy_entry(store, index, &copies[*count]);
		if (error)
			return error;
		(*count)++;
	}
	return 0;
}

int store_snapshot(struct store *store, struct store_snapshot_entry **out, size_t *count)
{
	struct store_snapshot_entry *copies;
	size_t found = 0;
	int error = -ENOMEM;

	pthread_mutex_lock(&store->entries.mutex);
	copies = calloc(arena_count(store->arena, ARENA_ENTRIES) + 1, sizeof(*copies));
	if (copies)
		error = snapshot_locked(store, copies, &found);
	pthread_mutex_unlock(&store->entries.mutex);
	if (error) {
		store_snapshot_free(copies, found);
		return error;
	}
	*out = copies;
	*count = found;
	return 0;
}

void store_snapshot_free(struct store_snapshot_entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(entries[i].path);
	free(entries);
}

/* ---- a session that goes on ---- */

static void attach_unfinished(struct store *store, uint32_t index)
{
	struct entry_record *record = record_at(store, index);
	struct stat st;

	if (record->refs == 0 && record->state == ENTRY_HIDDEN) {
		int error = vault_drop(store->vault, record->id, S_ISDIR(record->mode));

		if (error && error != -ENOENT)
			log_warn("entry %016llx: cannot remove it from the vault: %s",
				(unsigned long long)record->id, strerror(-error));
		catalog_entry_gone(store->catalog, record->id);
	} else if (record->refs > 0 && record->state == ENTRY_FREE && record->id &&
		   vault_stat(store->vault, record->id, &st) == 0) {
		set_state(record, ENTRY_HIDDEN);
		return;
	}
	discard(store, index);
}

int entries_attach(struct store *store)
{
	uint32_t high = arena_high(store->arena, ARENA_ENTRIES);
	int error = 0;

	pthread_mutex_lock(&store->entries.mutex);
	for (uint32_t index = 1; index < high && !error; index++) {
		struct entry_record *record = record_at(store, index);

		if (!arena_live(store->arena, ARENA_ENTRIES, index))
			continue;
		if (!present_locked(record))
			attach_unfinished(store, index);
		if (!arena_live(store->arena, ARENA_ENTRIES, index))
			continue;
		vault_raise_next_id(store->vault, record->id);
		error = map_locked(&store->entries, record, index);
	}
	pthread_mutex_unlock(&store->entries.mutex);
	return error;
}

static bool has_record(void *ctx, uint64_t id)
{
	struct entry_record record;

	return store_find_id(ctx, id, &record, NULL) == 0;
}

int entries_reap(struct store *store)
{
	struct vault_reaped reaped;
	int error = vault_reap(store->vault, has_record, store, &reaped);
	unsigned long long files = reaped.files, dirs = reaped.dirs, failed = reaped.failed;

	if (files || dirs || failed)
		log_info("recovery: hidden entries of an ended session: %llu removed (%llu "
			 "directories, %llu bytes), %llu left",
			files + dirs, dirs, (unsigned long long)reaped.bytes, failed);
	if (error)
		log_error("recovery: cannot read the vault: %s", strerror(-error));
	return error;
}

void entries_verify(struct store *store)
{
	uint32_t high = arena_high(store->arena, ARENA_ENTRIES);
	struct stat st;

	pthread_mutex_lock(&store->entries.mutex);
	for (uint32_t index = 1; index < high; index++) {
		struct entry_record *record = record_at(store, index);

		if (!arena_live(store->arena, ARENA_ENTRIES, index) ||
			record->state != ENTRY_HIDDEN ||
			vault_stat(store->vault, record->id, &st) != -ENOENT)
			continue;
		log_warn("entry %016llx: somebody else removed it from the vault; what has it "
			 "open keeps it, but it cannot be frozen",
			(unsigned long long)record->id);
		change_state(record, ENTRY_PINNED);
	}
	pthread_mutex_unlock(&store->entries.mutex);
}
