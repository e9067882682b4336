/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The methods that tell the state of the daemon or change something. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fuse/control_internal.h"
#include "store/catalog.h"
#include "store/procscan.h"

/* ---- Status ---- */

struct control_status {
	json_t *warnings, *backings;
};

void control_status_warn(struct control_status *status, const char *fmt, ...)
{
	autofree char *text = NULL;
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	va_end(args);
	if (text)
		json_array_append_new(status->warnings, control_text(text));
}

void control_status_backing(
	struct control_status *status, const char *path, bool durable, const char *why)
{
	json_t *backing = json_pack("{s:o, s:b, s:o}", "path", control_text(path), "durable",
		durable, "why", control_text(why ? why : ""));

	json_array_append_new(status->backings, backing);
}

/* Hidden entries that the caller may know of: their number and the space they pin. */
static void count_hidden(const struct request *request, uint64_t *hidden, uint64_t *bytes)
{
	struct store_snapshot_entry *entries = NULL;
	size_t count = 0;
	struct stat st;

	*hidden = *bytes = 0;
	if (store_snapshot(request->host->store, &entries, &count) < 0)
		return;
	for (size_t i = 0; i < count; i++) {
		if (!control_look_at(request, &entries[i].record, &st))
			continue;
		++*hidden;
		if (st.st_size >= 0)
			*bytes += (uint64_t)st.st_blocks * 512;
	}
	store_snapshot_free(entries, count);
}

static void add_checkpoints(const struct request *request, json_t *answer)
{
	struct catalog_checkpoint *checkpoints = NULL;
	size_t count = 0;

	if (!request->privileged || catalog_checkpoint_list(store_catalog(request->host->store),
					    false, &checkpoints, &count) < 0)
		return;
	json_object_set_new(answer, "checkpoints", json_integer((json_int_t)count));
	catalog_checkpoints_free(checkpoints, count);
}

/* "ok", or what is wrong with the catalog. */
static json_t *catalog_text(const struct control_host *host)
{
	struct catalog *catalog = store_catalog(host->store);
	struct catalog_status status;

	if (!catalog)
		return json_string("none: the source is read-only");
	catalog_status(catalog, &status);
	if (status.error == 0)
		return json_string("ok");
	return control_text(status.message[0] ? status.message : strerror(-status.error));
}

/* What is not for the unprivileged: how much everybody together has open. */
static void add_totals(
	const struct request *request, const struct control_numbers *numbers, json_t *answer)
{
	if (!request->privileged)
		return;
	json_object_set_new(answer, "nodes", json_integer((json_int_t)numbers->nodes));
	json_object_set_new(
		answer, "open_handles", json_integer((json_int_t)numbers->open_handles));
}

static void status(struct request *request)
{
	const struct control_host *host = request->host;
	struct control_status more = { json_array(), json_array() };
	struct control_numbers numbers = { 0 };
	uint64_t hidden, bytes;
	json_t *answer;

	if (!request_parameters(request, NULL, 0))
		goto out;
	host->status(host->ctx, &numbers, &more);
	count_hidden(request, &hidden, &bytes);
	answer = json_pack("{s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:i, s:I, s:I, s:o, "
			   "s:O, s:O}",
		"version", host->version, "pid", getpid(), "mount", control_text(host->mount_path),
		"source", control_text(host->source_path), "instance", control_text(host->instance),
		"fstype", control_text(host->fstype), "started",
		control_time((int64_t)host->started * NSEC_PER_SEC), "io", control_text(numbers.io),
		"io_reason", control_text(numbers.io_reason ? numbers.io_reason : ""), "cache",
		control_text(numbers.cache), "threads", (int)numbers.threads, "hidden",
		(json_int_t)hidden, "hidden_bytes", (json_int_t)bytes, "catalog",
		catalog_text(host), "warnings", more.warnings, "backings", more.backings);
	if (answer) {
		add_totals(request, &numbers, answer);
		add_checkpoints(request, answer);
	}
	request_reply(request, answer);
out:
	json_decref(more.warnings);
	json_decref(more.backings);
}

/* ---- Freeze ---- */

