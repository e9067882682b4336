/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/restart_report.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "store/log.h"
#include "store/util.h"

/* ---- text ---- */

static void print_size(FILE *out, uint64_t bytes)
{
	static const char units[] = "BKMGTPE";
	unsigned unit = 0;
	double value = (double)bytes;

	while (value >= 1024 && unit < sizeof(units) - 2) {
		value /= 1024;
		unit++;
	}
	fprintf(out, unit ? "%8.1f%c" : "%8.0f%c", value, units[unit]);
}

/* "rw", "w,append": the access and what else matters to whoever writes. */
static void describe_flags(const struct opener *opener, char text[32])
{
	static const char *const access[] = { "r", "w", "rw", "-" };

	if (!opener || opener->kind != OPENER_FD) {
		strcpy(text, opener && opener->kind == OPENER_CWD ? "cwd" : "-");
		return;
	}
	snprintf(text, 32, "%s%s%s%s", opener->flags & O_PATH ? "path"
		: access[opener->flags & O_ACCMODE],
		opener->flags & O_APPEND ? ",append" : "",
		opener->flags & O_DIRECT ? ",direct" : "",
		opener->flags & O_NONBLOCK ? ",nonblock" : "");
}

static void print_name(FILE *out, const char *name)
{
	for (; *name; name++) {
		unsigned char c = (unsigned char)*name;

		if (c < 0x20 || c == 0x7f)
			fprintf(out, "\\x%02x", c);
		else
			fputc(c, out);
	}
}

static const char *short_type(uint32_t mode)
{
	if (S_ISBLK(mode))
		return "block";
	if (S_ISCHR(mode))
		return "char";
	return manifest_type_name(mode);
}

static void print_item(FILE *out, const struct restart_item *item)
{
	const struct opener *opener = item->opener;
	char flags[32];

	describe_flags(opener, flags);
	if (item->number < 0)
		fprintf(out, "%5s", "cwd");
	else
		fprintf(out, "%5d", item->number);
	fprintf(out, "  %-9s ", short_type(item->entry->mode));
	print_size(out, item->entry->size);
	fprintf(out, "  %-9s %10" PRId64 "  ", flags,
		opener && opener->kind == OPENER_FD ? opener->offset : 0);
	print_name(out, item->path);
	fputc('\n', out);
}

void restart_report_list(FILE *out, const struct checkpoint *checkpoint,
			 const struct restart *restart)
{
	const struct manifest *manifest = checkpoint->manifest;
	char created[RFC3339_SIZE];
	size_t count;
	const struct restart_item *items = restart_items(restart, &count);

	fprintf(out, "checkpoint %s of %s, %zu %s\n", manifest->id,
		format_rfc3339((int64_t)manifest->ktime, created), manifest->nentries,
		manifest->nentries == 1 ? "entry" : "entries");
	fprintf(out, "in         %s\n\n", checkpoint->root);
	fprintf(out, "%5s  %-9s %9s  %-9s %10s  %s\n", "FD", "TYPE", "SIZE", "OPENED", "OFFSET",
		"ORIGINAL PATH");
	for (size_t i = 0; i < count; i++)
		print_item(out, &items[i]);
}

size_t restart_report_problems(const struct restart *restart, size_t from)
{
	size_t count;
	const struct restart_problem *problems = restart_problems(restart, &count);

	for (; from < count; from++) {
		const struct restart_problem *problem = &problems[from];
		void (*say)(const char *format, ...) = problem->warning ? log_warn : log_error;

		if (problem->n)
			say("%s (link %s): %s", problem->path, problem->link, problem->message);
		else
			say("%s", problem->message);
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
