/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The catalog's rows of checkpoints, their links and folders. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/catalog_internal.h"
#include "store/util.h"

/* Dropped and aborted checkpoints of which a row is kept. */
#define HISTORY_CHECKPOINTS 1000

static const char *const link_states[] = {
	[CATALOG_LINK_PLANNED] = "planned",
	[CATALOG_LINK_MADE] = "made",
	[CATALOG_LINK_LEFT_OUT] = "left out",
	[CATALOG_LINK_LOST] = "lost",
};

static enum catalog_link_state link_state(const char *name)
{
	for (enum catalog_link_state s = CATALOG_LINK_PLANNED; s <= CATALOG_LINK_LOST; s++)
		if (strcmp(link_states[s], name) == 0)
			return s;
	return CATALOG_LINK_LOST;
}

/* What cannot be read is nothing that anything is done to. */
static enum checkpoint_state checkpoint_state(const char *name)
{
	for (enum checkpoint_state s = CHECKPOINT_PREPARING; s <= CHECKPOINT_LOST; s++)
		if (strcmp(checkpoint_state_name(s), name) == 0)
			return s;
	return CHECKPOINT_LOST;
}

static void free_content(struct catalog_checkpoint *checkpoint)
{
	for (size_t i = 0; i < checkpoint->link_count; i++)
		free(checkpoint->links[i].path);
	for (size_t i = 0; i < checkpoint->folder_count; i++)
		free(checkpoint->folders[i]);
	free(checkpoint->links);
	free(checkpoint->folders);
	free(checkpoint->link_template);
	free(checkpoint->manifest);
	free(checkpoint->scope);
}

void catalog_checkpoint_free(struct catalog_checkpoint *checkpoint)
{
	if (checkpoint)
		catalog_checkpoints_free(checkpoint, 1);
}

void catalog_checkpoints_free(struct catalog_checkpoint *checkpoints, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free_content(&checkpoints[i]);
	free(checkpoints);
}

/* ---- adding ---- */

static int add_row(struct db *db, const struct catalog_checkpoint *checkpoint)
{
	return db_run(db, SQL_CHECKPOINT_ADD, NULL, "itbbbiibiii", (int64_t)checkpoint->ktime,
		checkpoint_state_name(checkpoint->state), checkpoint->link_template,
		checkpoint->manifest, checkpoint->scope, (int64_t)checkpoint->creator_pid,
		(int64_t)checkpoint->creator_uid, checkpoint->creator_comm, INT64_C(0),
		checkpoint->created, checkpoint->changed);
}

static int add_link(struct db *db, uint64_t ktime, const struct catalog_link *link)
{
	return db_run(db, SQL_LINK_ADD, NULL, "iibiiit", (int64_t)ktime, (int64_t)link->n,
		link->path, (int64_t)link->entry, (int64_t)link->ino, (int64_t)link->mode,
		link_states[link->state]);
}

static int add(struct db *db, void *arg)
{
	const struct catalog_checkpoint *checkpoint = arg;
	int64_t ktime = (int64_t)checkpoint->ktime;
	int ret;

	ret = db_run(db, SQL_CHECKPOINT_PRUNE, NULL, "i", (int64_t)HISTORY_CHECKPOINTS);
	if (!ret)
		ret = db_run(db, SQL_CHECKPOINT_FORGET, NULL, "i", ktime);
	if (!ret)
		ret = add_row(db, checkpoint);
	for (size_t i = 0; i < checkpoint->link_count && !ret; i++)
		ret = add_link(db, checkpoint->ktime, &checkpoint->links[i]);
	for (size_t i = 0; i < checkpoint->folder_count && !ret; i++)
		ret = db_run(
			db, SQL_FOLDER_ADD, NULL, "iib", ktime, (int64_t)i, checkpoint->folders[i]);
	if (!ret)
		ret = db_run(db, SQL_CHECKPOINT_COUNT_LINKS, NULL, "i", ktime);
	return ret;
}

int catalog_checkpoint_add(struct catalog *catalog, const struct catalog_checkpoint *checkpoint)
{
	return catalog_call(catalog, true, add, (void *)checkpoint);
}

/* ---- changing ---- */

struct change {
	uint64_t ktime;
	enum checkpoint_state to;
	const uint32_t *n;
	size_t count;
};

