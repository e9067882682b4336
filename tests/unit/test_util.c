/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/log.h"
#include "store/util.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];
static int dirfd_;

static void setup(void)
{
	strcpy(dir, "/tmp/relinkfs-util-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(dirfd_, 0);
}

static void teardown(void)
{
	static const char *const names[] = { "file", "link", "log", "log2", "sub/file" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unlinkat(dirfd_, names[i], 0);
	unlinkat(dirfd_, "sub", AT_REMOVEDIR);
	close(dirfd_);
	ck_assert_int_eq(rmdir(dir), 0);
}

static void make_file(const char *name, const char *content)
{
	autofd int fd = openat(dirfd_, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(util_write_all(fd, content, strlen(content)), 0);
}

START_TEST(cleanup_closes_and_keeps_errno)
{
	int number;

	{
		autofd int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		autofd int none = -1;
		autofree char *text = util_printf("%d", 42);

		ck_assert_str_eq(text, "42");
		ck_assert_int_lt(none, 0);
		number = fd;
		errno = EXDEV;
	}
	ck_assert_int_eq(errno, EXDEV);
	ck_assert_int_eq(fcntl(number, F_GETFD), -1);
	ck_assert_int_eq(errno, EBADF);
}
END_TEST

START_TEST(stealing_leaves_nothing_behind)
{
	int fd = 7;
	char *text = util_printf("x");
	autofree char *taken = steal_ptr(&text);

	ck_assert_int_eq(steal_fd(&fd), 7);
	ck_assert_int_eq(fd, -1);
	ck_assert_ptr_null(text);
	ck_assert_str_eq(taken, "x");
}
END_TEST

START_TEST(why_replaces_and_may_be_absent)
{
	autofree char *why = NULL;

	ck_assert_int_eq(util_why(NULL, -EINVAL, "unheard"), -EINVAL);
	ck_assert_int_eq(util_why(&why, -ENOENT, "first"), -ENOENT);
	ck_assert_int_eq(util_why(&why, -EPERM, "after %s", why), -EPERM);
	ck_assert_str_eq(why, "after first");
}
END_TEST

START_TEST(files_are_read_whole)
{
	autofree char *content = NULL;
	autofree char *proc = NULL;
	char *none = NULL;
	size_t size = 0;

	make_file("file", "12345");
	ck_assert_int_eq(util_read_file(dirfd_, "file", 5, &content, &size), 0);
	ck_assert_str_eq(content, "12345");
	ck_assert_uint_eq(size, 5);
	ck_assert_int_eq(util_read_file(dirfd_, "file", 4, &none, NULL), -EFBIG);
	ck_assert_int_eq(util_read_file(dirfd_, "absent", 4, &none, NULL), -ENOENT);
	ck_assert_int_eq(util_read_file(AT_FDCWD, "/proc/self/stat", 1 << 20, &proc, &size), 0);
	ck_assert_uint_eq(size, strlen(proc));
	ck_assert_int_eq(util_read_file(AT_FDCWD, "/proc/self/stat", 3, &none, NULL), -EFBIG);
	ck_assert_int_eq(util_read_file(dirfd_, ".", 1 << 20, &none, NULL), -EISDIR);
	ck_assert_ptr_null(none);
}
END_TEST

START_TEST(a_file_longer_than_one_buffer)
{
	autofree char *content = NULL;
	autofree char *big = calloc(1, 300001);
	size_t size = 0;

	memset(big, 'x', 300000);
	make_file("file", big);
	ck_assert_int_eq(util_read_file(dirfd_, "file", 1 << 20, &content, &size), 0);
	ck_assert_uint_eq(size, 300000);
	ck_assert_str_eq(content, big);
}
END_TEST

START_TEST(beneath_never_leaves)
{
	int fd;

	ck_assert_int_eq(mkdirat(dirfd_, "sub", 0700), 0);
	fd = xopenat_beneath(dirfd_, "sub/file", O_WRONLY | O_CREAT | O_EXCL, 0640);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	ck_assert_int_eq(symlinkat("sub", dirfd_, "link"), 0);
	ck_assert_int_eq(xopenat_beneath(dirfd_, "link/file", O_RDONLY, 0), -ELOOP);
	ck_assert_int_eq(xopenat_beneath(dirfd_, "../x", O_RDONLY, 0), -EXDEV);
	ck_assert_int_eq(xopenat_beneath(dirfd_, "/etc/passwd", O_RDONLY, 0), -EXDEV);
	ck_assert_int_eq(xopenat_beneath(dirfd_, "absent", O_RDONLY, 0), -ENOENT);
	fd = xopenat_beneath(dirfd_, ".", O_PATH | O_DIRECTORY, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fsync_dir(fd, "."), 0);
	ck_assert_int_eq(fsync_dir(fd, "sub"), 0);
	ck_assert_int_eq(fsync_dir(fd, "absent"), -ENOENT);
	close(fd);
}
END_TEST

START_TEST(a_file_that_is_not_ready_is_not_waited_for)
{
	autofd int fd = -1;
	char *none = NULL;

	make_file("file", "content");
	fd = openat(dirfd_, "file", O_RDWR | O_CLOEXEC);
	ck_assert_ptr_ne(signal(SIGIO, SIG_IGN), SIG_ERR);
	ck_assert_int_eq(fcntl(fd, F_SETLEASE, F_WRLCK), 0);
	ck_assert_int_eq(util_read_file(dirfd_, "file", 4096, &none, NULL), -EAGAIN);
	ck_assert_int_eq(fcntl(fd, F_SETLEASE, F_UNLCK), 0);
	ck_assert_int_eq(mknodat(dirfd_, "link", S_IFIFO | 0600, 0), 0);
	ck_assert_int_eq(util_read_file(dirfd_, "link", 4096, &none, NULL), 0);
	ck_assert_str_eq(none, "");
	free(none);
}
END_TEST

START_TEST(times_as_text)
{
	char text[RFC3339_SIZE];

	ck_assert_str_eq(format_rfc3339(0, text), "1970-01-01T00:00:00.000000000Z");
	ck_assert_str_eq(format_rfc3339(-1, text), "1969-12-31T23:59:59.999999999Z");
	ck_assert_str_eq(
		format_rfc3339(1700000000123456789, text), "2023-11-14T22:13:20.123456789Z");
	ck_assert_int_gt(realtime_ns(), 1700000000 * NSEC_PER_SEC);
	ck_assert_int_le(monotonic_ns(), monotonic_ns());
}
END_TEST

static char *log_path(const char *name)
{
	return util_printf("%s/%s", dir, name);
}

START_TEST(log_escapes_and_filters)
{
	autofree char *path = log_path("log");
	autofree char *content = NULL;

	ck_assert_int_eq(log_open(LOG_SINK_FILE, "tester", path), 0);
	errno = ENOSPC;
	log_error("name \"%s\": %m", "a\nb");
	ck_assert_int_eq(errno, ENOSPC);
	log_debug("not shown");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("shown");
	ck_assert(log_enabled(LOG_LEVEL_DEBUG));
	log_set_level(LOG_LEVEL_ERROR);
	log_info("not shown");
	log_set_level(LOG_LEVEL_INFO);
	ck_assert_int_eq(log_open(LOG_SINK_STDERR, "relinkfs", NULL), 0);

	ck_assert_int_eq(util_read_file(dirfd_, "log", 4096, &content, NULL), 0);
	ck_assert_ptr_nonnull(
		strstr(content, "]: error: name \"a\\x0ab\": No space left on device\n"));
	ck_assert_ptr_nonnull(strstr(content, "]: debug: shown\n"));
	ck_assert_ptr_null(strstr(content, "not shown"));
}
END_TEST

START_TEST(log_that_cannot_be_opened_changes_nothing)
{
	autofree char *path = log_path("log");
	autofree char *content = NULL;

	ck_assert_int_eq(log_open(LOG_SINK_FILE, "one", path), 0);
	ck_assert_int_eq(log_open(LOG_SINK_FILE, "two", "/nonexistent/log"), -ENOENT);
	log_info("still here");
	ck_assert_int_eq(log_open(LOG_SINK_SYSLOG, "three", NULL), 0);
	ck_assert_int_eq(log_open(LOG_SINK_STDERR, "relinkfs", NULL), 0);
	ck_assert_int_eq(util_read_file(dirfd_, "log", 4096, &content, NULL), 0);
	ck_assert_ptr_nonnull(strstr(content, " one["));
	ck_assert_ptr_nonnull(strstr(content, "still here\n"));
}
END_TEST

#define THREADS 4
#define LINES 200

static void *log_lines(void *arg)
{
	for (int i = 0; i < LINES; i++)
		log_info("thread %s line %d ends", (const char *)arg, i);
	return NULL;
}

START_TEST(log_lines_of_threads_do_not_mix)
{
	static char names[THREADS][2] = { "a", "b", "c", "d" };
	autofree char *first = log_path("log");
	autofree char *second = log_path("log2");
	pthread_t threads[THREADS];
	int lines = 0;

	ck_assert_int_eq(log_open(LOG_SINK_FILE, "t", first), 0);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, log_lines, names[i]), 0);
	ck_assert_int_eq(log_open(LOG_SINK_FILE, "t", second), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(log_open(LOG_SINK_STDERR, "relinkfs", NULL), 0);
	for (int i = 0; i < 2; i++) {
		autofree char *content = NULL;

		ck_assert_int_eq(
			util_read_file(dirfd_, i ? "log2" : "log", 1 << 20, &content, NULL), 0);
		for (char *rest, *line = strtok_r(content, "\n", &rest); line;
			line = strtok_r(NULL, "\n", &rest), lines++)
			ck_assert_ptr_nonnull(strstr(line, " ends"));
	}
	ck_assert_int_eq(lines, THREADS * LINES);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("util");
	TCase *tcase = tcase_create("util");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, cleanup_closes_and_keeps_errno);
	tcase_add_test(tcase, stealing_leaves_nothing_behind);
	tcase_add_test(tcase, why_replaces_and_may_be_absent);
	tcase_add_test(tcase, files_are_read_whole);
	tcase_add_test(tcase, a_file_longer_than_one_buffer);
	tcase_add_test(tcase, beneath_never_leaves);
	tcase_add_test(tcase, a_file_that_is_not_ready_is_not_waited_for);
	tcase_add_test(tcase, times_as_text);
	tcase_add_test(tcase, log_escapes_and_filters);
	tcase_add_test(tcase, log_that_cannot_be_opened_changes_nothing);
	tcase_add_test(tcase, log_lines_of_threads_do_not_mix);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
