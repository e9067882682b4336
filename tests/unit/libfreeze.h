/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A store with hidden entries, for the tests of freeze, drop and recovery. */
#ifndef RELINKFS_TESTS_UNIT_LIBFREEZE_H
#define RELINKFS_TESTS_UNIT_LIBFREEZE_H

#include <check.h>

#include "libstore.h"
#include "store/freeze.h"

#define FOLDER MANIFEST_DIR "/"

extern struct arena *arena;
extern struct store *store;
extern unsigned attributes_told, names_told; /* calls of the hooks */

void freeze_setup(void); /* a source, and a store in it with hooks */
void freeze_teardown(void);
void open_store(void); /* on a new session state */
void open_store_on(int memfd);
void close_store(void); /* and its session state */

/*
 * Makes and hides something in the source, as if somebody held it; its entry.  What is
 * made is of the type in @mode; a regular file's content is its path.
 */
uint32_t hide_new(const char *path, mode_t mode);
/* The same for a file that is there, and is then opened: the fd. */
int hide_opened(const char *path, uint32_t *entry);
void forget(uint32_t entry);

/* Every name in the source but those in the vault, with type, inode and links; malloc'd. */
char *source_listing(void);
#define ck_assert_listing(before)                                                                  \
	do {                                                                                       \
		autofree char *now_ = source_listing();                                            \
		ck_assert_str_eq(now_, before);                                                    \
	} while (0)

/* freeze() of all with these; the result is kept in `result` until the next call. */
extern struct freeze_result *result;
int freeze_all(const char *link_template, bool partial, bool hold);
void must_freeze(void);
/* That there is one failure, of that step, path (NULL: none) and errno. */
void ck_failed(const char *step, const char *path, int error);

/* Drops it, with as many failures. */
void must_drop(const char *manifest_path, size_t expected);

/* The state that the catalog knows; 0 if it does not know the checkpoint. */
enum checkpoint_state state_of(uint64_t ktime);

#endif
