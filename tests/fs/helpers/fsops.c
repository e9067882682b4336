/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fsops DIR: does, in the empty folder DIR, what a Linux program expects of a filesystem,
 * and says the outcome of each step, one per line.  Says nothing that may differ between
 * two filesystems that behave alike (inode numbers, device numbers, the time now), so the
 * words of two runs can be compared.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 65536

/* say("step", call): the value or the error of the call, beside its name. */
#define say(...) say_result(SAY_NAME(__VA_ARGS__, ), (errno = 0, SAY_CALL(__VA_ARGS__)))
#define SAY_NAME(name, ...) name
#define SAY_CALL(name, ...) (intmax_t)(__VA_ARGS__)

static intmax_t say_result(const char *name, intmax_t result)
{
	if (result < 0)
		printf("%s: %s\n", name, errno ? strerrorname_np(errno) : "-1");
	else
		printf("%s: %jd\n", name, result);
	return result;
}

static int make(const char *path, int flags)
{
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC | flags, 0644);
}

static void make_with(const char *path, const char *text)
{
	int fd = make(path, O_TRUNC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		perror(path);
	if (fd >= 0)
		close(fd);
}

static void say_content(const char *path)
{
	char text[256] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	printf("content of %s: %zd", path, len);
	for (ssize_t i = 0; i < len; i++)
		printf(text[i] >= ' ' && text[i] <= '~' ? "%c" : "\\%d", text[i]);
	putchar('\n');
	if (fd >= 0)
		close(fd);
}

static void say_stat(const char *path)
{
	struct stat st;

	if (lstat(path, &st)) {
		printf("stat of %s: %s\n", path, strerrorname_np(errno));
		return;
	}
	printf("stat of %s: mode %o, %ju links, %u:%u, rdev %u:%u", path, st.st_mode,
		(uintmax_t)st.st_nlink, st.st_uid, st.st_gid, major(st.st_rdev), minor(st.st_rdev));
	if (!S_ISDIR(st.st_mode))
		printf(", size %jd, %jd blocks", (intmax_t)st.st_size, (intmax_t)st.st_blocks);
	putchar('\n');
}

static int same_inode(const char *one, const char *other)
{
	struct stat a, b;

	if (lstat(one, &a) || lstat(other, &b))
		return -1;
	return a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static int compare_names(const void *one, const void *other)
{
	return strcmp(*(const char *const *)one, *(const char *const *)other);
}

/* The names and types of a folder, sorted, since their order means nothing. */
static void say_listing(const char *path)
{
	char *names[4096] = { NULL };
	size_t count = 0;
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && count < 4096 && (entry = readdir(dir))) {
		if (asprintf(&names[count], "%s/%d", entry->d_name, entry->d_type) < 0)
			abort();
		count++;
	}
	if (dir)
		closedir(dir);
	qsort(names, count, sizeof(*names), compare_names);
	printf("listing of %s:", path);
	for (size_t i = 0; i < count; i++) {
		printf(" %s", names[i]);
		free(names[i]);
	}
	putchar('\n');
}

static void test_create(void)
{
	struct stat st;
	char text[8] = "";
	int fd = make("f", O_EXCL);

	say("create", fd >= 0);
	say("create again", make("f", O_EXCL));
	say("write", write(fd, "hello", 5));
	say("pwrite past the end", pwrite(fd, "x", 1, 9));
	say("append", write(open("f", O_WRONLY | O_APPEND), "end", 3));
	say_content("f");
	say("fstat", fstat(fd, &st));
	say("size", st.st_size);
	say("read into it", pread(fd, text, 3, 1));
	puts(text);
	say("open a folder for writing", open(".", O_WRONLY));
	say("open with O_DIRECTORY", open("f", O_DIRECTORY));
	say("open below a file", open("f/x", O_RDONLY));
	say("open what is not there", open("nothing", O_RDONLY));
	char longest[258];
	memset(longest, 'n', 256);
	longest[256] = '\0';
	say("a name too long", make(longest, 0));
	longest[255] = '\0';
	say("the longest name", make(longest, 0) >= 0);
	say("unlink it", unlink(longest));
	say("open with O_TRUNC", open("f", O_WRONLY | O_TRUNC) >= 0);
	say_stat("f");
	say("write through an fd opened before", pwrite(fd, "abc", 3, 0));
	say_content("f");
	say("write on a read-only fd", write(open("f", O_RDONLY), "x", 1));
	say("creat with mode 0", open("locked", O_RDWR | O_CREAT | O_EXCL, 0) >= 0);
	say_stat("locked");
	close(fd);
}

static void test_links(void)
{
	char target[256] = "";

	make_with("l1", "one");
	say("link", link("l1", "l2"));
	say("link again", link("l1", "l2"));
	say("same inode", same_inode("l1", "l2"));
	say_stat("l1");
	say("unlink the first", unlink("l1"));
	say_stat("l2");
	say_content("l2");
	say("symlink", symlink("l2", "s"));
	say_stat("s");
	say("readlink", readlink("s", target, sizeof(target) - 1));
	puts(target);
	say_content("s");
	say("open with O_NOFOLLOW", open("s", O_RDONLY | O_NOFOLLOW));
	say("link to a symlink", link("s", "s2"));
	say_stat("s2");
	say("a symlink that hangs", symlink("nowhere", "hangs"));
	say("open it", open("hangs", O_RDONLY));
	say("O_EXCL through it", make("hangs", O_EXCL));
	say("create through it", make("hangs", 0) >= 0);
	say_stat("nowhere");
	say("two that go in a circle", symlink("c2", "c1") || symlink("c1", "c2"));
	say("open one", open("c1", O_RDONLY));
	say("link a folder", link(".", "d-link"));
	say("link of what is not there", link("nothing", "x"));
	int fd = open("l2", O_RDONLY);
	say("linkat by fd", linkat(fd, "", AT_FDCWD, "l3", AT_EMPTY_PATH));
	say("same inode", same_inode("l2", "l3"));
	close(fd);
	char long_target[4096];
	memset(long_target, 't', 4095);
	long_target[4095] = '\0';
	say("a long symlink", symlink(long_target, "long") ? errno == ENAMETOOLONG : 0);
}

static void test_nodes(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "sock" };
	char text[4] = "";

	say("mkfifo", mkfifo("fifo", 0640));
	say("mknod char", mknod("null", S_IFCHR | 0666, makedev(1, 3)));
	say("mknod block", mknod("block", S_IFBLK | 0600, makedev(7, 200)));
	say("mknod regular", mknod("plain", S_IFREG | 0600, 0));
	say("mknod again", mknod("plain", S_IFREG | 0600, 0));
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	say("bind", bind(fd, (struct sockaddr *)&address, sizeof(address)));
	say("bind again", bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address,
				  sizeof(address)));
	say("listen", listen(fd, 1));
	int client = socket(AF_UNIX, SOCK_STREAM, 0);
	say("connect", connect(client, (struct sockaddr *)&address, sizeof(address)));
	fd = open("fifo", O_RDWR | O_NONBLOCK);
	say("write to the fifo", write(fd, "abc", 3));
	say("read from it", read(fd, text, 3));
	puts(text);
	say("open the device", write(open("null", O_WRONLY), "x", 1));
	for (const char *const *name =
			(const char *const[]){ "fifo", "null", "block", "plain", "sock", NULL };
		*name; name++)
		say_stat(*name);
}

