/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process that holds files, told by commands.  One command per line on stdin, its
 * arguments separated by tabs; one answer per line on stdout: "ok [VALUE...]" or
 * "err ERRNO".  Open files and mappings have names ("slots"), so that a script never
 * has to know a number.  Ends at "quit" or at the end of its input.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MAX_SLOTS 64
#define MAX_ARGS 16
#define TEXT_MAX 65536

struct slot {
	char *name;
	int fd;
	char *map;
	size_t map_len;
};

static struct slot slots[MAX_SLOTS];
static char answer[TEXT_MAX + 64];

static struct slot *slot_find(const char *name)
{
	for (struct slot *slot = slots; slot < slots + MAX_SLOTS; slot++) {
		if (slot->name && !strcmp(slot->name, name))
			return slot;
	}
	fprintf(stderr, "hold: no slot named %s\n", name);
	exit(2);
}

static void slot_put(struct slot filled)
{
	for (struct slot *slot = slots; slot < slots + MAX_SLOTS; slot++) {
		if (!slot->name) {
			*slot = filled;
			return;
		}
	}
	fprintf(stderr, "hold: more than %d slots\n", MAX_SLOTS);
	exit(2);
}

static void slot_add(const char *name, int fd)
{
	slot_put((struct slot){ .name = strdup(name), .fd = fd });
}

static void slot_remove(struct slot *slot)
{
	free(slot->name);
	*slot = (struct slot){ .fd = -1 };
}

static int fd_of(const char *name)
{
	return slot_find(name)->fd;
}

static int64_t number(const char *text)
{
	return strtoll(text, NULL, 0);
}

__attribute__((format(printf, 1, 2))) static int value(const char *format, ...)
{
	size_t used = strlen(answer);
	va_list args;

	va_start(args, format);
	vsnprintf(answer + used, sizeof(answer) - used, format, args);
	va_end(args);
	return 0;
}

static const struct {
	const char *name;
	int flag;
} open_flags[] = {
	{ "r", O_RDONLY },
	{ "w", O_WRONLY },
	{ "rw", O_RDWR },
	{ "creat", O_CREAT },
	{ "excl", O_EXCL },
	{ "trunc", O_TRUNC },
	{ "append", O_APPEND },
	{ "path", O_PATH },
	{ "nofollow", O_NOFOLLOW },
	{ "dir", O_DIRECTORY },
	{ "tmpfile", O_TMPFILE },
	{ "nonblock", O_NONBLOCK },
	{ "cloexec", O_CLOEXEC },
	{ "direct", O_DIRECT },
	{ "sync", O_SYNC },
	{ "noatime", O_NOATIME },
};

static int flags_of(char *text)
{
	int flags = 0;
	char *save = NULL;

	for (char *word = strtok_r(text, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		size_t i = 0;

		while (i < sizeof(open_flags) / sizeof(*open_flags) &&
			strcmp(open_flags[i].name, word) != 0)
			i++;
		if (i == sizeof(open_flags) / sizeof(*open_flags)) {
			fprintf(stderr, "hold: no open flag named %s\n", word);
			exit(2);
		}
		flags |= open_flags[i].flag;
	}
	return flags;
}

static const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "regular";
	case S_IFDIR:
		return "directory";
	case S_IFLNK:
		return "symlink";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "socket";
	case S_IFCHR:
		return "char";
	default:
		return "block";
	}
}

