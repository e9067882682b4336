/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libstore.h"

#include <errno.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/entry.h"
#include "store/text.h"
#include "store/util.h"

char source[64];
int source_fd = -1;

const struct arena_spec small_spec = {
	.table = {
		[ARENA_NODES] = { 64, 64 },
		[ARENA_HANDLES] = { 64, 64 },
		[ARENA_ENTRIES] = { sizeof(struct entry_record), 1024 },
		[ARENA_TEXT] = { TEXT_CHUNK_SIZE, 4096 },
	},
	.meta_size = 64,
};

static bool make_source(const char *parent)
{
	snprintf(source, sizeof(source), "%s/relinkfs-unit-XXXXXX", parent);
	return mkdtemp(source) != NULL;
}

static void open_source(void)
{
	source_fd = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(source_fd, 0);
}

void source_setup(void)
{
	ck_assert(make_source("/tmp"));
	open_source();
}

void source_setup_in_memory(void)
{
	ck_assert(make_source("/dev/shm") || make_source("/tmp"));
	open_source();
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return remove(path);
}

void source_teardown(void)
{
	close(source_fd);
	source_fd = -1;
	ck_assert_int_eq(nftw(source, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT), 0);
}

void make_file(const char *path, const char *content)
{
	autofd int fd = openat(source_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(util_write_all(fd, content, strlen(content)), 0);
}

char *content_of(int dirfd, const char *path)
{
	char *content = NULL;

	ck_assert_int_eq(util_read_file(dirfd, path, 1 << 20, &content, NULL), 0);
	return content;
}

bool exists(const char *path)
{
	struct stat st;

	return fstatat(source_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

int names_in(const char *path)
{
	autodir DIR *dir = NULL;
	int fd = openat(source_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *entry;
	int count = 0;

	ck_assert_int_ge(fd, 0);
	dir = fdopendir(fd);
	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL)
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	return count;
}

struct store_object object_at(const char *path)
{
	struct stat st;

	ck_assert_int_eq(fstatat(source_fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	return (struct store_object){
		.owner = st.st_ino + 1000,
		.ino = st.st_ino,
		.mode = st.st_mode,
		.uid = st.st_uid,
		.gid = st.st_gid,
		.path = path,
	};
}

int run_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
