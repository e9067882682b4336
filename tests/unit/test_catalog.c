/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/catalog.h"
#include "store/catalog_queue.h"
#include "store/log.h"
#include "store/schema.h"
#include "store/util.h"

/* A literal that may stand where a struct has char *. */
#define NAME(text) ((char[]){ text })

static char folder[64];
static int dir = -1;
static struct catalog *catalog;

static enum catalog_origin open_catalog(bool resume)
{
	const struct catalog_options options = { .instance = "default", .resume = resume };
	enum catalog_origin origin;
	autofree char *why = NULL;
	int ret = catalog_open(dir, &options, &catalog, &origin, &why);

	ck_assert_msg(ret == 0, "%d %s", ret, why);
	return origin;
}

static void close_catalog(void)
{
	catalog_close(catalog);
	catalog = NULL;
}

static void setup(void)
{
	autofree char *log = NULL;

	strcpy(folder, "/tmp/test_catalog.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	log = util_printf("%s/log", folder);
	ck_assert_int_eq(log_open(LOG_SINK_FILE, "test", log), 0);
	ck_assert_int_eq(open_catalog(false), CATALOG_MADE);
}

static void teardown(void)
{
	autofree char *command = util_printf("rm -rf '%s'", folder);

	close_catalog();
	close(dir);
	ck_assert_int_eq(system(command), 0);
}

static bool logged(const char *part)
{
	autofree char *text = NULL;

	ck_assert_int_eq(util_read_file(dir, "log", 1 << 20, &text, NULL), 0);
	return strstr(text, part) != NULL;
}

/* How many names in the folder begin so; the last of them in @last. */
static int names_like(const char *beginning, char last[256])
{
	autodir DIR *names = opendir(folder);
	const struct dirent *item;
	int found = 0;

	while ((item = readdir(names))) {
		if (strncmp(item->d_name, beginning, strlen(beginning)) != 0)
			continue;
		strcpy(last, item->d_name);
		found++;
	}
	return found;
}

static void hide(uint64_t id)
{
	const struct entry_record record = {
		.id = id, .ino = UINT64_MAX, .mode = S_IFREG | 0600, .state = ENTRY_HIDDEN
	};

	catalog_entry_hidden(catalog, &record, "a/\xff\n");
}

static uint64_t rows(void)
{
	struct catalog_status status;

	ck_assert_int_eq(catalog_status(catalog, &status), 0);
	return status.entry_rows;
}

static struct catalog_link links[] = {
	{ 1, NAME("c/1"), 11, 5, S_IFREG, CATALOG_LINK_PLANNED },
	{ 2, NAME("c/\xff\xfe"), 12, UINT64_MAX, S_IFDIR, CATALOG_LINK_PLANNED },
	{ 7, NAME("c/7"), 13, 7, S_IFIFO, CATALOG_LINK_PLANNED },
};

static char *folders[] = { NAME("c/x"), NAME("c/x/y") };

static const struct catalog_checkpoint model = {
	.state = CHECKPOINT_PREPARING,
	.link_template = NAME("c/%t-%n"),
	.manifest = NAME("c/m.json"),
	.scope = NAME("cgroup /\xff"),
	.creator_pid = 77,
	.creator_uid = 4294967295,
	.creator_comm = "ckpt\x80",
	.created = 123,
	.changed = 456,
	.links = links,
	.link_count = 3,
	.folders = folders,
	.folder_count = 2,
};

static struct catalog_checkpoint sample(uint64_t ktime)
{
	struct catalog_checkpoint checkpoint = model;

	checkpoint.ktime = ktime;
	return checkpoint;
}

static void add(uint64_t ktime)
{
	struct catalog_checkpoint checkpoint = sample(ktime);

	ck_assert_int_eq(catalog_checkpoint_add(catalog, &checkpoint), 0);
}

static int set(uint64_t ktime, enum checkpoint_state to)
{
	return catalog_checkpoint_set(catalog, ktime, to, NULL, 0);
}

static struct catalog_checkpoint *get(uint64_t ktime)
{
	struct catalog_checkpoint *checkpoint = NULL;

	ck_assert_int_eq(catalog_checkpoint_get(catalog, ktime, &checkpoint), 0);
	return checkpoint;
}

/* The checkpoints there are; @history: all of them. */
static size_t listed(bool history)
{
	struct catalog_checkpoint *checkpoints;
	size_t count;

	ck_assert_int_eq(catalog_checkpoint_list(catalog, history, &checkpoints, &count), 0);
	for (size_t i = 1; i < count; i++)
		ck_assert_uint_lt(checkpoints[i - 1].ktime, checkpoints[i].ktime);
	catalog_checkpoints_free(checkpoints, count);
	return count;
}

/* ---- the queue alone ---- */

START_TEST(queue_cancels_pairs)
{
	struct catalog_queue queue = { 0 };
	struct entry_record record = { .id = 5 };

	catalog_queue_hidden(&queue, &record, "a");
	record.id = 6;
	catalog_queue_hidden(&queue, &record, "b");
	catalog_queue_gone(&queue, 5, 1);
	catalog_queue_gone(&queue, 4, 2);
	ck_assert_uint_eq(queue.count, 3);
	ck_assert_uint_eq(queue.live, 2);
	ck_assert_uint_eq(queue.notes[0].id, 0);
	ck_assert_uint_eq(queue.notes[1].id, 6);
	ck_assert_str_eq(queue.notes[1].path, "b");
	ck_assert_uint_eq(queue.notes[2].id, 4);
	ck_assert(queue.notes[2].gone);
	ck_assert_uint_eq(queue.lost, 0);
	catalog_queue_clear(&queue);
	ck_assert_uint_eq(queue.count, 0);
}
END_TEST

START_TEST(queue_is_bounded)
{
	struct catalog_queue queue = { 0 };
	struct entry_record record = { 0 };
	autofree char *path = calloc(1, 65536);

	for (record.id = 1; record.id <= CATALOG_QUEUE_MAX + 10; record.id++)
		catalog_queue_hidden(&queue, &record, "x");
	ck_assert_uint_eq(queue.live, CATALOG_QUEUE_MAX);
	ck_assert_uint_eq(queue.lost, 10);
	catalog_queue_gone(&queue, CATALOG_QUEUE_MAX + 5, 1);
	ck_assert_uint_eq(queue.lost, 11);
	catalog_queue_clear(&queue);
	memset(path, 'x', 65535);
	for (record.id = 1; record.id <= 300; record.id++)
		catalog_queue_hidden(&queue, &record, path);
	ck_assert_uint_eq(queue.live, CATALOG_QUEUE_BYTES_MAX / 65535);
	ck_assert_uint_eq(queue.live + queue.lost, 300);
	catalog_queue_gone(&queue, 1, 1);
	catalog_queue_hidden(&queue, &record, path);
	ck_assert_uint_eq(queue.live + queue.lost, 300);
	catalog_queue_clear(&queue);
}
END_TEST

/* ---- entries ---- */

START_TEST(entries_are_written)
{
	for (uint64_t id = 1; id <= 1000; id++)
		hide(id);
	ck_assert_int_eq(catalog_flush(catalog), 0);
	ck_assert_uint_eq(rows(), 1000);
	catalog_entry_gone(catalog, 1);
	ck_assert_int_eq(catalog_reap_entries(catalog), 0);
	close_catalog();
	ck_assert_int_eq(open_catalog(false), CATALOG_KEPT);
	ck_assert_uint_eq(rows(), 1000);
}
END_TEST

/* Nobody calls: the group's time must come by itself. */
START_TEST(entries_are_written_in_time)
{
	int64_t until = monotonic_ns() + 20 * NSEC_PER_SEC;
	struct stat before, st;

	ck_assert_int_eq(fstatat(dir, CATALOG_NAME "-wal", &before, 0), 0);
	hide(1);
	do {
		ck_assert_int_lt(monotonic_ns(), until);
		ck_assert_int_eq(fstatat(dir, CATALOG_NAME "-wal", &st, 0), 0);
	} while (memcmp(&st.st_mtim, &before.st_mtim, sizeof(st.st_mtim)) == 0);
	ck_assert_uint_eq(rows(), 1);
}
END_TEST

static void *churn(void *first)
{
	uint64_t id = *(uint64_t *)first;

	for (int i = 0; i < 2000; i++) {
		hide(id + (uint64_t)i);
		if (i % 2)
			catalog_entry_gone(catalog, id + (uint64_t)i);
		if (i % 500 == 0)
			ck_assert_int_eq(catalog_flush(catalog), 0);
	}
	return NULL;
}

START_TEST(threads_share_a_catalog)
{
	uint64_t first[4] = { 10000, 20000, 30000, 40000 };
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, churn, &first[i]), 0);
	add(5);
	ck_assert_int_eq(set(5, CHECKPOINT_DURABLE), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(catalog_flush(catalog), 0);
	ck_assert_uint_ge(rows(), 4000);
}
END_TEST

