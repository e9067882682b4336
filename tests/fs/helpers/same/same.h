/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of the program share: see main.c. */
#ifndef RELINKFS_TESTS_SAME_H
#define RELINKFS_TESTS_SAME_H

#include <sys/types.h>

#define USER 4001
#define GROUP 5000 /* of the user, after more than 32 others */
#define OTHER 5001 /* not of the user */

/* Before each line. */
extern const char *section;

/* A line: the number, or the name of errno if it is negative. */
void tell(const char *what, long result);
/* The same for calls of which only success or failure is of interest. */
void ok(const char *what, int result);
/* Attributes of @path itself. */
void show(const char *what, const char *path);
/* A new file of 10000 bytes, open. */
int make(const char *path, uid_t uid, gid_t gid, mode_t mode);
/* Runs @body in a child; as USER, who is in GROUP and in many others. */
void in_child(void (*body)(void));
void as_user(void (*body)(void));

/* Each in a folder of its own. */
void test_groups(void);
void test_acl(void);
void test_setid(void);
void test_limits(void);
void test_flags(void);
void test_locks(void);
void test_inotify(void);
void test_unlinked(void);
void test_xattr(void);
void test_names(void);

#endif
