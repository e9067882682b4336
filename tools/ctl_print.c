/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/ctl_print.h"

#include <stdbool.h>
#include <string.h>

#include "tools/client.h"
#include "tools/output.h"

/* "LABEL   VALUE" with the value escaped. */
static void __attribute__((format(printf, 3, 4)))
print_field(FILE *file, const char *label, const char *format, ...)
{
	autofree char *text = NULL, *escaped = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	escaped = output_escape(text ? text : "");
	fprintf(file, "%-12s%s\n", label, escaped ? escaped : "");
}

static const char *plural(json_int_t count)
{
	return count == 1 ? "" : "s";
}

static const char *entries_word(json_int_t count)
{
	return count == 1 ? "entry" : "entries";
}

/* ---- status ---- */

static void print_io(const json_t *reply, FILE *file)
{
	const char *reason = tool_string(reply, "io_reason");

	print_field(file, "data", "%s%s%s%s", tool_string(reply, "io"), *reason ? " (" : "", reason,
		*reason ? ")" : "");
}

static void print_totals(const json_t *reply, FILE *file)
{
	json_int_t hidden = tool_integer(reply, "hidden");
	json_int_t handles = tool_integer(reply, "open_handles");
	char size[OUTPUT_TEXT_SIZE];

	if (json_object_get(reply, "nodes"))
		print_field(file, "inodes", "%lld known to the kernel, %lld open handle%s",
			(long long)tool_integer(reply, "nodes"), (long long)handles,
			plural(handles));
	print_field(file, "hidden", "%lld %s, %s%s", (long long)hidden, entries_word(hidden),
		output_size((uint64_t)tool_integer(reply, "hidden_bytes"), size),
		json_object_get(reply, "nodes") ? "" : " (your own only)");
	if (json_object_get(reply, "checkpoints"))
		print_field(
			file, "checkpoints", "%lld", (long long)tool_integer(reply, "checkpoints"));
}

static void print_backings(const json_t *reply, FILE *file)
{
	const json_t *backing;
	size_t i;

	json_array_foreach (json_object_get(reply, "backings"), i, backing) {
		const char *why = tool_string(backing, "why");
		bool durable = json_is_true(json_object_get(backing, "durable"));

		print_field(file, "backing", "%s: %s%s%s%s", tool_string(backing, "path"),
			durable ? "durable" : "not durable", *why ? " (" : "", why,
			*why ? ")" : "");
	}
}

void ctl_print_status(const json_t *reply, FILE *file)
{
	char started[OUTPUT_TEXT_SIZE];
	const json_t *warning;
	size_t i;

	print_field(file, "mount", "%s", tool_string(reply, "mount"));
	print_field(file, "source", "%s (%s)", tool_string(reply, "source"),
		tool_string(reply, "fstype"));
	print_field(file, "instance", "%s", tool_string(reply, "instance"));
	print_field(file, "daemon", "pid %lld, version %s, since %s",
		(long long)tool_integer(reply, "pid"), tool_string(reply, "version"),
		output_time(tool_string(reply, "started"), started));
	print_io(reply, file);
	print_field(file, "cache", "%s", tool_string(reply, "cache"));
	print_field(file, "threads", "%lld", (long long)tool_integer(reply, "threads"));
	print_totals(reply, file);
	print_field(file, "catalog", "%s", tool_string(reply, "catalog"));
	print_backings(reply, file);
	json_array_foreach (json_object_get(reply, "warnings"), i, warning)
		print_field(file, "warning", "%s", json_string_value(warning));
}

/* ---- list ---- */

/* Adds "fd 7" or "mmap" to *line, a malloc'd text. */
static void append_hold(char **line, const json_t *holder)
{
	const char *kind = tool_string(holder, "kind");
	char *longer = strcmp(kind, "fd") == 0 ? util_printf("%s, fd %lld", *line,
							 (long long)tool_integer(holder, "fd"))
					       : util_printf("%s, %s", *line, kind);

	free(*line);
	*line = longer;
}

