/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libstore.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "store/idmap.h"
#include "store/util.h"
#include "store/vault.h"

#define ENTRIES ".relinkfs/default/vault"

static struct vault *vault;

static void open_vault(void)
{
	autofree char *why = NULL;

	ck_assert_msg(vault_open(source_fd, NULL, "default", &vault, &why) == 0, "%s", why);
	ck_assert_ptr_null(why);
}

static void close_vault(void)
{
	vault_close(vault);
	vault = NULL;
}

static void setup(void)
{
	source_setup();
	open_vault();
}

static void teardown(void)
{
	close_vault();
	source_teardown();
}

/* Opening must fail with @error and a message that has @text. */
static void expect_refused(const char *instance, int error, const char *text)
{
	autofree char *why = NULL;
	struct vault *none = NULL;

	ck_assert_int_eq(vault_open(source_fd, NULL, instance, &none, &why), error);
	ck_assert_ptr_null(none);
	ck_assert_ptr_nonnull(why);
	ck_assert_msg(strstr(why, text) != NULL, "\"%s\" is not in: %s", text, why);
}

START_TEST(instance_names)
{
	char name[VAULT_INSTANCE_MAX + 2];

	memset(name, 'x', sizeof(name));
	name[VAULT_INSTANCE_MAX + 1] = '\0';
	ck_assert(!vault_instance_valid(name));
	name[VAULT_INSTANCE_MAX] = '\0';
	ck_assert(vault_instance_valid(name));
	ck_assert(vault_instance_valid("A-z.0_9"));
	ck_assert(vault_instance_valid("..."));
	ck_assert(!vault_instance_valid(""));
	ck_assert(!vault_instance_valid("."));
	ck_assert(!vault_instance_valid(".."));
	ck_assert(!vault_instance_valid("a/b"));
	ck_assert(!vault_instance_valid("a b"));
	ck_assert(!vault_instance_valid("caf\xc3\xa9"));
	expect_refused("../x", -EINVAL, "\"../x\" cannot be the name of an instance");
}
END_TEST

START_TEST(the_second_is_told_who_holds_it)
{
	autofree char *holder = util_printf("process %d, mounted on /some/mount:", (int)getpid());
	struct vault *other = NULL;

	vault_set_holder(vault, "/some/mount");
	expect_refused("default", -EBUSY, holder);
	expect_refused("default", -EBUSY, "/.relinkfs/default is in use");
	ck_assert_int_eq(vault_open(source_fd, NULL, "other", &other, NULL), 0);
	ck_assert_str_eq(vault_instance(other), "other");
	vault_close(other);
	close_vault();
	open_vault();
}
END_TEST

START_TEST(a_holder_that_left_no_word)
{
	autofd int lock = openat(source_fd, ".relinkfs/default/lock", O_WRONLY | O_CLOEXEC);

	ck_assert_int_eq(ftruncate(lock, 0), 0);
	expect_refused("default", -EBUSY, "in use by another process:");
}
END_TEST

/* Puts @path out of the way and lets @make put something else there. */
static void replaced(const char *path, void (*make)(const char *path), int error, const char *text)
{
	close_vault();
	ck_assert_int_eq(renameat(source_fd, path, source_fd, "aside"), 0);
	make(path);
	expect_refused("default", error, text);
	ck_assert_int_eq(unlinkat(source_fd, path, 0), 0);
	ck_assert_int_eq(renameat(source_fd, "aside", source_fd, path), 0);
	open_vault();
}

static void link_to_aside(const char *path)
{
	autofree char *target = util_printf("%s/aside", source);

	ck_assert_int_eq(symlinkat(target, source_fd, path), 0);
}

static void empty_file(const char *path)
{
	make_file(path, "");
}

START_TEST(something_else_in_place_of_a_folder)
{
	static const char *const folders[] = { ".relinkfs", ".relinkfs/default", ENTRIES };

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		autofree char *link = util_printf("%s is a symbolic link", folders[i]);
		autofree char *file = util_printf("%s is not a directory", folders[i]);

		replaced(folders[i], link_to_aside, -ELOOP, link);
		replaced(folders[i], empty_file, -ENOTDIR, file);
	}
	replaced(".relinkfs/default/lock", link_to_aside, -ELOOP, "cannot open");
}
END_TEST

