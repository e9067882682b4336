/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/util.h"

#include <errno.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define OPEN_TRIES 64

void util_free(void *pointer)
{
	int saved = errno;
	void *memory;

	memcpy(&memory, pointer, sizeof(memory));
	free(memory);
	errno = saved;
}

void util_close(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

void util_closedir(DIR **dir)
{
	int saved = errno;

	if (*dir)
		closedir(*dir);
	errno = saved;
}

void util_fclose(FILE **file)
{
	int saved = errno;

	if (*file)
		fclose(*file);
	errno = saved;
}

char *util_printf(const char *format, ...)
{
	va_list args;
	char *text;
	int length;

	va_start(args, format);
	length = vasprintf(&text, format, args);
	va_end(args);
	return length < 0 ? NULL : text;
}

int (util_why)(char **why, int error, const char *format, ...)
{
	va_list args;
	char *text;

	if (!why)
		return error;
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	/* After formatting: the earlier text may be one of the arguments. */
	free(*why);
	*why = text;
	return error;
}

ssize_t util_read_all(int fd, void *buffer, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, (char *)buffer + done, size - done);

		if (n == 0)
			break;
		if (n > 0)
			done += (size_t)n;
		else if (errno != EINTR)
			return -errno;
	}
	return (ssize_t)done;
}

int util_write_all(int fd, const void *buffer, size_t size)
{
	const char *at = buffer;

	while (size > 0) {
		ssize_t n = write(fd, at, size);

		if (n >= 0) {
			at += n;
			size -= (size_t)n;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

/* Files in /proc say size 0: the buffer grows with what there is to read. */
static int read_whole(int fd, size_t max, size_t capacity, char **out, size_t *size)
{
	autofree char *content = NULL;
	size_t length = 0;

	for (;;) {
		char *larger = realloc(content, capacity + 1);
		ssize_t n;

		if (!larger)
			return -ENOMEM;
		content = larger;
		n = util_read_all(fd, content + length, capacity - length);
		if (n < 0)
			return (int)n;
		length += (size_t)n;
		if (length > max)
			return -EFBIG;
		if (length < capacity)
			break;
		capacity *= 2;
	}
	content[length] = '\0';
	*out = steal_ptr(&content);
	if (size)
		*size = length;
	return 0;
}

int util_read_file(int dirfd, const char *path, size_t max, char **out, size_t *size)
{
	autofd int fd = -1;
	size_t capacity = 4096;
	struct stat st;

	if (dirfd == AT_FDCWD) {
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		if (fd < 0)
			return -errno;
	} else {
		fd = xopenat_beneath(dirfd, path, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0);
		if (fd < 0)
			return fd;
	}
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (st.st_size > 0 && (uint64_t)st.st_size > max)
		return -EFBIG;
	if (st.st_size > 0)
		capacity = (size_t)st.st_size + 1;
	return read_whole(fd, max, capacity, out, size);
}

int xopenat_beneath(int dirfd, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? mode & 07777 : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	long fd = -1;

	/*
	 * EAGAIN: a rename somewhere raced with the walk.  Not for ever: with O_NONBLOCK it
	 * also means that somebody has a lease on the file.
	 */
	for (int tries = 0; tries < OPEN_TRIES; tries++) {
		fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	return fd < 0 ? -errno : (int)fd;
}

int fsync_dir(int dirfd, const char *path)
{
	autofd int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

const char *proc_fd_path(int fd, char path[PROC_FD_PATH_SIZE])
{
	snprintf(path, PROC_FD_PATH_SIZE, "/proc/self/fd/%d", fd);
	return path;
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
}

int64_t monotonic_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

int64_t realtime_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

const char *format_rfc3339(int64_t ns, char text[RFC3339_SIZE])
{
	int64_t rest = ns % NSEC_PER_SEC;
	time_t seconds;
	struct tm tm;
	size_t length;

	if (rest < 0)
		rest += NSEC_PER_SEC;
	seconds = (time_t)((ns - rest) / NSEC_PER_SEC);
	gmtime_r(&seconds, &tm);
	length = strftime(text, RFC3339_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + length, RFC3339_SIZE - length, ".%09lldZ", (long long)rest);
	return text;
}
