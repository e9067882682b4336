/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libfreeze.h"
#include "store/catalog.h"
#include "store/freeze_internal.h"

static const struct manifest_entry *entry_at(const char *path)
{
	for (size_t i = 0; i < result->manifest->nentries; i++)
		if (strcmp(result->manifest->entries[i].path, path) == 0)
			return &result->manifest->entries[i];
	return NULL;
}

static uint32_t frozen(uint32_t entry)
{
	return store_entry(store, entry)->nfrozen;
}

/* ---- what is made ---- */

START_TEST(names_and_content)
{
	uint32_t a = hide_new("a", S_IFREG), b = hide_new("b \xff", S_IFREG);
	struct manifest *saved = NULL;
	autofree char *link = NULL, *content = NULL;

	must_freeze();
	ck_assert_uint_eq(result->manifest->nentries, 2);
	link = util_printf(
		FOLDER "unlink-at-restart-%016llx-1", (unsigned long long)result->manifest->ktime);
	ck_assert_str_eq(result->manifest->entries[0].link, link);
	ck_assert_str_eq(result->manifest->entries[0].path, "a");
	ck_assert_str_eq(result->manifest->entries[1].path, "b \xff");
	ck_assert_uint_eq(result->manifest->entries[1].n, 2);
	content = content_of(source_fd, link);
	ck_assert_str_eq(content, "a");
	ck_assert_uint_eq(result->manifest->entries[0].ino, store_entry(store, a)->ino);
	ck_assert_uint_eq(result->manifest->entries[0].nlink, 0);
	ck_assert_uint_eq(frozen(a) + frozen(b), 2);
	ck_assert_uint_eq(store_hidden_links(store, a), 1);
	ck_assert_int_eq(state_of(result->manifest->ktime), CHECKPOINT_COMMITTED);
	ck_assert_int_eq(names_in(MANIFEST_DIR), 3);
	ck_assert_uint_eq(attributes_told, 2);
	ck_assert_uint_ge(names_told, 3);
	ck_assert_int_eq(manifest_load(source_fd, result->manifest->path, &saved, NULL), 0);
	ck_assert_uint_eq(saved->nentries, 2);
	ck_assert_str_eq(saved->mount_path, "/mnt/x");
	ck_assert_str_eq(saved->creator_comm, "tester");
	ck_assert_str_eq(saved->scope, "all");
	manifest_free(saved);
}
END_TEST

START_TEST(every_type)
{
	static const mode_t types[] = { S_IFREG | 04711, S_IFDIR | 0751, S_IFIFO, S_IFSOCK, S_IFLNK,
		S_IFCHR };
	char name[16];
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		snprintf(name, sizeof(name), "t%zu", i);
		hide_new(name, types[i]);
	}
	must_freeze();
	ck_assert_uint_eq(result->manifest->nentries, ARRAY_SIZE(types));
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		const struct manifest_entry *entry = &result->manifest->entries[i];

		ck_assert_int_eq(fstatat(source_fd, entry->link, &st, AT_SYMLINK_NOFOLLOW), 0);
		ck_assert_uint_eq(st.st_mode, entry->mode);
		ck_assert_uint_eq(st.st_mode & S_IFMT, types[i] & S_IFMT);
		ck_assert_uint_eq(st.st_ino, entry->ino);
		ck_assert_int_eq(entry->mtime.sec, st.st_mtim.tv_sec);
	}
	ck_assert_uint_eq(result->manifest->entries[5].rdev_major, 1);
	ck_assert_uint_eq(result->manifest->entries[5].rdev_minor, 3);
}
END_TEST