static void test_folders(void)
{
	say("mkdir", mkdir("d", 0755));
	say("mkdir again", mkdir("d", 0755));
	say("mkdir on a file", (make_with("file", ""), mkdir("file", 0755)));
	say("mkdir below", mkdir("d/e", 0700));
	say_stat("d");
	say("rmdir of what is not empty", rmdir("d"));
	say("rmdir of a file", rmdir("file"));
	say("unlink of a folder", unlink("d"));
	say("rmdir", rmdir("d/e"));
	say_stat("d");
	say("rmdir with a dot", rmdir("d/."));
	say("rmdir", rmdir("d"));
	say("rmdir again", rmdir("d"));
	say("mkdir with suid bits", mkdir("odd", 07777));
	say_stat("odd");
	int fd = open("odd", O_RDONLY | O_DIRECTORY);
	say("mkdirat", mkdirat(fd, "in", 0750));
	say("fsync of a folder", fsync(fd));
	say("read of a folder", read(fd, (char[1]){ 0 }, 1));
	say("fchdir", fchdir(fd));
	say_listing(".");
	say("chdir back", chdir(".."));
	close(fd);
}

static void test_rename(void)
{
	make_with("a", "a");
	make_with("b", "b");
	say("rename over", rename("a", "b"));
	say_content("b");
	say_stat("a");
	make_with("a", "a2");
	say("NOREPLACE", renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE));
	say("EXCHANGE", renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE));
	say_content("a");
	say_content("b");
	say("EXCHANGE with nothing", renameat2(AT_FDCWD, "a", AT_FDCWD, "no", RENAME_EXCHANGE));
	say("WHITEOUT", renameat2(AT_FDCWD, "a", AT_FDCWD, "moved", RENAME_WHITEOUT));
	say_stat("a");
	say_content("moved");
	unlink("a");
	mkdir("d1", 0755);
	mkdir("d2", 0755);
	mkdir("d2/sub", 0755);
	say("a file over a folder", rename("b", "d1"));
	say("a folder over a file", rename("d1", "b"));
	/* POSIX leaves it open which of the two it is. */
	int full = rename("d1", "d2");
	say("a folder over a full one", full < 0 && (errno == EEXIST || errno == ENOTEMPTY));
	say("a folder over an empty one", rename("d2", "d1"));
	say_listing("d1");
	say("into itself", rename("d1", "d1/sub/x"));
	say("exchange of a file and a folder",
		renameat2(AT_FDCWD, "b", AT_FDCWD, "d1", RENAME_EXCHANGE));
	say_listing("b");
	say("another link", link("moved", "moved2"));
	say("to the same inode", rename("moved", "moved2"));
	say_listing(".");
}

