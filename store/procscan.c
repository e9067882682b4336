/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A walk of /proc that finds the holders of a device's inodes.
 *
 * /proc/PID/fd/N is a magic link: statx() through it reaches the open file's own inode,
 * by no name, and with AT_STATX_DONT_SYNC it is answered from what the kernel has, so a
 * network or FUSE filesystem is not asked.  /proc/PID/maps names device and inode itself.
 * The rest (flags and offset in fdinfo) is read only for what was found.
 *
 * Processes come and go meanwhile: what has vanished is passed over, and the list of
 * processes is taken again until nobody new is in it, so that a child made during the
 * walk by a process that then closed its own is not missed.
 */
#include "store/procscan.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "store/procscan_internal.h"
#include "store/util.h"

/* More lists than this are not taken, however fast processes are made. */
#define ROUNDS_MAX 8

struct scan {
	int proc_fd;
	unsigned dev_major, dev_minor;
	struct procscan_hit *hits;
	size_t count, size;
	int error; /* -ENOMEM */
	/* The process that is looked at. */
	pid_t pid;
	char comm[16];
};

static void add_hit(struct scan *scan, uint64_t ino, const struct opener *opener)
{
	struct procscan_hit *hit;

	if (scan->count == scan->size) {
		size_t size = scan->size ? scan->size * 2 : 64;

		hit = reallocarray(scan->hits, size, sizeof(*hit));
		if (!hit) {
			scan->error = -ENOMEM;
			return;
		}
		scan->hits = hit;
		scan->size = size;
	}
	hit = &scan->hits[scan->count++];
	hit->ino = ino;
	hit->opener = *opener;
	hit->opener.pid = scan->pid;
	memcpy(hit->opener.comm, scan->comm, sizeof(scan->comm));
}

/* The inode behind the magic link @dirfd/@name, if it is of our device; else 0. */
static uint64_t inode_of(const struct scan *scan, int dirfd, const char *name)
{
	struct statx stx;

	if (statx(dirfd, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO, &stx))
		return 0;
	if (stx.stx_dev_major != scan->dev_major || stx.stx_dev_minor != scan->dev_minor)
		return 0;
	return stx.stx_ino;
}

/* Flags and offset; what cannot be read stays 0: the file may be closed by now. */
static void read_fdinfo(int task_fd, const char *name, struct opener *opener)
{
	char path[32], text[512], *line;
	ssize_t size;
	autofd int fd = -1;

	snprintf(path, sizeof(path), "fdinfo/%.20s", name);
	fd = openat(task_fd, path, O_RDONLY | O_CLOEXEC);
	size = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	text[size > 0 ? size : 0] = '\0';
	line = strstr(text, "pos:");
	if (line)
		opener->offset = strtoll(line + 4, NULL, 10);
	line = strstr(text, "flags:");
	if (line)
		opener->flags = (uint32_t)strtoul(line + 6, NULL, 8);
}

static DIR *open_dir(int dirfd, const char *name)
{
	autofd int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (dir)
		steal_fd(&fd);
	return dir;
}

static void scan_fds(struct scan *scan, int task_fd)
{
	autodir DIR *dir = open_dir(task_fd, "fd");
	const struct dirent *item;

	while (dir && (item = readdir(dir))) {
		struct opener opener = { .kind = OPENER_FD };
		uint64_t ino;

		if (!isdigit((unsigned char)item->d_name[0]))
			continue;
		ino = inode_of(scan, dirfd(dir), item->d_name);
		if (!ino)
			continue;
		opener.fd = atoi(item->d_name);
		read_fdinfo(task_fd, item->d_name, &opener);
		add_hit(scan, ino, &opener);
	}
}

static void scan_link(struct scan *scan, int task_fd, const char *name, enum opener_kind kind)
{
	const struct opener opener = { .kind = kind, .fd = -1 };
	uint64_t ino = inode_of(scan, task_fd, name);

	if (ino)
		add_hit(scan, ino, &opener);
}

/* "7f..-7f.. r--p 00000000 fd:01 1234   /path"; a file is mapped in several pieces in a row. */
static void scan_maps(struct scan *scan, int task_fd)
{
	const struct opener opener = { .kind = OPENER_MMAP, .fd = -1 };
	autofd int fd = openat(task_fd, "maps", O_RDONLY | O_CLOEXEC);
	autofile FILE *maps = fd < 0 ? NULL : fdopen(fd, "r");
	autofree char *line = NULL;
	uint64_t ino, last = 0;
	unsigned major, minor;
	size_t size = 0;

	if (maps)
		steal_fd(&fd);
	while (maps && getline(&line, &size, maps) > 0) {
		/* NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers */
		if (sscanf(line, "%*s %*s %*s %x:%x %" SCNu64, &major, &minor, &ino) != 3)
			continue;
		if (major != scan->dev_major || minor != scan->dev_minor || !ino || ino == last)
			continue;
		add_hit(scan, ino, &opener);
		last = ino;
	}
}

