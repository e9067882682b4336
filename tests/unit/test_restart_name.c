/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The restart of a plain directory: names and the drop. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/libcheckpoint.h"

/* ---- names ---- */

START_TEST(test_name_free)
{
	autofree char *before = NULL, *after = NULL;

	add_file("dir/a", "foo");
	opened(10, 5, O_RDWR | O_APPEND, 2);
	opened(10, 6, O_RDONLY, 0);
	before = listing();
	must_open(&plain);
	ck_assert_int_eq(restart_name(restart, NULL), 0);
	after = listing();
	ck_assert_str_eq(before, after);
	ck_assert_shown(3, "dir/a (deleted)");
	ck_assert_shown(4, "dir/a (deleted)");
	ck_assert_int_eq(lseek(3, 0, SEEK_CUR), 2);
	ck_assert_int_eq(restart_drop(restart, MANIFEST), 0);
	ck_assert(!in_root(manifest.entries[0].link));
	ck_assert(!in_root(MANIFEST));
	ck_assert_int_eq(write(3, "bar", 3), 3);
	ck_reads(4, "foobar");
	ck_assert_uint_eq(problems(), 0);
}
END_TEST

START_TEST(test_name_taken)
{
	autofree char *before = NULL, *after = NULL;
	autofd int holder = -1;
	struct stat st;

	add_file("dir/a", "old");
	put("dir/a", "new");
	holder = openat(root, "dir/a", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(dup3(holder, 601, O_CLOEXEC), 601);
	before = listing();
	must_open(&plain);
	ck_assert_int_eq(restart_name(restart, NULL), 0);
	after = listing();
	ck_assert_str_eq(before, after);
	ck_assert_shown(3, "dir/a (deleted)");
	/* Who has the new file open still sees its name. */
	ck_assert_shown(601, "dir/a");
	ck_reads(3, "old");
	ck_reads(601, "new");
	ck_assert_int_eq(fstat(3, &st), 0);
	ck_assert_uint_eq(st.st_ino, manifest.entries[0].ino);
	ck_assert_uint_eq(problems(), 0);
	close(601);
}
END_TEST

START_TEST(test_name_taken_by_directory)
{
	autofree char *before = NULL, *after = NULL;

	add_file("dir", "file that was named dir");
	put("dir/inside", "");
	before = listing();
	must_open(&plain);
	ck_assert_int_eq(restart_name(restart, NULL), 0);
	after = listing();
	ck_assert_str_eq(before, after);
	ck_assert_shown(3, "dir (deleted)");
	ck_assert_uint_eq(problems(), 0);
}
END_TEST

START_TEST(test_name_there_again)
{
	add_file("a", "1");
	ck_assert_int_eq(linkat(root, manifest.entries[0].link, root, "a", 0), 0);
	must_open(&plain);
	ck_assert_int_eq(restart_name(restart, NULL), 0);
	ck_assert_shown(3, "a");
	ck_assert_uint_eq(problems(), 0);
}
END_TEST

START_TEST(test_parents_are_temporary)
{
	autofree char *before = NULL, *after = NULL;

	add_file("x/y/z", "1");
	before = listing();
	must_open(&plain);
	ck_assert_int_eq(restart_name(restart, NULL), 0);
	after = listing();
	ck_assert_str_eq(before, after);
	ck_assert_shown(3, "x/y/z (deleted)");
}
END_TEST

START_TEST(test_parent_is_symlink)
{
	autofree char *before = NULL, *after = NULL;

	add_file("way/a", "1");
	ck_assert_int_eq(symlinkat("dir", root, "way"), 0);
	before = listing();
	must_open(&plain);
	ck_assert_int_eq(restart_name(restart, NULL), 0);
	after = listing();
	ck_assert_str_eq(before, after);
	ck_assert_shown(3, manifest.entries[0].link);
	ck_assert_uint_eq(problems(), 1);
}
END_TEST

START_TEST(test_special_names)
{
	add_special("f", S_IFIFO);
	add_special("s", S_IFSOCK);
	add_special("l", S_IFLNK);
	must_open(&plain);
	ck_assert_int_eq(restart_name(restart, NULL), 0);
	ck_assert_uint_eq(problems(), 0);
	ck_assert_shown(3, "f (deleted)");
	ck_assert_shown(4, "s (deleted)");
	ck_assert_shown(5, "l (deleted)");
	ck_assert_int_eq(restart_drop(restart, MANIFEST), 0);
	ck_assert(!in_root(MANIFEST));
}
END_TEST

#define JOURNAL "dir/.unlink-at-restart-1234abcd5678-1"

/* What a restart leaves that is killed after each of its steps. */
START_TEST(test_killed_in_between)
{
	bool taken = _i & 1;
	int step = _i / 2;
	autofree char *before = NULL, *after = NULL;
	const char *from;

	add_file("dir/a", "old");
	if (taken)
		put("dir/a", "new");
	before = listing();
	from = manifest.entries[0].link;
	ck_assert_int_eq(linkat(root, from, root, JOURNAL, 0), 0);
	if (step == 1 && taken)
		ck_assert_int_eq(renameat2(root, JOURNAL, root, "dir/a", RENAME_EXCHANGE), 0);
	else if (step == 1)
		ck_assert_int_eq(linkat(root, from, root, "dir/a", 0), 0);
	must_open(&plain);
	ck_assert_int_eq(restart_name(restart, NULL), 0);
	after = listing();
	ck_assert_str_eq(before, after);
	ck_assert_shown(3, "dir/a (deleted)");
	ck_assert_uint_eq(problems(), 0);
}
END_TEST

START_TEST(test_journal_name_in_the_way)
{
	autofree char *before = NULL, *after = NULL;

	add_file("dir/a", "old");
	put(JOURNAL, "somebody's");
	before = listing();
	must_open(&plain);
	ck_assert_int_eq(restart_name(restart, NULL), 0);
	after = listing();
	ck_assert_str_eq(before, after);
	ck_assert_uint_eq(problems(), 1);
}
END_TEST

START_TEST(test_directory_name)
{
	add_special("dir/d", S_IFDIR);
	add_special("dir", S_IFDIR);
	must_open(&plain);
	ck_assert_int_eq(restart_name(restart, NULL), 0);
	ck_assert_int_eq(restart_drop(restart, MANIFEST), 0);
	ck_assert_shown(3, "dir/d (deleted)");
	/* The second one's name is taken. */
	ck_assert_uint_eq(problems(), 1);
	ck_assert(in_root("dir"));
	ck_assert(!in_root("dir/d"));
	ck_assert(!in_root(manifest.entries[0].link));
	ck_assert(!in_root(manifest.entries[1].link));
}
END_TEST

/* A daemon that only says no. */
static int deny(void *ctx, const char *link, const char *path, enum restart_alias_mode *mode,
		char **why)
{
	++*(int *)ctx;
	return util_why(why, -EPERM, "CAP_DAC_OVERRIDE is missing");
}

static void nothing(void *ctx)
{
}

START_TEST(test_daemon_denies)
{
	int calls = 0;
	const struct restart_namer namer = { &calls, deny, nothing };
	size_t count;

	add_file("x/a", "1");
	add_file("x/b", "2");
	must_open(&plain);
	ck_assert_int_eq(restart_name(restart, &namer), 0);
	ck_assert_int_eq(calls, 1);
	ck_assert_uint_eq(problems(), 1);
	ck_assert_ptr_nonnull(strstr(restart_problems(restart, &count)[0].message, "DAC_OVERRIDE"));
	ck_assert(!in_root("x"));
	ck_reads(3, "1");
}
END_TEST

/* ---- dropping ---- */

START_TEST(test_replaced_before_drop)
{
	add_file("a", "1");
	add_file("b", "2");
	must_open(&plain);
	put("other", "precious");
	ck_assert_int_eq(renameat(root, "other", root, manifest.entries[0].link), 0);
	ck_assert_int_eq(restart_drop(restart, MANIFEST), -ESTALE);
	ck_assert(in_root(manifest.entries[0].link));
	ck_assert(!in_root(manifest.entries[1].link));
	ck_assert(in_root(MANIFEST));
	ck_assert_uint_eq(problems(), 1);
}
END_TEST

START_TEST(test_folders_go)
{
	char *folders[] = { (char[]){ "snap" }, (char[]){ "snap/1" }, (char[]){ "snap/2" } };

	add_file("a", "1");
	ck_assert_int_eq(mkdirat(root, "snap", 0700), 0);
	ck_assert_int_eq(mkdirat(root, "snap/1", 0700), 0);
	ck_assert_int_eq(mkdirat(root, "snap/2", 0700), 0);
	put("snap/2/somebody's", "");
	ck_assert_int_eq(renameat(root, manifest.entries[0].link, root, "snap/1/l"), 0);
	free(manifest.entries[0].link);
	manifest.entries[0].link = strdup("snap/1/l");
	manifest.folders = folders;
	manifest.nfolders = 3;
	must_open(&plain);
	ck_assert_int_eq(restart_drop(restart, NULL), 0);
	ck_assert(in_root(MANIFEST));
	ck_assert(!in_root("snap/1"));
	ck_assert(in_root("snap/2"));
}
END_TEST

START_TEST(test_free_changes_nothing)
{
	autofree char *before = NULL, *after = NULL;

	add_file("a", "1");
	add_special("d", S_IFDIR);
	before = listing();
	must_open(&plain);
	ck_assert_int_eq(restart_name(restart, NULL), 0);
	restart_free(restart);
	restart = NULL;
	ck_assert_int_lt(fcntl(3, F_GETFD), 0);
	after = listing();
	ck_assert_str_eq(before, after);
	must_open(&plain);
}
END_TEST

static Suite *restart_name_suite(void)
{
	Suite *suite = suite_create("restart_name");
	TCase *tcase = add_case(suite, "name");

	tcase_add_test(tcase, test_name_free);
	tcase_add_test(tcase, test_name_taken);
	tcase_add_test(tcase, test_name_taken_by_directory);
	tcase_add_test(tcase, test_name_there_again);
	tcase_add_test(tcase, test_parents_are_temporary);
	tcase_add_test(tcase, test_parent_is_symlink);
	tcase_add_test(tcase, test_special_names);
	tcase_add_loop_test(tcase, test_killed_in_between, 0, 4);
	tcase_add_test(tcase, test_journal_name_in_the_way);
	tcase_add_test(tcase, test_directory_name);
	tcase_add_test(tcase, test_daemon_denies);

	tcase = add_case(suite, "drop");
	tcase_add_test(tcase, test_replaced_before_drop);
	tcase_add_test(tcase, test_folders_go);
	tcase_add_test(tcase, test_free_changes_nothing);
	return suite;
}

int main(void)
{
	return run_restart_suite(restart_name_suite());
}
