/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The order of a freeze, and what is told of it. */
#include "store/freeze.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/freeze_internal.h"
#include "store/log.h"
#include "store/recovery.h"

/* With a time of nanoseconds, more names than this are not taken by chance. */
#define NAME_TRIES 8
/* How often the set may turn out to be no longer what it was when it was taken. */
#define SET_TRIES 4

int (*freeze_test_point)(const char *step, uint32_t n);

int freeze_point(const char *step, uint32_t n)
{
	return freeze_test_point ? freeze_test_point(step, n) : 0;
}

/* ---- results ---- */

void freeze_failures_free(struct freeze_failure *failures, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(failures[i].path);
		free(failures[i].step);
		free(failures[i].link);
		free(failures[i].message);
	}
	free(failures);
}

static void forget_failures(struct freeze_result *result)
{
	freeze_failures_free(result->failures, result->nfailures);
	result->failures = NULL;
	result->nfailures = 0;
}

void freeze_result_free(struct freeze_result *result)
{
	if (!result)
		return;
	manifest_free(result->manifest);
	forget_failures(result);
	free(result);
}

int freeze_fail(struct freezing *freezing, const struct freeze_item *item, const char *step,
	int error, const char *message)
{
	struct freeze_result *result = freezing->result;
	struct freeze_failure *failure;

	failure = reallocarray(result->failures, result->nfailures + 1, sizeof(*failure));
	if (!failure)
		return -error;
	result->failures = failure;
	failure += result->nfailures++;
	*failure = (struct freeze_failure){
		.step = strdup(step),
		.path = item ? strdup(item->entry->path) : NULL,
		.link = item && item->link ? strdup(item->link) : NULL,
		.error = error,
		.message = strdup(message ? message : strerrordesc_np(error)),
	};
	return -error;
}

int freeze_abort(struct freezing *freezing, const struct freeze_item *item, const char *step,
	int error, const char *message)
{
	forget_failures(freezing->result);
	return freeze_fail(freezing, item, step, error, message);
}

static int abort_with(struct freezing *freezing, const char *step, int ret, const char *message)
{
	return freeze_abort(freezing, NULL, step, -ret, message);
}

/* ---- the catalog's view ---- */

static struct catalog_link *planned_links(const struct freezing *freezing, size_t *count)
{
	struct catalog_link *links = calloc(freezing->count + 1, sizeof(*links));

	*count = 0;
	for (size_t i = 0; links && i < freezing->count; i++) {
		const struct freeze_item *item = &freezing->items[i];

		if (item->state == ITEM_LEFT_OUT)
			continue;
		links[(*count)++] = (struct catalog_link){
			.n = item->n,
			.path = item->link,
			.entry = item->entry->record.id,
			.ino = item->entry->record.ino,
			.mode = item->entry->record.mode,
			.state = CATALOG_LINK_PLANNED,
		};
	}
	return links;
}

static char **folder_paths(const struct freezing *freezing)
{
	char **paths = calloc(freezing->nfolders + 1, sizeof(*paths));

	for (size_t i = 0; paths && i < freezing->nfolders; i++)
		paths[i] = freezing->folders[i].path;
	return paths;
}

static int add_row(struct freezing *freezing, const struct manifest *head)
{
	struct catalog_checkpoint row = {
		.ktime = freezing->ktime,
		.state = CHECKPOINT_PREPARING,
		.link_template = head->link_template,
		.manifest = head->path,
		.scope = head->scope,
		.creator_pid = head->creator_pid,
		.creator_uid = head->creator_uid,
		.created = (int64_t)freezing->ktime,
		.changed = (int64_t)freezing->ktime,
		.folder_count = freezing->nfolders,
	};
	autofree struct catalog_link *links = planned_links(freezing, &row.link_count);
	autofree char **folders = folder_paths(freezing);

	if (!links || !folders)
		return -ENOMEM;
	memcpy(row.creator_comm, head->creator_comm, sizeof(row.creator_comm));
	row.links = links;
	row.folders = folders;
	return catalog_checkpoint_add(freezing->store->catalog, &row);
}

