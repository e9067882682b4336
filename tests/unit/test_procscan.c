/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/procscan.h"
#include "store/util.h"

static char folder[64];
static int root = -1;
static struct stat root_stat;
static struct procscan_hit *hits;
static size_t count;

static void setup(void)
{
	strcpy(folder, "/dev/shm/test_procscan.XXXXXX");
	if (!mkdtemp(folder)) {
		strcpy(folder, "/tmp/test_procscan.XXXXXX");
		ck_assert_ptr_nonnull(mkdtemp(folder));
	}
	root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(fstat(root, &root_stat), 0);
}

static void teardown(void)
{
	autofree char *command = util_printf("rm -rf '%s'", folder);

	free(hits);
	close(root);
	ck_assert_int_eq(system(command), 0);
}

/* Makes a file, removes its name, and gives its inode number with an fd. */
static uint64_t make_unlinked(int flags, int *fd)
{
	struct stat st;

	*fd = openat(root, "f", flags | O_CREAT | O_EXCL, 0600);
	ck_assert_int_ge(*fd, 0);
	ck_assert_int_eq(fstat(*fd, &st), 0);
	ck_assert_int_eq(unlinkat(root, "f", 0), 0);
	return st.st_ino;
}

/*
 * Runs @body in a child, which then waits to be killed; returns when @body is done.
 * What @body returns comes back in *value.
 */
static pid_t spawn(uint64_t (*body)(void), uint64_t *value)
{
	uint64_t result;
	int ends[2];
	pid_t pid;

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		result = body();
		if (write(ends[1], &result, sizeof(result)) != sizeof(result))
			_exit(1);
		for (;;)
			pause();
	}
	close(ends[1]);
	ck_assert_int_eq(read(ends[0], &result, sizeof(result)), sizeof(result));
	close(ends[0]);
	if (value)
		*value = result;
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static void scan(enum procscan_scope scope, pid_t pid, const char *cgroup)
{
	const struct procscan_request request = {
		.scope = scope, .pid = pid, .cgroup = cgroup, .dev = root_stat.st_dev
	};

	free(hits);
	hits = NULL;
	ck_assert_int_eq(procscan(&request, &hits, &count), 0);
}

/* The only hit on @ino in @pid, or NULL. */
static const struct opener *hit_on(uint64_t ino, pid_t pid)
{
	const struct opener *found = NULL;

	for (size_t i = 0; i < count; i++) {
		if (hits[i].ino != ino || hits[i].opener.pid != pid)
			continue;
		ck_assert_ptr_null(found);
		found = &hits[i].opener;
	}
	return found;
}

static uint64_t hold_fd(void)
{
	int fd;
	uint64_t ino = make_unlinked(O_RDWR | O_APPEND | O_CLOEXEC, &fd);

	prctl(PR_SET_NAME, "a) b\nc");
	if (dup2(fd, 77) != 77 || write(fd, "12345", 5) != 5)
		_exit(1);
	return ino;
}

START_TEST(test_fd)
	{
		uint64_t ino;
		pid_t pid = spawn(hold_fd, &ino);
		const struct opener *openers[2] = { NULL, NULL };
		size_t found = 0;

		scan(PROCSCAN_ALL, 0, NULL);
		for (size_t i = 0; i < count; i++)
			if (hits[i].ino == ino && found < 2)
				openers[found++] = &hits[i].opener;
		ck_assert_uint_eq(found, 2);
		ck_assert_int_eq(openers[0]->pid, pid);
		ck_assert_str_eq(openers[0]->comm, "a) b\nc");
		ck_assert_int_eq(openers[0]->kind, OPENER_FD);
		ck_assert_int_lt(openers[0]->fd, 77);
		ck_assert_int_eq(openers[0]->offset, 5);
		ck_assert_uint_eq(openers[0]->flags & ~0100000u, O_RDWR | O_APPEND | O_CLOEXEC);
		ck_assert_int_eq(openers[1]->fd, 77);
		ck_assert_uint_eq(openers[1]->flags & ~0100000u, O_RDWR | O_APPEND);
		end(pid);
		scan(PROCSCAN_ALL, 0, NULL);
		ck_assert_ptr_null(hit_on(ino, pid));
	}