/* The parameters of Freeze, as they came. */
struct freeze_wish {
	const char *scope, *cgroup, *link_template;
	json_int_t pid;
	bool partial, hold, undo_on_disconnect;
};

static bool read_wish(struct request *request, struct freeze_wish *wish)
{
	const struct request_parameter table[] = {
		{ "scope", JSON_STRING, &wish->scope },
		{ "pid", JSON_INTEGER, &wish->pid },
		{ "cgroup", JSON_STRING, &wish->cgroup },
		{ "template", JSON_STRING, &wish->link_template },
		{ "partial", JSON_TRUE, &wish->partial },
		{ "hold", JSON_TRUE, &wish->hold },
		{ "undo_on_disconnect", JSON_TRUE, &wish->undo_on_disconnect },
	};

	return request_parameters(request, table, ARRAY_SIZE(table));
}

/* The scope, and only the parameter that belongs to it.  NULL, or the one that is wrong. */
static const char *read_scope(const struct freeze_wish *wish, struct procscan_request *scope)
{
	const char *name = wish->scope ? wish->scope : "all";

	if (strcmp(name, "all") == 0)
		scope->scope = PROCSCAN_ALL;
	else if (strcmp(name, "tree") == 0)
		scope->scope = PROCSCAN_TREE;
	else if (strcmp(name, "cgroup") == 0)
		scope->scope = PROCSCAN_CGROUP;
	else
		return "scope";
	if ((scope->scope == PROCSCAN_TREE) != (wish->pid > 0) || wish->pid > INT32_MAX)
		return "pid";
	if ((scope->scope == PROCSCAN_CGROUP) != (wish->cgroup && *wish->cgroup))
		return "cgroup";
	scope->pid = (pid_t)wish->pid;
	scope->cgroup = wish->cgroup;
	return NULL;
}

/* The connection keeps the checkpoint until Commit, Undo or its own end. */
static int hold_checkpoint(struct connection *connection, uint64_t ktime, bool undo)
{
	size_t count = connection->nholds + 1;
	struct control_hold *holds = realloc(connection->holds, count * sizeof(*holds));

	if (!holds)
		return -ENOMEM;
	holds[connection->nholds] = (struct control_hold){ ktime, undo };
	connection->holds = holds;
	connection->nholds = count;
	return 0;
}

static void release_hold(struct connection *connection, uint64_t ktime)
{
	for (size_t i = 0; i < connection->nholds; i++)
		if (connection->holds[i].ktime == ktime)
			connection->holds[i] = connection->holds[--connection->nholds];
}

static void answer_freeze(struct request *request, const struct freeze_result *result)
{
	const struct manifest *manifest = result->manifest;
	json_t *answer = json_pack("{s:s, s:I, s:I, s:o, s:I, s:I, s:o, s:o}", "id", manifest->id,
		"ktime", (json_int_t)manifest->ktime, "entries", (json_int_t)manifest->nentries,
		"left_out", control_failures(result->failures, result->nfailures), "barrier_ns",
		(json_int_t)result->barrier_ns, "total_ns", (json_int_t)result->total_ns, "mount",
		control_text(request->host->mount_path), "source",
		control_text(request->host->source_path));

	if (answer)
		manifest_json_set_name(answer, "manifest", manifest->path);
	request_reply(request, answer);
}

static void fail_freeze(struct request *request, int error, const struct freeze_result *result)
{
	const struct freeze_failure *first = result ? result->failures : NULL;

	if (!first || result->nfailures == 0)
		request_fail(
			request, error, NULL, "cannot make the checkpoint: %s", strerror(-error));
	else
		request_fail(request, error, control_failures(first, result->nfailures),
			"cannot make the checkpoint: %s%s%s%s%s: %s",
			first->step ? first->step : "failed", first->link ? " " : "",
			first->link ? first->link : "", first->path ? " for " : "",
			first->path ? first->path : "", control_failure_text(first));
}