/* ---- checkpoints ---- */

static void expect_sample(const struct catalog_checkpoint *got, uint64_t ktime)
{
	const struct catalog_checkpoint want = sample(ktime);

	ck_assert_uint_eq(got->ktime, ktime);
	ck_assert_str_eq(got->link_template, want.link_template);
	ck_assert_str_eq(got->manifest, want.manifest);
	ck_assert_str_eq(got->scope, want.scope);
	ck_assert_int_eq(got->creator_pid, want.creator_pid);
	ck_assert_uint_eq(got->creator_uid, want.creator_uid);
	ck_assert_str_eq(got->creator_comm, want.creator_comm);
	ck_assert_int_eq(got->created, want.created);
	ck_assert_uint_eq(got->link_count, want.link_count);
	for (size_t i = 0; i < want.link_count; i++) {
		ck_assert_uint_eq(got->links[i].n, want.links[i].n);
		ck_assert_str_eq(got->links[i].path, want.links[i].path);
		ck_assert_uint_eq(got->links[i].entry, want.links[i].entry);
		ck_assert_uint_eq(got->links[i].ino, want.links[i].ino);
		ck_assert_uint_eq(got->links[i].mode, want.links[i].mode);
	}
	ck_assert_uint_eq(got->folder_count, want.folder_count);
	for (size_t i = 0; i < want.folder_count; i++)
		ck_assert_str_eq(got->folders[i], want.folders[i]);
}

