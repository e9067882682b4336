/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Limits, inode flags, locks, leases, inotify. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/fs/helpers/same/same.h"

static void limit_user(void)
{
	static char data[4096];
	const struct rlimit limit = { 8192, 8192 };
	int fd = open("limited", O_RDWR | O_CREAT, 0644);

	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	tell("across", pwrite(fd, data, 4096, 8000));
	tell("at", pwrite(fd, data, 4096, 8192));
	tell("beyond", pwrite(fd, data, 1, 10000));
	ok("ftruncate", ftruncate(fd, 10000));
	ok("truncate", truncate("limited", 10000));
	ok("ftruncate within", ftruncate(fd, 8192));
	ok("fallocate", fallocate(fd, 0, 0, 10000));
	ok("fallocate keep", fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 10000));
	fd = open("limited", O_WRONLY | O_APPEND);
	tell("append", write(fd, data, 1));
	show("limited", "limited");
}

void test_limits(void)
{
	int fd = make("big", 0, 0, 0644);

	chmod(".", 0777);
	as_user(limit_user);
	ok("fallocate of too much", fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1ll << 40));
	show("fallocate of too much", "big");
	ok("ftruncate", ftruncate(fd, 10000));
	ok("truncate to the maximum", ftruncate(fd, LLONG_MAX));
	ok("pwrite at the maximum", (int)pwrite(fd, "x", 1, LLONG_MAX - 1));
	ok("truncate below 0", ftruncate(fd, -1));
	ok("pwrite below 0", (int)pwrite(fd, "x", 1, -1));
	tell("seek below 0", lseek(fd, -1, SEEK_SET));
	tell("seek data beyond", lseek(fd, 1 << 20, SEEK_DATA));
	tell("seek hole at the end", lseek(fd, 10000, SEEK_HOLE));
	tell("seek hole", lseek(fd, 9999, SEEK_HOLE));
	ok("fallocate of nothing", fallocate(fd, 0, 0, 0));
	ok("fallocate below 0", fallocate(fd, 0, -1, 10));
	ok("punch without keep", fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10));
	close(fd);
	fd = open("big", O_RDONLY);
	ok("ftruncate read-only", ftruncate(fd, 0));
	ok("fallocate read-only", fallocate(fd, 0, 0, 10));
	ok("write read-only", (int)write(fd, "x", 1));
	ok("copy to read-only", (int)copy_file_range(fd, NULL, fd, NULL, 1, 0));
}

/* ---- flags ---- */

static int set_flags(const char *path, int flags)
{
	int fd = open(path, O_RDONLY), old, result;

	if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &old) < 0)
		return -1;
	old = (old & ~(FS_IMMUTABLE_FL | FS_APPEND_FL)) | flags;
	result = ioctl(fd, FS_IOC_SETFLAGS, &old);
	close(fd);
	return result;
}

static void try_all(const char *path, int open_fd)
{
	char other[64];

	snprintf(other, sizeof(other), "%s-other", path);
	ok("open to read", open(path, O_RDONLY));
	ok("open to write", open(path, O_WRONLY));
	ok("open to append", open(path, O_WRONLY | O_APPEND));
	ok("open O_TRUNC", open(path, O_WRONLY | O_APPEND | O_TRUNC));
	ok("write to what is open", (int)pwrite(open_fd, "x", 1, 3));
	ok("ftruncate of what is open", ftruncate(open_fd, 3));
	ok("fallocate of what is open", fallocate(open_fd, 0, 0, 20000));
	ok("punch in what is open",
		fallocate(open_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 10));
	ok("F_SETFL", fcntl(open_fd, F_SETFL, 0));
	ok("truncate", truncate(path, 3));
	ok("chmod", chmod(path, 0600));
	ok("fchmod", fchmod(open_fd, 0600));
	ok("chown", chown(path, 1, 1));
	ok("utimens now", utimensat(AT_FDCWD, path, NULL, 0));
	ok("utimens", utimensat(AT_FDCWD, path, (struct timespec[2]){ { 1, 0 }, { 1, 0 } }, 0));
	ok("setxattr", setxattr(path, "user.x", "y", 1, 0));
	ok("link", link(path, other));
	ok("rename", rename(path, other));
	ok("unlink", unlink(path));
	show("after", path);
}