static void test_readdir(void)
{
	char path[64];
	int seen = 0;
	struct dirent *entry;

	mkdir("many", 0755);
	for (int i = 0; i < 700; i++) {
		snprintf(path, sizeof(path), "many/a-file-with-some-name-%d", i);
		close(make(path, 0));
	}
	DIR *dir = opendir("many");
	for (int i = 0; i < 300 && readdir(dir); i++)
		;
	long half = telldir(dir);
	while (readdir(dir))
		seen++;
	say("after 300", seen);
	seekdir(dir, half);
	for (seen = 0; readdir(dir);)
		seen++;
	say("after 300, once more", seen);
	rewinddir(dir);
	seen = 0;
	int removed = 0;
	while ((entry = readdir(dir))) {
		seen++;
		if (entry->d_name[0] != '.')
			removed += !unlinkat(dirfd(dir), entry->d_name, 0);
	}
	say("from the start", seen);
	say("removed on the way", removed);
	closedir(dir);
	say("rmdir", rmdir("many"));
}

static void test_size(void)
{
	int fd = make("t", 0);

	say("fill", write(fd, "0123456789", 10));
	say("ftruncate down", ftruncate(fd, 4));
	say("ftruncate up", ftruncate(fd, 8));
	say_content("t");
	say("truncate by path", truncate("t", 2));
	say_stat("t");
	say("truncate of a folder", truncate(".", 0));
	say("truncate below 0", truncate("t", -1));
	say("ftruncate of a read-only fd", ftruncate(open("t", O_RDONLY), 0));
	say("a large one", ftruncate(fd, (off_t)1 << 40));
	say("its end", lseek(fd, 0, SEEK_END));
	close(fd);
}

static void test_holes(void)
{
	int fd = make("holes", 0);
	char *block = malloc(BLOCK);

	memset(block, 'd', BLOCK);
	say("fallocate", fallocate(fd, 0, 0, 4 * BLOCK));
	say("fallocate, size kept", fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 8 * BLOCK));
	say_stat("holes");
	for (int i = 0; i < 4; i++)
		say("write a block", pwrite(fd, block, BLOCK, (off_t)i * BLOCK));
	say("punch", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, BLOCK, BLOCK));
	say("zero", fallocate(fd, FALLOC_FL_ZERO_RANGE, 3 * BLOCK, BLOCK));
	say("punch without keeping", fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, BLOCK));
	fsync(fd);
	say("SEEK_HOLE", lseek(fd, 0, SEEK_HOLE));
	say("SEEK_DATA", lseek(fd, BLOCK, SEEK_DATA));
	say("SEEK_DATA past the end", lseek(fd, 100 * BLOCK, SEEK_DATA));
	say("SEEK_CUR", lseek(fd, 0, SEEK_CUR));
	int sparse = make("sparse", 0);
	say("sparse", ftruncate(sparse, 64 * BLOCK));
	say("an island", pwrite(sparse, block, BLOCK, 32 * BLOCK));
	fsync(sparse);
	say("SEEK_DATA finds it", lseek(sparse, 0, SEEK_DATA));
	say("SEEK_HOLE after it", lseek(sparse, 32 * BLOCK, SEEK_HOLE));
	close(sparse);
	close(fd);
	free(block);
}