START_TEST(checkpoint_comes_back)
{
	struct catalog_checkpoint again = sample(9), *got;

	add(9);
	ck_assert_int_eq(catalog_checkpoint_add(catalog, &again), -EEXIST);
	close_catalog();
	open_catalog(false);
	got = get(9);
	expect_sample(got, 9);
	ck_assert_int_eq(got->state, CHECKPOINT_PREPARING);
	ck_assert_int_eq(got->links[2].state, CATALOG_LINK_PLANNED);
	ck_assert_uint_eq(got->nlinks, 0);
	catalog_checkpoint_free(got);
	ck_assert_int_eq(catalog_checkpoint_get(catalog, 8, &got), -ENOENT);
}
END_TEST

START_TEST(checkpoint_goes_its_way)
{
	const uint32_t left_out = 2, lost = 7;
	struct catalog_checkpoint *got;

	add(9);
	ck_assert_int_eq(set(8, CHECKPOINT_DURABLE), -ENOENT);
	ck_assert_int_eq(set(9, CHECKPOINT_COMMITTED), -EINVAL);
	ck_assert_int_eq(catalog_checkpoint_set(catalog, 9, CHECKPOINT_DURABLE, &left_out, 1), 0);
	ck_assert_int_eq(catalog_links_lost(catalog, 9, &lost, 1), 0);
	got = get(9);
	ck_assert_int_eq(got->state, CHECKPOINT_DURABLE);
	ck_assert_uint_eq(got->nlinks, 2);
	ck_assert_int_eq(got->links[0].state, CATALOG_LINK_MADE);
	ck_assert_int_eq(got->links[1].state, CATALOG_LINK_LEFT_OUT);
	ck_assert_int_eq(got->links[2].state, CATALOG_LINK_LOST);
	ck_assert_int_gt(got->changed, 456);
	catalog_checkpoint_free(got);
	ck_assert_int_eq(set(9, CHECKPOINT_COMMITTED), 0);
	ck_assert_int_eq(set(9, CHECKPOINT_DROPPED), -EINVAL);
	ck_assert_int_eq(set(9, CHECKPOINT_DROPPING), 0);
	ck_assert_uint_eq(listed(false), 1);
	ck_assert_int_eq(set(9, CHECKPOINT_DROPPED), 0);
	got = get(9);
	ck_assert_uint_eq(got->link_count + got->folder_count, 0);
	ck_assert_uint_eq(got->nlinks, 2);
	catalog_checkpoint_free(got);
	ck_assert_uint_eq(listed(false), 0);
	ck_assert_uint_eq(listed(true), 1);
}
END_TEST