static int prepare_row(struct freezing *freezing)
{
	struct manifest *head = freeze_manifest(freezing);
	int ret = head ? freeze_point("prepare", 0) : -ENOMEM;

	if (!ret)
		ret = add_row(freezing, head);
	manifest_free(head);
	if (ret && ret != -EEXIST)
		return abort_with(freezing, "catalog", ret, NULL);
	freezing->row = !ret;
	return ret;
}

static int set_durable(struct freezing *freezing)
{
	autofree uint32_t *left_out = calloc(freezing->count + 1, sizeof(*left_out));
	size_t count = 0;
	int ret;

	if (!left_out)
		return -ENOMEM;
	for (size_t i = 0; i < freezing->count; i++)
		if (freezing->items[i].state != ITEM_MADE &&
			freezing->items[i].state != ITEM_SHARED)
			left_out[count++] = freezing->items[i].n;
	ret = freeze_point("durable", 0);
	if (!ret)
		ret = catalog_checkpoint_set(freezing->store->catalog, freezing->ktime,
			CHECKPOINT_DURABLE, left_out, count);
	if (!ret && !freezing->request->hold)
		ret = freeze_point("commit", 0);
	if (!ret && !freezing->request->hold)
		ret = catalog_checkpoint_set(
			freezing->store->catalog, freezing->ktime, CHECKPOINT_COMMITTED, NULL, 0);
	return ret ? abort_with(freezing, "catalog", ret, NULL) : 0;
}

/* ---- one try ---- */

/* That nobody can be seen holding an entry is no reason not to keep it. */
static int record_openers(struct freezing *freezing)
{
	int ret = freeze_scan(freezing);

	if (ret == -ENOMEM)
		return ret;
	if (ret && ret != -ENODEV)
		log_warn("checkpoint %s: who has its files open cannot be seen: %s", freezing->id,
			strerrordesc_np(-ret));
	return 0;
}

/* Before the links are made and described: it changes times. */
static void write_back(struct freezing *freezing)
{
	const struct store_hooks *hooks = &freezing->store->hooks;

	for (size_t i = 0; hooks->write_back && i < freezing->count; i++) {
		const struct freeze_item *item = &freezing->items[i];

		if (S_ISREG(item->entry->record.mode))
			hooks->write_back(hooks->ctx, item->entry->record.owner);
	}
}

static int write_manifest(struct freezing *freezing)
{
	struct freeze_result *result = freezing->result;
	int ret;

	result->manifest = freeze_manifest(freezing);
	if (!result->manifest)
		return -ENOMEM;
	ret = freeze_point("sync", 0);
	if (!ret && syncfs(freezing->store->source_fd))
		ret = -errno;
	if (ret)
		return abort_with(freezing, "sync", ret, NULL);
	ret = freeze_point("manifest", 0);
	if (!ret)
		ret = manifest_save(freezing->store->source_fd, result->manifest);
	freezing->saved = !ret;
	return ret && ret != -EEXIST ? abort_with(freezing, "manifest", ret, NULL) : ret;
}

static int try_once(struct freezing *freezing)
{
	int ret = freeze_plan_names(freezing);

	if (!ret)
		ret = prepare_row(freezing);
	if (!ret) {
		write_back(freezing);
		ret = freeze_make_links(freezing);
	}
	if (!ret)
		ret = record_openers(freezing);
	if (!ret)
		ret = write_manifest(freezing);
	if (!ret)
		ret = set_durable(freezing);
	return ret;
}

/*
 * The row goes last: while it is there, the next mount knows what to remove.  The
 * manifest went first, so that a row that says DURABLE already is not believed.
 */
static void undo(struct freezing *freezing)
{
	int ret = freeze_unmake(freezing);

	manifest_free(steal_ptr(&freezing->result->manifest));
	if (freezing->row && !ret) {
		ret = freeze_point("abort", 0);
		if (!ret)
			ret = catalog_checkpoint_set(freezing->store->catalog, freezing->ktime,
				CHECKPOINT_ABORTED, NULL, 0);
		if (ret)
			log_warn("checkpoint %s: that it was undone is not in the catalog: %s; the "
				 "next mount sees to it",
				freezing->id, strerrordesc_np(-ret));
	}
	freezing->row = false;
	freeze_forget_names(freezing);
}

