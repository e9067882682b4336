/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A source directory of its own for each test, and a store in it. */
#ifndef RELINKFS_TESTS_UNIT_LIBSTORE_H
#define RELINKFS_TESTS_UNIT_LIBSTORE_H

#include <check.h>

#include "store/arena.h"
#include "store/store.h"

/* The source: its path and an fd; made by source_setup(), gone with source_teardown(). */
extern char source[64];
extern int source_fd;
void source_setup(void);
/* The same where nothing waits for a disk, if there is such a place. */
void source_setup_in_memory(void);
void source_teardown(void);

/* A session state of a small size. */
extern const struct arena_spec small_spec;

/* Makes the file @path (relative to the source) with @content. */
void make_file(const char *path, const char *content);
/* The content of the file @path beneath @dirfd; freed by the caller. */
char *content_of(int dirfd, const char *path);
/* True if there is something, a dangling symlink too, at @path in the source. */
bool exists(const char *path);
/* Names in the directory @path of the source, but "." and "..". */
int names_in(const char *path);

/* What is at @path in the source, as an object to be hidden with @path as its own. */
struct store_object object_at(const char *path);

int run_suite(Suite *suite);

#endif
