/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What can be done in this directory. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/fs/helpers/iocheck/iocheck.h"

static bool probe_fallocate(int fd, int mode)
{
	return fallocate(fd, mode, PAGE, PAGE) == 0;
}

static bool can(const char *class, int fd, const char *path)
{
	struct file_clone_range range = { fd, 0, PAGE, 1 << 20 };
	off_t in = 0, out = 1 << 20;

	if (!strcmp(class, "alloc"))
		return probe_fallocate(fd, 0);
	if (!strcmp(class, "punch"))
		return probe_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
	if (!strcmp(class, "zero"))
		return probe_fallocate(fd, FALLOC_FL_ZERO_RANGE);
	if (!strcmp(class, "collapse"))
		return probe_fallocate(fd, FALLOC_FL_COLLAPSE_RANGE);
	if (!strcmp(class, "insert"))
		return probe_fallocate(fd, FALLOC_FL_INSERT_RANGE);
	if (!strcmp(class, "copy"))
		return copy_file_range(fd, &in, fd, &out, PAGE, 0) == PAGE;
	if (!strcmp(class, "clone"))
		return ioctl(fd, FICLONERANGE, &range) == 0;
	if (!strcmp(class, "direct")) {
		int direct = open(path, O_RDWR | O_DIRECT);

		return direct >= 0 && close(direct) == 0;
	}
	return true;
}

void probe(void)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/io-probe", dir);
	fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);
	if (fd < 0 || ftruncate(fd, 1 << 20) < 0) {
		perror(path);
		exit(2);
	}
	for (size_t i = 0; i < nclasses; i++) {
		if (!can(classes[i].name, fd, path))
			classes[i].off = true;
	}
	close(fd);
	unlink(path);
}