START_TEST(a_folder_that_others_can_read_is_made_private)
{
	struct stat st;

	close_vault();
	ck_assert_int_eq(fchmodat(source_fd, ENTRIES, 02777, 0), 0);
	open_vault();
	ck_assert_int_eq(fstatat(source_fd, ENTRIES, &st, 0), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
}
END_TEST

START_TEST(a_folder_of_somebody_else_is_refused)
{
	close_vault();
	ck_assert_int_eq(fchownat(source_fd, ".relinkfs", 12345, 12345, 0), 0);
	expect_refused("default", -EPERM, ".relinkfs belongs to uid 12345");
	ck_assert_int_eq(fchownat(source_fd, ".relinkfs", 0, 0, 0), 0);
	open_vault();
}
END_TEST

/* ---- entries ---- */

START_TEST(ids_only_grow)
{
	autofree char *name = NULL;
	uint64_t first = vault_next_id(vault);
	uint64_t future = first + (UINT64_C(1) << 50);

	ck_assert_uint_eq(vault_next_id(vault), first + 1);
	ck_assert_int_lt(llabs((long long)first - (long long)realtime_ns()), 3600 * NSEC_PER_SEC);
	vault_raise_next_id(vault, first + 10);
	vault_raise_next_id(vault, first);
	ck_assert_uint_eq(vault_next_id(vault), first + 11);

	name = util_printf(ENTRIES "/%016llx", (unsigned long long)future);
	make_file(name, "");
	close_vault();
	open_vault();
	ck_assert_uint_gt(vault_next_id(vault), future);
}
END_TEST

START_TEST(ids_grow_though_the_clock_was_set_back)
{
	uint64_t future = (uint64_t)realtime_ns() + (UINT64_C(1) << 50);
	autofree char *text =
		util_printf("pid 1\nids %016llx\nmount /m\n", (unsigned long long)future);

	close_vault();
	ck_assert_int_eq(unlinkat(source_fd, ".relinkfs/default/lock", 0), 0);
	make_file(".relinkfs/default/lock", text);
	open_vault();
	ck_assert_uint_gt(vault_next_id(vault), future + 1000000000);
}
END_TEST

static void make_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", source, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

static void make_one_of_each_type(void)
{
	make_file("file", "content");
	ck_assert_int_eq(mkdirat(source_fd, "dir", 0700), 0);
	ck_assert_int_eq(symlinkat("nowhere", source_fd, "symlink"), 0);
	ck_assert_int_eq(mknodat(source_fd, "fifo", S_IFIFO | 0600, 0), 0);
	make_socket("socket");
}

START_TEST(every_type_by_its_name_and_back)
{
	static const char *const names[] = { "file", "dir", "symlink", "fifo", "socket" };

	make_one_of_each_type();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		uint64_t id = vault_next_id(vault);
		struct stat before, after;

		ck_assert_int_eq(fstatat(source_fd, names[i], &before, AT_SYMLINK_NOFOLLOW), 0);
		ck_assert_int_eq(vault_hide_name(vault, source_fd, names[i], id), 0);
		ck_assert(!exists(names[i]));
		ck_assert_int_eq(vault_stat(vault, id, &after), 0);
		ck_assert_uint_eq(before.st_ino, after.st_ino);
		ck_assert_int_eq(vault_move_to(vault, id, source_fd, names[i]), 0);
		ck_assert(exists(names[i]));
		ck_assert_int_eq(vault_move_from(vault, source_fd, names[i], id), 0);
		ck_assert_int_eq(vault_drop(vault, id, strcmp(names[i], "dir") == 0), 0);
		ck_assert_int_eq(vault_drop(vault, id, false), -ENOENT);
		ck_assert_int_eq(vault_stat(vault, id, &after), -ENOENT);
	}
}
END_TEST

START_TEST(every_type_by_an_fd)
{
	static const char *const names[] = { "file", "symlink", "fifo", "socket" };
	autofd int dir = -1;

	make_one_of_each_type();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		autofd int fd = openat(source_fd, names[i], O_PATH | O_NOFOLLOW | O_CLOEXEC);
		autofd int again = -1;
		uint64_t id = vault_next_id(vault);
		struct stat before, after;

		ck_assert_int_eq(fstat(fd, &before), 0);
		ck_assert_int_eq(vault_hide_fd(vault, fd, id), 0);
		ck_assert_int_eq(vault_hide_fd(vault, fd, id), -EEXIST);
		again = vault_open_entry(vault, id, O_PATH);
		ck_assert_int_ge(again, 0);
		ck_assert_int_eq(fstat(again, &after), 0);
		ck_assert_uint_eq(before.st_ino, after.st_ino);
		ck_assert_uint_eq(after.st_nlink, 2);
	}
	dir = openat(source_fd, "dir", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(vault_hide_fd(vault, dir, vault_next_id(vault)), -EPERM);
	ck_assert_int_eq(vault_open_entry(vault, 1, O_PATH), -ENOENT);
}
END_TEST

