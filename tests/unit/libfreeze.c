/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libfreeze.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "store/catalog.h"
#include "store/text.h"
#include "store/util.h"

static const struct arena_spec spec = {
	.table = {
		[ARENA_NODES] = { 64, 64 },
		[ARENA_HANDLES] = { 64, 64 },
		[ARENA_ENTRIES] = { sizeof(struct entry_record), 16384 },
		[ARENA_TEXT] = { TEXT_CHUNK_SIZE, 65536 },
	},
	.meta_size = 64,
};

struct arena *arena;
struct store *store;
struct freeze_result *result;
unsigned attributes_told, names_told;

static void attributes_changed(void *ctx, uint64_t owner)
{
	__atomic_add_fetch(&attributes_told, 1, __ATOMIC_RELAXED);
}

static void name_changed(void *ctx, const char *path)
{
	__atomic_add_fetch(&names_told, 1, __ATOMIC_RELAXED);
}

static void set_up_store(void)
{
	struct store_options options = { 0 };
	struct store_hooks hooks = {
		.attributes_changed = attributes_changed,
		.name_changed = name_changed,
		.mount_path = "/mnt/x",
	};
	autofree char *why = NULL;
	struct stat st;

	ck_assert_msg(store_open(source_fd, &options, arena, &store, &why) == 0, "%s", why);
	ck_assert_int_eq(fstat(source_fd, &st), 0);
	hooks.mount_dev = st.st_dev;
	store_set_hooks(store, &hooks);
}

void open_store(void)
{
	ck_assert_int_eq(arena_new(&spec, &arena), 0);
	set_up_store();
}

void open_store_on(int memfd)
{
	ck_assert_int_eq(arena_attach(memfd, &spec, &arena), 0);
	set_up_store();
}

void close_store(void)
{
	store_close(store);
	arena_free(arena);
	store = NULL;
	arena = NULL;
}

void freeze_setup(void)
{
	source_setup_in_memory();
	open_store();
}

void freeze_teardown(void)
{
	freeze_result_free(result);
	close_store();
	source_teardown();
}

static void make_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%.60s/%.40s", source, path);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
}

static void make(const char *path, mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		ck_assert_int_eq(mkdirat(source_fd, path, mode & 07777), 0);
		break;
	case S_IFLNK:
		ck_assert_int_eq(symlinkat("nowhere", source_fd, path), 0);
		break;
	case S_IFSOCK:
		make_socket(path);
		break;
	case S_IFREG:
		make_file(path, path);
		break;
	default:
		ck_assert_int_eq(mknodat(source_fd, path, mode, 0x103), 0);
	}
}

static uint32_t hide(const char *path)
{
	const struct store_object object = object_at(path);
	uint32_t entry = 0;

	store_mutation_begin(store);
	ck_assert_int_eq(store_hide_move(store, &object, source_fd, path, &entry), 0);
	store_mutation_end(store);
	return entry;
}

uint32_t hide_new(const char *path, mode_t mode)
{
	make(path, mode);
	return hide(path);
}

int hide_opened(const char *path, uint32_t *entry)
{
	int fd = openat(source_fd, path, O_RDWR | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	*entry = hide(path);
	return fd;
}

void forget(uint32_t entry)
{
	store_mutation_begin(store);
	ck_assert_int_eq(store_forget(store, entry), 0);
	store_mutation_end(store);
}

/* ---- listings ---- */

static char **lines;
static size_t line_count;

static int add_line(const char *path, const struct stat *st, int type, struct FTW *at)
{
	if (strstr(path, "/.relinkfs/"))
		return 0;
	lines = reallocarray(lines, line_count + 1, sizeof(*lines));
	lines[line_count++] = util_printf("%s %s %llu %u\n", path + strlen(source),
		manifest_type_name(st->st_mode), (unsigned long long)st->st_ino,
		S_ISDIR(st->st_mode) ? 0 : (unsigned)st->st_nlink);
	return 0;
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char *source_listing(void)
{
	size_t size = 1;
	char *text;

	line_count = 0;
	ck_assert_int_eq(nftw(source, add_line, 16, FTW_PHYS), 0);
	qsort(lines, line_count, sizeof(*lines), compare_lines);
	for (size_t i = 0; i < line_count; i++)
		size += strlen(lines[i]);
	text = calloc(1, size);
	for (size_t i = 0, at = 0; i < line_count; i++) {
		strcpy(text + at, lines[i]);
		at += strlen(lines[i]);
		free(lines[i]);
	}
	free(steal_ptr(&lines));
	return text;
}

/* ---- checkpoints ---- */

int freeze_all(const char *link_template, bool partial, bool hold)
{
	const struct freeze_request request = {
		.link_template = link_template,
		.partial = partial,
		.hold = hold,
		.creator_pid = 7,
		.creator_uid = 8,
		.creator_comm = "tester",
	};

	freeze_result_free(steal_ptr(&result));
	return freeze(store, &request, &result);
}

void must_freeze(void)
{
	int ret = freeze_all(NULL, false, false);

	ck_assert_msg(ret == 0, "%d %s", ret, ret ? result->failures[0].message : "");
	ck_assert_uint_eq(result->nfailures, 0);
	ck_assert_ptr_nonnull(result->manifest);
}

void ck_failed(const char *step, const char *path, int error)
{
	ck_assert_uint_eq(result->nfailures, 1);
	ck_assert_str_eq(result->failures[0].step, step);
	ck_assert_pstr_eq(result->failures[0].path, path);
	ck_assert_int_eq(result->failures[0].error, error);
	ck_assert_ptr_nonnull(result->failures[0].message);
}

void must_drop(const char *manifest_path, size_t expected)
{
	struct freeze_failure *failures;
	size_t count;
	autofree char *why = NULL;
	int ret = freeze_drop(store, manifest_path, &failures, &count, &why);

	ck_assert_msg(ret == 0, "%d %s", ret, why);
	ck_assert_uint_eq(count, expected);
	freeze_failures_free(failures, count);
}

enum checkpoint_state state_of(uint64_t ktime)
{
	struct catalog_checkpoint *row = NULL;
	enum checkpoint_state state;
	int ret = catalog_checkpoint_get(store_catalog(store), ktime, &row);

	if (ret == -ENOENT)
		return 0;
	ck_assert_int_eq(ret, 0);
	state = row->state;
	catalog_checkpoint_free(row);
	return state;
}