static void flags_user(void)
{
	int flags = FS_IMMUTABLE_FL;
	int fd = open("mine", O_RDWR);

	ok("+i by the user", ioctl(fd, FS_IOC_SETFLAGS, &flags));
	flags = FS_NODUMP_FL;
	ok("getflags", ioctl(fd, FS_IOC_GETFLAGS, &flags));
	ok("+d on another's", ioctl(open("foreign", O_RDONLY), FS_IOC_SETFLAGS, &flags));
	ok("O_NOATIME of one's own", open("mine", O_RDONLY | O_NOATIME));
	fd = open("foreign", O_RDONLY);
	ok("F_SETFL O_NOATIME", fcntl(fd, F_SETFL, O_NOATIME));
	ok("O_NOATIME", open("foreign", O_RDONLY | O_NOATIME));
	ok("utimens now", utimensat(AT_FDCWD, "foreign", NULL, 0));
	ok("utimens",
		utimensat(AT_FDCWD, "foreign", (struct timespec[2]){ { 1, 0 }, { 1, 0 } }, 0));
}

void test_flags(void)
{
	int fd = make("immutable", 0, 0, 0644);
	int append = make("append", 0, 0, 0644);

	ok("+i", set_flags("immutable", FS_IMMUTABLE_FL));
	try_all("immutable", fd);
	ok("-i", set_flags("immutable", 0));
	section = "append only";
	ok("+a", set_flags("append", FS_APPEND_FL));
	try_all("append", append);
	ok("-a", set_flags("append", 0));
	section = "immutable folder";
	mkdir("folder", 0755);
	close(make("folder/file", 0, 0, 0644));
	ok("+i", set_flags("folder", FS_IMMUTABLE_FL));
	ok("create", open("folder/new", O_CREAT | O_WRONLY, 0644));
	ok("unlink", unlink("folder/file"));
	ok("mkdir", mkdir("folder/new", 0755));
	ok("tmpfile", open("folder", O_TMPFILE | O_RDWR, 0644));
	ok("rename", rename("folder/file", "elsewhere"));
	ok("rmdir", rmdir("folder"));
	ok("-i", set_flags("folder", 0));
	section = "append-only folder";
	ok("+a", set_flags("folder", FS_APPEND_FL));
	ok("create", open("folder/new", O_CREAT | O_WRONLY, 0644));
	ok("unlink", unlink("folder/file"));
	ok("-a", set_flags("folder", 0));
	section = "flags by the user";
	close(make("mine", USER, USER, 0644));
	close(make("foreign", 0, 0, 0666));
	as_user(flags_user);
}

/* ---- locks, leases ---- */

static int lock(int fd, int command, short type, off_t start, off_t length)
{
	struct flock want = { .l_type = type, .l_start = start, .l_len = length };

	return fcntl(fd, command, &want);
}

static void lock_child(void)
{
	struct flock seen = { .l_type = F_WRLCK, .l_len = 10 };
	int fd = open("locked", O_RDWR);

	ok("flock", flock(fd, LOCK_EX | LOCK_NB));
	ok("flock shared", flock(fd, LOCK_SH | LOCK_NB));
	ok("posix", lock(fd, F_SETLK, F_WRLCK, 0, 10));
	ok("posix elsewhere", lock(fd, F_SETLK, F_WRLCK, 100, 10));
	ok("ofd", lock(fd, F_OFD_SETLK, F_WRLCK, 50, 10));
	ok("ofd shared", lock(fd, F_OFD_SETLK, F_RDLCK, 50, 10));
	ok("F_GETLK", fcntl(fd, F_GETLK, &seen));
	printf("%s: type %d start %jd length %jd by the parent: %d\n", section, seen.l_type,
		(intmax_t)seen.l_start, (intmax_t)seen.l_len, seen.l_pid == getppid());
}

