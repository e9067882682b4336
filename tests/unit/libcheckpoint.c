/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/libcheckpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char folder[PATH_MAX];
int root = -1;
struct manifest manifest;
struct restart *restart;
const struct restart_options plain;

/* ---- a checkpoint made by hand ---- */

void put(const char *path, const char *content)
{
	autofd int fd = openat(root, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(util_write_all(fd, content, strlen(content)), 0);
}

static char *link_of(uint32_t n)
{
	return util_printf(CKPT "/unlink-at-restart-1234abcd5678-%u", n);
}

/* Records what lies at the link of the next entry now. */
static struct manifest_entry *record(const char *path)
{
	struct manifest_entry *entry;
	struct statx birth;
	struct stat st;
	int mount_id;
	struct {
		struct file_handle head;
		unsigned char bytes[MAX_HANDLE_SZ];
	} handle = { .head.handle_bytes = MAX_HANDLE_SZ };

	manifest.entries = reallocarray(manifest.entries, manifest.nentries + 1, sizeof(*entry));
	ck_assert_ptr_nonnull(manifest.entries);
	entry = &manifest.entries[manifest.nentries++];
	memset(entry, 0, sizeof(*entry));
	entry->n = (uint32_t)manifest.nentries;
	entry->path = strdup(path);
	entry->link = link_of(entry->n);
	ck_assert_int_eq(fstatat(root, entry->link, &st, AT_SYMLINK_NOFOLLOW), 0);
	entry->mode = st.st_mode;
	entry->size = (uint64_t)st.st_size;
	entry->ino = st.st_ino;
	entry->mtime.sec = st.st_mtim.tv_sec;
	entry->mtime.nsec = (uint32_t)st.st_mtim.tv_nsec;
	ck_assert_int_eq(
		statx(root, entry->link, AT_SYMLINK_NOFOLLOW, STATX_BTIME, &birth), 0);
	if (birth.stx_mask & STATX_BTIME) {
		entry->btime.sec = birth.stx_btime.tv_sec;
		entry->btime.nsec = birth.stx_btime.tv_nsec;
	}
	if (name_to_handle_at(root, entry->link, &handle.head, &mount_id, 0) == 0) {
		entry->handle_type = handle.head.handle_type;
		entry->handle_len = handle.head.handle_bytes;
		memcpy(entry->handle, handle.head.f_handle, entry->handle_len);
	}
	return entry;
}

struct manifest_entry *add_file(const char *path, const char *content)
{
	autofree char *name = link_of((uint32_t)manifest.nentries + 1);

	put(name, content);
	return record(path);
}

struct manifest_entry *add_special(const char *path, mode_t type)
{
	autofree char *name = link_of((uint32_t)manifest.nentries + 1);
	autofree char *whole = util_printf("%s/%s", folder, name);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	autofd int fd = -1;

	switch (type) {
	case S_IFDIR:
		ck_assert_int_eq(mkdirat(root, name, 0750), 0);
		break;
	case S_IFLNK:
		ck_assert_int_eq(symlinkat("/nowhere", root, name), 0);
		break;
	case S_IFSOCK:
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ck_assert_int_lt(strlen(whole), sizeof(address.sun_path));
		strcpy(address.sun_path, whole);
		ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
		break;
	default:
		ck_assert_int_eq(mknodat(root, name, type | 0600, 0), 0);
	}
	return record(path);
}

void opened(pid_t pid, int fd, uint32_t flags, int64_t offset)
{
	struct manifest_entry *entry = &manifest.entries[manifest.nentries - 1];

	entry->openers = reallocarray(entry->openers, entry->nopeners + 1, sizeof(struct opener));
	ck_assert_ptr_nonnull(entry->openers);
	entry->openers[entry->nopeners++] = (struct opener){
		.pid = pid,
		.comm = "test",
		.kind = OPENER_FD,
		.fd = fd,
		.flags = flags,
		.offset = offset,
	};
}

void held(pid_t pid, enum opener_kind kind)
{
	opened(pid, -1, 0, 0);
	manifest.entries[manifest.nentries - 1]
		.openers[manifest.entries[manifest.nentries - 1].nopeners - 1].kind = kind;
}

static void setup(void)
{
	strcpy(folder, "/tmp/test_restart.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(root, 0);
	/* Out of the way of the numbers that a plan takes. */
	ck_assert_int_eq(dup3(root, 500, O_CLOEXEC), 500);
	close(root);
	root = 500;
	ck_assert_int_eq(mkdirat(root, "lost+found", 0700), 0);
	ck_assert_int_eq(mkdirat(root, CKPT, 0700), 0);
	ck_assert_int_eq(mkdirat(root, "dir", 0755), 0);
	put(MANIFEST, "{}");
	memset(&manifest, 0, sizeof(manifest));
	manifest.ktime = KTIME;
	restart = NULL;
}

static void teardown(void)
{
	autofree char *command = util_printf("rm -rf '%s'", folder);

	restart_free(restart);
	for (size_t i = 0; i < manifest.nentries; i++) {
		free(manifest.entries[i].link);
		free(manifest.entries[i].path);
		free(manifest.entries[i].openers);
	}
	free(manifest.entries);
	close(root);
	ck_assert_int_eq(system(command), 0);
}

const char *checkpoint_folder(void)
{
	return folder;
}

/* ---- looking at what came of it ---- */

char *listing(void)
{
	autofree char *command = util_printf(
		"cd '%s' && find . -printf '%%p %%y %%i %%s %%n\\n' | LC_ALL=C sort", folder);
	autofree char *text = calloc(1, 65536);
	FILE *pipe = popen(command, "r");

	ck_assert_ptr_nonnull(pipe);
	ck_assert_uint_lt(fread(text, 1, 65535, pipe), 65535);
	ck_assert_int_eq(pclose(pipe), 0);
	return steal_ptr(&text);
}

int plan(const struct restart_options *options)
{
	autofree char *why = NULL;
	int r = restart_new(&manifest, options, &restart, &why);

	ck_assert_msg(r == 0 || why, "no reason given");
	return r;
}

void must_open(const struct restart_options *options)
{
	size_t count;
	const struct restart_problem *list;
	int r;

	ck_assert_int_eq(plan(options), 0);
	r = restart_open(restart, fcntl(root, F_DUPFD_CLOEXEC, 0));
	list = restart_problems(restart, &count);
	ck_assert_msg(r == 0, "%s: %s", count ? list[0].link : "?",
		count ? list[0].message : strerror(-r));
}

const struct restart_item *item(size_t index)
{
	size_t count;
	const struct restart_item *items = restart_items(restart, &count);

	ck_assert_uint_lt(index, count);
	return &items[index];
}

void must_fail(const struct restart_options *options, int error, uint32_t n)
{
	autofree char *before = listing(), *after = NULL;
	const struct restart_problem *list;
	size_t count, matching = 0;

	ck_assert_int_eq(plan(options), 0);
	ck_assert_int_eq(restart_open(restart, fcntl(root, F_DUPFD_CLOEXEC, 0)), -error);
	list = restart_problems(restart, &count);
	for (size_t i = 0; i < count; i++)
		matching += list[i].n == n && list[i].error == error &&
			    !list[i].warning && *list[i].message;
	ck_assert_uint_eq(matching, 1);
	after = listing();
	ck_assert_str_eq(before, after);
	ck_assert_int_eq(item(0)->fd, -1);
}

char *shown(int fd)
{
	char path[PROC_FD_PATH_SIZE], name[PATH_MAX];
	ssize_t length = readlink(proc_fd_path(fd, path), name, sizeof(name) - 1);

	ck_assert_int_gt(length, 0);
	name[length] = '\0';
	ck_assert_int_eq(strncmp(name, folder, strlen(folder)), 0);
	return strdup(name + strlen(folder) + 1);
}

void ck_reads(int fd, const char *text)
{
	char buffer[256];
	ssize_t length = read(fd, buffer, sizeof(buffer) - 1);

	ck_assert_int_ge(length, 0);
	buffer[length] = '\0';
	ck_assert_str_eq(buffer, text);
}

bool in_root(const char *path)
{
	struct stat st;

	return fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

size_t problems(void)
{
	size_t count;

	restart_problems(restart, &count);
	return count;
}

TCase *add_case(Suite *suite, const char *name)
{
	TCase *tcase = tcase_create(name);

	tcase_add_checked_fixture(tcase, setup, teardown);
	suite_add_tcase(suite, tcase);
	return tcase;
}

int run_restart_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	/* What Check opens for itself must not be among the numbers of the plans. */
	for (int fd = open("/dev/null", O_RDWR | O_CLOEXEC); fd >= 0 && fd < 100;)
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
