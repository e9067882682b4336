/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One file: its names, its open descriptions, and looks at what is in it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fs/helpers/iocheck/iocheck.h"

static const int open_flags[] = { O_RDWR, O_WRONLY | O_APPEND, O_RDWR | O_DIRECT, O_RDONLY };

const char *path_of(const struct file *f, unsigned name, char *path)
{
	snprintf(path, PATH_MAX, "%s/io-%u-%u-%u", dir, process, f->index, name);
	return path;
}

unsigned nlink_of(const struct file *f)
{
	unsigned n = 0;

	for (unsigned i = 0; i < NAMES; i++)
		n += f->name[i];
	return n;
}

unsigned any_name(const struct file *f)
{
	unsigned i = pick(NAMES);

	for (unsigned n = 0; n < NAMES; n++, i = (i + 1) % NAMES) {
		if (f->name[i])
			return i;
	}
	return NAMES;
}

const char *reach(const struct file *f, char *path)
{
	unsigned name = any_name(f);

	if (name < NAMES && pick(4))
		return path_of(f, name, path);
	snprintf(path, PATH_MAX, "/proc/self/fd/%d", f->fd[RW]);
	return path;
}

int use(struct file *f, int description)
{
	char path[PATH_MAX];

	if (f->fd[description] < 0)
		f->fd[description] = (int)must(
			f, open(reach(f, path), open_flags[description] | O_CLOEXEC), "open");
	return f->fd[description];
}

void shut(struct file *f, int description)
{
	if (f->fd[description] >= 0)
		must(f, close(f->fd[description]), "close");
	f->fd[description] = -1;
}

char *mapping(struct file *f)
{
	if (!f->map) {
		f->map = mmap(
			NULL, (size_t)capacity, PROT_READ | PROT_WRITE, MAP_SHARED, use(f, RW), 0);
		if (f->map == MAP_FAILED)
			fail(f, "mmap: %s", strerror(errno));
	}
	return f->map;
}

void unmap(struct file *f)
{
	if (f->map)
		must(f, munmap(f->map, (size_t)capacity), "munmap");
	f->map = NULL;
}

void create(struct file *f)
{
	char path[PATH_MAX];
	struct stat st;
	int fd = -1;

	if (!pick(4))
		fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
	f->linkable = fd >= 0;
	if (fd < 0) {
		fd = open(path_of(f, 0, path), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
		f->name[0] = true;
	}
	f->fd[RW] = (int)must(f, fd, "creating a file");
	must(f, fstat(fd, &st), "fstat");
	memset(f->want, 0, (size_t)capacity);
	f->size = 0;
	f->mode = st.st_mode;
	f->ino = st.st_ino;
}

void look_at_attributes(struct file *f)
{
	char path[PATH_MAX];
	struct stat st;
	unsigned nlink = nlink_of(f);

	if (pick(2))
		must(f, fstat(f->fd[RW], &st), "fstat");
	else
		must(f, stat(reach(f, path), &st), "stat");
	if (st.st_size != f->size)
		fail(f, "st_size is %#llx", (unsigned long long)st.st_size);
	if (st.st_mode != f->mode)
		fail(f, "st_mode is %o, not %o", st.st_mode, f->mode);
	if (st.st_ino != f->ino)
		fail(f, "st_ino is %ju, not %ju", (uintmax_t)st.st_ino, (uintmax_t)f->ino);
	if (frozen_links ? st.st_nlink < nlink : st.st_nlink != nlink)
		fail(f, "st_nlink is %ju, not %u", (uintmax_t)st.st_nlink, nlink);
}

void look(struct file *f, off_t offset, off_t length)
{
	off_t end = offset + length < f->size ? offset + length : f->size;
	ssize_t n;

	if (pick(2) && !class_by_name("map", 3)->off) {
		if (end > offset)
			compare(f, mapping(f) + offset, offset, end - offset, "mapping");
		return;
	}
	n = must(f, pread(use(f, pick(2) ? RW : READ), buffer, (size_t)length, offset), "pread");
	if (n != (end > offset ? end - offset : 0))
		fail(f, "pread of %#llx + %#llx gave %#zx bytes", (unsigned long long)offset,
			(unsigned long long)length, n);
	compare(f, buffer, offset, n, "pread");
}

void remove_file(struct file *f)
{
	char path[PATH_MAX];

	look_at_attributes(f);
	look(f, 0, capacity);
	if (pick(2))
		unmap(f);
	for (unsigned i = 0; i < NAMES; i++) {
		if (f->name[i])
			must(f, unlink(path_of(f, i, path)), "unlink");
		f->name[i] = false;
	}
	for (int i = 0; i < DESCRIPTIONS; i++)
		shut(f, i);
	unmap(f);
}