START_TEST(an_inode_without_any_name)
{
	autofd int born = openat(source_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	autofd int died = openat(source_fd, "x", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	uint64_t id = vault_next_id(vault);

	ck_assert_int_eq(vault_hide_fd(vault, born, id), 0);
	ck_assert_int_eq(unlinkat(source_fd, "x", 0), 0);
	ck_assert_int_eq(vault_hide_fd(vault, died, id + 1), -ENOENT);
	ck_assert_int_eq(names_in(ENTRIES), 1);
}
END_TEST

START_TEST(names_are_never_overwritten)
{
	autofree char *content = NULL;
	autofree char *hidden = NULL;
	uint64_t id = vault_next_id(vault);

	make_file("hidden", "hidden");
	make_file("other", "other");
	ck_assert_int_eq(mkdirat(source_fd, "dir", 0700), 0);
	ck_assert_int_eq(vault_hide_name(vault, source_fd, "hidden", id), 0);
	ck_assert_int_eq(vault_hide_name(vault, source_fd, "other", id), -EEXIST);
	ck_assert_int_eq(vault_hide_name(vault, source_fd, "absent", id + 1), -ENOENT);
	ck_assert_int_eq(vault_link_to(vault, id, source_fd, "other"), -EEXIST);
	ck_assert_int_eq(vault_move_to(vault, id, source_fd, "other"), -EEXIST);
	ck_assert_int_eq(vault_move_to(vault, id, source_fd, "dir"), -EEXIST);
	ck_assert_int_eq(vault_link_to(vault, id + 1, source_fd, "free"), -ENOENT);
	content = content_of(source_fd, "other");
	ck_assert_str_eq(content, "other");
	ck_assert_int_eq(vault_link_to(vault, id, source_fd, "free"), 0);
	hidden = content_of(source_fd, "free");
	ck_assert_str_eq(hidden, "hidden");
	ck_assert_int_eq(names_in(ENTRIES), 1);
}
END_TEST

static int stop_at_second(void *ctx, uint64_t id, const struct stat *st)
{
	return ++*(int *)ctx == 2 ? 77 : 0;
}

static int drop_all(void *ctx, uint64_t id, const struct stat *st)
{
	ck_assert(S_ISREG(st->st_mode));
	++*(int *)ctx;
	/* The next one is gone by the time of its turn. */
	return vault_drop(vault, id, false) | vault_drop(vault, id + 1, false);
}

static uint64_t hide_files(int count)
{
	uint64_t first = 0;

	for (int i = 0; i < count; i++) {
		uint64_t id = vault_next_id(vault);

		first = i ? first : id;
		make_file("file", "12345");
		ck_assert_int_eq(vault_hide_name(vault, source_fd, "file", id), 0);
	}
	return first;
}

START_TEST(walks_see_entries_only_and_in_order)
{
	autofree uint64_t *ids = NULL;
	size_t count = 0;
	uint64_t first = hide_files(100);
	int visited = 0;

	make_file(ENTRIES "/notes", "");
	make_file(ENTRIES "/00000000000000AB", "");
	make_file(ENTRIES "/00000000000000ab.bak", "");
	make_file(ENTRIES "/ab", "");
	ck_assert_int_eq(vault_list(vault, &ids, &count), 0);
	ck_assert_uint_eq(count, 100);
	for (size_t i = 0; i < count; i++)
		ck_assert_uint_eq(ids[i], first + i);
	ck_assert_int_eq(vault_walk(vault, stop_at_second, &visited), 77);
	ck_assert_int_eq(visited, 2);
	visited = 0;
	ck_assert_int_eq(vault_walk(vault, drop_all, &visited), 0);
	ck_assert_int_eq(visited, 50);
	ck_assert_int_eq(names_in(ENTRIES), 4);
}
END_TEST

static bool keep_one(void *ctx, uint64_t id)
{
	return id == *(uint64_t *)ctx;
}

START_TEST(reaping_leaves_what_is_not_ours)
{
	uint64_t first = hide_files(3);
	struct vault_reaped reaped;
	struct stat st;
	uint64_t bytes;
	unsigned long long next = first + 3;
	autofree char *dir = util_printf(ENTRIES "/%016llx", next);
	autofree char *full = util_printf(ENTRIES "/%016llx", next + 1);
	autofree char *in_full = util_printf("%s/file", full);

	ck_assert_int_eq(vault_link_to(vault, first + 1, source_fd, "link"), 0);
	ck_assert_int_eq(mkdirat(source_fd, dir, 0700), 0);
	ck_assert_int_eq(mkdirat(source_fd, full, 0700), 0);
	make_file(in_full, "");
	make_file(ENTRIES "/foreign", "");
	/* The second one has a name elsewhere, and the third is kept. */
	ck_assert_int_eq(vault_stat(vault, first, &st), 0);
	bytes = (uint64_t)st.st_blocks * 512;
	first += 2;
	ck_assert_int_eq(vault_reap(vault, keep_one, &first, &reaped), 0);
	ck_assert_uint_eq(reaped.files, 2);
	ck_assert_uint_eq(reaped.dirs, 1);
	ck_assert_uint_eq(reaped.kept, 1);
	ck_assert_uint_eq(reaped.failed, 1);
	ck_assert_uint_eq(reaped.foreign, 1);
	ck_assert_uint_eq(reaped.bytes, bytes);
	ck_assert_int_eq(names_in(ENTRIES), 3);
	ck_assert(exists(in_full));
	ck_assert(exists("link"));
	ck_assert_int_eq(vault_reap(vault, NULL, NULL, &reaped), 0);
	ck_assert_uint_eq(reaped.files, 1);
	ck_assert_int_eq(names_in(ENTRIES), 2);
}
END_TEST

/* ---- the map of indexes ---- */

START_TEST(a_map_of_many)
{
	enum { KEYS = 1000, EACH = 3 };
	struct idmap map = { 0 };

	ck_assert_uint_eq(idmap_find(&map, 1, 0), 0);
	idmap_remove(&map, 1, 1);
	for (uint32_t i = 0; i < KEYS * EACH; i++)
		ck_assert_int_eq(idmap_add(&map, i % KEYS, i + 1), 0);
	for (uint32_t i = 0; i < KEYS; i += 2)
		idmap_remove(&map, i, i + KEYS + 1);
	idmap_remove(&map, 5, 999999);
	for (uint32_t key = 0; key < KEYS; key++) {
		uint32_t index = 0, sum = 0, count = 0;

		while ((index = idmap_find(&map, key, index)) != 0) {
			sum += index;
			count++;
		}
		ck_assert_uint_eq(count, key % 2 ? 3 : 2);
		ck_assert_uint_eq(sum, (key + 1) * count + KEYS * (key % 2 ? 3 : 2));
	}
	ck_assert_uint_eq(idmap_find(&map, KEYS, 0), 0);
	for (uint32_t i = 0; i < KEYS * EACH; i++)
		idmap_remove(&map, i % KEYS, i + 1);
	ck_assert_uint_eq(map.used, 0);
	for (size_t i = 0; i < map.size; i++)
		ck_assert_uint_eq(map.slots[i].index, 0);
	idmap_free(&map);
}
END_TEST

static void add_opening_tests(TCase *tcase)
{
	tcase_add_test(tcase, instance_names);
	tcase_add_test(tcase, the_second_is_told_who_holds_it);
	tcase_add_test(tcase, a_holder_that_left_no_word);
	tcase_add_test(tcase, something_else_in_place_of_a_folder);
	tcase_add_test(tcase, a_folder_that_others_can_read_is_made_private);
	if (geteuid() == 0)
		tcase_add_test(tcase, a_folder_of_somebody_else_is_refused);
	tcase_add_test(tcase, ids_only_grow);
	tcase_add_test(tcase, ids_grow_though_the_clock_was_set_back);
}

static void add_entry_tests(TCase *tcase)
{
	tcase_add_test(tcase, every_type_by_its_name_and_back);
	tcase_add_test(tcase, every_type_by_an_fd);
	tcase_add_test(tcase, an_inode_without_any_name);
	tcase_add_test(tcase, names_are_never_overwritten);
	tcase_add_test(tcase, walks_see_entries_only_and_in_order);
	tcase_add_test(tcase, reaping_leaves_what_is_not_ours);
	tcase_add_test(tcase, a_map_of_many);
}

int main(void)
{
	Suite *suite = suite_create("vault");
	TCase *tcase = tcase_create("vault");

	tcase_add_checked_fixture(tcase, setup, teardown);
	add_opening_tests(tcase);
	add_entry_tests(tcase);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