END_TEST

static uint64_t hold_map(void)
{
	int fd;
	uint64_t ino = make_unlinked(O_RDWR, &fd);

	if (ftruncate(fd, 65536) || mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ||
		mmap(NULL, 4096, PROT_WRITE, MAP_PRIVATE, fd, 8192) == MAP_FAILED)
		_exit(1);
	close(fd);
	return ino;
}

START_TEST(test_mmap)
	{
		uint64_t ino;
		pid_t pid = spawn(hold_map, &ino);
		const struct opener *opener;

		scan(PROCSCAN_TREE, pid, NULL);
		opener = hit_on(ino, pid);
		ck_assert_ptr_nonnull(opener);
		ck_assert_int_eq(opener->kind, OPENER_MMAP);
		ck_assert_int_eq(opener->fd, -1);
		end(pid);
	}
END_TEST

static uint64_t hold_cwd(void)
{
	struct stat st;

	if (mkdirat(root, "d", 0700) || fstatat(root, "d", &st, 0) || fchdir(root) || chdir("d") ||
		unlinkat(root, "d", AT_REMOVEDIR))
		_exit(1);
	return st.st_ino;
}

START_TEST(test_cwd)
	{
		uint64_t ino;
		pid_t pid = spawn(hold_cwd, &ino);
		const struct opener *opener;

		scan(PROCSCAN_TREE, pid, NULL);
		opener = hit_on(ino, pid);
		ck_assert_ptr_nonnull(opener);
		ck_assert_int_eq(opener->kind, OPENER_CWD);
		end(pid);
	}
END_TEST

/* A FIFO that nobody reads: looking at it must neither block nor open it. */
static uint64_t hold_fifo(void)
{
	struct stat st;

	if (mkfifoat(root, "p", 0600) || openat(root, "p", O_RDWR) < 0 ||
		fstatat(root, "p", &st, 0))
		_exit(1);
	return st.st_ino;
}

START_TEST(test_fifo)
	{
		uint64_t ino;
		pid_t pid = spawn(hold_fifo, &ino);

		scan(PROCSCAN_TREE, pid, NULL);
		ck_assert_ptr_nonnull(hit_on(ino, pid));
		end(pid);
	}
END_TEST

/* A child one of whose threads makes a child that holds a file. */
static pid_t grown;

static void *grow_thread(void *unused)
{
	/* This thread stays: its end would be the death of its child's parent. */
	__atomic_store_n(&grown, spawn(hold_fd, NULL), __ATOMIC_RELEASE);
	for (;;)
		pause();
	return unused;
}

static uint64_t grow_tree(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, grow_thread, NULL))
		_exit(1);
	while (!__atomic_load_n(&grown, __ATOMIC_ACQUIRE))
		sched_yield();
	return (uint64_t)grown;
}

static size_t hits_in(pid_t pid)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++)
		found += hits[i].opener.pid == pid;
	return found;
}

START_TEST(test_tree)
	{
		uint64_t value;
		pid_t tree = spawn(grow_tree, &value), other = spawn(hold_fd, NULL);
		pid_t leaf = (pid_t)value;
		size_t in_leaf;

		scan(PROCSCAN_TREE, tree, NULL);
		in_leaf = hits_in(leaf);
		ck_assert_uint_ge(in_leaf, 2);
		ck_assert_uint_eq(hits_in(other), 0);
		ck_assert_uint_eq(hits_in(getpid()), 0);
		scan(PROCSCAN_TREE, leaf, NULL);
		ck_assert_uint_eq(hits_in(leaf), in_leaf);
		ck_assert_uint_eq(hits_in(tree), 0);
		scan(PROCSCAN_ALL, 0, NULL);
		ck_assert_uint_eq(hits_in(leaf), in_leaf);
		ck_assert_uint_ge(hits_in(other), 2);
		end(tree);
		end(other);
	}
END_TEST

static uint64_t last_thread_ino;