static void stat_field(const struct stat *st, const char *field)
{
	if (!strcmp(field, "type"))
		value(" %s", type_name(st->st_mode));
	else if (!strcmp(field, "mode"))
		value(" %o", st->st_mode & 07777);
	else if (!strcmp(field, "nlink"))
		value(" %ju", (uintmax_t)st->st_nlink);
	else if (!strcmp(field, "uid"))
		value(" %u", st->st_uid);
	else if (!strcmp(field, "gid"))
		value(" %u", st->st_gid);
	else if (!strcmp(field, "size"))
		value(" %jd", (intmax_t)st->st_size);
	else if (!strcmp(field, "blocks"))
		value(" %jd", (intmax_t)st->st_blocks);
	else if (!strcmp(field, "ino"))
		value(" %ju", (uintmax_t)st->st_ino);
	else if (!strcmp(field, "rdev"))
		value(" %u:%u", major(st->st_rdev), minor(st->st_rdev));
	else if (!strcmp(field, "mtime"))
		value(" %jd.%09ld", (intmax_t)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	else
		value(" ?%s", field);
}

static int stat_answer(int result, const struct stat *st, char **fields)
{
	for (; !result && *fields; fields++)
		stat_field(st, *fields);
	return result;
}

static int cmd_open(char **arg)
{
	int flags = flags_of(arg[2]);
	int fd = open(arg[1], flags, arg[3] ? (mode_t)strtoul(arg[3], NULL, 8) : 0644);

	if (fd < 0)
		return -1;
	slot_add(arg[0], fd);
	return value(" %d", fd);
}

static int cmd_adopt(char **arg)
{
	if (fcntl((int)number(arg[1]), F_GETFD) < 0)
		return -1;
	slot_add(arg[0], (int)number(arg[1]));
	return 0;
}

static int cmd_dup(char **arg)
{
	int fd = dup(fd_of(arg[0]));

	if (fd < 0)
		return -1;
	slot_add(arg[1], fd);
	return value(" %d", fd);
}

static int cmd_close(char **arg)
{
	struct slot *slot = slot_find(arg[0]);
	int result = close(slot->fd);

	slot_remove(slot);
	return result;
}

static int cmd_write(char **arg)
{
	return write(fd_of(arg[0]), arg[1], strlen(arg[1])) == (ssize_t)strlen(arg[1]) ? 0 : -1;
}

static int cmd_pwrite(char **arg)
{
	size_t len = strlen(arg[2]);

	return pwrite(fd_of(arg[0]), arg[2], len, number(arg[1])) == (ssize_t)len ? 0 : -1;
}

static int read_answer(ssize_t got, char *text)
{
	if (got < 0)
		return -1;
	text[got] = '\0';
	while (got > 0 && text[got - 1] == '\n')
		text[--got] = '\0';
	return value(" %s", text);
}

static int cmd_read(char **arg)
{
	static char text[TEXT_MAX + 1];

	return read_answer(read(fd_of(arg[0]), text, (size_t)number(arg[1])), text);
}

static int cmd_pread(char **arg)
{
	static char text[TEXT_MAX + 1];

	return read_answer(
		pread(fd_of(arg[0]), text, (size_t)number(arg[2]), number(arg[1])), text);
}

static int cmd_fstat(char **arg)
{
	struct stat st;

	return stat_answer(fstat(fd_of(arg[0]), &st), &st, arg + 1);
}

/* fstat() of an O_PATH fd of a symlink and so on goes by fstatat(AT_EMPTY_PATH) as well. */
static int cmd_stat(char **arg)
{
	struct stat st;

	return stat_answer(lstat(arg[0], &st), &st, arg + 1);
}

static int cmd_unlink(char **arg)
{
	return unlink(arg[0]);
}

static int cmd_rmdir(char **arg)
{
	return rmdir(arg[0]);
}

static int cmd_mkdir(char **arg)
{
	return mkdir(arg[0], arg[1] ? (mode_t)strtoul(arg[1], NULL, 8) : 0755);
}

static int cmd_mkdirat(char **arg)
{
	return mkdirat(fd_of(arg[0]), arg[1], 0755);
}

static int cmd_openat(char **arg)
{
	int flags = flags_of(arg[3]);
	int fd = openat(fd_of(arg[1]), arg[2], flags, 0644);

	if (fd < 0)
		return -1;
	slot_add(arg[0], fd);
	return value(" %d", fd);
}

static int cmd_rename(char **arg)
{
	return rename(arg[0], arg[1]);
}

static int cmd_link(char **arg)
{
	return link(arg[0], arg[1]);
}

static int cmd_linkfd(char **arg)
{
	return linkat(fd_of(arg[0]), "", AT_FDCWD, arg[1], AT_EMPTY_PATH);
}

static int cmd_linkproc(char **arg)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd_of(arg[0]));
	return linkat(AT_FDCWD, path, AT_FDCWD, arg[1], AT_SYMLINK_FOLLOW);
}

/* Opens the same inode again through /proc: the way in which shells and runtimes do it. */
static int cmd_reopen(char **arg)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd_of(arg[0]));
	int fd = open(path, flags_of(arg[2]));
	if (fd < 0)
		return -1;
	slot_add(arg[1], fd);
	return value(" %d", fd);
}

static int cmd_name(char **arg)
{
	char path[64], target[4097];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd_of(arg[0]));
	ssize_t len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return -1;
	target[len] = '\0';
	return value(" %s", target);
}

static int cmd_readlinkfd(char **arg)
{
	char target[4097];
	ssize_t len = readlinkat(fd_of(arg[0]), "", target, sizeof(target) - 1);

	if (len < 0)
		return -1;
	target[len] = '\0';
	return value(" %s", target);
}

