/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * handle FROM MOUNT: takes a file handle of FROM and opens it on the filesystem that
 * MOUNT is in; says "opened TYPE NAME" or the errno.  FROM may lie on another one: what
 * is tried then is a forged handle.
 *
 * handle --dotdot FOLDER: opens ".." of FOLDER by its handle, again and again, and says
 * the inode numbers that it passes.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct file_handle *handle_of(const char *path)
{
	struct file_handle *handle = calloc(1, sizeof(*handle) + MAX_HANDLE_SZ);
	int mount_id;

	handle->handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(AT_FDCWD, path, handle, &mount_id, 0)) {
		printf("no handle: %s\n", strerrorname_np(errno));
		exit(0);
	}
	return handle;
}

static int open_handle(const char *mount, struct file_handle *handle)
{
	int mount_fd = open(mount, O_RDONLY | O_CLOEXEC);
	int fd = open_by_handle_at(mount_fd, handle, O_PATH | O_CLOEXEC);

	close(mount_fd);
	return fd;
}

static void say_opened(int fd)
{
	char link[64], target[4097] = "";
	struct stat st;

	if (fd < 0) {
		puts(strerrorname_np(errno));
		return;
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (readlink(link, target, sizeof(target) - 1) < 0 || fstat(fd, &st))
		puts(strerrorname_np(errno));
	else
		printf("opened %o %s\n", st.st_mode & S_IFMT, target);
}

static void say_way_up(const char *folder)
{
	struct stat st;
	uintmax_t last = 0;
	int fd = open(folder, O_PATH | O_CLOEXEC);

	while (fd >= 0 && !fstat(fd, &st) && st.st_ino != last) {
		printf("%ju\n", last = st.st_ino);
		int up = openat(fd, "..", O_PATH | O_CLOEXEC);
		close(fd);
		fd = up;
	}
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "Usage: handle FROM MOUNT\n");
		return 2;
	}
	if (!strcmp(argv[1], "--dotdot")) {
		say_way_up(argv[2]);
		return 0;
	}
	struct file_handle *handle = handle_of(argv[1]);
	int fd = open_handle(argv[2], handle);
	say_opened(fd);
	if (fd >= 0)
		close(fd);
	free(handle);
	return 0;
}