static void *outlive_leader(void *write_end)
{
	char state[128] = "", path[32];
	uint64_t result = last_thread_ino;

	/* The leader is a zombie once its state says so. */
	snprintf(path, sizeof(path), "/proc/%d/stat", getpid());
	while (!strstr(state, ") Z ")) {
		autofd int fd = open(path, O_RDONLY);
		ssize_t size = read(fd, state, sizeof(state) - 1);

		state[size > 0 ? size : 0] = '\0';
	}
	if (write(*(int *)write_end, &result, sizeof(result)) != sizeof(result))
		_exit(1);
	for (;;)
		pause();
}

START_TEST(test_leader_gone)
	{
		static int ends[2];
		uint64_t ino;
		pthread_t thread;
		pid_t pid;
		int fd;

		ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
		pid = fork();
		if (pid == 0) {
			last_thread_ino = make_unlinked(O_RDONLY, &fd);
			pthread_create(&thread, NULL, outlive_leader, &ends[1]);
			pthread_exit(NULL);
		}
		ck_assert_int_eq(read(ends[0], &ino, sizeof(ino)), sizeof(ino));
		scan(PROCSCAN_TREE, pid, NULL);
		ck_assert_ptr_nonnull(hit_on(ino, pid));
		end(pid);
	}
END_TEST

START_TEST(test_cgroup)
	{
		autofree char *text = NULL;
		char *path;
		uint64_t ino;
		pid_t pid = spawn(hold_map, &ino);

		ck_assert_int_eq(
			util_read_file(AT_FDCWD, "/proc/self/cgroup", 65536, &text, NULL), 0);
		/* The first line of the file, whichever hierarchy that is. */
		path = strchr(strchr(text, ':') + 1, ':') + 1;
		path[strcspn(path, "\n")] = '\0';
		scan(PROCSCAN_CGROUP, 0, path);
		ck_assert_ptr_nonnull(hit_on(ino, pid));
		scan(PROCSCAN_CGROUP, 0, "/sys/fs/cgroup/");
		ck_assert_ptr_nonnull(hit_on(ino, pid));
		end(pid);
	}
END_TEST

START_TEST(test_not_there)
	{
		struct procscan_request request = { .scope = PROCSCAN_CGROUP,
			.cgroup = "/no/such/one" };
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		waitpid(pid, NULL, 0);
		ck_assert_int_eq(procscan(&request, &hits, &count), -ENOENT);
		request.scope = PROCSCAN_TREE;
		request.pid = pid;
		ck_assert_int_eq(procscan(&request, &hits, &count), -ESRCH);
		ck_assert_ptr_null(hits);
	}
END_TEST

#define MANY 10000

START_TEST(test_many)
	{
		struct rlimit limit;
		uint64_t first = 0;
		int64_t before;
		int fd;

		getrlimit(RLIMIT_NOFILE, &limit);
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		for (int i = 0; i < MANY; i++) {
			uint64_t ino = make_unlinked(O_RDWR | O_CLOEXEC, &fd);

			first = first ? first : ino;
		}
		before = monotonic_ns();
		scan(PROCSCAN_TREE, getpid(), NULL);
		ck_assert_int_lt(monotonic_ns() - before, 5 * NSEC_PER_SEC);
		ck_assert_uint_ge(count, MANY);
		ck_assert_ptr_nonnull(hit_on(first, getpid()));
		for (size_t i = 1; i < count; i++)
			ck_assert_uint_le(hits[i - 1].ino, hits[i].ino);
	}
END_TEST

int main(void)
{
	Suite *suite = suite_create("procscan");
	TCase *tcase = tcase_create("procscan");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_fd);
	tcase_add_test(tcase, test_mmap);
	tcase_add_test(tcase, test_cwd);
	tcase_add_test(tcase, test_fifo);
	tcase_add_test(tcase, test_tree);
	tcase_add_test(tcase, test_leader_gone);
	tcase_add_test(tcase, test_cgroup);
	tcase_add_test(tcase, test_not_there);
	tcase_add_test(tcase, test_many);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