static int set_links(struct db *db, const struct change *change, enum catalog_link_state state)
{
	int ret = 0;

	for (size_t i = 0; i < change->count && !ret; i++)
		ret = db_run(db, SQL_LINK_SET, NULL, "tii", link_states[state],
			(int64_t)change->ktime, (int64_t)change->n[i]);
	return ret;
}

static int set_made(struct db *db, const struct change *change)
{
	int ret = set_links(db, change, CATALOG_LINK_LEFT_OUT);

	if (!ret)
		ret = db_run(db, SQL_LINK_SET_PLANNED, NULL, "i", (int64_t)change->ktime);
	if (!ret)
		ret = db_run(db, SQL_CHECKPOINT_COUNT_LINKS, NULL, "i", (int64_t)change->ktime);
	return ret;
}

static int delete_parts(struct db *db, const struct change *change)
{
	int ret = db_run(db, SQL_LINK_DELETE, NULL, "i", (int64_t)change->ktime);

	return ret ? ret : db_run(db, SQL_FOLDER_DELETE, NULL, "i", (int64_t)change->ktime);
}

static int take_state(void *ctx, const struct db_row *row)
{
	*(enum checkpoint_state *)ctx = checkpoint_state(db_text(row, 0));
	return 0;
}

static int set(struct db *db, void *arg)
{
	const struct change *change = arg;
	enum checkpoint_state from = 0;
	int ret;

	ret = db_query(db, SQL_CHECKPOINT_STATE, take_state, &from, "i", (int64_t)change->ktime);
	if (ret)
		return ret;
	if (!from)
		return -ENOENT;
	if (!checkpoint_transition_allowed(from, change->to))
		return -EINVAL;
	ret = db_run(db, SQL_CHECKPOINT_SET, NULL, "tii", checkpoint_state_name(change->to),
		realtime_ns(), (int64_t)change->ktime);
	if (!ret && change->to == CHECKPOINT_DURABLE)
		ret = set_made(db, change);
	if (!ret && (change->to == CHECKPOINT_ABORTED || change->to == CHECKPOINT_DROPPED))
		ret = delete_parts(db, change);
	return ret;
}

int catalog_checkpoint_set(struct catalog *catalog, uint64_t ktime, enum checkpoint_state to,
	const uint32_t *left_out, size_t left_out_count)
{
	struct change change = { ktime, to, left_out, left_out_count };

	return catalog_call(catalog, true, set, &change);
}

static int set_lost(struct db *db, void *arg)
{
	return set_links(db, arg, CATALOG_LINK_LOST);
}

int catalog_links_lost(struct catalog *catalog, uint64_t ktime, const uint32_t *n, size_t count)
{
	struct change change = { .ktime = ktime, .n = n, .count = count };

	return catalog_call(catalog, true, set_lost, &change);
}

/* ---- reading ---- */

/* A list that grows; what it holds are rows of one kind. */
struct list {
	void *items;
	size_t count, size;
};

/* Room for one more of @item_size bytes, zeroed and not counted yet; NULL: no memory. */
static void *next_item(struct list *list, size_t item_size)
{
	if (list->count == list->size) {
		size_t size = list->size ? list->size * 2 : 16;
		void *items = reallocarray(list->items, size, item_size);

		if (!items)
			return NULL;
		list->items = items;
		list->size = size;
	}
	return memset((char *)list->items + list->count * item_size, 0, item_size);
}

static int fill_checkpoint(struct catalog_checkpoint *to, const struct db_row *row)
{
	to->ktime = (uint64_t)db_int(row, 0);
	to->state = checkpoint_state(db_text(row, 1));
	to->link_template = strdup(db_text(row, 2));
	to->manifest = strdup(db_text(row, 3));
	to->scope = strdup(db_text(row, 4));
	to->creator_pid = (pid_t)db_int(row, 5);
	to->creator_uid = (uid_t)db_int(row, 6);
	strncpy(to->creator_comm, db_text(row, 7), sizeof(to->creator_comm) - 1);
	to->nlinks = (uint64_t)db_int(row, 8);
	to->created = db_int(row, 9);
	to->changed = db_int(row, 10);
	return to->link_template && to->manifest && to->scope ? 0 : -ENOMEM;
}

