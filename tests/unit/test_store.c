/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libstore.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/log.h"
#include "store/store_internal.h"
#include "store/util.h"

static const struct store_options options;
static struct arena *arena;
static struct store *store;

static void setup(void)
{
	autofree char *why = NULL;

	source_setup();
	ck_assert_int_eq(arena_new(&small_spec, &arena), 0);
	ck_assert_msg(store_open(source_fd, &options, arena, &store, &why) == 0, "%s", why);
}

static void teardown(void)
{
	store_close(store);
	arena_free(arena);
	source_teardown();
}

#define VAULT ".relinkfs/default/vault"

START_TEST(opening_makes_what_is_needed)
{
	static const char *const folders[] = { ".relinkfs", ".relinkfs/default", VAULT,
		"lost+found", "lost+found/checkpoint" };

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		struct stat st;

		ck_assert_int_eq(fstatat(source_fd, folders[i], &st, 0), 0);
		ck_assert_uint_eq(st.st_mode, S_IFDIR | 0700);
	}
	ck_assert_ptr_nonnull(store_vault(store));
	ck_assert_int_ne(store_source_fd(store), source_fd);
}
END_TEST

/* Hides @path by its name; the entry's index. */
static uint32_t hide(const char *path)
{
	struct store_object object = object_at(path);
	uint32_t entry = 0;

	store_mutation_begin(store);
	ck_assert_int_eq(store_hide_move(store, &object, source_fd, path, &entry), 0);
	store_mutation_end(store);
	ck_assert_uint_ne(entry, 0);
	return entry;
}

static int forget(uint32_t entry)
{
	int error;

	store_mutation_begin(store);
	error = store_forget(store, entry);
	store_mutation_end(store);
	return error;
}

START_TEST(a_file_is_hidden_by_its_name_and_dropped)
{
	autofd int fd = -1;
	autofree char *path = NULL;
	uint32_t entry;
	struct stat st;

	make_file("file", "content");
	fd = openat(source_fd, "file", O_RDONLY | O_CLOEXEC);
	entry = hide("file");
	ck_assert(!exists("file"));
	ck_assert_int_eq(names_in(VAULT), 1);
	ck_assert_uint_eq(store_hidden_links(store, entry), 1);
	path = store_entry_path(store, entry);
	ck_assert_str_eq(path, "file");
	ck_assert_int_eq(vault_stat(store_vault(store), store_entry(store, entry)->id, &st), 0);
	ck_assert_uint_eq(st.st_ino, store_entry(store, entry)->ino);

	ck_assert_int_eq(forget(entry), 0);
	ck_assert_int_eq(names_in(VAULT), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_nlink, 0);
	ck_assert_uint_eq(arena_count(arena, ARENA_ENTRIES), 0);
	ck_assert_uint_eq(arena_count(arena, ARENA_TEXT), 0);
}
END_TEST

