/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/output.h"

#include <errno.h>
#include <pwd.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/util.h"
#include "tools/client.h"

/* ---- names ---- */

/*
 * The character of valid, shortest-form UTF-8 at @s and its length; length 0 if there is
 * none.
 */
static size_t decode(const unsigned char *s, uint32_t *out)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t length = s[0] < 0x80             ? 1
			: (s[0] & 0xe0) == 0xc0 ? 2
			: (s[0] & 0xf0) == 0xe0 ? 3
			: (s[0] & 0xf8) == 0xf0 ? 4
						: 0;

	*out = length == 1 ? s[0] : length ? s[0] & (0x7fu >> length) : 0;
	for (size_t i = 1; i < length; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*out = *out << 6 | (s[i] & 0x3f);
	}
	if (length > 1 && (*out < smallest[length] || *out > 0x10ffff))
		return 0;
	return *out >= 0xd800 && *out <= 0xdfff ? 0 : length;
}

static bool is_harmless(uint32_t c)
{
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return false;
	/* Line and paragraph separators, marks and overrides of direction. */
	return !(c >= 0x200e && c <= 0x200f) && !(c >= 0x2028 && c <= 0x202e) &&
	       !(c >= 0x2066 && c <= 0x2069);
}

char *output_escape(const char *bytes)
{
	const unsigned char *s = (const unsigned char *)bytes;
	char *escaped = malloc(strlen(bytes) * 4 + 1), *end = escaped;
	uint32_t c;

	while (escaped && *s) {
		size_t length = decode(s, &c);

		if (length > 0 && is_harmless(c)) {
			memcpy(end, s, length);
			end += length;
		} else {
			length = length ? length : 1;
			for (size_t i = 0; i < length; i++)
				end += sprintf(end, "\\x%02x", s[i]);
		}
		s += length;
	}
	if (escaped)
		*end = '\0';
	return escaped;
}

/* Characters, not bytes. */
static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

/* ---- numbers ---- */

const char *output_size(uint64_t bytes, char text[OUTPUT_TEXT_SIZE])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	size_t unit = 0;

	/* 1023.95 would be rounded to 1024.0 of the smaller unit. */
	while (value >= (unit ? 1023.95 : 1024) && unit + 1 < ARRAY_SIZE(units)) {
		value /= 1024;
		unit++;
	}
	snprintf(text, OUTPUT_TEXT_SIZE, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return text;
}

const char *output_age(int64_t seconds, char text[OUTPUT_TEXT_SIZE])
{
	static const struct {
		int64_t seconds;
		char unit;
	} units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
	size_t i = 0;

	if (seconds < 0)
		seconds = 0;
	while (i + 1 < ARRAY_SIZE(units) && seconds < units[i].seconds)
		i++;
	snprintf(text, OUTPUT_TEXT_SIZE, "%lld%c", (long long)(seconds / units[i].seconds),
		units[i].unit);
	return text;
}

const char *output_duration(int64_t ns, char text[OUTPUT_TEXT_SIZE])
{
	if (ns < 999500)
		snprintf(text, OUTPUT_TEXT_SIZE, "%.0f us", (double)ns / 1e3);
	else if (ns < 999950000)
		snprintf(text, OUTPUT_TEXT_SIZE, "%.1f ms", (double)ns / 1e6);
	else
		snprintf(text, OUTPUT_TEXT_SIZE, "%.2f s", (double)ns / 1e9);
	return text;
}

/* Lists ask for few users many times. */
const char *output_owner(uid_t uid, char text[OUTPUT_TEXT_SIZE])
{
	static char last_name[OUTPUT_TEXT_SIZE];
	static uid_t last_uid;
	const struct passwd *user;

	if (!last_name[0] || last_uid != uid) {
		/* cppcheck-suppress getpwuidCalled */
		user = getpwuid(uid);
		if (user)
			snprintf(last_name, sizeof(last_name), "%s", user->pw_name);
		else
			snprintf(last_name, sizeof(last_name), "%u", uid);
		last_uid = uid;
	}
	memcpy(text, last_name, OUTPUT_TEXT_SIZE);
	return text;
}