static void run_freeze(struct request *request, const struct freeze_wish *wish,
	const struct freeze_request *wanted)
{
	const struct control_host *host = request->host;
	struct freeze_result *result = NULL;
	uint64_t ktime;
	int ret;

	if (host->flush)
		host->flush(host->ctx);
	ret = freeze(host->store, wanted, &result);
	if (ret == 0 && wanted->hold) {
		ktime = result->manifest->ktime;
		ret = hold_checkpoint(request->connection, ktime, wish->undo_on_disconnect);
		if (ret < 0)
			freeze_undo(host->store, ktime);
	}
	if (ret == 0)
		answer_freeze(request, result);
	else
		fail_freeze(request, ret, result);
	if (result)
		freeze_result_free(result);
}

static void freeze_method(struct request *request)
{
	struct freeze_wish wish = { 0 };
	struct freeze_request wanted = {
		.creator_pid = request->caller.pid,
		.creator_uid = request->caller.uid,
		.creator_comm = request->caller.comm,
	};
	const char *wrong;

	if (!read_wish(request, &wish))
		return;
	wrong = read_scope(&wish, &wanted.scope);
	if (wrong) {
		request_invalid(request, wrong);
		return;
	}
	wanted.scope.dev = request->host->mount_dev;
	wanted.link_template = wish.link_template;
	wanted.partial = wish.partial;
	wanted.hold = wish.hold;
	run_freeze(request, &wish, &wanted);
}

/* ---- Commit, Undo, Drop ---- */

/* Commit and Undo: the id, or 0 with the answer given. */
static uint64_t read_id(struct request *request)
{
	const char *id = NULL;
	const struct request_parameter table[] = { { "id", JSON_STRING, &id } };
	uint64_t ktime;

	if (!request_parameters(request, table, ARRAY_SIZE(table)))
		return 0;
	if (id && control_parse_id(id, &ktime))
		return ktime;
	request_invalid(request, "id");
	return 0;
}

static void answer_settled(struct request *request, uint64_t ktime, const char *verb, int ret)
{
	if (ret == 0 || ret == -EINVAL || ret == -ENOENT)
		release_hold(request->connection, ktime);
	if (ret == 0)
		request_reply(request, json_object());
	else if (ret == -ENOENT)
		request_fail(request, ret, NULL, "no checkpoint %08llx", (unsigned long long)ktime);
	else if (ret == -EINVAL)
		request_fail(request, ret, NULL,
			"checkpoint %08llx is not held any more: it was committed, undone or "
			"dropped",
			(unsigned long long)ktime);
	else
		request_fail(request, ret, NULL, "cannot %s checkpoint %08llx: %s", verb,
			(unsigned long long)ktime, strerror(-ret));
}

static void commit(struct request *request)
{
	uint64_t ktime = read_id(request);

	if (ktime)
		answer_settled(
			request, ktime, "commit", freeze_commit(request->host->store, ktime));
}

static void undo(struct request *request)
{
	uint64_t ktime = read_id(request);

	if (ktime)
		answer_settled(request, ktime, "undo", freeze_undo(request->host->store, ktime));
}

/* What the parameters manifest or manifest_base64 say; *given: one of them was there. */
static char *read_manifest_name(const struct request *request, bool *given)
{
	*given = json_is_string(json_object_get(request->parameters, "manifest")) ||
		 json_is_string(json_object_get(request->parameters, "manifest_base64"));
	return *given ? manifest_json_get_name(request->parameters, "manifest", NULL) : NULL;
}

/* The unprivileged may name manifests only where the daemon puts them. */
static bool in_manifest_folder(const char *path)
{
	size_t length = strlen(MANIFEST_DIR "/");

	return strncmp(path, MANIFEST_DIR "/", length) == 0 && !strchr(path + length, '/');
}

char *control_manifest_path(struct request *request)
{
	const char *id = NULL;
	const struct request_parameter table[] = {
		{ "id", JSON_STRING, &id },
		{ "manifest", JSON_NULL, NULL },
		{ "manifest_base64", JSON_NULL, NULL },
	};
	autofree char *path = NULL;
	uint64_t ktime = 0;
	bool given;

	if (!request_parameters(request, table, ARRAY_SIZE(table)))
		return NULL;
	path = read_manifest_name(request, &given);
	if (given == !!id || (id && !control_parse_id(id, &ktime))) {
		request_invalid(request, id ? "id" : "manifest");
		return NULL;
	}
	if (given && (!path || manifest_name_error(path) ||
			     (!request->privileged && !in_manifest_folder(path)))) {
		request_invalid(request, "manifest");
		return NULL;
	}
	if (id)
		path = util_printf(MANIFEST_DIR "/" MANIFEST_NAME_FMT, (unsigned long long)ktime);
	if (!path)
		request_reply(request, NULL);
	return steal_ptr(&path);
}