static void test_copies(void)
{
	int in = make("in", 0), out = make("out", 0), pipes[2];
	off_t from = 2, to = 1;

	say("source", write(in, "0123456789", 10));
	say("copy_file_range", copy_file_range(in, &from, out, &to, 5, 0));
	say_content("out");
	say("offsets", from * 100 + to);
	from = 0;
	say("sendfile", sendfile(out, in, &from, 4));
	say_content("out");
	say("pipe", pipe(pipes));
	from = 3;
	say("splice out", splice(in, &from, pipes[1], NULL, 4, 0));
	to = 6;
	say("splice in", splice(pipes[0], NULL, out, &to, 4, 0));
	say_content("out");
	struct iovec parts[2] = { { (char[]){ "AB" }, 2 }, { (char[]){ "CD" }, 2 } };
	say("pwritev", pwritev(out, parts, 2, 2));
	say_content("out");
	close(in);
	close(out);
}

static void test_maps(void)
{
	int fd = make("map", 0);

	say("size", ftruncate(fd, BLOCK));
	char *shared = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *private = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	say("maps", shared != MAP_FAILED && private != MAP_FAILED);
	strcpy(shared, "shared");
	say("msync", msync(shared, BLOCK, MS_SYNC));
	printf("private sees: %.6s\n", private);
	strcpy(private, "PRIVATE");
	printf("shared sees: %.6s\n", shared);
	say("write", pwrite(fd, "fd-write", 8, 0));
	printf("shared sees: %.8s\n", shared);
	munmap(shared, BLOCK);
	munmap(private, BLOCK);
	char text[9] = "";
	say("read", pread(fd, text, 8, 0));
	puts(text);
	close(fd);
}

