/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What has no name any more, extended attributes, errors of names. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/fs/helpers/same/same.h"

static void count_entries(const char *what, int fd)
{
	char data[4096];

	tell(what, lseek(fd, 0, SEEK_SET));
	tell(what, getdents64(fd, data, sizeof(data)));
}

void test_unlinked(void)
{
	char path[64];
	struct stat st;
	int fd = make("file", 0, 0, 0644), dir;

	unlink("file");
	ok("linkat", linkat(fd, "", AT_FDCWD, "again", AT_EMPTY_PATH));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ok("linkat", linkat(AT_FDCWD, path, AT_FDCWD, "again", AT_SYMLINK_FOLLOW));
	ok("open again", open(path, O_RDWR));
	ok("open to truncate", open(path, O_RDWR | O_TRUNC));
	ok("chmod", fchmod(fd, 0600));
	ok("chown", fchown(fd, 1, 1));
	ok("utimens", futimens(fd, NULL));
	ok("setxattr", fsetxattr(fd, "user.a", "b", 1, 0));
	tell("listxattr", flistxattr(fd, NULL, 0));
	tell("nlink", fstat(fd, &st) ? -1 : (long)st.st_nlink);
	close(fd);
	fd = open(".", O_TMPFILE | O_RDWR, 0644);
	tell("nlink of a tmpfile", fstat(fd, &st) ? -1 : (long)st.st_nlink);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ok("linkat of a tmpfile", linkat(AT_FDCWD, path, AT_FDCWD, "tmp", AT_SYMLINK_FOLLOW));
	show("tmpfile", "tmp");
	unlink("tmp");
	ok("linkat again", linkat(AT_FDCWD, path, AT_FDCWD, "tmp", AT_SYMLINK_FOLLOW));
	close(fd);
	fd = open(".", O_TMPFILE | O_EXCL | O_RDWR, 0644);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ok("linkat of O_EXCL", linkat(AT_FDCWD, path, AT_FDCWD, "tmp", AT_SYMLINK_FOLLOW));
	mkdir("dir", 0755);
	dir = open("dir", O_RDONLY | O_DIRECTORY);
	ok("rmdir", rmdir("dir"));
	tell("nlink of a folder", fstat(dir, &st) ? -1 : (long)st.st_nlink);
	count_entries("entries", dir);
	ok("create in it", openat(dir, "x", O_CREAT | O_WRONLY, 0644));
	ok("mkdir in it", mkdirat(dir, "x", 0755));
	ok("look in it", openat(dir, "x", O_RDONLY));
	ok("its parent", fstatat(dir, "..", &st, 0));
	ok("itself", fstatat(dir, ".", &st, 0));
	ok("chmod of it", fchmod(dir, 0700));
	ok("tmpfile in it", openat(dir, ".", O_TMPFILE | O_RDWR, 0644));
	ok("fchdir", fchdir(dir));
	ok("getcwd", getcwd(path, sizeof(path)) ? 0 : -1);
	ok("rename into it", rename("../none", "x"));
	ok("symlink in it", symlink("a", "x"));
	ok("open .", open(".", O_RDONLY));
	ok("chdir ..", chdir(".."));
}

/* ---- odds and ends ---- */

static void xattr_user(void)
{
	char value[8];

	ok("trusted", setxattr("mine", "trusted.a", "b", 1, 0));
	tell("trusted", getxattr("mine", "trusted.t", value, sizeof(value)));
	tell("list", listxattr("mine", NULL, 0));
	ok("security", setxattr("mine", "security.a", "b", 1, 0));
	ok("user on another's", setxattr("foreign", "user.a", "b", 1, 0));
	ok("sticky folder", setxattr("sticky", "user.a", "b", 1, 0));
}

