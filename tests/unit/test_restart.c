/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The restart up to open descriptors, on a plain directory. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/libcheckpoint.h"

/* ---- the plan ---- */

START_TEST(test_numbers_in_order)
{
	add_file("a", "1");
	opened(10, 7, O_RDWR, 0);
	opened(10, 9, O_RDONLY, 1);
	add_file("b", "2");
	held(10, OPENER_MMAP);
	ck_assert_int_eq(plan(&plain), 0);
	ck_assert_int_eq(item(0)->number, 3);
	ck_assert_int_eq(item(0)->opener->fd, 7);
	ck_assert_int_eq(item(1)->number, 4);
	ck_assert_int_eq(item(2)->number, 5);
	ck_assert_ptr_null(item(2)->opener);
	ck_assert_int_eq(restart_free_number(restart), 6);
}
END_TEST

START_TEST(test_inherited_is_one)
{
	size_t count;

	add_file("a", "1");
	opened(10, 7, O_RDWR, 3);
	opened(11, 7, O_RDWR, 3);
	opened(12, 7, O_RDWR, 4);
	ck_assert_int_eq(plan(&plain), 0);
	restart_items(restart, &count);
	ck_assert_uint_eq(count, 2);
}
END_TEST

START_TEST(test_numbers_of_process)
{
	const struct restart_options options = { .by_number = true, .pid = 10 };
	size_t count;

	add_file("a", "1");
	opened(10, 7, O_RDWR, 0);
	opened(11, 3, O_RDWR, 0);
	add_file("b", "2");
	opened(11, 4, O_RDWR, 0);
	ck_assert_int_eq(plan(&options), 0);
	restart_items(restart, &count);
	ck_assert_uint_eq(count, 2);
	ck_assert_int_eq(item(0)->number, 7);
	ck_assert_int_eq(item(1)->number, 8);
	ck_assert_int_eq(restart_pid(restart), 10);
}
END_TEST

START_TEST(test_process_must_be_chosen)
{
	struct restart_options options = { .by_number = true };
	autofree char *why = NULL;

	add_file("a", "1");
	opened(10, 7, O_RDWR, 0);
	opened(11, 7, O_RDWR, 0);
	ck_assert_int_eq(restart_new(&manifest, &options, &restart, &why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "10 (test)"));
	ck_assert_ptr_nonnull(strstr(why, "11 (test)"));
	options.pid = 12;
	ck_assert_int_eq(plan(&options), -EINVAL);
	options.pid = 11;
	ck_assert_int_eq(plan(&options), 0);
}
END_TEST

START_TEST(test_number_twice)
{
	const struct restart_options options = { .by_number = true };

	add_file("a", "1");
	opened(10, 7, O_RDWR, 0);
	add_file("b", "1");
	opened(10, 7, O_RDWR, 0);
	ck_assert_int_eq(plan(&options), -EINVAL);
}
END_TEST

START_TEST(test_maps)
{
	const struct restart_map maps[] = { { "dir/x", "y" }, { "dir", "" }, { "", "all" } };
	const struct restart_options options = { .maps = maps, .nmaps = 3 };

	add_file("dir/x/1", "");
	add_file("dir/z", "");
	add_file("dirt", "");
	ck_assert_int_eq(plan(&options), 0);
	ck_assert_str_eq(item(0)->path, "y/1");
	ck_assert_str_eq(item(1)->path, "z");
	ck_assert_str_eq(item(2)->path, "all/dirt");
}
END_TEST

START_TEST(test_map_that_leads_out)
{
	const struct restart_map maps[] = { { "dir", "../.." } };
	const struct restart_options options = { .maps = maps, .nmaps = 1 };

	add_file("dir/x", "");
	ck_assert_int_eq(plan(&options), -EINVAL);
}
END_TEST

/* ---- opening ---- */

START_TEST(test_flags_and_offset)
{
	const struct {
		uint32_t flags;
		int kept;
	} cases[] = {
		{ O_RDWR, O_RDWR },
		{ O_RDONLY | O_CLOEXEC, O_RDONLY },
		{ O_WRONLY | O_APPEND, O_WRONLY | O_APPEND },
		{ O_RDWR | O_NONBLOCK | O_CREAT | O_EXCL | O_TRUNC, O_RDWR | O_NONBLOCK },
		{ O_RDWR | O_DSYNC, O_RDWR | O_DSYNC },
	};

	add_file("a", "0123456789");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		opened(10, 3 + (int)i, cases[i].flags, (int64_t)i);
	must_open(&plain);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = item(i)->fd;

		ck_assert_int_eq(fd, 3 + (int)i);
		ck_assert_int_eq(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK | O_SYNC),
			cases[i].kept);
		ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), (off_t)i);
		ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	}
	ck_reads(item(1)->fd, "123456789");
	ck_assert_int_eq(restart_hand_over(restart), 0);
	ck_assert_int_eq(fcntl(item(0)->fd, F_GETFD), 0);
}
END_TEST

