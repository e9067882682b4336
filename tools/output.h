/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the programs print: names safely, sizes and times for people, tables, JSON.
 * Functions that fill @text return it.
 */
#ifndef RELINKFS_TOOLS_OUTPUT_H
#define RELINKFS_TOOLS_OUTPUT_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* Bytes of the texts below, NUL included. */
#define OUTPUT_TEXT_SIZE 48

/*
 * A name of any bytes for a terminal: control characters, those that turn the direction
 * of text, and bytes that are not UTF-8 come out as \xNN.  malloc'd; NULL when out of
 * memory.
 */
char *output_escape(const char *bytes);

/* "0 B", "1023 B", "1.0 KiB", "17.3 GiB". */
const char *output_size(uint64_t bytes, char text[OUTPUT_TEXT_SIZE]);
/* "0s", "59s", "12m", "3h", "400d". */
const char *output_age(int64_t seconds, char text[OUTPUT_TEXT_SIZE]);
/* "850 us", "3.2 ms", "1.25 s". */
const char *output_duration(int64_t ns, char text[OUTPUT_TEXT_SIZE]);
/* The user's name, or the number. */
const char *output_owner(uid_t uid, char text[OUTPUT_TEXT_SIZE]);
/* "2025-01-31T23:59:59.123456789Z" as local time, "2025-01-31 23:59:59"; else as it is. */
const char *output_time(const char *rfc3339, char text[OUTPUT_TEXT_SIZE]);

/* Indented, with a newline; on a terminal in ASCII only. */
void output_json(const json_t *json);

/* Everything to stdout's file; 0, or 1 with a message when that failed. */
int output_finish(void);

/*
 * A table: columns as wide as what is in them, two blanks between.  A heading that begins
 * with '>' is set to the right, with its column.  The last column is never padded.  Text
 * is escaped when it is added.
 */
struct table;
struct table *table_new(const char *const *headings, size_t columns);
void table_free(struct table *table);
/* One row of @columns texts.  0 or -ENOMEM. */
int table_add(struct table *table, const char *const *cells);
/* A line of its own, indented, under the row that was added last. */
int table_add_note(struct table *table, const char *text);
/* Prints the headings, if there are rows, and all rows. */
void table_print(const struct table *table, FILE *file);

#endif