START_TEST(one_link_for_many_descriptors)
{
	uint32_t entry;
	int fd, second, third;

	make_file("a", "12345");
	fd = hide_opened("a", &entry);
	second = fcntl(fd, F_DUPFD, 100);
	third = open(proc_fd_path(fd, (char[PROC_FD_PATH_SIZE]){ 0 }), O_WRONLY | O_APPEND);
	ck_assert_int_eq(lseek(fd, 3, SEEK_SET), 3);
	must_freeze();
	ck_assert_uint_eq(result->manifest->nentries, 1);
	ck_assert_uint_eq(result->manifest->entries[0].nopeners, 3);
	for (size_t i = 0; i < 3; i++) {
		const struct opener *opener = &result->manifest->entries[0].openers[i];

		ck_assert_int_eq(opener->pid, getpid());
		ck_assert_int_eq(opener->kind, OPENER_FD);
		ck_assert(opener->fd == fd || opener->fd == second || opener->fd == third);
		ck_assert_int_eq(opener->offset, opener->fd == third ? 0 : 3);
		ck_assert_uint_eq(opener->flags & O_ACCMODE, opener->fd == third ? 1 : 2);
	}
	close(fd);
	close(second);
	close(third);
}
END_TEST

START_TEST(names_that_exist_count)
{
	make_file("a", "x");
	ck_assert_int_eq(linkat(source_fd, "a", source_fd, "other", 0), 0);
	hide_new("b", S_IFREG);
	ck_assert_int_eq(unlinkat(source_fd, "other", 0), 0);
	ck_assert_int_eq(linkat(source_fd, "a", source_fd, "other", 0), 0);
	close(hide_opened("a", &(uint32_t){ 0 }));
	must_freeze();
	ck_assert_uint_eq(entry_at("a")->nlink, 1);
	ck_assert_uint_eq(entry_at("b")->nlink, 0);
}
END_TEST

START_TEST(nothing_hidden)
{
	must_freeze();
	ck_assert_uint_eq(result->manifest->nentries, 0);
	ck_assert(exists(result->manifest->path));
	must_drop(result->manifest->path, 0);
	ck_assert_int_eq(names_in(MANIFEST_DIR), 0);
}
END_TEST

/* ---- templates ---- */

START_TEST(folders_are_made_and_removed)
{
	autofree char *before = NULL;
	struct stat st;

	ck_assert_int_eq(mkdirat(source_fd, "mine", 0755), 0);
	hide_new("a", S_IFREG);
	hide_new("b", S_IFREG);
	before = source_listing();
	ck_assert_int_eq(freeze_all("mine/%t/%u/%n-%i/l%%", false, false), 0);
	ck_assert_uint_eq(result->manifest->nfolders, 4);
	ck_assert_int_eq(fstatat(source_fd, result->manifest->folders[0], &st, 0), 0);
	ck_assert_uint_eq(st.st_mode, S_IFDIR | 0700);
	ck_assert(exists(result->manifest->entries[1].link));
	must_drop(result->manifest->path, 0);
	ck_assert_listing(before);
}
END_TEST

START_TEST(folder_of_two_checkpoints)
{
	autofree char *before = NULL, *first = NULL;

	hide_new("a", S_IFREG);
	before = source_listing();
	ck_assert_int_eq(freeze_all("made/%t-%n", false, false), 0);
	first = strdup(result->manifest->path);
	ck_assert_int_eq(freeze_all("made/%t-%n", false, false), 0);
	must_drop(first, 0);
	ck_assert(exists("made"));
	must_drop(result->manifest->path, 0);
	ck_assert_listing(before);
}
END_TEST

START_TEST(bad_templates)
{
	autofree char *before = NULL;
	char name[300] = "made/";

	memset(name + 5, 'x', 250);
	strcpy(name + 255, "%t%n");
	ck_assert_int_eq(symlinkat("/", source_fd, "up"), 0);
	make_file("file", "");
	hide_new("a", S_IFREG);
	before = source_listing();
	ck_assert_int_eq(freeze_all("%n", false, false), -EINVAL);
	ck_failed("template", NULL, EINVAL);
	ck_assert_int_eq(freeze_all(name, false, false), -ENAMETOOLONG);
	ck_failed("template", NULL, ENAMETOOLONG);
	ck_assert_int_eq(freeze_all("up/%t-%n", false, false), -ELOOP);
	ck_failed("template", NULL, ELOOP);
	ck_assert_int_eq(freeze_all("file/%t-%n", false, false), -ENOTDIR);
	ck_failed("template", NULL, ENOTDIR);
	ck_assert_listing(before);
}
END_TEST