START_TEST(transitions)
{
	static const struct {
		enum checkpoint_state from, to;
	} allowed[] = {
		{ CHECKPOINT_PREPARING, CHECKPOINT_DURABLE },
		{ CHECKPOINT_PREPARING, CHECKPOINT_ABORTED },
		{ CHECKPOINT_DURABLE, CHECKPOINT_COMMITTED },
		{ CHECKPOINT_DURABLE, CHECKPOINT_ABORTED },
		{ CHECKPOINT_COMMITTED, CHECKPOINT_DROPPING },
		{ CHECKPOINT_COMMITTED, CHECKPOINT_LOST },
		{ CHECKPOINT_LOST, CHECKPOINT_DROPPING },
		{ CHECKPOINT_DROPPING, CHECKPOINT_DROPPED },
	};
	size_t found = 0;

	for (enum checkpoint_state from = 0; from <= CHECKPOINT_LOST + 1; from++)
		for (enum checkpoint_state to = 0; to <= CHECKPOINT_LOST + 1; to++)
			found += checkpoint_transition_allowed(from, to);
	ck_assert_uint_eq(found, ARRAY_SIZE(allowed));
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
		ck_assert(checkpoint_transition_allowed(allowed[i].from, allowed[i].to));
	ck_assert_str_eq(checkpoint_state_name(CHECKPOINT_ABORTED), "aborted");
	ck_assert_str_eq(checkpoint_state_name(0), "unknown");
}
END_TEST

static unsigned users(uint64_t ktime, const char *path)
{
	unsigned count;

	ck_assert_int_eq(catalog_path_users(catalog, ktime, path, &count), 0);
	return count;
}

START_TEST(paths_are_shared)
{
	add(1);
	add(2);
	ck_assert_uint_eq(users(1, "c/\xff\xfe"), 1);
	ck_assert_uint_eq(users(3, "c/\xff\xfe"), 2);
	ck_assert_uint_eq(users(1, "c/x"), 1);
	ck_assert_uint_eq(users(1, "c"), 0);
	ck_assert_int_eq(set(2, CHECKPOINT_ABORTED), 0);
	ck_assert_uint_eq(users(1, "c/x"), 0);
}
END_TEST

START_TEST(only_one_opens_it)
{
	const struct catalog_options options = { .instance = "default" };
	enum catalog_origin origin;
	struct catalog *second = NULL;
	autofree char *why = NULL;

	ck_assert_int_eq(catalog_open(dir, &options, &second, &origin, &why), -EBUSY);
	ck_assert_ptr_null(second);
	ck_assert_ptr_nonnull(strstr(why, "close the program"));
}
END_TEST

START_TEST(without_a_catalog)
{
	struct catalog_checkpoint *got;
	struct catalog_status status;
	enum catalog_origin origin;

	close_catalog();
	hide(1);
	catalog_entry_gone(catalog, 1);
	ck_assert_int_eq(catalog_flush(catalog), -EROFS);
	ck_assert_int_eq(catalog_verify(catalog, &origin), -EROFS);
	ck_assert_int_eq(catalog_checkpoint_get(catalog, 1, &got), -EROFS);
	ck_assert_int_eq(catalog_status(catalog, &status), -EROFS);
}
END_TEST

/* ---- files that cannot be used ---- */

static void patch(const char *name, off_t offset, const void *bytes, size_t size)
{
	autofd int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, bytes, size, offset), (ssize_t)size);
}