/* One note for each process; the holders come sorted by pid. */
static void add_holders(struct table *table, const json_t *holders)
{
	size_t i = 0, count = json_array_size(holders);

	while (i < count) {
		const json_t *holder = json_array_get(holders, i);
		json_int_t pid = tool_integer(holder, "pid");
		autofree char *comm = tool_name(holder, "comm");
		autofree char *line =
			util_printf("held by %lld (%s)", (long long)pid, comm ? comm : "");

		for (; i < count && line; i++) {
			holder = json_array_get(holders, i);
			if (tool_integer(holder, "pid") != pid)
				break;
			append_hold(&line, holder);
		}
		if (!line)
			return;
		table_add_note(table, line);
	}
}

/* What there is to say of an entry beyond its columns. */
static void add_remarks(struct table *table, const json_t *entry)
{
	json_int_t frozen = tool_integer(entry, "frozen");
	const char *state = tool_string(entry, "state");
	autofree char *line = NULL;

	if (frozen > 0) {
		line = util_printf(
			"frozen in %lld checkpoint%s", (long long)frozen, plural(frozen));
		if (line)
			table_add_note(table, line);
	}
	if (strcmp(state, "pinned") == 0)
		table_add_note(table, "cannot be frozen: it can have no link");
}

static const char *path_or_what(const json_t *entry, const char *path)
{
	if (*path)
		return path;
	return json_is_true(json_object_get(entry, "tmpfile")) ? "(temporary file)" : "(no name)";
}

static void add_entry(struct table *table, const json_t *entry)
{
	char size[OUTPUT_TEXT_SIZE] = "?", age[OUTPUT_TEXT_SIZE], owner[OUTPUT_TEXT_SIZE];
	autofree char *path = tool_name(entry, "path");
	const char *cells[5];

	if (json_object_get(entry, "size"))
		output_size((uint64_t)tool_integer(entry, "size"), size);
	cells[0] = size;
	cells[1] = output_age(tool_integer(entry, "age_seconds"), age);
	cells[2] = output_owner((uid_t)tool_integer(entry, "uid"), owner);
	cells[3] = tool_string(entry, "type");
	cells[4] = path_or_what(entry, path ? path : "");
	table_add(table, cells);
	add_remarks(table, entry);
	add_holders(table, json_object_get(entry, "holders"));
}

void ctl_print_entries(const json_t *reply, FILE *file)
{
	static const char *const headings[] = { ">SIZE", ">AGE", "OWNER", "TYPE", "ORIGINAL PATH" };
	const json_t *entries = json_object_get(reply, "entries"), *entry;
	struct table *table = table_new(headings, ARRAY_SIZE(headings));
	char pinned[OUTPUT_TEXT_SIZE];
	json_int_t blocks = 0;
	size_t i;

	if (!table)
		return;
	json_array_foreach (entries, i, entry) {
		add_entry(table, entry);
		blocks += tool_integer(entry, "blocks");
	}
	table_print(table, file);
	table_free(table);
	fprintf(file, "%s%zu hidden %s, %s on disk\n", i ? "\n" : "", i,
		entries_word((json_int_t)i), output_size((uint64_t)blocks * 512, pinned));
}

/* ---- checkpoints ---- */

static void add_checkpoint(struct table *table, const json_t *checkpoint)
{
	char created[OUTPUT_TEXT_SIZE], size[OUTPUT_TEXT_SIZE] = "?", owner[OUTPUT_TEXT_SIZE];
	autofree char *entries =
		util_printf("%lld", (long long)tool_integer(checkpoint, "entries"));
	const char *cells[6];

	if (json_object_get(checkpoint, "bytes"))
		output_size((uint64_t)tool_integer(checkpoint, "bytes"), size);
	cells[0] = tool_string(checkpoint, "id");
	cells[1] = output_time(tool_string(checkpoint, "created"), created);
	cells[2] = tool_string(checkpoint, "state");
	cells[3] = entries ? entries : "?";
	cells[4] = size;
	cells[5] = output_owner((uid_t)tool_integer(checkpoint, "creator_uid"), owner);
	table_add(table, cells);
}

