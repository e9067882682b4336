/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The store on filesystems that refuse: full, read-only, cut in two.  Every test has a
 * mount namespace of its own, which takes its mounts along when it ends.
 */
#include "libstore.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store_internal.h"
#include "store/util.h"

#define VAULT ".relinkfs/default/vault"

static const struct store_options options;
static struct arena *arena;
static struct store *store;

static bool private_mounts(void)
{
	return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static void setup(void)
{
	ck_assert(private_mounts());
	source_setup();
	ck_assert_int_eq(arena_new(&small_spec, &arena), 0);
}

static void teardown(void)
{
	store_close(store);
	store = NULL;
	arena_free(arena);
	close(source_fd);
	while (umount2(source, MNT_DETACH) == 0)
		;
	source_fd = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	source_teardown();
}

/* The source becomes a tmpfs that has room for @inodes, its root among them. */
static void source_is_tmpfs(int inodes)
{
	autofree char *data = util_printf("size=1m,mode=0755,nr_inodes=%d", inodes);

	ck_assert_int_eq(mount("relinkfs-unit", source, "tmpfs", 0, data), 0);
	close(source_fd);
	source_fd = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(source_fd, 0);
}

/* From now on there is room for nothing more. */
static void fill_inodes(void)
{
	int error = 0;

	ck_assert_int_eq(mkdirat(source_fd, "filler", 0700), 0);
	for (int i = 0; !error; i++) {
		autofree char *name = util_printf("filler/%d", i);

		error = mknodat(source_fd, name, S_IFREG | 0600, 0) < 0 ? errno : 0;
	}
	ck_assert_int_eq(error, ENOSPC);
}

static void make_read_only(void)
{
	ck_assert_int_eq(mount(source, source, NULL, MS_BIND, NULL), 0);
	ck_assert_int_eq(mount(NULL, source, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
	close(source_fd);
	source_fd = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(source_fd, 0);
}

static void open_store(void)
{
	autofree char *why = NULL;

	ck_assert_msg(store_open(source_fd, &options, arena, &store, &why) == 0, "%s", why);
}

static void expect_refused(int error, const char *text)
{
	autofree char *why = NULL;

	ck_assert_int_eq(store_open(source_fd, &options, arena, &store, &why), error);
	ck_assert_ptr_null(store);
	ck_assert_ptr_nonnull(why);
	ck_assert_msg(strstr(why, text) != NULL, "\"%s\" is not in: %s", text, why);
}

/* However few inodes there are, opening says what it could not make, or works. */
START_TEST(opening_on_a_full_filesystem)
{
	int error = -ENOSPC;

	source_is_tmpfs(2);
	expect_refused(-ENOSPC, "/.relinkfs/default: No space left on device");
	for (int inodes = 3; error && inodes < 40; inodes++) {
		autofree char *data = util_printf("nr_inodes=%d", inodes);
		autofree char *why = NULL;

		ck_assert_int_eq(mount(NULL, source, NULL, MS_REMOUNT, data), 0);
		error = store_open(source_fd, &options, arena, &store, &why);
		if (!error)
			break;
		ck_assert_ptr_null(store);
		ck_assert_ptr_nonnull(why);
	}
	ck_assert_int_eq(error, 0);
	ck_assert(exists("lost+found/checkpoint"));
}
END_TEST

START_TEST(hiding_on_a_full_filesystem)
{
	struct store_object object;
	autofd int fd = -1;
	uint32_t entry;

	source_is_tmpfs(60);
	open_store();
	make_file("file", "content");
	fill_inodes();
	object = object_at("file");
	fd = openat(source_fd, "file", O_PATH | O_CLOEXEC);
	/* A link wants room on tmpfs; a rename never does. */
	ck_assert_int_eq(store_hide_link(store, &object, fd, &entry), -ENOSPC);
	ck_assert_uint_eq(arena_count(arena, ARENA_ENTRIES), 0);
	ck_assert_int_eq(names_in(VAULT), 0);
	ck_assert_int_eq(store_hide_move(store, &object, source_fd, "file", &entry), 0);
	ck_assert_int_eq(names_in(VAULT), 1);
	ck_assert_int_eq(store_forget(store, entry), 0);
	ck_assert_int_eq(names_in(VAULT), 0);
}
END_TEST

START_TEST(a_read_only_source_says_what_to_do)
{
	make_read_only();
	expect_refused(-EROFS, ".relinkfs cannot be made: the source is read-only");
	expect_refused(-EROFS, "-o ro");
}
END_TEST

START_TEST(a_source_that_became_read_only)
{
	open_store();
	store_close(store);
	store = NULL;
	make_read_only();
	expect_refused(-EROFS, "/lock cannot be made: the source is read-only");
}
END_TEST

START_TEST(a_vault_on_another_filesystem)
{
	autofree char *vault = util_printf("%s/.relinkfs/default/vault", source);
	autofree char *text = util_printf("%s is a mount point", vault);

	open_store();
	store_close(store);
	store = NULL;
	ck_assert_int_eq(mount("relinkfs-unit", vault, "tmpfs", 0, "size=64k"), 0);
	expect_refused(-EXDEV, text);
	ck_assert_int_eq(umount2(vault, 0), 0);
	/* The same filesystem, but no rename goes from one mount to the other. */
	ck_assert_int_eq(mount(vault, vault, NULL, MS_BIND, NULL), 0);
	expect_refused(-EXDEV, text);
	ck_assert_int_eq(umount2(vault, 0), 0);
	open_store();
}
END_TEST

START_TEST(an_object_of_another_filesystem)
{
	autofree char *sub = util_printf("%s/sub", source);
	struct store_object object;
	autofd int fd = -1;
	uint32_t entry;

	open_store();
	ck_assert_int_eq(mkdirat(source_fd, "sub", 0700), 0);
	ck_assert_int_eq(mount("relinkfs-unit", sub, "tmpfs", 0, "size=64k"), 0);
	make_file("sub/file", "");
	object = object_at("sub/file");
	fd = openat(source_fd, "sub/file", O_PATH | O_CLOEXEC);
	ck_assert_int_eq(store_hide_move(store, &object, source_fd, "sub/file", &entry), -EXDEV);
	ck_assert_int_eq(store_hide_link(store, &object, fd, &entry), -EXDEV);
	ck_assert(exists("sub/file"));
	ck_assert_int_eq(store_hide_pinned(store, &object, &entry), 0);
	ck_assert_int_eq(store_forget(store, entry), 0);
	ck_assert_int_eq(umount2(sub, MNT_DETACH), 0);
}
END_TEST

/* 0, or the errno of a filesystem that does not know the flag. */
static int set_immutable(int fd, bool on)
{
	int flags = 0;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		return errno;
	flags = on ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
	return ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0 ? errno : 0;
}

START_TEST(an_immutable_file)
{
	struct store_object object;
	autofd int fd = -1;
	uint32_t entry;

	source_is_tmpfs(60);
	open_store();
	make_file("file", "");
	object = object_at("file");
	fd = openat(source_fd, "file", O_RDONLY | O_CLOEXEC);
	if (set_immutable(fd, true) != 0) {
		puts("an_immutable_file: tmpfs has no immutable flag here");
		return;
	}
	ck_assert_int_eq(store_hide_move(store, &object, source_fd, "file", &entry), -EPERM);
	ck_assert_int_eq(store_hide_link(store, &object, fd, &entry), -EPERM);
	ck_assert_uint_eq(arena_count(arena, ARENA_ENTRIES), 0);
	ck_assert_int_eq(set_immutable(fd, false), 0);
	ck_assert_int_eq(store_hide_move(store, &object, source_fd, "file", &entry), 0);
}
END_TEST

/* What cannot be removed now is reported, and removed by the next session. */
START_TEST(a_vault_that_cannot_be_changed)
{
	struct store_object object;
	autofd int vault = -1;
	uint32_t entry, second;

	source_is_tmpfs(60);
	open_store();
	make_file("file", "");
	make_file("other", "");
	object = object_at("file");
	ck_assert_int_eq(store_hide_move(store, &object, source_fd, "file", &entry), 0);
	vault = openat(source_fd, VAULT, O_RDONLY | O_CLOEXEC);
	if (set_immutable(vault, true) != 0) {
		puts("a_vault_that_cannot_be_changed: tmpfs has no immutable flag here");
		return;
	}
	object = object_at("other");
	ck_assert_int_eq(store_hide_move(store, &object, source_fd, "other", &second), -EPERM);
	ck_assert_int_eq(store_forget(store, entry), -EPERM);
	ck_assert_uint_eq(arena_count(arena, ARENA_ENTRIES), 0);
	ck_assert_int_eq(names_in(VAULT), 1);
	ck_assert(exists("other"));
	store_close(store);
	ck_assert_int_eq(set_immutable(vault, false), 0);
	open_store();
	ck_assert_int_eq(names_in(VAULT), 0);
}
END_TEST

int main(void)
{
	Suite *suite;
	TCase *tcase;

	if (!private_mounts()) {
		perror("skipped: no private mounts (root is needed)");
		return 77;
	}
	suite = suite_create("faults");
	tcase = tcase_create("faults");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, opening_on_a_full_filesystem);
	tcase_add_test(tcase, hiding_on_a_full_filesystem);
	tcase_add_test(tcase, a_read_only_source_says_what_to_do);
	tcase_add_test(tcase, a_source_that_became_read_only);
	tcase_add_test(tcase, a_vault_on_another_filesystem);
	tcase_add_test(tcase, an_object_of_another_filesystem);
	tcase_add_test(tcase, an_immutable_file);
	tcase_add_test(tcase, a_vault_that_cannot_be_changed);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