START_TEST(a_link_is_hidden_by_any_fd)
{
	autofd int path_fd = -1;
	autofd int unnamed = openat(source_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct store_object object;
	uint32_t first, second;
	struct stat st;

	make_file("file", "content");
	path_fd = openat(source_fd, "file", O_PATH | O_CLOEXEC);
	object = object_at("file");
	store_mutation_begin(store);
	ck_assert_int_eq(store_hide_link(store, &object, path_fd, &first), 0);
	ck_assert_int_eq(fstat(unnamed, &st), 0);
	object.ino = st.st_ino;
	object.flags = ENTRY_F_TMPFILE;
	ck_assert_int_eq(store_hide_link(store, &object, unnamed, &second), 0);
	store_mutation_end(store);
	ck_assert(exists("file"));
	ck_assert_int_eq(fstat(path_fd, &st), 0);
	ck_assert_uint_eq(st.st_nlink, 2);
	ck_assert_int_eq(names_in(VAULT), 2);
	ck_assert_int_eq(forget(first), 0);
	ck_assert_int_eq(forget(second), 0);
	ck_assert(exists("file"));
	ck_assert_int_eq(names_in(VAULT), 0);
}
END_TEST

START_TEST(a_directory_is_found_again_by_its_inode)
{
	struct store_object object;
	uint32_t entry, moved;
	struct stat st;

	ck_assert_int_eq(mkdirat(source_fd, "dir", 0750), 0);
	object = object_at("dir");
	ck_assert_uint_eq(store_find_dir(store, object.ino, 0), 0);
	entry = hide("dir");
	ck_assert_uint_eq(store_find_dir(store, object.ino, 1), 0);
	ck_assert_uint_eq(store_find_dir(store, object.ino + 1, 0), 0);
	ck_assert_uint_eq(store_find_dir(store, object.ino, 0), entry);
	ck_assert_int_eq(forget(entry), 0);
	ck_assert_int_eq(names_in(VAULT), 1);
	ck_assert_int_eq(forget(entry), 0);
	ck_assert_int_eq(names_in(VAULT), 0);
	ck_assert_uint_eq(store_find_dir(store, object.ino, 0), 0);

	object.path = "gone/dir";
	ck_assert_int_eq(store_hide_moved_dir(store, &object, 42, 7, &moved), 0);
	ck_assert_uint_eq(store_find_dir(store, object.ino, 0), moved);
	ck_assert_uint_eq(store_entry(store, moved)->moved_to, 42);
	ck_assert_uint_eq(store_entry(store, moved)->moved_n, 7);
	ck_assert_uint_eq(store_hidden_links(store, moved), 0);
	ck_assert_int_eq(forget(moved), 0);
	ck_assert_int_eq(forget(moved), 0);
	ck_assert_int_eq(fstatat(source_fd, "lost+found", &st, 0), 0);
}
END_TEST

START_TEST(a_moved_directory_comes_back)
{
	struct vault *vault = store_vault(store);
	uint32_t entry;
	uint64_t id;

	ck_assert_int_eq(mkdirat(source_fd, "dir", 0750), 0);
	entry = hide("dir");
	id = store_entry(store, entry)->id;
	ck_assert_int_eq(store_hide_back(store, entry, source_fd, "link"), -EINVAL);
	ck_assert_int_eq(vault_move_to(vault, id, source_fd, "link"), 0);
	ck_assert_int_eq(store_mark_moved(store, id, 9, 1), 0);
	ck_assert_int_eq(store_hide_back(store, entry, source_fd, "absent"), -ENOENT);
	ck_assert_uint_eq(store_hidden_links(store, entry), 0);
	ck_assert_int_eq(store_hide_back(store, entry, source_fd, "link"), 0);
	ck_assert_uint_eq(store_hidden_links(store, entry), 1);
	ck_assert(!exists("link"));
	ck_assert_int_eq(forget(entry), 0);
	ck_assert_int_eq(names_in(VAULT), 0);
}
END_TEST

START_TEST(a_file_is_never_found_as_a_directory)
{
	uint64_t ino;
	uint32_t entry;

	make_file("file", "");
	ino = object_at("file").ino;
	entry = hide("file");
	ck_assert_uint_eq(store_find_dir(store, ino, 0), 0);
	ck_assert_int_eq(forget(entry), 0);
}
END_TEST

START_TEST(a_pinned_entry_has_no_link)
{
	struct store_object object = { .owner = 5, .ino = 6, .mode = S_IFREG, .path = "" };
	autofree char *path = NULL;
	uint32_t entry;

	ck_assert_int_eq(store_hide_pinned(store, &object, &entry), 0);
	ck_assert_uint_eq(store_hidden_links(store, entry), 0);
	ck_assert_uint_eq(store_entry(store, entry)->state, ENTRY_PINNED);
	path = store_entry_path(store, entry);
	ck_assert_str_eq(path, "");
	ck_assert_int_eq(names_in(VAULT), 0);
	ck_assert_int_eq(forget(entry), 0);
}
END_TEST

START_TEST(an_entry_that_cannot_be_hidden_leaves_no_trace)
{
	struct store_object object = { .mode = S_IFREG, .path = "absent" };
	uint32_t entry;

	ck_assert_int_eq(store_hide_move(store, &object, source_fd, "absent", &entry), -ENOENT);
	ck_assert_uint_eq(arena_count(arena, ARENA_ENTRIES), 0);
	ck_assert_uint_eq(arena_count(arena, ARENA_TEXT), 0);
	ck_assert_uint_eq(store->entries.by_id.used, 0);
}
END_TEST

START_TEST(a_name_in_the_way_costs_an_id_only)
{
	uint64_t next = vault_next_id(store_vault(store)) + 1;
	autofree char *first = util_printf(VAULT "/%016llx", (unsigned long long)next);
	autofree char *second = util_printf(VAULT "/%016llx", (unsigned long long)next + 1);
	uint32_t entry;

	make_file(first, "foreign");
	make_file(second, "foreign");
	make_file("file", "");
	entry = hide("file");
	ck_assert_uint_eq(store_entry(store, entry)->id, next + 2);
	ck_assert_uint_eq(store->entries.by_id.used, 1);
	ck_assert_int_eq(forget(entry), 0);
	ck_assert(exists(first));
}
END_TEST

START_TEST(a_full_session_hides_nothing)
{
	struct store_object object = { .mode = S_IFREG, .path = "some/path" };
	uint32_t entry, held = 0;
	int error, made = 0;

	make_file("file", "");
	while ((error = store_hide_pinned(store, &object, &entry)) == 0) {
		held = entry;
		made++;
	}
	ck_assert_int_eq(error, -ENOSPC);
	ck_assert_int_eq(made, small_spec.table[ARENA_ENTRIES].max_records - 1);
	object.path = "file";
	ck_assert_int_eq(store_hide_move(store, &object, source_fd, "file", &entry), -ENOSPC);
	ck_assert(exists("file"));
	ck_assert_int_eq(forget(held), 0);
	ck_assert_int_eq(store_hide_move(store, &object, source_fd, "file", &entry), 0);
}
END_TEST

START_TEST(what_others_did_in_the_vault)
{
	uint32_t removed, full;
	autofree char *name = NULL;
	autofree char *dir = NULL;
	autofree char *file = NULL;

	make_file("file", "");
	ck_assert_int_eq(mkdirat(source_fd, "dir", 0700), 0);
	removed = hide("file");
	full = hide("dir");
	name = util_printf(VAULT "/%016llx", (unsigned long long)store_entry(store, removed)->id);
	dir = util_printf(VAULT "/%016llx", (unsigned long long)store_entry(store, full)->id);
	file = util_printf("%s/file", dir);
	ck_assert_int_eq(unlinkat(source_fd, name, 0), 0);
	make_file(file, "precious");
	ck_assert_int_eq(forget(removed), 0);
	ck_assert_int_eq(forget(full), -ENOTEMPTY);
	ck_assert(exists(file));
	ck_assert_uint_eq(arena_count(arena, ARENA_ENTRIES), 0);
}
END_TEST

/* ---- for checkpoints ---- */

START_TEST(marks_of_checkpoints)
{
	struct entry_record record;
	uint32_t dir, file, index;
	uint64_t id, file_id;

	ck_assert_int_eq(mkdirat(source_fd, "dir", 0700), 0);
	make_file("file", "");
	dir = hide("dir");
	file = hide("file");
	id = store_entry(store, dir)->id;
	file_id = store_entry(store, file)->id;
	ck_assert_int_eq(store_mark_frozen(store, file_id, 1), 0);
	ck_assert_int_eq(store_mark_frozen(store, file_id, 1), 0);
	ck_assert_int_eq(store_mark_frozen(store, file_id, -1), 0);
	ck_assert_int_eq(store_find_id(store, file_id, &record, &index), 0);
	ck_assert_uint_eq(index, file);
	ck_assert_uint_eq(record.nfrozen, 1);
	ck_assert_uint_eq(store_frozen_links(store, file), 1);
	ck_assert_int_eq(store_mark_moved(store, file_id, 9, 3), -EINVAL);

	ck_assert_int_eq(store_mark_back(store, id), -EINVAL);
	ck_assert_int_eq(store_mark_moved(store, id, 9, 3), 0);
	ck_assert_int_eq(store_find_id(store, id, &record, NULL), 0);
	ck_assert_uint_eq(record.state, ENTRY_MOVED);
	ck_assert_uint_eq(record.moved_to, 9);
	ck_assert_uint_eq(record.moved_n, 3);
	ck_assert_uint_eq(store_hidden_links(store, dir), 0);
	ck_assert_int_eq(store_mark_moved(store, id, 9, 3), -EINVAL);
	ck_assert_int_eq(store_mark_back(store, id), 0);
	ck_assert_uint_eq(store_hidden_links(store, dir), 1);
	ck_assert_int_eq(forget(dir), 0);
	ck_assert_int_eq(forget(file), 0);
	ck_assert_int_eq(store_mark_frozen(store, id, 1), -ENOENT);
	ck_assert_int_eq(store_mark_moved(store, id, 9, 3), -ENOENT);
	ck_assert_int_eq(store_find_id(store, id, &record, NULL), -ENOENT);
}
END_TEST

START_TEST(a_snapshot_has_every_entry)
{
	struct store_snapshot_entry *copies = NULL;
	uint32_t entries[3];
	size_t count = 99;

	ck_assert_int_eq(store_snapshot(store, &copies, &count), 0);
	ck_assert_uint_eq(count, 0);
	store_snapshot_free(copies, count);
	for (int i = 0; i < 3; i++) {
		autofree char *name = util_printf("file-%d", i);

		make_file(name, "");
		entries[i] = hide(name);
	}
	ck_assert_int_eq(forget(entries[1]), 0);
	ck_assert_int_eq(store_snapshot(store, &copies, &count), 0);
	ck_assert_uint_eq(count, 2);
	ck_assert_str_eq(copies[0].path, "file-0");
	ck_assert_str_eq(copies[1].path, "file-2");
	ck_assert_uint_eq(copies[1].index, entries[2]);
	ck_assert_uint_eq(copies[1].record.id, store_entry(store, entries[2])->id);
	store_snapshot_free(copies, count);
}
END_TEST

/* ---- opening ---- */

static void expect_refused(const struct store_options *with, int error, const char *text)
{
	struct store *none = NULL;
	autofree char *why = NULL;

	ck_assert_int_eq(store_open(source_fd, with, arena, &none, &why), error);
	ck_assert_ptr_null(none);
	ck_assert_ptr_nonnull(why);
	ck_assert_msg(strstr(why, text) != NULL, "\"%s\" is not in: %s", text, why);
}

START_TEST(two_at_one_time)
{
	struct store_hooks hooks = { .mount_path = "/some/mount" };
	struct store_options other = { .instance = "other" };
	struct arena *second_arena;
	struct store *second;

	store_set_hooks(store, &hooks);
	expect_refused(&options, -EBUSY, "mounted on /some/mount");
	expect_refused(&options, -EBUSY, "-o instance=NAME");
	ck_assert_int_eq(arena_new(&small_spec, &second_arena), 0);
	ck_assert_int_eq(store_open(source_fd, &other, second_arena, &second, NULL), 0);
	make_file("file", "");
	hide("file");
	ck_assert_int_eq(names_in(VAULT), 1);
	ck_assert_int_eq(names_in(".relinkfs/other/vault"), 0);
	store_close(second);
	arena_free(second_arena);
}
END_TEST

START_TEST(options_that_cannot_be)
{
	expect_refused(&(struct store_options){ .instance = "a/b" }, -EINVAL, "instance");
	expect_refused(&(struct store_options){ .instance = "" }, -EINVAL, "instance");
	expect_refused(&(struct store_options){ .instance = "x", .link_template = "/abs/%t-%n" },
		-EINVAL, "/abs");
	expect_refused(&(struct store_options){ .instance = "x", .link_template = "no-%t" },
		-EINVAL, "%n");
}
END_TEST

START_TEST(a_lost_found_that_others_can_change)
{
	struct store_options other = { .instance = "other" };

	ck_assert_int_eq(fchmodat(source_fd, "lost+found", 0777, 0), 0);
	expect_refused(&other, -EPERM, "lost+found in the source (uid 0, mode 0777)");
	ck_assert_int_eq(fchmodat(source_fd, "lost+found", 0755, 0), 0);
	ck_assert_int_eq(unlinkat(source_fd, "lost+found/checkpoint", AT_REMOVEDIR), 0);
	ck_assert_int_eq(symlinkat("/tmp", source_fd, "lost+found/checkpoint"), 0);
	expect_refused(&other, -ELOOP, "lost+found/checkpoint is a symbolic link");
	ck_assert_int_eq(unlinkat(source_fd, "lost+found/checkpoint", 0), 0);
	ck_assert_int_eq(unlinkat(source_fd, "lost+found", AT_REMOVEDIR), 0);
	make_file("lost+found", "");
	expect_refused(&other, -ENOTDIR, "lost+found");
}
END_TEST

START_TEST(read_only_hides_nothing_and_writes_nothing)
{
	struct store_options read_only = { .read_only = true, .instance = "ro" };
	struct store_object object;
	struct store *second;
	uint32_t entry;

	make_file("file", "");
	object = object_at("file");
	ck_assert_int_eq(store_open(source_fd, &read_only, arena, &second, NULL), 0);
	ck_assert_ptr_null(store_vault(second));
	ck_assert_ptr_null(store_catalog(second));
	ck_assert_int_eq(store_hide_move(second, &object, source_fd, "file", &entry), -EROFS);
	ck_assert_int_eq(store_hide_pinned(second, &object, &entry), -EROFS);
	store_set_hooks(second, &(struct store_hooks){ .mount_path = "/m" });
	store_close(second);
	ck_assert(exists("file"));
	ck_assert(!exists(".relinkfs/ro"));
}
END_TEST

static void reopen_store(void)
{
	store_close(store);
	ck_assert_int_eq(store_open(source_fd, &options, arena, &store, NULL), 0);
}

START_TEST(entries_of_an_ended_session_are_reaped)
{
	autofree char *log = util_printf("%s/log", source);
	autofree char *content = NULL;

	make_file("file", "");
	ck_assert_int_eq(mkdirat(source_fd, "dir", 0700), 0);
	hide("file");
	hide("dir");
	make_file(VAULT "/foreign", "");
	store_close(store);
	arena_free(arena);
	ck_assert_int_eq(names_in(VAULT), 3);
	ck_assert_int_eq(arena_new(&small_spec, &arena), 0);
	ck_assert_int_eq(log_open(LOG_SINK_FILE, "test", log), 0);
	ck_assert_int_eq(store_open(source_fd, &options, arena, &store, NULL), 0);
	ck_assert_int_eq(log_open(LOG_SINK_STDERR, "test", NULL), 0);
	content = content_of(source_fd, "log");
	ck_assert_ptr_nonnull(strstr(content, "an ended session: 2 removed (1 directories, "));
	ck_assert_ptr_nonnull(strstr(content, "/vault/foreign is not an entry of the vault"));
	ck_assert_int_eq(names_in(VAULT), 1);
	ck_assert(exists(VAULT "/foreign"));
}
END_TEST

/* The session state as the next worker gets it. */
static void attach_again(void)
{
	int fd = fcntl(arena_fd(arena), F_DUPFD_CLOEXEC, 0);

	arena_free(arena);
	ck_assert_int_eq(arena_attach(fd, &small_spec, &arena), 0);
	reopen_store();
}

START_TEST(a_session_goes_on)
{
	uint32_t file, dir;
	uint64_t ino, id;
	autofree char *path = NULL;

	make_file("file", "");
	ck_assert_int_eq(mkdirat(source_fd, "dir", 0700), 0);
	ino = object_at("dir").ino;
	file = hide("file");
	dir = hide("dir");
	id = store_entry(store, dir)->id;
	attach_again();
	ck_assert_int_eq(names_in(VAULT), 2);
	path = store_entry_path(store, file);
	ck_assert_str_eq(path, "file");
	ck_assert_uint_eq(store_find_dir(store, ino, 0), dir);
	ck_assert_uint_gt(vault_next_id(store_vault(store)), id);
	ck_assert_int_eq(forget(dir), 0);
	ck_assert_int_eq(forget(dir), 0);
	ck_assert_int_eq(forget(file), 0);
	ck_assert_int_eq(names_in(VAULT), 0);
}
END_TEST

static struct entry_record *record_of(uint32_t entry)
{
	return arena_at(arena, ARENA_ENTRIES, entry);
}

/* Each record as a kill at one point of hiding or forgetting leaves it. */
START_TEST(a_session_that_was_killed_goes_on)
{
	uint32_t entries[5];
	autofree char *lost = NULL;
	uint32_t bare;

	for (int i = 0; i < 5; i++) {
		autofree char *name = util_printf("file-%d", i);

		make_file(name, "");
		entries[i] = hide(name);
	}
	/* Renamed into the vault, and not told. */
	record_of(entries[0])->state = ENTRY_FREE;
	/* Not yet renamed; the name is still where it was. */
	record_of(entries[1])->state = ENTRY_FREE;
	ck_assert_int_eq(
		vault_move_to(store_vault(store), record_of(entries[1])->id, source_fd, "file-1"),
		0);
	/* The last reference had gone, the link not; and the link too. */
	record_of(entries[2])->refs = 0;
	record_of(entries[3])->refs = 0;
	ck_assert_int_eq(vault_drop(store_vault(store), record_of(entries[3])->id, false), 0);
	/* Somebody else removed it. */
	lost = util_printf(VAULT "/%016llx", (unsigned long long)record_of(entries[4])->id);
	ck_assert_int_eq(unlinkat(source_fd, lost, 0), 0);
	/* Allocated, and nothing more. */
	bare = arena_alloc(arena, ARENA_ENTRIES);

	attach_again();
	ck_assert_uint_eq(store_entry(store, entries[0])->state, ENTRY_HIDDEN);
	ck_assert_uint_eq(store_entry(store, entries[4])->state, ENTRY_PINNED);
	for (int i = 1; i < 4; i++)
		ck_assert(!arena_live(arena, ARENA_ENTRIES, entries[i]));
	ck_assert(!arena_live(arena, ARENA_ENTRIES, bare));
	ck_assert(exists("file-1"));
	ck_assert_int_eq(names_in(VAULT), 1);
	ck_assert_uint_eq(arena_count(arena, ARENA_TEXT), 2);
	ck_assert_int_eq(forget(entries[0]), 0);
	ck_assert_int_eq(forget(entries[4]), 0);
	ck_assert_int_eq(names_in(VAULT), 0);
}
END_TEST

static void forget_all(void)
{
	struct store_snapshot_entry *copies;
	size_t count;

	ck_assert_int_eq(store_snapshot(store, &copies, &count), 0);
	for (size_t i = 0; i < count; i++)
		ck_assert_int_eq(forget(copies[i].index), 0);
	store_snapshot_free(copies, count);
}

/* Hides and forgets until it is killed; a byte to @progress for each round. */
static _Noreturn void churn(int progress)
{
	uint32_t held[8] = { 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	ck_assert_int_eq(store_open(source_fd, &options, arena, &store, NULL), 0);
	forget_all();
	for (unsigned round = 0;; round++) {
		uint32_t *slot = &held[round % ARRAY_SIZE(held)];
		int fd = openat(source_fd, "churn", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
		struct store_object object = object_at("churn");

		if (*slot)
			forget(*slot);
		if (round % 3 == 0) {
			store_hide_link(store, &object, fd, slot);
			unlinkat(source_fd, "churn", 0);
		} else {
			store_hide_move(store, &object, source_fd, "churn", slot);
		}
		close(fd);
		if (write(progress, "", 1) != 1)
			_exit(1);
	}
}

static void run_and_kill(int rounds)
{
	int progress[2], status;
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe2(progress, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		churn(progress[1]);
	close(progress[1]);
	for (int i = 0; i < rounds; i++)
		ck_assert_int_eq(read(progress[0], &byte, 1), 1);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	close(progress[0]);
}

/* Every record has its link, and every link its record. */
static void check_vault_is_as_told(void)
{
	struct store_snapshot_entry *copies;
	size_t count;

	ck_assert_int_eq(store_snapshot(store, &copies, &count), 0);
	ck_assert_uint_eq(count, arena_count(arena, ARENA_ENTRIES));
	ck_assert_int_eq(names_in(VAULT), (int)count);
	for (size_t i = 0; i < count; i++) {
		struct stat st;

		ck_assert_uint_eq(copies[i].record.state, ENTRY_HIDDEN);
		ck_assert_str_eq(copies[i].path, "churn");
		ck_assert_int_eq(vault_stat(store_vault(store), copies[i].record.id, &st), 0);
		ck_assert_uint_eq(st.st_ino, copies[i].record.ino);
	}
	store_snapshot_free(copies, count);
}

START_TEST(a_session_killed_anywhere_goes_on)
{
	attach_again();
	for (int i = 0; i < 12; i++) {
		store_close(store);
		store = NULL;
		run_and_kill(20 + i * 7);
		attach_again();
		check_vault_is_as_told();
	}
}
END_TEST

/* ---- threads ---- */

static void *take_barrier(void *arg)
{
	store_barrier_lock(store);
	atomic_store((atomic_int *)arg, 1);
	store_barrier_unlock(store);
	return NULL;
}

START_TEST(who_waits_to_freeze_is_not_overtaken)
{
	int64_t deadline = monotonic_ns() + 60 * NSEC_PER_SEC;
	atomic_int frozen = 0;
	pthread_t thread;

	store_mutation_begin(store);
	ck_assert_int_eq(pthread_create(&thread, NULL, take_barrier, &frozen), 0);
	/* A reader is let in until the writer waits, and not after. */
	while (pthread_rwlock_tryrdlock(&store->barrier) == 0) {
		ck_assert_int_eq(pthread_rwlock_unlock(&store->barrier), 0);
		ck_assert_int_lt(monotonic_ns(), deadline);
		sched_yield();
	}
	ck_assert_int_eq(atomic_load(&frozen), 0);
	store_mutation_end(store);
	store_mutation_begin(store);
	ck_assert_int_eq(atomic_load(&frozen), 1);
	store_mutation_end(store);
	pthread_join(thread, NULL);
}
END_TEST

#define WORKERS 4
#define ROUNDS 300

static atomic_int workers_left;

static void *hide_and_forget(void *arg)
{
	const char *name = arg;
	struct store_object object = { .mode = S_IFREG | 0600, .path = name };
	uint32_t entry;

	for (int i = 0; i < ROUNDS; i++) {
		autofd int fd = openat(source_fd, name, O_CREAT | O_RDWR | O_CLOEXEC, 0600);

		store_mutation_begin(store);
		if (i % 2) {
			ck_assert_int_eq(
				store_hide_move(store, &object, source_fd, name, &entry), 0);
		} else {
			ck_assert_int_eq(store_hide_link(store, &object, fd, &entry), 0);
			ck_assert_int_eq(unlinkat(source_fd, name, 0), 0);
		}
		ck_assert_uint_eq(store_hidden_links(store, entry), 1);
		ck_assert_uint_le(store_frozen_links(store, entry), 1);
		store_mutation_end(store);
		ck_assert_uint_le(store_frozen_links(store, entry), 1);
		ck_assert_int_eq(forget(entry), 0);
	}
	atomic_fetch_sub(&workers_left, 1);
	return NULL;
}

static void *take_directory(void *arg)
{
	uint64_t ino = *(const uint64_t *)arg;

	while (atomic_load(&workers_left) > 0) {
		uint32_t entry = store_find_dir(store, ino, 0);

		if (entry)
			ck_assert_int_eq(forget(entry), 0);
	}
	return NULL;
}

/* Under the barrier, vault and records agree. */
static void freeze_once(void)
{
	struct store_snapshot_entry *copies;
	size_t count;

	store_barrier_lock(store);
	ck_assert_int_eq(store_snapshot(store, &copies, &count), 0);
	ck_assert_int_eq(names_in(VAULT), (int)count);
	for (size_t i = 0; i < count; i++)
		ck_assert_int_eq(store_mark_frozen(store, copies[i].record.id, 1), 0);
	store_barrier_unlock(store);
	for (size_t i = 0; i < count; i++)
		store_mark_frozen(store, copies[i].record.id, -1);
	store_snapshot_free(copies, count);
}

START_TEST(threads_hide_forget_find_and_freeze)
{
	static char names[WORKERS][8] = { "a", "b", "c", "d" };
	pthread_t threads[WORKERS], finder;
	uint32_t dir;
	uint64_t ino;

	ck_assert_int_eq(mkdirat(source_fd, "dir", 0700), 0);
	ino = object_at("dir").ino;
	dir = hide("dir");
	atomic_store(&workers_left, WORKERS);
	for (int i = 0; i < WORKERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, hide_and_forget, names[i]), 0);
	ck_assert_int_eq(pthread_create(&finder, NULL, take_directory, &ino), 0);
	while (atomic_load(&workers_left) > 0)
		freeze_once();
	for (int i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	pthread_join(finder, NULL);
	ck_assert_int_eq(forget(dir), 0);
	ck_assert_int_eq(names_in(VAULT), 0);
	ck_assert_uint_eq(arena_count(arena, ARENA_ENTRIES), 0);
	ck_assert_uint_eq(arena_count(arena, ARENA_TEXT), 0);
}
END_TEST

static void add_entry_tests(TCase *tcase)
{
	tcase_add_test(tcase, a_file_is_hidden_by_its_name_and_dropped);
	tcase_add_test(tcase, a_link_is_hidden_by_any_fd);
	tcase_add_test(tcase, a_directory_is_found_again_by_its_inode);
	tcase_add_test(tcase, a_moved_directory_comes_back);
	tcase_add_test(tcase, a_file_is_never_found_as_a_directory);
	tcase_add_test(tcase, a_pinned_entry_has_no_link);
	tcase_add_test(tcase, an_entry_that_cannot_be_hidden_leaves_no_trace);
	tcase_add_test(tcase, a_name_in_the_way_costs_an_id_only);
	tcase_add_test(tcase, a_full_session_hides_nothing);
	tcase_add_test(tcase, what_others_did_in_the_vault);
	tcase_add_test(tcase, marks_of_checkpoints);
	tcase_add_test(tcase, a_snapshot_has_every_entry);
}

static void add_opening_tests(TCase *tcase)
{
	tcase_add_test(tcase, opening_makes_what_is_needed);
	tcase_add_test(tcase, two_at_one_time);
	tcase_add_test(tcase, options_that_cannot_be);
	if (geteuid() == 0)
		tcase_add_test(tcase, a_lost_found_that_others_can_change);
	tcase_add_test(tcase, read_only_hides_nothing_and_writes_nothing);
	tcase_add_test(tcase, entries_of_an_ended_session_are_reaped);
	tcase_add_test(tcase, a_session_goes_on);
	tcase_add_test(tcase, a_session_that_was_killed_goes_on);
	tcase_add_test(tcase, a_session_killed_anywhere_goes_on);
}

int main(void)
{
	Suite *suite = suite_create("store");
	TCase *tcase = tcase_create("store");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 90);
	add_opening_tests(tcase);
	add_entry_tests(tcase);
	tcase_add_test(tcase, who_waits_to_freeze_is_not_overtaken);
	tcase_add_test(tcase, threads_hide_forget_find_and_freeze);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
