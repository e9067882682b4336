/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Small things that everybody needs: locals that clean up after themselves, whole
 * reads and writes, opening beneath a directory, clocks.  No state; every function
 * may be called from any thread.  0 or -errno unless said otherwise.
 */
#ifndef RELINKFS_STORE_UTIL_H
#define RELINKFS_STORE_UTIL_H

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define printf_format(string, first) __attribute__((format(printf, string, first)))

/*
 * Locals that are released when they go out of scope; errno is kept.
 *
 *	autofree char *name = NULL;      free()
 *	autofd int fd = -1;              close(), if not negative
 *	autodir DIR *dir = NULL;         closedir()
 *	autofile FILE *file = NULL;      fclose()
 *
 * Hand one on with return steal_ptr(&name) or steal_fd(&fd): the local is then empty.
 */
void util_free(void *pointer); /* @pointer: address of a pointer */
void util_close(const int *fd);
void util_closedir(DIR **dir);
void util_fclose(FILE **file);
#define autofree __attribute__((cleanup(util_free)))
#define autofd __attribute__((cleanup(util_close)))
#define autodir __attribute__((cleanup(util_closedir)))
#define autofile __attribute__((cleanup(util_fclose)))

static inline int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

#define steal_ptr(pointer)                                                                         \
	({                                                                                         \
		__typeof__(*(pointer)) stolen_ = *(pointer);                                       \
		*(pointer) = NULL;                                                                 \
		stolen_;                                                                           \
	})

/* printf() into memory of its own; NULL when out of memory. */
char *util_printf(const char *format, ...) printf_format(1, 2);

/*
 * The way in which this project gives messages for the user: *why, if @why is not NULL,
 * becomes a malloc'd text (NULL when out of memory; an earlier text is freed).  Returns
 * @error as it is, so that "return util_why(why, -EINVAL, ...)" reads well.
 */
int util_why(char **why, int error, const char *format, ...) printf_format(3, 4);
/* What comes back is visible to who looks at the caller alone, as an analyzer does. */
#define util_why(why, error, ...)                                                                  \
	({                                                                                         \
		int error_ = (error);                                                              \
		(util_why)(why, error_, __VA_ARGS__);                                              \
		error_;                                                                            \
	})

/* Reads until @size bytes or the end of the file: the count, or -errno. */
ssize_t util_read_all(int fd, void *buffer, size_t size);

/* Writes all of it, or -errno (with an unknown part written). */
int util_write_all(int fd, const void *buffer, size_t size);

/*
 * The whole content of the file @path beneath @dirfd (AT_FDCWD: any path), at most @max
 * bytes, else -EFBIG.  *out is malloc'd and ends with a NUL byte that *size, which may
 * be NULL, does not count.
 */
int util_read_file(int dirfd, const char *path, size_t max, char **out, size_t *size);

/*
 * Opens @path without ever leaving @dirfd: no "..", no absolute path out of it, no
 * symlink anywhere on the way, no magic link.  O_CLOEXEC is added.  A new fd or -errno
 * (-EXDEV: it would have left; -ELOOP: there is a symlink on the way).
 */
int xopenat_beneath(int dirfd, const char *path, int flags, mode_t mode);

/* Makes the names in the directory @path ("." for @dirfd itself, O_PATH too) durable. */
int fsync_dir(int dirfd, const char *path);

/* Bytes of "/proc/self/fd/N" for any N, NUL included. */
#define PROC_FD_PATH_SIZE 32
/* Fills @path and returns it: a path to the inode behind @fd. */
const char *proc_fd_path(int fd, char path[PROC_FD_PATH_SIZE]);

#define NSEC_PER_SEC INT64_C(1000000000)

int64_t monotonic_ns(void);
int64_t realtime_ns(void);

/* Bytes of a time as text, NUL included: "2025-01-31T23:59:59.123456789Z". */
#define RFC3339_SIZE 40
/* @ns: since the epoch, UTC.  Fills @text and returns it. */
const char *format_rfc3339(int64_t ns, char text[RFC3339_SIZE]);

#endif
