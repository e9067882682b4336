/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A child makes, undoes or drops a checkpoint and dies at one of its steps; then the
 * store is opened, and everything must be there, or nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libfreeze.h"
#include "store/catalog.h"
#include "store/freeze_internal.h"
#include "store/log.h"

#define TEMPLATE "made/%t/%n"
#define ENTRIES 5
#define DIED 77 /* exit status at the step */

static const mode_t types[ENTRIES] = { S_IFREG | 0600, S_IFDIR | 0700, S_IFREG | 0600,
	S_IFIFO | 0600, S_IFDIR | 0711 };

static const char *die_step, *fail_step;
static uint32_t die_n, fail_n;

static int die_there(const char *step, uint32_t n)
{
	if (die_step && strcmp(step, die_step) == 0 && n == die_n)
		_exit(DIED);
	if (fail_step && strcmp(step, fail_step) == 0 && n == fail_n) {
		fail_step = NULL;
		return -ENOSPC;
	}
	return 0;
}

static void hide_all(void)
{
	char name[16];

	for (size_t i = 0; i < ENTRIES; i++) {
		snprintf(name, sizeof(name), "f%zu", i);
		hide_new(name, types[i]);
	}
}

/* What the child does after its entries are hidden. */
enum deed { FREEZE, FREEZE_FAILING, HOLD, HOLD_UNDO, DROP };

static int do_deed(enum deed deed)
{
	struct freeze_failure *failures;
	size_t count;
	int ret;

	if (deed == FREEZE_FAILING) {
		fail_step = "durable";
		fail_n = 0;
	}
	if (deed == FREEZE || deed == FREEZE_FAILING)
		freeze_test_point = die_there;
	ret = freeze_all(TEMPLATE, false, deed == HOLD || deed == HOLD_UNDO);
	freeze_test_point = die_there;
	if (!ret && deed == HOLD_UNDO)
		ret = freeze_undo(store, result->manifest->ktime);
	if (!ret && deed == DROP)
		ret = freeze_drop(store, result->manifest->path, &failures, &count, NULL);
	return ret;
}

