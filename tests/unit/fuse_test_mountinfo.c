/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/mountinfo.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static struct mountinfo *mounts;
static size_t count;

static void setup(void)
{
	mounts = NULL;
	count = 0;
}

static void teardown(void)
{
	mountinfo_free(mounts, count);
}

START_TEST(a_plain_line)
{
	ck_assert_int_eq(mountinfo_parse("36 35 98:3 /mnt1 /mnt2 rw,noatime master:1 - ext3 "
					 "/dev/root rw,errors=continue\n",
				 &mounts, &count),
		0);
	ck_assert_uint_eq(count, 1);
	ck_assert_uint_eq(mounts[0].id, 36);
	ck_assert_uint_eq(mounts[0].dev, makedev(98, 3));
	ck_assert_str_eq(mounts[0].mountpoint, "/mnt2");
	ck_assert_str_eq(mounts[0].type, "ext3");
	ck_assert_str_eq(mounts[0].source, "/dev/root");
}
END_TEST

START_TEST(tags_may_be_none_or_many)
{
	ck_assert_int_eq(
		mountinfo_parse("1 0 0:1 / /a rw - fuse.relinkfs /s rw\n"
				"2 0 0:2 / /b rw shared:1 master:2 unbindable - tmpfs none rw\n",
			&mounts, &count),
		0);
	ck_assert_uint_eq(count, 2);
	ck_assert_str_eq(mounts[0].type, "fuse.relinkfs");
	ck_assert_str_eq(mounts[1].type, "tmpfs");
	ck_assert_str_eq(mounts[1].mountpoint, "/b");
}
END_TEST

START_TEST(escapes_are_undone)
{
	ck_assert_int_eq(mountinfo_parse("1 0 0:1 / /a\\040b\\011\\012\\134c\\04 rw - x "
					 "s\\040t\\04 rw\n",
				 &mounts, &count),
		0);
	ck_assert_uint_eq(count, 1);
	/* What is not an escape stays as it is, also at the end of a field. */
	ck_assert_str_eq(mounts[0].mountpoint, "/a b\t\n\\c\\04");
	ck_assert_str_eq(mounts[0].source, "s t\\04");
}
END_TEST

START_TEST(nonsense_is_left_out)
{
	ck_assert_int_eq(mountinfo_parse("garbage\n"
					 "\n"
					 "1 0 0:1 /\n"
					 "2 0 0:2 / /b rw - tmpfs none rw",
				 &mounts, &count),
		0);
	ck_assert_uint_eq(count, 1);
	ck_assert_str_eq(mounts[0].mountpoint, "/b");
}
END_TEST

START_TEST(our_own_mounts)
{
	struct stat root;
	int found = 0;

	ck_assert_int_eq(stat("/proc", &root), 0);
	ck_assert_int_eq(mountinfo_read(&mounts, &count), 0);
	for (size_t i = 0; i < count; i++)
		found += mounts[i].dev == root.st_dev && !strcmp(mounts[i].type, "proc");
	ck_assert_int_ge(found, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mountinfo");
	TCase *tcase = tcase_create("mountinfo");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_plain_line);
	tcase_add_test(tcase, tags_may_be_none_or_many);
	tcase_add_test(tcase, escapes_are_undone);
	tcase_add_test(tcase, nonsense_is_left_out);
	tcase_add_test(tcase, our_own_mounts);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