static int take_checkpoint(void *ctx, const struct db_row *row)
{
	struct list *list = ctx;
	struct catalog_checkpoint *item = next_item(list, sizeof(*item));

	if (!item)
		return -ENOMEM;
	list->count++;
	return fill_checkpoint(item, row);
}

static int take_link(void *ctx, const struct db_row *row)
{
	struct list *list = ctx;
	struct catalog_link *link = next_item(list, sizeof(*link));

	if (!link)
		return -ENOMEM;
	list->count++;
	link->n = (uint32_t)db_int(row, 0);
	link->path = strdup(db_text(row, 1));
	link->entry = (uint64_t)db_int(row, 2);
	link->ino = (uint64_t)db_int(row, 3);
	link->mode = (uint32_t)db_int(row, 4);
	link->state = link_state(db_text(row, 5));
	return link->path ? 0 : -ENOMEM;
}

static int take_path(void *ctx, const struct db_row *row)
{
	struct list *list = ctx;
	char **item = next_item(list, sizeof(*item));

	if (!item)
		return -ENOMEM;
	list->count++;
	*item = strdup(db_text(row, 0));
	return *item ? 0 : -ENOMEM;
}

struct listing {
	bool history;
	struct list list;
};

static int list(struct db *db, void *arg)
{
	struct listing *listing = arg;

	return db_query(db, SQL_CHECKPOINT_LIST, take_checkpoint, &listing->list, "i",
		(int64_t)listing->history);
}

int catalog_checkpoint_list(
	struct catalog *catalog, bool history, struct catalog_checkpoint **out, size_t *count)
{
	struct listing listing = { .history = history };
	int ret = catalog_call(catalog, false, list, &listing);

	if (ret) {
		catalog_checkpoints_free(listing.list.items, listing.list.count);
		return ret;
	}
	*out = listing.list.items;
	*count = listing.list.count;
	return 0;
}

struct getting {
	uint64_t ktime;
	struct list list;
};

static int get_parts(struct db *db, struct catalog_checkpoint *checkpoint)
{
	struct list links = { 0 }, folders = { 0 };
	int ret;

	ret = db_query(db, SQL_LINK_LIST, take_link, &links, "i", (int64_t)checkpoint->ktime);
	checkpoint->links = links.items;
	checkpoint->link_count = links.count;
	if (!ret)
		ret = db_query(
			db, SQL_FOLDER_LIST, take_path, &folders, "i", (int64_t)checkpoint->ktime);
	checkpoint->folders = folders.items;
	checkpoint->folder_count = folders.count;
	return ret;
}

static int get(struct db *db, void *arg)
{
	struct getting *getting = arg;
	int ret = db_query(db, SQL_CHECKPOINT_GET, take_checkpoint, &getting->list, "i",
		(int64_t)getting->ktime);

	if (!ret)
		ret = getting->list.count ? get_parts(db, getting->list.items) : -ENOENT;
	return ret;
}

int catalog_checkpoint_get(struct catalog *catalog, uint64_t ktime, struct catalog_checkpoint **out)
{
	struct getting getting = { .ktime = ktime };
	int ret = catalog_call(catalog, false, get, &getting);

	if (ret)
		catalog_checkpoints_free(getting.list.items, getting.list.count);
	else
		*out = getting.list.items;
	return ret;
}

struct users {
	uint64_t ktime;
	const char *path;
	int64_t count;
};

static int count_users(struct db *db, void *arg)
{
	struct users *users = arg;

	return db_query_int(
		db, SQL_PATH_USERS, &users->count, "ib", (int64_t)users->ktime, users->path);
}

int catalog_path_users(struct catalog *catalog, uint64_t ktime, const char *path, unsigned *count)
{
	struct users users = { .ktime = ktime, .path = path };
	int ret = catalog_call(catalog, false, count_users, &users);

	*count = (unsigned)users.count;
	return ret;
}

struct links_of {
	uint64_t ino;
	struct list list;
};

static int links_of(struct db *db, void *arg)
{
	struct links_of *links = arg;

	return db_query(db, SQL_LINKS_OF, take_path, &links->list, "i", (int64_t)links->ino);
}

int catalog_links_of(struct catalog *catalog, uint64_t ino, char ***paths, size_t *count)
{
	struct links_of links = { .ino = ino };
	int ret = catalog_call(catalog, false, links_of, &links);

	*paths = links.list.items;
	*count = links.list.count;
	return ret;
}
