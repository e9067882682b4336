/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A checkpoint in a temporary directory, made by hand, for the tests of the restart. */
#ifndef RELINKFS_TESTS_UNIT_LIBCHECKPOINT_H
#define RELINKFS_TESTS_UNIT_LIBCHECKPOINT_H

#include <check.h>

#include "store/restart.h"
#include "store/util.h"

#define CKPT  "lost+found/checkpoint"
#define KTIME UINT64_C(0x1234abcd5678)
#define MANIFEST CKPT "/unlink-at-restart-1234abcd5678.json"

extern int root;                  /* the directory */
extern struct manifest manifest;  /* grows by the calls below */
extern struct restart *restart;   /* of the running test; freed after it */
extern const struct restart_options plain; /* no option at all */

/* A test case whose tests find all this fresh, and leave nothing. */
TCase *add_case(Suite *suite, const char *name);

/* main() of a test program. */
int run_restart_suite(Suite *suite);

/* A new regular file. */
void put(const char *path, const char *content);

/* The next entry: a link with its record; a file with @content, or something of @type. */
struct manifest_entry *add_file(const char *path, const char *content);
struct manifest_entry *add_special(const char *path, mode_t type);

/* Who held the last entry. */
void opened(pid_t pid, int fd, uint32_t flags, int64_t offset);
void held(pid_t pid, enum opener_kind kind);

/* The path of the root. */
const char *checkpoint_folder(void);

/* Every name beneath the root with its type, inode, size and link count; malloc'd. */
char *listing(void);
bool in_root(const char *path);

/* restart_new(); a failure must come with a reason.  And restart_open() too. */
int plan(const struct restart_options *options);
void must_open(const struct restart_options *options);

/* The restart fails with @error; one problem with entry @n says so; nothing has changed. */
void must_fail(const struct restart_options *options, int error, uint32_t n);

const struct restart_item *item(size_t index);
size_t problems(void);

/* The name that /proc shows, relative to the root; malloc'd. */
char *shown(int fd);
#define ck_assert_shown(fd, name)                                                                  \
	do {                                                                                       \
		autofree char *shown_ = shown(fd);                                                 \
		ck_assert_str_eq(shown_, name);                                                    \
	} while (0)

/* What is read from here is exactly @text. */
void ck_reads(int fd, const char *text);

#endif