static int try_names(struct freezing *freezing)
{
	int ret = -EEXIST;

	for (unsigned i = 0; i < NAME_TRIES && ret == -EEXIST; i++) {
		freezing->ktime++;
		ret = try_once(freezing);
		if (ret)
			undo(freezing);
	}
	if (ret == -EEXIST)
		return abort_with(freezing, "link", ret,
			"the names are taken; choose a template that tells checkpoints apart");
	return ret;
}

static void free_set(struct freezing *freezing)
{
	freeze_forget_names(freezing);
	for (size_t i = 0; i < freezing->count; i++)
		free(freezing->items[i].link);
	free(steal_ptr(&freezing->items));
	free(steal_ptr(&freezing->hits));
	store_snapshot_free(freezing->snapshot, freezing->snapshot_count);
	freezing->snapshot = NULL;
	freezing->count = freezing->snapshot_count = freezing->nhits = 0;
}

static int try_sets(struct freezing *freezing)
{
	int ret = -EAGAIN;

	for (unsigned i = 0; i < SET_TRIES && ret == -EAGAIN; i++) {
		free_set(freezing);
		forget_failures(freezing->result);
		ret = freeze_plan_set(freezing);
		if (!ret)
			ret = try_names(freezing);
	}
	return ret;
}

/* ---- the whole ---- */

int checkpoints_lock(struct store *store)
{
	enum catalog_origin origin;
	int ret;

	pthread_mutex_lock(&store->checkpoints);
	ret = catalog_verify(store->catalog, &origin);
	if (!ret && origin != CATALOG_KEPT)
		ret = recovery_refill(store);
	if (ret)
		pthread_mutex_unlock(&store->checkpoints);
	return ret;
}

static int parse_template(struct freezing *freezing)
{
	const char *text = freezing->request->link_template;
	autofree char *why = NULL;
	int ret = template_parse(
		text ? text : freezing->store->link_template, &freezing->template, &why);

	return ret ? freeze_fail(freezing, NULL, "template", -ret, why) : 0;
}

static void tell_filesystem(struct freezing *freezing)
{
	const struct store_hooks *hooks = &freezing->store->hooks;

	for (size_t i = 0; i < freezing->nfolders; i++)
		name_changed(freezing->store, freezing->folders[i].path);
	for (size_t i = 0; i < freezing->count; i++) {
		const struct freeze_item *item = &freezing->items[i];

		if (item->state != ITEM_MADE)
			continue;
		if (hooks->attributes_changed)
			hooks->attributes_changed(hooks->ctx, item->entry->record.owner);
		name_changed(freezing->store, item->link);
	}
	if (freezing->saved)
		name_changed(freezing->store, freezing->manifest_path);
}

static int run(struct freezing *freezing)
{
	int ret = parse_template(freezing);

	if (ret)
		return ret;
	ret = checkpoints_lock(freezing->store);
	if (ret)
		return freeze_fail(freezing, NULL, "catalog", -ret, NULL);
	freezing->ktime = (uint64_t)realtime_ns();
	ret = try_sets(freezing);
	pthread_mutex_unlock(&freezing->store->checkpoints);
	if (ret == -EAGAIN)
		return abort_with(freezing, "link", ret,
			"directories keep leaving and entering checkpoints meanwhile");
	if (ret && !freezing->result->nfailures)
		return freeze_fail(freezing, NULL, "link", -ret, NULL);
	return ret;
}

int freeze(struct store *store, const struct freeze_request *request, struct freeze_result **out)
{
	struct freezing freezing = { .store = store, .request = request };
	int64_t start = monotonic_ns();
	int ret;

	freezing.result = calloc(1, sizeof(*freezing.result));
	if (!freezing.result)
		return -ENOMEM;
	ret = run(&freezing);
	if (!ret)
		tell_filesystem(&freezing);
	free_set(&freezing);
	template_free(freezing.template);
	freezing.result->total_ns = monotonic_ns() - start;
	*out = freezing.result;
	return ret;
}

int freeze_commit(struct store *store, uint64_t ktime)
{
	int ret = checkpoints_lock(store);

	if (ret)
		return ret;
	ret = catalog_checkpoint_set(store->catalog, ktime, CHECKPOINT_COMMITTED, NULL, 0);
	pthread_mutex_unlock(&store->checkpoints);
	return ret;
}