/* ---- failures ---- */

static const char *fail_step;
static uint32_t fail_n;
static int fail_with;
static unsigned fail_times;

static int fail_there(const char *step, uint32_t n)
{
	if (!fail_times || strcmp(step, fail_step) != 0 || (fail_n && n != fail_n))
		return 0;
	fail_times--;
	return fail_with;
}

static void fail_at(const char *step, uint32_t n, int error, unsigned times)
{
	fail_step = step;
	fail_n = n;
	fail_with = -error;
	fail_times = times;
	freeze_test_point = fail_there;
}

static const struct {
	const char *step, *told; /* as it is told of */
	uint32_t n;
} failing_steps[] = {
	{ "prepare", "catalog", 0 },
	{ "folder", "folder", 0 },
	{ "link", "link", 1 },
	{ "link", "link", 3 },
	{ "stat", "stat", 2 },
	{ "sync", "sync", 0 },
	{ "manifest", "manifest", 0 },
	{ "durable", "catalog", 0 },
	{ "commit", "catalog", 0 },
};

static void expect_untouched(const char *before, const uint32_t *entries, size_t count)
{
	struct catalog_checkpoint *rows;
	size_t nrows;

	ck_assert_listing(before);
	for (size_t i = 0; i < count; i++) {
		ck_assert_uint_eq(frozen(entries[i]), 0);
		ck_assert_uint_eq(store_hidden_links(store, entries[i]), 1);
	}
	ck_assert_int_eq(catalog_checkpoint_list(store_catalog(store), false, &rows, &nrows), 0);
	catalog_checkpoints_free(rows, nrows);
	ck_assert_uint_eq(nrows, 0);
}

START_TEST(nothing_is_left_by_a_failure)
{
	const uint32_t entries[] = { hide_new("a", S_IFREG), hide_new("d", S_IFDIR | 0700),
		hide_new("c", S_IFREG) };
	autofree char *before = source_listing();
	bool partial = _i % 2;
	int i = _i / 2;

	fail_at(failing_steps[i].step, failing_steps[i].n, ENOSPC, 1);
	ck_assert_int_eq(freeze_all("made/%t/%n", partial, false), -ENOSPC);
	ck_assert_uint_eq(fail_times, 0);
	ck_assert_uint_eq(result->nfailures, 1);
	ck_assert_str_eq(result->failures[0].step, failing_steps[i].told);
	ck_assert_ptr_null(result->manifest);
	expect_untouched(before, entries, ARRAY_SIZE(entries));
	ck_assert_int_eq(freeze_all("made/%t/%n", partial, false), 0);
	ck_assert_uint_eq(result->manifest->nentries, 3);
}
END_TEST

#define MANY 5000

START_TEST(failure_in_the_middle_of_many)
{
	static uint32_t entries[MANY];
	autofree char *before = NULL;
	char name[16];

	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		entries[i] = hide_new(name, i % 100 ? S_IFREG : S_IFDIR);
	}
	before = source_listing();
	fail_at("link", MANY / 2, EMLINK, 1);
	ck_assert_int_eq(freeze_all(NULL, false, false), -EMLINK);
	ck_failed("link", "f2499", EMLINK);
	ck_assert_ptr_nonnull(result->failures[0].link);
	expect_untouched(before, entries, MANY);
}
END_TEST