static void lease_child(void)
{
	ok("read what is leased", open("leased", O_RDONLY | O_NONBLOCK));
	ok("write what is leased", open("leased", O_WRONLY | O_NONBLOCK));
	ok("truncate what is leased to none", truncate("other", 0));
}

void test_locks(void)
{
	int fd = make("locked", 0, 0, 0644), leased = make("leased", 0, 0, 0644);

	close(make("other", 0, 0, 0644));
	ok("flock", flock(fd, LOCK_SH));
	ok("posix", lock(fd, F_SETLK, F_WRLCK, 0, 10));
	ok("ofd", lock(fd, F_OFD_SETLK, F_RDLCK, 50, 10));
	in_child(lock_child);
	ok("unlink", unlink("locked"));
	ok("posix after unlink", lock(fd, F_SETLK, F_RDLCK, 0, 10));
	signal(SIGIO, SIG_IGN);
	ok("read lease with a writer", fcntl(leased, F_SETLEASE, F_RDLCK));
	ok("write lease", fcntl(leased, F_SETLEASE, F_WRLCK));
	tell("F_GETLEASE", fcntl(leased, F_GETLEASE));
	in_child(lease_child);
	ok("unlock", fcntl(leased, F_SETLEASE, F_UNLCK));
	close(leased);
	leased = open("leased", O_RDONLY);
	ok("read lease", fcntl(leased, F_SETLEASE, F_RDLCK));
	ok("write lease on read-only", fcntl(leased, F_SETLEASE, F_WRLCK));
	tell("F_GET_SEALS", fcntl(leased, F_GET_SEALS));
	ok("F_ADD_SEALS", fcntl(leased, F_ADD_SEALS, F_SEAL_WRITE));
}

/* ---- inotify ---- */

static void events(int watch, const char *what)
{
	char data[4096] __attribute__((aligned(8)));
	ssize_t n = read(watch, data, sizeof(data));

	printf("%s: %s:", section, what);
	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *event = (const void *)(data + at);

		printf(" %d:%x%s%s", event->wd, event->mask, event->len ? "=" : "",
			event->len ? event->name : "");
		at += (ssize_t)sizeof(*event) + event->len;
	}
	putchar('\n');
}

void test_inotify(void)
{
	int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), fd;

	close(make("file", 0, 0, 0644));
	close(make("over", 0, 0, 0644));
	mkdir("folder", 0755);
	ok("watch a file", inotify_add_watch(watch, "file", IN_ALL_EVENTS));
	ok("watch the folder", inotify_add_watch(watch, ".", IN_ALL_EVENTS));
	fd = open("file", O_RDWR);
	events(watch, "open");
	ok("write", (int)write(fd, "x", 1));
	events(watch, "write");
	ok("truncate", ftruncate(fd, 5));
	events(watch, "truncate");
	ok("fallocate", fallocate(fd, 0, 0, 50000));
	events(watch, "fallocate");
	ok("chmod", fchmod(fd, 0600));
	events(watch, "chmod");
	ok("setxattr", fsetxattr(fd, "user.a", "b", 1, 0));
	events(watch, "setxattr");
	ok("link", link("file", "link"));
	events(watch, "link");
	ok("unlink one of two", unlink("link"));
	events(watch, "unlink one of two");
	ok("rename", rename("file", "renamed"));
	events(watch, "rename");
	ok("unlink", unlink("renamed"));
	events(watch, "unlink");
	ok("write", (int)write(fd, "x", 1));
	events(watch, "write when unlinked");
	close(fd);
	events(watch, "last close");
	ok("watch over", inotify_add_watch(watch, "over", IN_ALL_EVENTS));
	close(make("new", 0, 0, 0644));
	events(watch, "a new file");
	ok("rename over", rename("new", "over"));
	events(watch, "rename over");
	ok("watch a subfolder", inotify_add_watch(watch, "folder", IN_ALL_EVENTS));
	ok("rmdir", rmdir("folder"));
	events(watch, "rmdir");
}
