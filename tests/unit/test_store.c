/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libstore.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
		ck_assert_int_eq(
			vault_stat(store_vault(store), store_entry(store, entry)->id, &st), 0);
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

int main(void)
{
	Suite *suite = suite_create("store");
	TCase *tcase = tcase_create("store");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, opening_makes_what_is_needed);
	tcase_add_test(tcase, a_file_is_hidden_by_its_name_and_dropped);
	tcase_add_test(tcase, a_link_is_hidden_by_any_fd);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