START_TEST(partial)
{
	const uint32_t entries[] = { hide_new("a", S_IFREG), hide_new("b", S_IFREG),
		hide_new("c", S_IFREG) };

	fail_at("link", 2, EPERM, 1);
	ck_assert_int_eq(freeze_all("made/%t/%n/x", true, false), 0);
	ck_failed("link", "b", EPERM);
	/* Not even the folder that was made for it. */
	ck_assert_ptr_nonnull(result->failures[0].link);
	*strrchr(result->failures[0].link, '/') = '\0';
	ck_assert(!exists(result->failures[0].link));
	ck_assert_uint_eq(result->manifest->nentries, 2);
	ck_assert_uint_eq(result->manifest->entries[1].n, 3);
	ck_assert_uint_eq(frozen(entries[1]), 0);
	must_drop(result->manifest->path, 0);
	ck_assert(!exists("made"));
}
END_TEST

START_TEST(immutable)
{
	uint32_t entry;
	autofree char *before = NULL;
	int fd, flags = 0, set, ret;

	hide_new("a", S_IFREG);
	make_file("b", "b");
	fd = hide_opened("b", &entry);
	before = source_listing();
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags))
		return;
	set = flags | FS_IMMUTABLE_FL;
	if (ioctl(fd, FS_IOC_SETFLAGS, &set))
		return;
	ret = freeze_all(NULL, false, false);
	ioctl(fd, FS_IOC_SETFLAGS, &flags);
	close(fd);
	ck_assert_int_eq(ret, -EPERM);
	ck_failed("link", "b", EPERM);
	ck_assert_listing(before);
}
END_TEST

START_TEST(pinned)
{
	struct store_object object;
	uint32_t entry;

	hide_new("a", S_IFREG);
	make_file("b", "b");
	object = object_at("b");
	object.flags = ENTRY_F_TMPFILE;
	store_mutation_begin(store);
	ck_assert_int_eq(store_hide_pinned(store, &object, &entry), 0);
	store_mutation_end(store);
	ck_assert_int_eq(freeze_all(NULL, false, false), -EOPNOTSUPP);
	ck_failed("link", "b", EOPNOTSUPP);
	ck_assert_str_eq(result->failures[0].message, "it has no link and can get none");
	ck_assert_int_eq(names_in(MANIFEST_DIR), 0);
	ck_assert_int_eq(freeze_all(NULL, true, false), 0);
	ck_failed("link", "b", EOPNOTSUPP);
	ck_assert_uint_eq(result->manifest->nentries, 1);
}
END_TEST

static char *squatted;

/* Puts a file of somebody else where the link 2 of the first try is to be. */
static int squat(const char *step, uint32_t n)
{
	struct catalog_checkpoint *rows;
	size_t count;

	if (squatted || strcmp(step, "link") != 0)
		return 0;
	ck_assert_int_eq(catalog_checkpoint_list(store_catalog(store), false, &rows, &count), 0);
	ck_assert_uint_eq(count, 1);
	squatted =
		util_printf(FOLDER "unlink-at-restart-%08llx-2", (unsigned long long)rows[0].ktime);
	catalog_checkpoints_free(rows, count);
	make_file(squatted, "mine");
	return 0;
}

START_TEST(names_are_never_taken)
{
	autofree char *content = NULL;

	hide_new("a", S_IFREG);
	hide_new("d", S_IFDIR | 0700);
	freeze_test_point = squat;
	must_freeze();
	content = content_of(source_fd, squatted);
	ck_assert_str_eq(content, "mine");
	/* The links, the manifest, and that file. */
	ck_assert_int_eq(names_in(MANIFEST_DIR), 4);
	must_drop(result->manifest->path, 0);
	ck_assert_int_eq(names_in(MANIFEST_DIR), 1);
	free(squatted);
}
END_TEST