static void drop_manifest(struct request *request, const char *path)
{
	struct freeze_failure *failures = NULL;
	autofree char *why = NULL;
	size_t count = 0;
	int ret = freeze_drop(request->host->store, path, &failures, &count, &why);

	if (ret == 0)
		request_reply(
			request, json_pack("{s:o}", "failures", control_failures(failures, count)));
	else
		request_fail(request, ret, control_failures(failures, count), "cannot drop %s: %s",
			path,
			why              ? why
			: ret == -ENOENT ? "no such checkpoint"
					 : strerror(-ret));
	freeze_failures_free(failures, count);
}

static void drop(struct request *request)
{
	autofree char *path = control_manifest_path(request);

	if (path)
		drop_manifest(request, path);
}

/* ---- Alias ---- */

/* A name relative to the root of the mount; NULL: the answer is given. */
static char *read_name(struct request *request, const char *key)
{
	autofree char *name = manifest_json_get_name(request->parameters, key, NULL);

	if (name && !manifest_name_error(name))
		return steal_ptr(&name);
	request_invalid(request, key);
	return NULL;
}

static void clear_alias(struct request *request)
{
	struct connection *connection = request->connection;

	if (connection->aliased)
		request->host->alias_clear(request->host->ctx, connection->caller.pid);
	connection->aliased = false;
}

static void set_alias(struct request *request, const char *link, const char *path)
{
	const struct control_host *host = request->host;
	pid_t pid = request->connection->caller.pid;
	autofree char *why = NULL;
	const char *mode = "";
	int ret;

	clear_alias(request);
	ret = host->alias_set(host->ctx, pid, link, path, &mode, &why);
	if (ret < 0) {
		request_fail(request, ret, NULL, "%s: cannot stand for %s: %s", link, path,
			why ? why : strerror(-ret));
		return;
	}
	request->connection->aliased = true;
	request_reply(request, json_pack("{s:s}", "mode", mode));
}

static void alias(struct request *request)
{
	json_int_t pid = request->connection->caller.pid;
	const struct request_parameter table[] = {
		{ "link", JSON_NULL, NULL },
		{ "link_base64", JSON_NULL, NULL },
		{ "path", JSON_NULL, NULL },
		{ "path_base64", JSON_NULL, NULL },
		{ "pid", JSON_INTEGER, &pid },
	};
	autofree char *link = NULL, *path = NULL;

	if (!request_parameters(request, table, ARRAY_SIZE(table)))
		return;
	if (pid != request->connection->caller.pid) {
		request_fail(request, -EPERM, NULL,
			"an alias is only given to the process that asks for it (%d)",
			request->connection->caller.pid);
		return;
	}
	if (!request->host->alias_set) {
		request_fail(request, -EOPNOTSUPP, NULL, "this daemon gives no aliases");
		return;
	}
	link = read_name(request, "link");
	path = link ? read_name(request, "path") : NULL;
	if (path)
		set_alias(request, link, path);
}

static void unalias(struct request *request)
{
	if (!request_parameters(request, NULL, 0))
		return;
	clear_alias(request);
	request_reply(request, json_object());
}

const struct control_method control_methods[] = {
	{ "Status", false, status },
	{ "ListEntries", false, control_list_entries },
	{ "ListCheckpoints", false, control_list_checkpoints },
	{ "ShowCheckpoint", false, control_show_checkpoint },
	{ "Freeze", true, freeze_method },
	{ "Commit", true, commit },
	{ "Undo", true, undo },
	{ "Drop", true, drop },
	{ "Alias", true, alias },
	{ "Unalias", true, unalias },
	{ NULL, false, NULL },
};