void test_xattr(void)
{
	static char big[65537];
	char value[300];

	close(make("mine", USER, USER, 0644));
	close(make("foreign", 0, 0, 0644));
	mkdir("sticky", 0777);
	chmod("sticky", 01777);
	ok("symlink", symlink("none", "link"));
	mkfifo("fifo", 0644);
	ok("trusted", setxattr("mine", "trusted.t", "b", 1, 0));
	ok("security", setxattr("mine", "security.s", "b", 1, 0));
	ok("replace none", setxattr("mine", "user.r", "b", 1, XATTR_REPLACE));
	ok("create", setxattr("mine", "user.c", "", 0, XATTR_CREATE));
	ok("create twice", setxattr("mine", "user.c", "b", 1, XATTR_CREATE));
	tell("empty", getxattr("mine", "user.c", value, sizeof(value)));
	tell("none", getxattr("mine", "user.none", value, sizeof(value)));
	ok("remove none", removexattr("mine", "user.none"));
	ok("set", setxattr("mine", "user.v", "12345", 5, 0));
	tell("short buffer", getxattr("mine", "user.v", value, 3));
	tell("size", getxattr("mine", "user.v", NULL, 0));
	tell("short list", listxattr("mine", value, 3));
	ok("too big", setxattr("mine", "user.big", big, sizeof(big), 0));
	ok("64k", setxattr("mine", "user.big", big, 65536, 0));
	ok("no namespace", setxattr("mine", "nothing", "b", 1, 0));
	ok("unknown namespace", setxattr("mine", "other.x", "b", 1, 0));
	ok("only a namespace", setxattr("mine", "user.", "b", 1, 0));
	memset(value, 'a', sizeof(value));
	memcpy(value, "user.", 5);
	value[256] = '\0';
	ok("long name", setxattr("mine", value, "b", 1, 0));
	value[255] = '\0';
	ok("longest name", setxattr("mine", value, "b", 1, 0));
	ok("user on a symlink", lsetxattr("link", "user.a", "b", 1, 0));
	ok("trusted on a symlink", lsetxattr("link", "trusted.a", "b", 1, 0));
	tell("trusted on a symlink", lgetxattr("link", "trusted.a", value, 10));
	ok("user on a FIFO", setxattr("fifo", "user.a", "b", 1, 0));
	as_user(xattr_user);
}

void test_names(void)
{
	char name[300];
	int fd;

	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	ok("256", mkdir(name, 0755));
	ok("open 256", open(name, O_RDONLY));
	name[255] = '\0';
	ok("255", mkdir(name, 0755));
	ok("create in a file's place", open("none/file", O_CREAT | O_WRONLY, 0644));
	fd = make("file", 0, 0, 0644);
	ok("a file as a folder", open("file/x", O_RDONLY));
	ok("O_DIRECTORY", open("file", O_RDONLY | O_DIRECTORY));
	ok("O_EXCL", open("file", O_CREAT | O_EXCL | O_RDWR, 0644));
	ok("dangling", symlink("nowhere", "dangling"));
	ok("O_EXCL dangling", open("dangling", O_CREAT | O_EXCL | O_RDWR, 0644));
	ok("O_NOFOLLOW", open("dangling", O_RDONLY | O_NOFOLLOW));
	ok("create dangling", open("dangling", O_CREAT | O_RDWR, 0644));
	ok("unlink a folder", unlink(name));
	ok("rmdir a file", rmdir("file"));
	mkdir("a", 0755);
	mkdir("a/b", 0755);
	ok("rmdir full", rmdir("a"));
	ok("rmdir .", rmdir("a/."));
	ok("rmdir ..", rmdir("a/b/.."));
	ok("rename into itself", rename("a", "a/b/c"));
	ok("rename over full", rename(name, "a"));
	ok("rename a folder over a file", rename("a", "file"));
	ok("rename a file over a folder", rename("file", "a/b"));
	ok("NOREPLACE", renameat2(AT_FDCWD, "file", AT_FDCWD, "a", RENAME_NOREPLACE));
	ok("EXCHANGE none", renameat2(AT_FDCWD, "file", AT_FDCWD, "none", RENAME_EXCHANGE));
	ok("EXCHANGE", renameat2(AT_FDCWD, "file", AT_FDCWD, "a/b", RENAME_EXCHANGE));
	ok("WHITEOUT", renameat2(AT_FDCWD, "a/b", AT_FDCWD, "white", RENAME_WHITEOUT));
	show("WHITEOUT", "a/b");
	ok("link a folder", link("a", "linked"));
	ok("link over", link("white", "file"));
	ok("open a folder to write", open("a", O_RDWR));
	ok("O_CREAT on a folder", open("a", O_CREAT | O_RDONLY, 0644));
	ok("truncate a folder", truncate("a", 0));
	ok("read a folder", (int)read(open("a", O_RDONLY), name, 1));
	ok("fsync a folder", fsync(open("a", O_RDONLY)));
	ok("fallocate a folder", fallocate(open("a", O_RDONLY), 0, 0, 10));
	ok("mknod", mknod("null", S_IFCHR | 0666, 0x103));
	ok("open it", open("null", O_RDWR));
	ok("mknod 0", mknod("plain", 0644, 0));
	ok("mknod of a folder", mknod("x", S_IFDIR | 0755, 0));
	ok("preadv2 nowait", (int)preadv2(fd, &(struct iovec){ name, 10 }, 1, 0, RWF_NOWAIT) < -1);
	tell("pwritev2 append", pwritev2(fd, &(struct iovec){ name, 10 }, 1, 0, RWF_APPEND));
	tell("pwritev2 dsync", pwritev2(fd, &(struct iovec){ name, 10 }, 1, 0, RWF_DSYNC));
	ok("sync_file_range", sync_file_range(fd, 0, 10, SYNC_FILE_RANGE_WRITE));
	ok("readahead", (int)readahead(fd, 0, 4096));
	show("file", "white");
}