/*
 * True if the thread @tid has its own of @what, a KCMP_* resource, and not that of its
 * process: rare, but a leader that has exited lost its while its threads live on.
 * Where the kernel cannot compare, they are taken as shared, which they nearly always are.
 */
static bool has_own(pid_t pid, pid_t tid, int what)
{
	return syscall(SYS_kcmp, pid, tid, what, 0, 0) > 0;
}

static void scan_task(struct scan *scan, int process_fd, pid_t tid)
{
	bool leader = tid == scan->pid;
	bool files = leader || has_own(scan->pid, tid, KCMP_FILES);
	bool fs = leader || has_own(scan->pid, tid, KCMP_FS);
	bool memory = leader || has_own(scan->pid, tid, KCMP_VM);
	char name[32];
	autofd int fd = -1;

	if (!files && !fs && !memory)
		return;
	snprintf(name, sizeof(name), "task/%d", tid);
	fd = openat(process_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (files)
		scan_fds(scan, fd);
	if (fs) {
		scan_link(scan, fd, "cwd", OPENER_CWD);
		scan_link(scan, fd, "root", OPENER_ROOT);
	}
	if (memory) {
		scan_link(scan, fd, "exe", OPENER_EXE);
		scan_maps(scan, fd);
	}
}

static void read_comm(struct scan *scan, int process_fd)
{
	autofd int fd = openat(process_fd, "comm", O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? 0 : read(fd, scan->comm, sizeof(scan->comm));

	/* The text ends with a newline and may hold others. */
	scan->comm[size > 0 ? size - 1 : 0] = '\0';
}

static void scan_process(struct scan *scan, pid_t pid)
{
	char name[16];
	autofd int fd = -1;
	autodir DIR *tasks = NULL;
	const struct dirent *item;

	snprintf(name, sizeof(name), "%d", pid);
	fd = openat(scan->proc_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	scan->pid = pid;
	read_comm(scan, fd);
	tasks = open_dir(fd, "task");
	while (tasks && (item = readdir(tasks)))
		if (isdigit((unsigned char)item->d_name[0]))
			scan_task(scan, fd, atoi(item->d_name));
}

static int compare_hits(const void *a, const void *b)
{
	const struct procscan_hit *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	if (x->opener.pid != y->opener.pid)
		return x->opener.pid < y->opener.pid ? -1 : 1;
	if (x->opener.kind != y->opener.kind)
		return x->opener.kind < y->opener.kind ? -1 : 1;
	return (x->opener.fd > y->opener.fd) - (x->opener.fd < y->opener.fd);
}

/* Sorted, and each holder once: a file may be mapped in many places. */
static void tidy(struct scan *scan)
{
	size_t kept = 0;

	if (scan->count)
		qsort(scan->hits, scan->count, sizeof(*scan->hits), compare_hits);
	for (size_t i = 0; i < scan->count; i++)
		if (!kept || compare_hits(&scan->hits[kept - 1], &scan->hits[i]) != 0)
			scan->hits[kept++] = scan->hits[i];
	scan->count = kept;
}

static int compare_pids(const void *a, const void *b)
{
	const pid_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Adds what is in @found and not yet in @known, scanning it; how many. */
static size_t scan_new(struct scan *scan, struct pid_list *known, const struct pid_list *found)
{
	size_t before = known->count;

	for (size_t i = 0; i < found->count && !scan->error; i++) {
		if (before &&
			bsearch(&found->pids[i], known->pids, before, sizeof(pid_t), compare_pids))
			continue;
		scan->error = pid_list_add(known, found->pids[i]);
		scan_process(scan, found->pids[i]);
	}
	if (known->count > before)
		qsort(known->pids, known->count, sizeof(pid_t), compare_pids);
	return known->count - before;
}

static int scan_all(struct scan *scan, const struct procscan_request *request)
{
	struct pid_list known = { 0 };
	int ret = 0;

	for (unsigned round = 0; round < ROUNDS_MAX; round++) {
		struct pid_list found = { 0 };
		size_t added = 0;

		ret = procscan_select(scan->proc_fd, request, &found);
		if (!ret)
			added = scan_new(scan, &known, &found);
		free(found.pids);
		/* That the last of them has exited by now is no fault of the caller. */
		if (ret && round > 0)
			ret = 0;
		else if (!ret)
			ret = scan->error;
		if (ret || !added)
			break;
	}
	free(known.pids);
	return ret;
}

int procscan(const struct procscan_request *request, struct procscan_hit **out, size_t *count)
{
	autofd int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct scan scan = {
		.proc_fd = proc_fd,
		.dev_major = major(request->dev),
		.dev_minor = minor(request->dev),
	};
	int ret;

	if (proc_fd < 0)
		return -EACCES;
	ret = scan_all(&scan, request);
	if (ret) {
		free(scan.hits);
		return ret;
	}
	tidy(&scan);
	*out = scan.hits;
	*count = scan.count;
	return 0;
}