const char *output_time(const char *rfc3339, char text[OUTPUT_TEXT_SIZE])
{
	struct tm utc = { 0 }, local;
	const char *rest = strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &utc);
	time_t when;

	snprintf(text, OUTPUT_TEXT_SIZE, "%s", rfc3339);
	if (!rest || !strchr(rest, 'Z'))
		return text;
	when = timegm(&utc);
	if (localtime_r(&when, &local))
		strftime(text, OUTPUT_TEXT_SIZE, "%Y-%m-%d %H:%M:%S", &local);
	return text;
}

/* ---- JSON, the end ---- */

void output_json(const json_t *json)
{
	json_dumpf(json, stdout, JSON_INDENT(2) | (isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0));
	putchar('\n');
}

int output_finish(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	tool_error("cannot write the output: %s", strerror(errno));
	return 1;
}

/* ---- tables ---- */

struct row {
	char **cells; /* one for each column; a note: one, and that alone */
	bool note;
};

struct table {
	const char *const *headings;
	size_t columns;
	size_t *widths;
	struct row *rows;
	size_t count;
};

static bool to_the_right(const struct table *table, size_t column)
{
	return table->headings[column][0] == '>';
}

static const char *heading(const struct table *table, size_t column)
{
	return table->headings[column] + to_the_right(table, column);
}

struct table *table_new(const char *const *headings, size_t columns)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->headings = headings;
	table->columns = columns;
	table->widths = calloc(columns, sizeof(*table->widths));
	if (!table->widths) {
		free(table);
		return NULL;
	}
	for (size_t i = 0; i < columns; i++)
		table->widths[i] = width_of(heading(table, i));
	return table;
}

static void row_free(const struct row *row, size_t cells)
{
	for (size_t i = 0; row->cells && i < cells; i++)
		free(row->cells[i]);
	free(row->cells);
}

void table_free(struct table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->count; i++)
		row_free(&table->rows[i], table->rows[i].note ? 1 : table->columns);
	free(table->rows);
	free(table->widths);
	free(table);
}

static int add_row(struct table *table, const char *const *cells, size_t count, bool note)
{
	struct row row = { .cells = calloc(count, sizeof(*row.cells)), .note = note };
	struct row *rows = reallocarray(table->rows, table->count + 1, sizeof(*rows));
	bool fine = row.cells && rows;

	if (rows)
		table->rows = rows;
	for (size_t i = 0; fine && i < count; i++) {
		row.cells[i] = output_escape(cells[i]);
		fine = row.cells[i] != NULL;
	}
	if (!fine) {
		row_free(&row, count);
		return -ENOMEM;
	}
	for (size_t i = 0; !note && i < count; i++)
		if (width_of(row.cells[i]) > table->widths[i])
			table->widths[i] = width_of(row.cells[i]);
	table->rows[table->count++] = row;
	return 0;
}

int table_add(struct table *table, const char *const *cells)
{
	return add_row(table, cells, table->columns, false);
}

int table_add_note(struct table *table, const char *text)
{
	return add_row(table, &text, 1, true);
}

static void print_cell(const struct table *table, size_t column, const char *text, FILE *file)
{
	int padding = (int)(table->widths[column] - width_of(text));

	if (column > 0)
		fputs("  ", file);
	if (to_the_right(table, column))
		fprintf(file, "%*s%s", padding, "", text);
	else if (column + 1 < table->columns)
		fprintf(file, "%s%*s", text, padding, "");
	else
		fputs(text, file);
}

void table_print(const struct table *table, FILE *file)
{
	if (table->count == 0)
		return;
	for (size_t i = 0; i < table->columns; i++)
		print_cell(table, i, heading(table, i), file);
	putc('\n', file);
	for (size_t r = 0; r < table->count; r++) {
		const struct row *row = &table->rows[r];

		if (row->note)
			fprintf(file, "    %s", row->cells[0]);
		for (size_t i = 0; !row->note && i < table->columns; i++)
			print_cell(table, i, row->cells[i], file);
		putc('\n', file);
	}
}
