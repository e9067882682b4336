/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/restart_report.h"

#include <fcntl.h>
#include <inttypes.h>

#include "store/util.h"
#include "tools/client.h"
#include "tools/output.h"

/* ---- text ---- */

/* "rw", "w,append": the access and what else matters to whoever writes. */
static const char *describe_opener(const struct opener *opener, char text[OUTPUT_TEXT_SIZE])
{
	static const char *const access[] = { "r", "w", "rw", "-" };

	if (!opener)
		return "-";
	if (opener->kind != OPENER_FD)
		return opener_kind_name(opener->kind);
	snprintf(text, OUTPUT_TEXT_SIZE, "%s%s%s%s",
		opener->flags & O_PATH ? "path" : access[opener->flags & O_ACCMODE],
		opener->flags & O_APPEND ? ",append" : "",
		opener->flags & O_DIRECT ? ",direct" : "",
		opener->flags & O_NONBLOCK ? ",nonblock" : "");
	return text;
}

static void add_item(struct table *table, const struct restart_item *item)
{
	const struct opener *opener = item->opener;
	char number[OUTPUT_TEXT_SIZE], size[OUTPUT_TEXT_SIZE], flags[OUTPUT_TEXT_SIZE];
	char offset[OUTPUT_TEXT_SIZE] = "-";
	const char *cells[] = { number, manifest_type_name(item->entry->mode),
		output_size(item->entry->size, size), describe_opener(opener, flags), offset,
		item->path };

	snprintf(number, sizeof(number), item->number < 0 ? "-" : "%d", item->number);
	if (opener && opener->kind == OPENER_FD)
		snprintf(offset, sizeof(offset), "%" PRId64, opener->offset);
	table_add(table, cells);
}

void restart_report_list(FILE *out, const struct checkpoint *checkpoint,
			 const struct restart *restart)
{
	static const char *const headings[] = { ">FD", "TYPE", ">SIZE", "OPENED", ">OFFSET",
		"ORIGINAL PATH" };
	struct table *table = table_new(headings, ARRAY_SIZE(headings));
	autofree char *root = output_escape(checkpoint->root);
	char rfc3339[RFC3339_SIZE], created[OUTPUT_TEXT_SIZE];
	size_t count;
	const struct restart_item *items = restart_items(restart, &count);

	if (!table)
		return;
	format_rfc3339((int64_t)checkpoint->manifest->ktime, rfc3339);
	fprintf(out, "checkpoint  %s, %s\n", checkpoint->manifest->id,
		output_time(rfc3339, created));
	fprintf(out, "in          %s\n", root ? root : "");
	if (restart_pid(restart))
		fprintf(out, "as          process %d had them\n", (int)restart_pid(restart));
	fprintf(out, "entries     %zu\n%s", checkpoint->manifest->nentries, count ? "\n" : "");
	for (size_t i = 0; i < count; i++)
		add_item(table, &items[i]);
	table_print(table, out);
	table_free(table);
}

size_t restart_report_problems(const struct restart *restart, size_t from)
{
	size_t count;
	const struct restart_problem *problems = restart_problems(restart, &count);

	for (; from < count; from++) {
		const struct restart_problem *problem = &problems[from];
		const char *warning = problem->warning ? "warning: " : "";

		if (problem->n)
			tool_error("%s%s (link %s): %s", warning, problem->path, problem->link,
				problem->message);
		else
			tool_error("%s%s", warning, problem->message);
	}
	return from;
}

/* ---- JSON ---- */

static json_t *item_json(const struct restart_item *item)
{
	const struct manifest_entry *entry = item->entry;
	const struct opener *opener = item->opener;
	json_t *object = json_pack("{s:i, s:i, s:s, s:I}", "fd", item->number, "n", (int)entry->n,
		"type", manifest_type_name(entry->mode), "size", (json_int_t)entry->size);

	if (!object || manifest_json_set_name(object, "path", item->path) < 0 ||
	    manifest_json_set_name(object, "link", entry->link) < 0)
		goto fail;
	if (opener && json_object_update_new(object, json_pack("{s:s, s:i, s:i, s:I, s:I}", "kind",
			opener_kind_name(opener->kind), "pid", (int)opener->pid, "recorded_fd",
			opener->fd, "flags", (json_int_t)opener->flags, "offset",
			(json_int_t)opener->offset)) < 0)
		goto fail;
	if (opener && manifest_json_set_name(object, "comm", opener->comm) < 0)
		goto fail;
	return object;
fail:
	json_decref(object);
	return NULL;
}

static json_t *problem_json(const struct restart_problem *problem)
{
	json_t *object = json_pack("{s:i, s:b, s:s, s:i, s:s}", "n", (int)problem->n, "warning",
		(int)problem->warning, "step", problem->step, "errno", problem->error, "message",
		problem->message);

	if (object && manifest_json_set_name(object, "path", problem->path) == 0 &&
	    manifest_json_set_name(object, "link", problem->link) == 0)
		return object;
	json_decref(object);
	return NULL;
}

json_t *restart_report_json(const struct checkpoint *checkpoint, const struct restart *restart)
{
	size_t nitems, nproblems;
	const struct restart_item *items = restart_items(restart, &nitems);
	const struct restart_problem *problems = restart_problems(restart, &nproblems);
	json_t *fds = json_array(), *list = json_array(), *object;
	char created[RFC3339_SIZE];

	/* What does not fit into memory is missing in the arrays; json_pack() then fails too. */
	for (size_t i = 0; i < nitems; i++)
		json_array_append_new(fds, item_json(&items[i]));
	for (size_t i = 0; i < nproblems; i++)
		json_array_append_new(list, problem_json(&problems[i]));
	object = json_pack("{s:s, s:s, s:o, s:o}", "id", checkpoint->manifest->id, "created",
		format_rfc3339((int64_t)checkpoint->manifest->ktime, created), "fds", fds,
		"problems", list);
	if (object && manifest_json_set_name(object, "root", checkpoint->root) == 0 &&
	    (!checkpoint->manifest_path ||
		    manifest_json_set_name(object, "manifest", checkpoint->manifest_path) == 0))
		return object;
	json_decref(object);
	return NULL;
}