void ctl_print_checkpoints(const json_t *reply, FILE *file)
{
	static const char *const headings[] = { "ID", "CREATED", "STATE", ">ENTRIES", ">SIZE",
		"BY" };
	struct table *table = table_new(headings, ARRAY_SIZE(headings));
	const json_t *checkpoint;
	size_t i;

	if (!table)
		return;
	json_array_foreach (json_object_get(reply, "checkpoints"), i, checkpoint)
		add_checkpoint(table, checkpoint);
	table_print(table, file);
	table_free(table);
	if (i == 0)
		fputs("no checkpoints\n", file);
}

/* ---- show ---- */

char *ctl_summary(const json_t *reply)
{
	const json_t *entries = json_object_get(json_object_get(reply, "manifest"), "entries"),
		     *entry;
	json_int_t blocks = 0;
	char size[OUTPUT_TEXT_SIZE];
	size_t i;

	json_array_foreach (entries, i, entry)
		blocks += tool_integer(entry, "blocks");
	return util_printf("%zu %s, %s", i, entries_word((json_int_t)i),
		output_size((uint64_t)blocks * 512, size));
}

/* "present", "missing", "replaced" of the link @n; links and entries have the same order. */
static const char *link_status(const json_t *links, size_t i, json_int_t n)
{
	const json_t *link = json_array_get(links, i);

	return link && tool_integer(link, "n") == n ? tool_string(link, "status") : "?";
}

static void add_link(struct table *table, const json_t *entry, const char *status)
{
	char size[OUTPUT_TEXT_SIZE], owner[OUTPUT_TEXT_SIZE];
	autofree char *path = tool_name(entry, "path"), *link = tool_name(entry, "link");
	autofree char *n = util_printf("%lld", (long long)tool_integer(entry, "n"));
	const char *cells[6];

	cells[0] = n ? n : "?";
	cells[1] = status;
	cells[2] = output_size((uint64_t)tool_integer(entry, "size"), size);
	cells[3] = output_owner((uid_t)tool_integer(entry, "uid"), owner);
	cells[4] = tool_string(entry, "type");
	cells[5] = path_or_what(entry, path ? path : "");
	table_add(table, cells);
	if (link && *link)
		table_add_note(table, link);
	add_holders(table, json_object_get(entry, "openers"));
}

static void print_creator(const json_t *manifest, FILE *file)
{
	const json_t *creator = json_object_get(manifest, "creator");
	char owner[OUTPUT_TEXT_SIZE], created[OUTPUT_TEXT_SIZE];
	autofree char *comm = tool_name(creator, "comm");

	print_field(file, "created", "%s by %s, %s (pid %lld)",
		output_time(tool_string(manifest, "created"), created),
		output_owner((uid_t)tool_integer(creator, "uid"), owner), comm ? comm : "",
		(long long)tool_integer(creator, "pid"));
}

void ctl_print_checkpoint(const json_t *reply, FILE *file)
{
	static const char *const headings[] = { ">N", "LINK", ">SIZE", "OWNER", "TYPE",
		"ORIGINAL PATH" };
	const json_t *manifest = json_object_get(reply, "manifest"), *entry;
	const json_t *links = json_object_get(reply, "links");
	struct table *table = table_new(headings, ARRAY_SIZE(headings));
	autofree char *summary = ctl_summary(reply), *scope = tool_name(manifest, "scope");
	autofree char *path = tool_name(manifest, "path");
	size_t i;

	if (!table)
		return;
	print_field(file, "checkpoint", "%s", tool_string(manifest, "id"));
	print_field(file, "state", "%s", tool_string(reply, "state"));
	print_creator(manifest, file);
	print_field(file, "scope", "%s", scope ? scope : "");
	print_field(file, "manifest", "%s", path ? path : "");
	print_field(file, "entries", "%s", summary ? summary : "");
	json_array_foreach (json_object_get(manifest, "entries"), i, entry)
		add_link(table, entry, link_status(links, i, tool_integer(entry, "n")));
	if (i > 0)
		putc('\n', file);
	table_print(table, file);
	table_free(table);
}