START_TEST(test_sparse_numbers)
{
	const struct restart_options options = { .by_number = true };

	add_file("a", "a");
	opened(10, 1000, O_RDONLY, 0);
	add_file("b", "b");
	opened(10, 4, O_RDONLY, 0);
	add_file("c", "c");
	must_open(&options);
	ck_reads(1000, "a");
	ck_reads(4, "b");
	ck_reads(1001, "c");
}
END_TEST

START_TEST(test_standard_descriptors)
{
	const struct restart_options options = { .by_number = true };
	int saved = fcntl(0, F_DUPFD_CLOEXEC, 600);

	add_file("input", "from the file");
	opened(10, 0, O_RDONLY, 5);
	must_open(&options);
	ck_assert_int_ge(item(0)->fd, 3);
	ck_assert_int_eq(restart_hand_over(restart), 0);
	ck_reads(0, "the file");
	ck_assert_int_eq(dup2(saved, 0), 0);
}
END_TEST

START_TEST(test_fifo)
{
	add_special("fifo", S_IFIFO);
	opened(10, 5, O_RDONLY, 0);
	opened(10, 6, O_WRONLY, 0);
	must_open(&plain);
	ck_assert_int_eq(write(item(1)->fd, "hi", 2), 2);
	ck_reads(item(0)->fd, "hi");
	ck_assert_int_eq(fcntl(item(0)->fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDONLY);
	/* No other writer was left open: the end of the file is seen. */
	close(item(1)->fd);
	ck_reads(item(0)->fd, "");
}
END_TEST

START_TEST(test_by_path_only)
{
	add_special("socket", S_IFSOCK);
	opened(10, 5, O_RDWR, 0);
	add_special("link", S_IFLNK);
	must_open(&plain);
	ck_assert_int_eq(fcntl(item(0)->fd, F_GETFL) & O_PATH, O_PATH);
	ck_assert_int_eq(fcntl(item(1)->fd, F_GETFL) & O_PATH, O_PATH);
}
END_TEST

START_TEST(test_working_directory)
{
	const struct restart_options options = { .by_number = true };
	autofd int here = open(".", O_PATH | O_CLOEXEC);
	struct stat st;

	add_special("dir/gone", S_IFDIR);
	held(10, OPENER_CWD);
	must_open(&options);
	ck_assert_int_eq(restart_hand_over(restart), 0);
	ck_assert_int_eq(stat(".", &st), 0);
	ck_assert_uint_eq(st.st_ino, manifest.entries[0].ino);
	ck_assert_int_eq(fchdir(here), 0);
}
END_TEST

START_TEST(test_limit)
{
	const struct rlimit low = { 600, 600 };
	bool root_user = geteuid() == 0;

	add_file("a", "");
	opened(10, 700, O_RDWR, 0);
	ck_assert_int_eq(plan(&(struct restart_options){ .by_number = true }), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	/* Root may go beyond the hard limit. */
	if (root_user)
		ck_assert_int_eq(seteuid(65534), 0);
	ck_assert_int_eq(restart_open(restart, fcntl(root, F_DUPFD_CLOEXEC, 0)), -EMFILE);
	if (root_user)
		ck_assert_int_eq(seteuid(0), 0);
	ck_assert_uint_eq(problems(), 1);
	/* The leak check at exit attaches to the process, which a change of user forbids. */
	ck_assert_int_eq(prctl(PR_SET_DUMPABLE, 1), 0);
}
END_TEST

/* ---- what is not what was frozen ---- */

START_TEST(test_missing)
{
	add_file("a", "1");
	add_file("b", "2");
	add_file("c", "3");
	ck_assert_int_eq(unlinkat(root, manifest.entries[1].link, 0), 0);
	must_fail(&plain, ENOENT, 2);
}
END_TEST

START_TEST(test_symlink_planted)
{
	add_file("a", "1");
	put("victim", "1");
	ck_assert_int_eq(unlinkat(root, manifest.entries[0].link, 0), 0);
	ck_assert_int_eq(symlinkat("../../victim", root, manifest.entries[0].link), 0);
	must_fail(&plain, ESTALE, 1);
}
END_TEST

START_TEST(test_symlink_on_the_way)
{
	add_file("a", "1");
	ck_assert_int_eq(renameat(root, CKPT, root, "elsewhere"), 0);
	ck_assert_int_eq(symlinkat("../elsewhere", root, CKPT), 0);
	must_fail(&plain, ELOOP, 1);
}
END_TEST

START_TEST(test_name_that_leads_out)
{
	add_file("a", "1");
	free(manifest.entries[0].link);
	manifest.entries[0].link = strdup("lost+found/../../../etc/passwd");
	must_fail(&plain, EXDEV, 1);
}
END_TEST

START_TEST(test_replaced)
{
	add_file("a", "1");
	put("other", "longer");
	ck_assert_int_eq(renameat(root, "other", root, manifest.entries[0].link), 0);
	must_fail(&plain, ESTALE, 1);
	restart_free(restart);
	must_open(&(struct restart_options){ .force = true });
	ck_assert_uint_eq(problems(), 1);
}
END_TEST

/* The same number, but another birth or generation, and another content. */
START_TEST(test_reused_inode_number)
{
	struct manifest_entry *entry = add_file("a", "1");

	entry->mtime.sec -= 100;
	if (_i == 0) {
		if (!entry->btime.sec)
			return;
		entry->btime.sec -= 100;
	} else {
		if (!entry->handle_len)
			return;
		entry->btime.sec = 0;
		entry->handle[entry->handle_len - 1] ^= 1;
	}
	must_fail(&plain, ESTALE, 1);
}
END_TEST

/* Snapshots keep number and birth, and have other handles. */
START_TEST(test_snapshot)
{
	struct manifest_entry *entry = add_file("a", "1");

	if (!entry->btime.sec)
		return;
	entry->mtime.sec -= 100;
	memset(entry->handle, 0x55, sizeof(entry->handle));
	must_open(&plain);
}
END_TEST

static void replace_by_copy(const struct manifest_entry *entry, const char *content)
{
	const struct timespec time = { (time_t)entry->mtime.sec, entry->mtime.nsec };

	put("copy", content);
	ck_assert_int_eq(
		utimensat(root, "copy", (const struct timespec[]){ time, time }, 0), 0);
	ck_assert_int_eq(renameat(root, "copy", root, entry->link), 0);
}

START_TEST(test_one_copy_among_originals)
{
	add_file("a", "1");
	add_file("b", "2");
	if (!manifest.entries[0].btime.sec && !manifest.entries[0].handle_len)
		return;
	replace_by_copy(&manifest.entries[1], "3");
	must_fail(&plain, ESTALE, 2);
}
END_TEST

START_TEST(test_fifo_replaced_by_file)
{
	add_special("fifo", S_IFIFO);
	ck_assert_int_eq(unlinkat(root, manifest.entries[0].link, 0), 0);
	put(manifest.entries[0].link, "");
	must_fail(&plain, ESTALE, 1);
}
END_TEST

START_TEST(test_file_replaced_by_fifo)
{
	add_file("a", "1");
	ck_assert_int_eq(unlinkat(root, manifest.entries[0].link, 0), 0);
	ck_assert_int_eq(mkfifoat(root, manifest.entries[0].link, 0600), 0);
	must_fail(&plain, ESTALE, 1);
}
END_TEST

START_TEST(test_copy)
{
	add_file("a", "content");
	replace_by_copy(&manifest.entries[0], "CONTENT");
	must_open(&plain);
	ck_assert_uint_eq(problems(), 0);
	ck_reads(3, "CONTENT");
}
END_TEST

START_TEST(test_grown_since)
{
	autofd int fd = -1;

	add_file("a", "content");
	fd = openat(root, manifest.entries[0].link, O_WRONLY | O_APPEND | O_CLOEXEC);
	ck_assert_int_eq(write(fd, "+", 1), 1);
	must_open(&plain);
	ck_assert_uint_eq(problems(), 1);
}
END_TEST

static Suite *restart_suite(void)
{
	Suite *suite = suite_create("restart");
	TCase *tcase = add_case(suite, "plan");

	tcase_add_test(tcase, test_numbers_in_order);
	tcase_add_test(tcase, test_inherited_is_one);
	tcase_add_test(tcase, test_numbers_of_process);
	tcase_add_test(tcase, test_process_must_be_chosen);
	tcase_add_test(tcase, test_number_twice);
	tcase_add_test(tcase, test_maps);
	tcase_add_test(tcase, test_map_that_leads_out);

	tcase = add_case(suite, "open");
	tcase_add_test(tcase, test_flags_and_offset);
	tcase_add_test(tcase, test_sparse_numbers);
	tcase_add_test(tcase, test_standard_descriptors);
	tcase_add_test(tcase, test_fifo);
	tcase_add_test(tcase, test_by_path_only);
	tcase_add_test(tcase, test_working_directory);
	tcase_add_test(tcase, test_limit);

	tcase = add_case(suite, "identity");
	tcase_add_test(tcase, test_missing);
	tcase_add_test(tcase, test_symlink_planted);
	tcase_add_test(tcase, test_symlink_on_the_way);
	tcase_add_test(tcase, test_name_that_leads_out);
	tcase_add_test(tcase, test_replaced);
	tcase_add_loop_test(tcase, test_reused_inode_number, 0, 2);
	tcase_add_test(tcase, test_snapshot);
	tcase_add_test(tcase, test_one_copy_among_originals);
	tcase_add_test(tcase, test_fifo_replaced_by_file);
	tcase_add_test(tcase, test_file_replaced_by_fifo);
	tcase_add_test(tcase, test_copy);
	tcase_add_test(tcase, test_grown_since);
	return suite;
}

int main(void)
{
	return run_restart_suite(restart_suite());
}