START_TEST(ambiguous_names)
{
	fail_at("link", 2, EEXIST, UINT32_MAX);
	hide_new("a", S_IFREG);
	hide_new("b", S_IFREG);
	ck_assert_int_eq(freeze_all(NULL, false, false), -EEXIST);
	ck_failed("link", NULL, EEXIST);
	ck_assert_int_eq(names_in(MANIFEST_DIR), 0);
}
END_TEST

static uint32_t to_forget;

static int forget_before_links(const char *step, uint32_t n)
{
	if (strcmp(step, "prepare") == 0 && to_forget) {
		forget(to_forget);
		to_forget = 0;
	}
	return 0;
}

START_TEST(last_user_goes_meanwhile)
{
	hide_new("a", S_IFREG);
	to_forget = hide_new("b", S_IFREG);
	freeze_test_point = forget_before_links;
	must_freeze();
	ck_assert_uint_eq(result->manifest->nentries, 1);
	ck_assert_str_eq(result->manifest->entries[0].path, "a");
	ck_assert_int_eq(names_in(MANIFEST_DIR), 2);
}
END_TEST

START_TEST(catalog_is_gone)
{
	autofree char *first = NULL;

	hide_new("a", S_IFREG);
	must_freeze();
	first = strdup(result->manifest->path);
	ck_assert_int_eq(unlinkat(source_fd, ".relinkfs/default/catalog.db", 0), 0);
	must_freeze();
	must_drop(first, 0);
	must_drop(result->manifest->path, 0);
	ck_assert_int_eq(names_in(MANIFEST_DIR), 0);
}
END_TEST

/* ---- scopes ---- */