static void cut(off_t size)
{
	autofd int fd = openat(dir, CATALOG_NAME, O_WRONLY | O_CLOEXEC);

	ck_assert_int_eq(ftruncate(fd, size), 0);
}

/* Opens the file as it is now: it must be kept aside, and everything must work. */
static void expect_replaced(const char *message)
{
	char aside[256] = "";
	struct stat before, after;

	ck_assert_int_eq(fstatat(dir, CATALOG_NAME, &before, 0), 0);
	ck_assert_int_eq(open_catalog(false), CATALOG_REPLACED);
	ck_assert_int_eq(names_like(CATALOG_NAME ".corrupt-", aside), 1);
	ck_assert_int_eq(fstatat(dir, aside, &after, 0), 0);
	ck_assert_uint_eq(before.st_ino, after.st_ino);
	ck_assert_msg(logged(message), "not logged: %s", message);
	ck_assert(logged(aside));
	ck_assert_uint_eq(listed(true), 0);
	add(3);
	close_catalog();
	ck_assert_int_eq(open_catalog(false), CATALOG_KEPT);
	ck_assert_uint_eq(listed(true), 1);
}

START_TEST(not_a_database)
{
	char garbage[4096];

	close_catalog();
	memset(garbage, 'x', sizeof(garbage));
	patch(CATALOG_NAME, 0, garbage, sizeof(garbage));
	expect_replaced("not a database");
}
END_TEST

START_TEST(damaged_page)
{
	char garbage[4096];

	add(9);
	close_catalog();
	memset(garbage, 0xa5, sizeof(garbage));
	patch(CATALOG_NAME, 2 * 4096, garbage, sizeof(garbage));
	expect_replaced("cannot be used");
}
END_TEST

START_TEST(truncated)
{
	add(9);
	close_catalog();
	cut(3 * 4096 + 100);
	expect_replaced("cannot be used");
}
END_TEST

START_TEST(of_another_program)
{
	close_catalog();
	patch(CATALOG_NAME, 68, "ABCD", 4);
	expect_replaced("another program");
}
END_TEST

START_TEST(from_the_future)
{
	const unsigned char version[4] = { 0, 0, 0, SCHEMA_VERSION + 1 };

	close_catalog();
	patch(CATALOG_NAME, 60, version, 4);
	expect_replaced("newer version");
}
END_TEST

START_TEST(not_a_file)
{
	char aside[256] = "";

	close_catalog();
	ck_assert_int_eq(unlinkat(dir, CATALOG_NAME, 0), 0);
	ck_assert_int_eq(_i ? mkdirat(dir, CATALOG_NAME, 0700) :
			      symlinkat("/etc/passwd", dir, CATALOG_NAME),
		0);
	ck_assert_int_eq(open_catalog(false), CATALOG_REPLACED);
	ck_assert_int_eq(names_like(CATALOG_NAME ".corrupt-", aside), 1);
	ck_assert(logged("not a regular file"));
	add(3);
}
END_TEST

START_TEST(empty_file)
{
	close_catalog();
	cut(0);
	ck_assert_int_eq(open_catalog(false), CATALOG_MADE);
	add(3);
}
END_TEST

/* ---- crashes and failures ---- */