static int cmd_flags(char **arg)
{
	int flags = fcntl(fd_of(arg[0]), F_GETFL);

	if (flags < 0)
		return -1;
	flags &= ~O_LARGEFILE & ~0100000;
	value(" %s", (flags & O_PATH)                  ? "path"
		     : (flags & O_ACCMODE) == O_RDONLY ? "r"
		     : (flags & O_ACCMODE) == O_WRONLY ? "w"
						       : "rw");
	if (flags & O_APPEND)
		value(",append");
	if (flags & O_NONBLOCK)
		value(",nonblock");
	if ((flags & O_DIRECTORY))
		value(",dir");
	return 0;
}

static int cmd_cloexec(char **arg)
{
	int flags = fcntl(fd_of(arg[0]), F_GETFD);

	return flags < 0 ? -1 : value(" %d", flags & FD_CLOEXEC);
}

static int cmd_seek(char **arg)
{
	static const char *const names[] = { "set", "cur", "end", "data", "hole" };
	int whence = 0;

	while (whence < 4 && strcmp(names[whence], arg[2]) != 0)
		whence++;
	off_t at = lseek(fd_of(arg[0]), number(arg[1]), whence);
	return at < 0 ? -1 : value(" %jd", (intmax_t)at);
}

static int cmd_mmap(char **arg)
{
	size_t len = (size_t)number(arg[2]);
	bool writable = arg[3] && !strcmp(arg[3], "rw");
	char *map = mmap(
		NULL, len, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd_of(arg[0]), 0);

	if (map == MAP_FAILED)
		return -1;
	slot_put((struct slot){ strdup(arg[1]), -1, map, len });
	return 0;
}

static int cmd_munmap(char **arg)
{
	struct slot *slot = slot_find(arg[0]);
	int result = munmap(slot->map, slot->map_len);

	slot_remove(slot);
	return result;
}

static int cmd_mread(char **arg)
{
	return value(" %.*s", (int)number(arg[2]), slot_find(arg[0])->map + number(arg[1]));
}

static int cmd_mstore(char **arg)
{
	memcpy(slot_find(arg[0])->map + number(arg[1]), arg[2], strlen(arg[2]));
	return 0;
}

static int cmd_mwrite(char **arg)
{
	struct slot *slot = slot_find(arg[0]);

	cmd_mstore(arg);
	return msync(slot->map, slot->map_len, MS_SYNC);
}

static int cmd_chdir(char **arg)
{
	return chdir(arg[0]);
}

static int cmd_cwd(char **arg)
{
	char target[4097];
	ssize_t len = readlink("/proc/self/cwd", target, sizeof(target) - 1);

	if (len < 0)
		return -1;
	target[len] = '\0';
	return value(" %s", target);
}

static int unix_address(const char *path, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(address->sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address->sun_path, path, strlen(path) + 1);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int cmd_bind(char **arg)
{
	struct sockaddr_un address;
	int fd = unix_address(arg[1], &address);

	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 8)) {
		close(fd);
		return -1;
	}
	slot_add(arg[0], fd);
	return 0;
}

static int cmd_connect(char **arg)
{
	struct sockaddr_un address;
	int fd = unix_address(arg[1], &address);

	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		return -1;
	}
	slot_add(arg[0], fd);
	return 0;
}

static int cmd_truncate(char **arg)
{
	return ftruncate(fd_of(arg[0]), number(arg[1]));
}

static int cmd_fsync(char **arg)
{
	return fsync(fd_of(arg[0]));
}

static int cmd_fchmod(char **arg)
{
	return fchmod(fd_of(arg[0]), (mode_t)strtoul(arg[1], NULL, 8));
}

static int cmd_fchown(char **arg)
{
	return fchown(fd_of(arg[0]), (uid_t)number(arg[1]), (gid_t)number(arg[2]));
}

static int cmd_setxattr(char **arg)
{
	return fsetxattr(fd_of(arg[0]), arg[1], arg[2], strlen(arg[2]), 0);
}

static int cmd_getxattr(char **arg)
{
	static char text[TEXT_MAX + 1];

	return read_answer(fgetxattr(fd_of(arg[0]), arg[1], text, TEXT_MAX), text);
}

static int cmd_flock(char **arg)
{
	return flock(fd_of(arg[0]), LOCK_EX | LOCK_NB);
}

static int cmd_umask(char **arg)
{
	return value(" %o", umask((mode_t)strtoul(arg[0], NULL, 8)));
}

static int cmd_env(char **arg)
{
	const char *text = getenv(arg[0]);

	return value(" %s", text ? text : "");
}

static int cmd_pid(char **arg)
{
	return value(" %d", getpid());
}