static void test_attributes(void)
{
	struct stat st;
	struct timespec times[2] = { { 1000000000, 123456789 }, { 1100000000, 987654321 } };

	make_with("m", "m");
	say("chmod", chmod("m", 06751));
	say_stat("m");
	say("chown", chown("m", 123, 456));
	say_stat("m");
	say("chmod again", chmod("m", 02640));
	say("chown of the group", chown("m", (uid_t)-1, 789));
	say_stat("m");
	say("lchown of a symlink", symlink("m", "ms") || lchown("ms", 12, 34));
	say_stat("ms");
	say("utimensat", utimensat(AT_FDCWD, "m", times, 0));
	stat("m", &st);
	printf("times: %jd.%09ld %jd.%09ld\n", (intmax_t)st.st_atim.tv_sec, st.st_atim.tv_nsec,
		(intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	times[0].tv_nsec = UTIME_OMIT;
	times[1].tv_nsec = UTIME_NOW;
	say("utimensat now and omit", utimensat(AT_FDCWD, "m", times, 0));
	stat("m", &st);
	printf("atime kept %ld, mtime moved %d\n", st.st_atim.tv_nsec,
		st.st_mtim.tv_sec > 1500000000);
	say("access", access("m", R_OK | W_OK));
	say("access of what is not there", access("no", F_OK));
	struct statx stx;
	say("statx", statx(AT_FDCWD, "m", 0, STATX_ALL, &stx));
	say("mask of the basics", (stx.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
	struct statvfs vfs;
	say("statvfs", statvfs(".", &vfs));
	printf("name_max %lu, blocks %d, free %d\n", vfs.f_namemax, vfs.f_blocks > 0,
		vfs.f_bavail > 0);
}

static void test_xattrs(void)
{
	char text[512] = "";

	make_with("x", "x");
	say("setxattr", setxattr("x", "user.one", "1", 1, 0));
	say("XATTR_CREATE", setxattr("x", "user.one", "2", 1, XATTR_CREATE));
	say("XATTR_REPLACE", setxattr("x", "user.two", "2", 1, XATTR_REPLACE));
	say("another", setxattr("x", "user.two", "", 0, XATTR_CREATE));
	say("trusted", setxattr("x", "trusted.three", "333", 3, 0));
	say("getxattr", getxattr("x", "user.one", text, sizeof(text)));
	puts(text);
	say("its size", getxattr("x", "trusted.three", NULL, 0));
	say("into too little", getxattr("x", "trusted.three", text, 1));
	say("of what is not there", getxattr("x", "user.no", text, sizeof(text)));
	say("listxattr", listxattr("x", text, sizeof(text)));
	say("listxattr into too little", listxattr("x", text, 3));
	say("removexattr", removexattr("x", "user.one"));
	say("removexattr again", removexattr("x", "user.one"));
	say("on a folder", setxattr(".", "user.dir", "d", 1, 0));
	say("user. on a symlink", symlink("x", "xs") || lsetxattr("xs", "user.one", "1", 1, 0));
	say("no such space", setxattr("x", "nospace.a", "1", 1, 0));
}

static void test_tmpfile(void)
{
	char path[64];
	int fd = open(".", O_TMPFILE | O_RDWR, 0640);

	say("O_TMPFILE", fd >= 0);
	say("write", write(fd, "tmp", 3));
	struct stat st;
	say("fstat", fstat(fd, &st));
	printf("mode %o, %ju links\n", st.st_mode, (uintmax_t)st.st_nlink);
	say("link it", linkat(fd, "", AT_FDCWD, "was-tmp", AT_EMPTY_PATH));
	say_stat("was-tmp");
	say_content("was-tmp");
	close(fd);
	fd = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0640);
	say("with O_EXCL", fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	say("link that", linkat(AT_FDCWD, path, AT_FDCWD, "no", AT_SYMLINK_FOLLOW));
	close(fd);
	say("O_TMPFILE read-only", open(".", O_TMPFILE | O_RDONLY, 0640));
	say("O_TMPFILE on a file", open("was-tmp", O_TMPFILE | O_RDWR, 0640));
}

static void test_flags(void)
{
	make_with("i", "i");
	int fd = open("i", O_RDONLY), flags = 0;

	say("FS_IOC_GETFLAGS", ioctl(fd, FS_IOC_GETFLAGS, &flags));
	flags |= FS_NOATIME_FL | FS_NODUMP_FL;
	say("FS_IOC_SETFLAGS", ioctl(fd, FS_IOC_SETFLAGS, &flags));
	flags = 0;
	say("again", ioctl(fd, FS_IOC_GETFLAGS, &flags));
	say("as set", !!(flags & FS_NODUMP_FL));
	flags |= FS_IMMUTABLE_FL;
	say("immutable", ioctl(fd, FS_IOC_SETFLAGS, &flags));
	say("write to it", open("i", O_WRONLY));
	say("unlink it", unlink("i"));
	say("link it", link("i", "i2"));
	flags &= ~FS_IMMUTABLE_FL;
	say("no longer", ioctl(fd, FS_IOC_SETFLAGS, &flags));
	struct fsxattr attr;
	say("FS_IOC_FSGETXATTR", ioctl(fd, FS_IOC_FSGETXATTR, &attr));
	say("an ioctl that nobody has", ioctl(fd, _IO('~', 99)));
	say("unlink it now", unlink("i"));
	close(fd);
}

static void test_locks(void)
{
	int one = make("lock", 0), other = open("lock", O_RDWR);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10 };

	say("flock", flock(one, LOCK_EX | LOCK_NB));
	say("flock by another", flock(other, LOCK_EX | LOCK_NB));
	say("released", flock(one, LOCK_UN));
	say("flock by another now", flock(other, LOCK_EX | LOCK_NB));
	say("OFD lock", fcntl(one, F_OFD_SETLK, &lock));
	say("OFD lock by another", fcntl(other, F_OFD_SETLK, &lock));
	close(one);
	say("OFD lock after the close", fcntl(other, F_OFD_SETLK, &lock));
	close(other);
}

static void test_sync(void)
{
	int fd = make("sync", O_SYNC);

	say("O_SYNC write", write(fd, "s", 1));
	say("fsync", fsync(fd));
	say("fdatasync", fdatasync(fd));
	say("syncfs", syncfs(fd));
	say("sync_file_range", sync_file_range(fd, 0, 1, SYNC_FILE_RANGE_WRITE));
	say("fadvise", posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED));
	close(fd);
	void *block;
	if (posix_memalign(&block, 4096, 4096))
		abort();
	memset(block, 'D', 4096);
	fd = make("direct", O_DIRECT);
	say("O_DIRECT write", write(fd, block, 4096));
	say("O_DIRECT read", pread(fd, block, 4096, 0));
	close(fd);
	free(block);
	int path_fd = open("sync", O_PATH);
	say("O_PATH", path_fd >= 0);
	say("read by it", read(path_fd, (char[1]){ 0 }, 1));
	struct stat st;
	say("fstat by it", fstat(path_fd, &st));
	close(path_fd);
}

/* Writing as somebody else takes the suid bits away; so does giving the file away. */
static void test_suid(void)
{
	make_with("suid", "x");
	chmod("suid", 06777);
	pid_t pid = fork();

	if (!pid) {
		if (setgid(1234) || setuid(1234))
			_exit(1);
		_exit(write(open("suid", O_WRONLY), "y", 1) == 1 ? 0 : 1);
	}
	int status = -1;
	waitpid(pid, &status, 0);
	say("write as another", status);
	say_stat("suid");
	chmod("suid", 06755);
	say("truncate by root", truncate("suid", 0));
	say_stat("suid");
	chmod("suid", 06755);
	say("chown", chown("suid", 1, 1));
	say_stat("suid");
}

static void test_append_shared(void)
{
	int one = open("log", O_WRONLY | O_CREAT | O_APPEND, 0644);
	int other = open("log", O_WRONLY | O_APPEND);

	for (int i = 0; i < 3; i++) {
		say("append", write(one, "a", 1));
		say("append by another", write(other, "b", 1));
	}
	say_content("log");
	int later = open("log", O_RDWR);
	say("at the start", write(later, "X", 1));
	say("O_APPEND switched on", fcntl(later, F_SETFL, O_APPEND));
	say("then at the end", write(later, "Y", 1));
	say_content("log");
	close(later);
	say("poll", poll(&(struct pollfd){ .fd = one, .events = POLLOUT }, 1, 0));
	close(one);
	close(other);
}

static void test_removed_folder(void)
{
	mkdir("gone", 0755);
	int fd = open("gone", O_RDONLY | O_DIRECTORY);

	say("rmdir while open", rmdir("gone"));
	say("create in it", openat(fd, "x", O_CREAT | O_RDWR, 0644));
	say("mkdir in it", mkdirat(fd, "x", 0755));
	say("symlink in it", symlinkat("t", fd, "x"));
	say("lookup in it", openat(fd, "x", O_RDONLY));
	struct stat st;
	say("fstat", fstat(fd, &st));
	say("links", st.st_nlink);
	char text[4096];
	say("getdents", getdents64(fd, text, sizeof(text)));
	close(fd);
}

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	{ "create", test_create },
	{ "links", test_links },
	{ "nodes", test_nodes },
	{ "folders", test_folders },
	{ "rename", test_rename },
	{ "readdir", test_readdir },
	{ "size", test_size },
	{ "holes", test_holes },
	{ "copies", test_copies },
	{ "maps", test_maps },
	{ "attributes", test_attributes },
	{ "xattrs", test_xattrs },
	{ "tmpfile", test_tmpfile },
	{ "flags", test_flags },
	{ "locks", test_locks },
	{ "sync", test_sync },
	{ "suid", test_suid },
	{ "append", test_append_shared },
	{ "removed", test_removed_folder },
};

int main(int argc, char **argv)
{
	if (argc != 2 || chdir(argv[1])) {
		fprintf(stderr, "Usage: fsops DIR\n");
		return 2;
	}
	umask(022);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++) {
		printf("== %s\n", tests[i].name);
		if (mkdir(tests[i].name, 0755) || chdir(tests[i].name)) {
			perror(tests[i].name);
			return 1;
		}
		tests[i].run();
		if (chdir(".."))
			return 1;
		fflush(stdout);
	}
	return 0;
}