START_TEST(killed_in_the_middle)
{
	pid_t pid;
	int status;

	close_catalog();
	pid = fork();
	if (pid == 0) {
		open_catalog(false);
		hide(1);
		add(9);
		if (set(9, CHECKPOINT_DURABLE))
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(open_catalog(false), CATALOG_KEPT);
	ck_assert_uint_eq(rows(), 1);
	ck_assert_uint_eq(listed(false), 1);
}
END_TEST

START_TEST(removed_while_open)
{
	enum catalog_origin origin;

	hide(1);
	add(9);
	ck_assert_int_eq(catalog_verify(catalog, &origin), 0);
	ck_assert_int_eq(origin, CATALOG_KEPT);
	ck_assert_int_eq(unlinkat(dir, CATALOG_NAME, 0), 0);
	ck_assert_int_eq(catalog_verify(catalog, &origin), 0);
	ck_assert_int_eq(origin, CATALOG_MADE);
	ck_assert(logged("removed or replaced"));
	ck_assert_uint_eq(listed(true), 0);
	add(9);
	hide(2);
	ck_assert_uint_eq(rows(), 1);
	close_catalog();
	ck_assert_int_eq(open_catalog(false), CATALOG_KEPT);
	ck_assert_uint_eq(listed(true), 1);
}
END_TEST

/*
 * No file may grow any more: what a full disk is, made without one.  Check keeps its
 * notes in a file too, so nothing may be asserted until the limit is gone.
 */
static void limit_files(rlim_t size)
{
	const struct rlimit limit = { size, RLIM_INFINITY };

	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
}

START_TEST(write_errors_while_running)
{
	struct catalog_checkpoint checkpoint = sample(9);
	struct catalog_status status;
	enum catalog_origin origin;
	int flushed, added, verified;

	limit_files(1);
	hide(1);
	flushed = catalog_flush(catalog);
	hide(2);
	hide(3);
	added = catalog_checkpoint_add(catalog, &checkpoint);
	catalog_status(catalog, &status);
	verified = catalog_verify(catalog, &origin);
	limit_files(RLIM_INFINITY);
	ck_assert_int_eq(flushed, -EIO);
	ck_assert_int_eq(added, -EIO);
	ck_assert_int_eq(verified, -EIO);
	ck_assert_int_eq(status.error, -EIO);
	ck_assert_str_ne(status.message, "");
	ck_assert_uint_eq(status.lost_notes, 3);
	ck_assert_int_eq(catalog_verify(catalog, &origin), 0);
	ck_assert_int_eq(origin, CATALOG_KEPT);
	ck_assert_int_eq(catalog_checkpoint_add(catalog, &checkpoint), 0);
	hide(4);
	ck_assert_uint_eq(rows(), 1);
	catalog_status(catalog, &status);
	ck_assert_int_eq(status.error, 0);
}
END_TEST

START_TEST(write_errors_at_the_begin)
{
	const struct catalog_options options = { .instance = "default" };
	enum catalog_origin origin;
	int opened, flushed;

	close_catalog();
	ck_assert_int_eq(unlinkat(dir, CATALOG_NAME, 0), 0);
	limit_files(1);
	opened = catalog_open(dir, &options, &catalog, &origin, NULL);
	hide(1);
	flushed = catalog_flush(catalog);
	limit_files(RLIM_INFINITY);
	ck_assert_int_eq(opened, 0);
	ck_assert_int_eq(origin, CATALOG_KEPT);
	ck_assert_int_eq(flushed, -EIO);
	ck_assert_int_eq(catalog_verify(catalog, &origin), 0);
	ck_assert_int_eq(origin, CATALOG_MADE);
	add(9);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("catalog");
	TCase *tcase = tcase_create("catalog"), *queue = tcase_create("queue");
	SRunner *runner;
	int failed;

	tcase_add_test(queue, queue_cancels_pairs);
	tcase_add_test(queue, queue_is_bounded);
	suite_add_tcase(suite, queue);
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, entries_are_written);
	tcase_add_test(tcase, entries_are_written_in_time);
	tcase_add_test(tcase, threads_share_a_catalog);
	tcase_add_test(tcase, checkpoint_comes_back);
	tcase_add_test(tcase, checkpoint_goes_its_way);
	tcase_add_test(tcase, transitions);
	tcase_add_test(tcase, paths_are_shared);
	tcase_add_test(tcase, only_one_opens_it);
	tcase_add_test(tcase, without_a_catalog);
	tcase_add_test(tcase, not_a_database);
	tcase_add_test(tcase, damaged_page);
	tcase_add_test(tcase, truncated);
	tcase_add_test(tcase, of_another_program);
	tcase_add_test(tcase, from_the_future);
	tcase_add_loop_test(tcase, not_a_file, 0, 2);
	tcase_add_test(tcase, empty_file);
	tcase_add_test(tcase, killed_in_the_middle);
	tcase_add_test(tcase, removed_while_open);
	tcase_add_test(tcase, write_errors_while_running);
	tcase_add_test(tcase, write_errors_at_the_begin);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