/* In a process that dies with the store open; its exit status. */
static int in_child(enum deed deed, int *memfd)
{
	pid_t pid;
	int status;

	close_store();
	if (memfd) {
		open_store();
		*memfd = fcntl(arena_fd(arena), F_DUPFD_CLOEXEC, 0);
		close_store();
	}
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (memfd)
			open_store_on(fcntl(*memfd, F_DUPFD_CLOEXEC, 0));
		else
			open_store();
		hide_all();
		do_deed(deed);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* The only manifest in the folder, or NULL when there is none. */
static struct manifest *only_manifest(void)
{
	struct manifest *manifest = NULL;
	autofree char *text = source_listing();
	char *at = strstr(text, ".json "), *path;

	ck_assert_ptr_null(strstr(text, MANIFEST_TEMPORARY));
	if (!at)
		return NULL;
	ck_assert_ptr_null(strstr(at + 1, ".json "));
	at[strlen(".json")] = '\0';
	path = at;
	while (path > text && path[-1] != '\n')
		path--;
	ck_assert_int_eq(manifest_load(source_fd, path + 1, &manifest, NULL), 0);
	return manifest;
}

static void expect_vault(int count)
{
	ck_assert_int_eq(names_in(".relinkfs/default/vault"), count);
}

/* Nothing of a checkpoint; what the source was before the child. */
static void expect_none(const char *before)
{
	struct catalog_checkpoint *rows;
	size_t count;

	ck_assert_listing(before);
	ck_assert_int_eq(catalog_checkpoint_list(store_catalog(store), false, &rows, &count), 0);
	catalog_checkpoints_free(rows, count);
	ck_assert_uint_eq(count, 0);
}

/* All of it, committed; and a drop of it leaves nothing. */
static void expect_all(const char *before)
{
	struct manifest *manifest = only_manifest();
	struct checkpoint_link_status *status;

	ck_assert_uint_eq(manifest->nentries, ENTRIES);
	ck_assert_int_eq(freeze_link_status(store, manifest, &status), 0);
	for (size_t i = 0; i < ENTRIES; i++)
		ck_assert_str_eq(status[i].status, "present");
	free(status);
	ck_assert_int_eq(state_of(manifest->ktime), CHECKPOINT_COMMITTED);
	must_drop(manifest->path, 0);
	expect_none(before);
	manifest_free(manifest);
}

struct crash {
	enum deed deed;
	const char *step;
	uint32_t n;
	bool whole; /* what must be there in the end */
};

static const struct crash crashes[] = {
	{ FREEZE, "prepare", 0, false },
	{ FREEZE, "folder", 0, false },
	{ FREEZE, "link", 1, false },
	{ FREEZE, "link", 2, false },
	{ FREEZE, "link", 3, false },
	{ FREEZE, "link", 5, false },
	{ FREEZE, "stat", 1, false },
	{ FREEZE, "stat", 5, false },
	{ FREEZE, "scan", 0, false },
	{ FREEZE, "sync", 0, false },
	{ FREEZE, "manifest", 0, false },
	{ FREEZE, "durable", 0, false },
	{ FREEZE, "commit", 0, true },
	{ FREEZE_FAILING, "remove manifest", 0, false },
	{ FREEZE_FAILING, "unlink", 1, false },
	{ FREEZE_FAILING, "unlink", 2, false },
	{ FREEZE_FAILING, "unlink", 5, false },
	{ FREEZE_FAILING, "abort", 0, false },
	{ HOLD_UNDO, "remove manifest", 0, true },
	{ HOLD_UNDO, "unlink", 1, false },
	{ HOLD_UNDO, "unlink", 3, false },
	{ HOLD_UNDO, "unlink", 5, false },
	{ HOLD_UNDO, "abort", 0, false },
	{ DROP, "unlink", 1, false },
	{ DROP, "unlink", 2, false },
	{ DROP, "unlink", 5, false },
	{ DROP, "remove manifest", 0, false },
	{ DROP, "dropped", 0, false },
};

static void crash_at(const struct crash *crash, int *memfd)
{
	die_step = crash->step;
	die_n = crash->n;
	ck_assert_int_eq(in_child(crash->deed, memfd), DIED);
}

START_TEST(crash_then_a_new_session)
{
	const struct crash *crash = &crashes[_i];
	autofree char *before = source_listing();

	crash_at(crash, NULL);
	open_store();
	expect_vault(0);
	if (crash->whole)
		expect_all(before);
	else
		expect_none(before);
}
END_TEST

/* The entries live on: all of them must be back in the vault, or at their links. */
START_TEST(crash_and_the_session_goes_on)
{
	const struct crash *crash = &crashes[_i];
	autofree char *before = source_listing();
	struct store_snapshot_entry *entries;
	size_t count;
	int memfd;

	crash_at(crash, &memfd);
	open_store_on(memfd);
	expect_vault(crash->whole ? ENTRIES - 2 : ENTRIES);
	if (crash->whole)
		expect_all(before);
	else
		expect_none(before);
	expect_vault(ENTRIES);
	ck_assert_int_eq(store_snapshot(store, &entries, &count), 0);
	ck_assert_uint_eq(count, ENTRIES);
	for (size_t i = 0; i < count; i++) {
		ck_assert_int_eq(entries[i].record.state, ENTRY_HIDDEN);
		ck_assert_uint_eq(entries[i].record.nfrozen, 0);
	}
	/* And all of it works again. */
	must_freeze();
	ck_assert_uint_eq(result->manifest->nentries, ENTRIES);
	for (size_t i = 0; i < count; i++)
		forget(entries[i].index);
	store_snapshot_free(entries, count);
	must_drop(result->manifest->path, 0);
	expect_none(before);
	expect_vault(0);
}
END_TEST

/* A crash in the midst of recovery is recovered from as well. */
START_TEST(crash_during_recovery)
{
	static const struct crash first = { FREEZE, "manifest", 0, false };
	static const struct crash seconds[] = { { 0, "remove manifest", 0, false },
		{ 0, "unlink", 1, false }, { 0, "unlink", 2, false }, { 0, "unlink", 5, false },
		{ 0, "abort", 0, false } };
	autofree char *before = source_listing();
	pid_t pid;
	int status;

	crash_at(&first, NULL);
	die_step = seconds[_i].step;
	die_n = seconds[_i].n;
	pid = fork();
	if (pid == 0) {
		freeze_test_point = die_there;
		open_store();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WEXITSTATUS(status), DIED);
	open_store();
	expect_none(before);
	expect_vault(0);
}
END_TEST

START_TEST(held_without_a_decision)
{
	autofree char *before = source_listing();

	ck_assert_int_eq(in_child(HOLD, NULL), 0);
	open_store();
	expect_vault(0);
	expect_all(before);
}
END_TEST

/* ---- what the catalog does not know ---- */

static void remove_catalog(void)
{
	unlinkat(source_fd, ".relinkfs/default/catalog.db", 0);
	unlinkat(source_fd, ".relinkfs/default/catalog.db-wal", 0);
}

START_TEST(catalog_is_lost)
{
	autofree char *before = source_listing();

	hide_all();
	ck_assert_int_eq(freeze_all(TEMPLATE, false, false), 0);
	close_store();
	remove_catalog();
	open_store();
	expect_vault(0);
	expect_all(before);
}
END_TEST

START_TEST(catalog_is_damaged)
{
	autofree char *before = source_listing();
	char garbage[8192];
	autofd int fd = -1;

	hide_all();
	ck_assert_int_eq(freeze_all(TEMPLATE, false, false), 0);
	close_store();
	fd = openat(source_fd, ".relinkfs/default/catalog.db", O_WRONLY);
	memset(garbage, 'x', sizeof(garbage));
	ck_assert_int_eq(pwrite(fd, garbage, sizeof(garbage), 0), sizeof(garbage));
	open_store();
	expect_vault(0);
	expect_all(before);
}
END_TEST

/* A manifest that comes back after it was dropped: a restored backup. */
START_TEST(manifest_comes_back)
{
	autofree char *command = NULL, *path = NULL;

	hide_all();
	must_freeze();
	path = strdup(result->manifest->path);
	command = util_printf("cp -a '%s/lost+found' '%s/saved'", source, source);
	ck_assert_int_eq(system(command), 0);
	must_drop(path, 0);
	free(command);
	command = util_printf("cp -a '%s/saved/checkpoint' '%s/lost+found/'", source, source);
	ck_assert_int_eq(system(command), 0);
	close_store();
	open_store();
	ck_assert_int_eq(state_of(result->manifest->ktime), CHECKPOINT_COMMITTED);
	must_drop(path, 0);
	ck_assert_int_eq(names_in(MANIFEST_DIR), 0);
}
END_TEST

START_TEST(links_go_behind_our_back)
{
	struct catalog_checkpoint *row;
	uint64_t ktime;

	hide_all();
	must_freeze();
	ktime = result->manifest->ktime;
	ck_assert_int_eq(unlinkat(source_fd, result->manifest->entries[0].link, 0), 0);
	close_store();
	open_store();
	ck_assert_int_eq(catalog_checkpoint_get(store_catalog(store), ktime, &row), 0);
	ck_assert_int_eq(row->state, CHECKPOINT_COMMITTED);
	ck_assert_int_eq(row->links[0].state, CATALOG_LINK_LOST);
	ck_assert_int_eq(row->links[1].state, CATALOG_LINK_MADE);
	catalog_checkpoint_free(row);
	for (size_t i = 1; i < ENTRIES; i++)
		ck_assert_int_eq(unlinkat(source_fd, result->manifest->entries[i].link,
					 S_ISDIR(types[i]) ? AT_REMOVEDIR : 0),
			0);
	close_store();
	open_store();
	ck_assert_int_eq(state_of(ktime), CHECKPOINT_LOST);
	must_drop(result->manifest->path, ENTRIES);
	ck_assert_int_eq(state_of(ktime), CHECKPOINT_DROPPED);
}
END_TEST

START_TEST(all_goes_behind_our_back)
{
	uint64_t ktime;

	hide_all();
	must_freeze();
	ktime = result->manifest->ktime;
	for (size_t i = 0; i < ENTRIES; i++)
		unlinkat(source_fd, result->manifest->entries[i].link,
			S_ISDIR(types[i]) ? AT_REMOVEDIR : 0);
	ck_assert_int_eq(unlinkat(source_fd, result->manifest->path, 0), 0);
	ck_assert_int_eq(names_in(MANIFEST_DIR), 0);
	close_store();
	open_store();
	ck_assert_int_eq(state_of(ktime), CHECKPOINT_LOST);
}
END_TEST

/* The source is copied as a whole, catalog and all: other inode numbers, the same files. */
START_TEST(copied_source)
{
	autofree char *command = NULL;
	uint64_t ktime;

	hide_all();
	must_freeze();
	ktime = result->manifest->ktime;
	close_store();
	command = util_printf("cp -a '%s/lost+found' '%s/copy' && rm -r '%s/lost+found' && "
			      "mv '%s/copy' '%s/lost+found'",
		source, source, source, source, source);
	ck_assert_int_eq(system(command), 0);
	open_store();
	ck_assert_int_eq(state_of(ktime), CHECKPOINT_COMMITTED);
	must_drop(result->manifest->path, 0);
	ck_assert_int_eq(names_in(MANIFEST_DIR), 0);
}
END_TEST

START_TEST(what_is_not_ours_stays)
{
	static const char *const names[] = {
		FOLDER "unlink-at-restart-0123456789abcdef-1",    /* belongs to nothing */
		FOLDER "unlink-at-restart-0123456789abcdee.json", /* is not a manifest */
		FOLDER "unlink-at-restart-12",
		FOLDER "something-else",
	};
	autofree char *before = NULL, *log = util_printf("%s/log", source), *text = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		make_file(names[i], "mine");
	make_file("log", "");
	before = source_listing();
	close_store();
	ck_assert_int_eq(log_open(LOG_SINK_FILE, "test", log), 0);
	open_store();
	ck_assert_listing(before);
	text = content_of(source_fd, "log");
	ck_assert_ptr_nonnull(strstr(text, "0123456789abcdef-1 belongs to no checkpoint"));
	ck_assert_ptr_nonnull(strstr(text, "0123456789abcdee.json is left alone"));
	ck_assert_ptr_nonnull(strstr(text, "links of none: 1"));
	ck_assert_ptr_null(strstr(text, "something-else"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recovery");
	TCase *tcase = tcase_create("recovery");

	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, freeze_setup, freeze_teardown);
	tcase_add_loop_test(tcase, crash_then_a_new_session, 0, ARRAY_SIZE(crashes));
	tcase_add_loop_test(tcase, crash_and_the_session_goes_on, 0, ARRAY_SIZE(crashes));
	tcase_add_loop_test(tcase, crash_during_recovery, 0, 5);
	tcase_add_test(tcase, held_without_a_decision);
	tcase_add_test(tcase, catalog_is_lost);
	tcase_add_test(tcase, catalog_is_damaged);
	tcase_add_test(tcase, manifest_comes_back);
	tcase_add_test(tcase, links_go_behind_our_back);
	tcase_add_test(tcase, all_goes_behind_our_back);
	tcase_add_test(tcase, copied_source);
	tcase_add_test(tcase, what_is_not_ours_stays);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