/* many PREFIX COUNT: COUNT files, each made, given its number as content, and unlinked. */
static int cmd_many(char **arg)
{
	int count = (int)number(arg[1]);
	char path[4096], text[32];

	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s%d", arg[0], i);
		int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
		if (fd < 0)
			return -1;
		size_t len = (size_t)snprintf(text, sizeof(text), "many %d", i);
		if (write(fd, text, len) != (ssize_t)len || unlink(path))
			return -1;
	}
	return 0;
}

static bool check_one(int fd, int count, bool *seen)
{
	char text[32] = "";
	int number_in_it;
	struct stat st;

	if (fstat(fd, &st) || st.st_nlink || pread(fd, text, sizeof(text) - 1, 0) < 0 ||
		sscanf(text, "many %d", &number_in_it) != 1 || number_in_it < 0 ||
		number_in_it >= count || seen[number_in_it])
		return false;
	return seen[number_in_it] = true;
}

/* checkmany FIRST COUNT: the fds from FIRST on are the files of "many", each once, unlinked. */
static int cmd_checkmany(char **arg)
{
	int first = (int)number(arg[0]), count = (int)number(arg[1]), bad = 0;
	bool *seen = calloc((size_t)count, sizeof(*seen));

	for (int i = 0; i < count; i++)
		bad += !check_one(first + i, count, seen);
	free(seen);
	return value(" %d", bad);
}

static const struct command {
	const char *name;
	int args; /* at least */
	int (*run)(char **arg);
} commands[] = {
	{ "open", 3, cmd_open },
	{ "openat", 4, cmd_openat },
	{ "adopt", 2, cmd_adopt },
	{ "dup", 2, cmd_dup },
	{ "reopen", 3, cmd_reopen },
	{ "close", 1, cmd_close },
	{ "write", 2, cmd_write },
	{ "pwrite", 3, cmd_pwrite },
	{ "read", 2, cmd_read },
	{ "pread", 3, cmd_pread },
	{ "fstat", 2, cmd_fstat },
	{ "stat", 2, cmd_stat },
	{ "unlink", 1, cmd_unlink },
	{ "rmdir", 1, cmd_rmdir },
	{ "mkdir", 1, cmd_mkdir },
	{ "mkdirat", 2, cmd_mkdirat },
	{ "rename", 2, cmd_rename },
	{ "link", 2, cmd_link },
	{ "linkfd", 2, cmd_linkfd },
	{ "linkproc", 2, cmd_linkproc },
	{ "name", 1, cmd_name },
	{ "readlinkfd", 1, cmd_readlinkfd },
	{ "flags", 1, cmd_flags },
	{ "cloexec", 1, cmd_cloexec },
	{ "seek", 3, cmd_seek },
	{ "mmap", 3, cmd_mmap },
	{ "munmap", 1, cmd_munmap },
	{ "mread", 3, cmd_mread },
	{ "mstore", 3, cmd_mstore },
	{ "mwrite", 3, cmd_mwrite },
	{ "chdir", 1, cmd_chdir },
	{ "cwd", 0, cmd_cwd },
	{ "bind", 2, cmd_bind },
	{ "connect", 2, cmd_connect },
	{ "truncate", 2, cmd_truncate },
	{ "fsync", 1, cmd_fsync },
	{ "fchmod", 2, cmd_fchmod },
	{ "fchown", 3, cmd_fchown },
	{ "setxattr", 3, cmd_setxattr },
	{ "getxattr", 2, cmd_getxattr },
	{ "flock", 1, cmd_flock },
	{ "umask", 1, cmd_umask },
	{ "env", 1, cmd_env },
	{ "pid", 0, cmd_pid },
	{ "many", 2, cmd_many },
	{ "checkmany", 2, cmd_checkmany },
};

static const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	}
	return NULL;
}

static void obey(char *line)
{
	char *arg[MAX_ARGS + 1] = { NULL };
	int count = 0;

	while (line && count < MAX_ARGS)
		arg[count++] = strsep(&line, "\t");
	const struct command *command = command_find(arg[0]);
	if (!command || count - 1 < command->args) {
		fprintf(stderr, "hold: %s: no such command, or an argument is missing\n", arg[0]);
		exit(2);
	}
	strcpy(answer, "ok");
	errno = 0;
	if (command->run(arg + 1))
		printf("err %s\n", strerrorname_np(errno ? errno : EIO));
	else
		printf("%s\n", answer);
	fflush(stdout);
}

int main(void)
{
	struct rlimit limit;
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	while ((len = getline(&line, &size, stdin)) > 0) {
		if (line[len - 1] == '\n')
			line[len - 1] = '\0';
		if (!strcmp(line, "quit"))
			break;
		obey(line);
	}
	free(line);
	/* The slots are released by exit, as those of any program are. */
	return 0;
}