/* A child that holds nothing of the source but @fd. */
static pid_t child_with(int fd)
{
	int ends[2];
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		dup2(fd, 3);
		dup2(ends[1], 4);
		close_range(5, ~0U, 0);
		if (write(4, "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ends[1]);
	ck_assert_int_eq(read(ends[0], &byte, 1), 1);
	close(ends[0]);
	return pid;
}

static int freeze_scope(enum procscan_scope scope, pid_t pid, const char *cgroup)
{
	const struct freeze_request request = {
		.scope = { .scope = scope, .pid = pid, .cgroup = cgroup }
	};

	freeze_result_free(steal_ptr(&result));
	return freeze(store, &request, &result);
}

START_TEST(only_a_tree)
{
	uint32_t a, b;
	pid_t pid;
	int fd_a, fd_b;

	make_file("a", "a");
	make_file("b", "b");
	fd_a = hide_opened("a", &a);
	fd_b = hide_opened("b", &b);
	pid = child_with(fd_b);
	ck_assert_int_eq(freeze_scope(PROCSCAN_TREE, pid, NULL), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ck_assert_uint_eq(result->manifest->nentries, 1);
	ck_assert_str_eq(result->manifest->entries[0].path, "b");
	ck_assert_uint_eq(result->manifest->entries[0].nopeners, 1);
	ck_assert_int_eq(result->manifest->entries[0].openers[0].pid, pid);
	ck_assert_int_eq(result->manifest->entries[0].openers[0].fd, 3);
	ck_assert_uint_eq(frozen(a), 0);
	ck_assert_int_eq(freeze_scope(PROCSCAN_TREE, pid, NULL), -ESRCH);
	ck_failed("scope", NULL, ESRCH);
	ck_assert_int_eq(freeze_scope(PROCSCAN_CGROUP, 0, "/no/such"), -ENOENT);
	ck_failed("scope", NULL, ENOENT);
	close(fd_a);
	close(fd_b);
}
END_TEST

/* ---- directories ---- */

START_TEST(directory_of_two_checkpoints)
{
	uint32_t dir = hide_new("d", S_IFDIR | 0751);
	autofree char *before = source_listing(), *first = NULL, *link = NULL;

	must_freeze();
	ck_assert_int_eq(store_entry(store, dir)->state, ENTRY_MOVED);
	ck_assert_uint_eq(store_hidden_links(store, dir), 0);
	first = strdup(result->manifest->path);
	link = strdup(result->manifest->entries[0].link);
	must_freeze();
	ck_assert_str_eq(result->manifest->entries[0].link, link);
	ck_assert_uint_eq(frozen(dir), 2);
	must_drop(first, 0);
	ck_assert(exists(link));
	ck_assert_uint_eq(frozen(dir), 1);
	/* The first is gone, and its link is still found for a third. */
	freeze_result_free(steal_ptr(&result));
	must_freeze();
	ck_assert_str_eq(result->manifest->entries[0].link, link);
	must_drop(result->manifest->path, 0);
	ck_assert(exists(link));
	ck_assert_int_eq(store_entry(store, dir)->state, ENTRY_MOVED);
	{
		struct catalog_checkpoint *rows;
		size_t count;

		ck_assert_int_eq(
			catalog_checkpoint_list(store_catalog(store), false, &rows, &count), 0);
		ck_assert_uint_eq(count, 1);
		must_drop(rows[0].manifest, 0);
		catalog_checkpoints_free(rows, count);
	}
	ck_assert_int_eq(store_entry(store, dir)->state, ENTRY_HIDDEN);
	ck_assert_uint_eq(frozen(dir), 0);
	ck_assert_listing(before);
	forget(dir);
}
END_TEST

START_TEST(directory_without_user)
{
	uint32_t dir = hide_new("d", S_IFDIR | 0751);
	autofree char *before = source_listing();

	must_freeze();
	forget(dir);
	ck_assert(exists(result->manifest->entries[0].link));
	must_drop(result->manifest->path, 0);
	ck_assert_listing(before);
	ck_assert_int_eq(names_in(".relinkfs/default/vault"), 0);
}
END_TEST

/* ---- commit, undo, drop ---- */

START_TEST(hold_and_commit)
{
	uint64_t ktime;

	hide_new("a", S_IFREG);
	ck_assert_int_eq(freeze_all(NULL, false, true), 0);
	ktime = result->manifest->ktime;
	ck_assert_int_eq(state_of(ktime), CHECKPOINT_DURABLE);
	{
		struct freeze_failure *failures;
		size_t count;
		autofree char *why = NULL;

		ck_assert_int_eq(
			freeze_drop(store, result->manifest->path, &failures, &count, &why),
			-EINVAL);
		ck_assert_ptr_nonnull(strstr(why, "not committed"));
	}
	ck_assert_int_eq(freeze_commit(store, ktime), 0);
	ck_assert_int_eq(freeze_commit(store, ktime), -EINVAL);
	ck_assert_int_eq(freeze_undo(store, ktime), -EINVAL);
	ck_assert_int_eq(freeze_commit(store, ktime + 1), -ENOENT);
	ck_assert_int_eq(freeze_undo(store, ktime + 1), -ENOENT);
}
END_TEST

START_TEST(hold_and_undo)
{
	const uint32_t entries[] = { hide_new("a", S_IFREG), hide_new("d", S_IFDIR | 0700) };
	autofree char *before = source_listing();

	ck_assert_int_eq(freeze_all("made/%t/%n", false, true), 0);
	attributes_told = 0;
	ck_assert_int_eq(freeze_undo(store, result->manifest->ktime), 0);
	ck_assert_uint_eq(attributes_told, 2);
	ck_assert_int_eq(state_of(result->manifest->ktime), CHECKPOINT_ABORTED);
	expect_untouched(before, entries, 2);
}
END_TEST

START_TEST(drop_reports_what_is_not_there)
{
	struct freeze_failure *failures;
	struct checkpoint_link_status *status;
	size_t count;
	autofree char *replaced = NULL;

	hide_new("a", S_IFREG);
	hide_new("b", S_IFREG);
	hide_new("c", S_IFREG);
	must_freeze();
	replaced = strdup(result->manifest->entries[1].link);
	ck_assert_int_eq(unlinkat(source_fd, result->manifest->entries[0].link, 0), 0);
	ck_assert_int_eq(unlinkat(source_fd, replaced, 0), 0);
	make_file(replaced, "other");
	ck_assert_int_eq(freeze_link_status(store, result->manifest, &status), 0);
	ck_assert_str_eq(status[0].status, "missing");
	ck_assert_str_eq(status[1].status, "replaced");
	ck_assert_str_eq(status[2].status, "present");
	ck_assert_uint_eq(status[2].n, 3);
	free(status);
	ck_assert_int_eq(freeze_drop(store, result->manifest->path, &failures, &count, NULL), 0);
	ck_assert_uint_eq(count, 2);
	ck_assert_int_eq(failures[0].error, ENOENT);
	ck_assert_str_eq(failures[0].path, "a");
	ck_assert_int_eq(failures[1].error, ESTALE);
	freeze_failures_free(failures, count);
	ck_assert(exists(replaced));
	ck_assert_int_eq(names_in(MANIFEST_DIR), 1);
	ck_assert_int_eq(state_of(result->manifest->ktime), CHECKPOINT_DROPPED);
	ck_assert_int_eq(
		freeze_drop(store, result->manifest->path, &failures, &count, NULL), -ENOENT);
}
END_TEST

START_TEST(drop_that_fails_can_be_repeated)
{
	struct freeze_failure *failures;
	size_t count;
	autofree char *why = NULL;

	hide_new("a", S_IFREG);
	hide_new("b", S_IFREG);
	must_freeze();
	fail_at("unlink", 2, EIO, 1);
	ck_assert_int_eq(freeze_drop(store, result->manifest->path, &failures, &count, &why), -EIO);
	ck_assert_uint_eq(count, 1);
	ck_assert_str_eq(failures[0].path, "b");
	freeze_failures_free(failures, count);
	ck_assert_int_eq(state_of(result->manifest->ktime), CHECKPOINT_DROPPING);
	ck_assert(exists(result->manifest->path));
	must_drop(result->manifest->path, 0);
	ck_assert_int_eq(names_in(MANIFEST_DIR), 0);
}
END_TEST

START_TEST(drop_of_a_copy)
{
	autofree char *copy = NULL, *link = NULL;
	struct stat st;

	hide_new("a", S_IFREG);
	must_freeze();
	link = util_printf("%s/%s", source, result->manifest->entries[0].link);
	copy = util_printf("cp -p '%s' '%s.copy' && mv '%s.copy' '%s'", link, link, link, link);
	ck_assert_int_eq(system(copy), 0);
	ck_assert_int_eq(stat(link, &st), 0);
	ck_assert_uint_ne(st.st_ino, result->manifest->entries[0].ino);
	must_drop(result->manifest->path, 0);
	ck_assert_int_eq(names_in(MANIFEST_DIR), 0);
}
END_TEST

START_TEST(drop_without_manifest)
{
	hide_new("a", S_IFREG);
	must_freeze();
	ck_assert_int_eq(unlinkat(source_fd, result->manifest->path, 0), 0);
	must_drop(result->manifest->path, 0);
	ck_assert_int_eq(names_in(MANIFEST_DIR), 0);
	ck_assert_int_eq(state_of(result->manifest->ktime), CHECKPOINT_DROPPED);
}
END_TEST

/* ---- many, and many at once ---- */

/* The thread sanitizer has nothing to find in more of the same. */
#ifdef __SANITIZE_THREAD__
#define VERY_MANY 1000
#else
#define VERY_MANY 10000
#endif

START_TEST(very_many)
{
	char name[16];

	for (unsigned i = 0; i < VERY_MANY; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		hide_new(name, S_IFREG);
	}
	must_freeze();
	ck_assert_uint_eq(result->manifest->nentries, VERY_MANY);
	ck_assert_int_eq(names_in(MANIFEST_DIR), VERY_MANY + 1);
	printf("%d entries: %.3f s, of that %.3f s in the barrier\n", VERY_MANY,
		(double)result->total_ns / 1e9, (double)result->barrier_ns / 1e9);
	ck_assert_int_lt(result->barrier_ns, 10 * NSEC_PER_SEC);
	must_drop(result->manifest->path, 0);
	ck_assert_int_eq(names_in(MANIFEST_DIR), 0);
}
END_TEST

static bool stop_churning;

static void *churn(void *prefix)
{
	char name[32];

	for (unsigned i = 0; !__atomic_load_n(&stop_churning, __ATOMIC_RELAXED); i++) {
		snprintf(name, sizeof(name), "%s%u", (const char *)prefix, i);
		forget(hide_new(name, i % 8 ? S_IFREG : S_IFDIR | 0700));
	}
	return NULL;
}

static void *freeze_often(void *template)
{
	struct freeze_failure *failures;
	size_t count;

	for (int i = 0; i < 10; i++) {
		const struct freeze_request request = { .link_template = template };
		struct freeze_result *mine = NULL;

		ck_assert_int_eq(freeze(store, &request, &mine), 0);
		ck_assert_int_eq(
			freeze_drop(store, mine->manifest->path, &failures, &count, NULL), 0);
		ck_assert_uint_eq(count, 0);
		freeze_result_free(mine);
	}
	return NULL;
}

START_TEST(freezes_among_mutations)
{
	static char names[][8] = { "a", "b" }, *templates[] = { NULL, NULL };
	pthread_t churners[2], freezers[2];
	autofree char *before = source_listing();

	for (int i = 0; i < 2; i++) {
		pthread_create(&churners[i], NULL, churn, names[i]);
		pthread_create(&freezers[i], NULL, freeze_often, templates[i]);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(freezers[i], NULL);
	__atomic_store_n(&stop_churning, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		pthread_join(churners[i], NULL);
	ck_assert_listing(before);
	ck_assert_int_eq(names_in(".relinkfs/default/vault"), 0);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, names_and_content);
	tcase_add_test(tcase, every_type);
	tcase_add_test(tcase, one_link_for_many_descriptors);
	tcase_add_test(tcase, names_that_exist_count);
	tcase_add_test(tcase, nothing_hidden);
	tcase_add_test(tcase, folders_are_made_and_removed);
	tcase_add_test(tcase, folder_of_two_checkpoints);
	tcase_add_test(tcase, bad_templates);
	tcase_add_loop_test(tcase, nothing_is_left_by_a_failure, 0, 2 * ARRAY_SIZE(failing_steps));
	tcase_add_test(tcase, failure_in_the_middle_of_many);
	tcase_add_test(tcase, partial);
	tcase_add_test(tcase, immutable);
	tcase_add_test(tcase, pinned);
	tcase_add_test(tcase, names_are_never_taken);
	tcase_add_test(tcase, ambiguous_names);
	tcase_add_test(tcase, last_user_goes_meanwhile);
	tcase_add_test(tcase, catalog_is_gone);
	tcase_add_test(tcase, only_a_tree);
	tcase_add_test(tcase, directory_of_two_checkpoints);
	tcase_add_test(tcase, directory_without_user);
	tcase_add_test(tcase, hold_and_commit);
	tcase_add_test(tcase, hold_and_undo);
	tcase_add_test(tcase, drop_reports_what_is_not_there);
	tcase_add_test(tcase, drop_that_fails_can_be_repeated);
	tcase_add_test(tcase, drop_of_a_copy);
	tcase_add_test(tcase, drop_without_manifest);
	tcase_add_test(tcase, very_many);
	tcase_add_test(tcase, freezes_among_mutations);
}

int main(void)
{
	Suite *suite = suite_create("freeze");
	TCase *tcase = tcase_create("freeze");

	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, freeze_setup, freeze_teardown);
	add_tests(tcase);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
