/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The operations: each notes itself, acts, and does the same to the model. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "tests/fs/helpers/iocheck/iocheck.h"

static void grow(struct file *f, off_t end)
{
	if (end > f->size)
		f->size = end;
}

static void written(struct file *f, off_t offset, off_t length, ssize_t n)
{
	if (n != length)
		fail(f, "%#zx bytes were written", n);
	memcpy(f->want + offset, buffer, (size_t)length);
	grow(f, offset + length);
}

static void do_read(struct file *f)
{
	off_t offset, length = part(capacity, &offset);

	note(f, "read", offset, length, 0);
	look(f, offset, length);
}

static void do_write(struct file *f)
{
	off_t offset, length = part(capacity, &offset);
	bool by_position = pick(2);
	int fd = use(f, RW);

	note(f, by_position ? "pwrite" : "write", offset, length, 0);
	fill(buffer, length);
	if (by_position) {
		written(f, offset, length, pwrite(fd, buffer, (size_t)length, offset));
		return;
	}
	must(f, lseek(fd, offset, SEEK_SET), "lseek");
	written(f, offset, length, write(fd, buffer, (size_t)length));
	if (lseek(fd, 0, SEEK_CUR) != offset + length)
		fail(f, "write left the position wrong");
}

static void do_append(struct file *f)
{
	off_t unused, offset = f->size, length = part((capacity - offset) / 4, &unused);

	note(f, "append", offset, length, 0);
	fill(buffer, length);
	written(f, offset, length, write(use(f, APPEND), buffer, (size_t)length));
}

static void do_direct(struct file *f)
{
	off_t offset, length = aligned_part(capacity, &offset), expected;
	int fd = use(f, DIRECT);
	ssize_t n;

	if (pick(2)) {
		note(f, "direct write", offset, length, 0);
		fill(buffer, length);
		written(f, offset, length, pwrite(fd, buffer, (size_t)length, offset));
		return;
	}
	note(f, "direct read", offset, length, 0);
	n = pread(fd, buffer, (size_t)length, offset);
	if (n < 0 && errno == EIO && refused_reads)
		return;
	must(f, n, "direct pread");
	expected = f->size > offset ? f->size - offset : 0;
	if (n != (expected < length ? expected : length))
		fail(f, "%#zx bytes were read", n);
	compare(f, buffer, offset, n, "direct read");
}

static void do_map(struct file *f)
{
	off_t offset, length = part(f->size, &offset);
	char *map = mapping(f);

	note(f, "map", offset, length, 0);
	if (pick(4)) {
		fill(buffer, length);
		memcpy(map + offset, buffer, (size_t)length);
		memcpy(f->want + offset, buffer, (size_t)length);
	} else {
		compare(f, map + offset, offset, length, "mapping");
	}
	if (!pick(64))
		must(f, msync(map, (size_t)capacity, pick(2) ? MS_SYNC : MS_ASYNC), "msync");
	if (!pick(8))
		unmap(f);
}

static void do_truncate(struct file *f)
{
	off_t size = pick(4) ? pick((uint64_t)capacity) : pick((uint64_t)capacity / PAGE) * PAGE;
	char path[PATH_MAX];
	bool by_path = pick(2);

	note(f, by_path ? "truncate" : "ftruncate", size < f->size ? size : f->size,
		llabs(size - f->size), size);
	if (by_path)
		must(f, truncate(reach(f, path), size), "truncate");
	else
		must(f, ftruncate(use(f, pick(2) ? RW : APPEND), size), "ftruncate");
	if (size < f->size)
		memset(f->want + size, 0, (size_t)(f->size - size));
	f->size = size;
}

static void allocate(struct file *f, const char *what, int mode, off_t offset, off_t length)
{
	note(f, what, offset, length, mode);
	must(f, fallocate(use(f, RW), mode, offset, length), what);
}

static void do_alloc(struct file *f)
{
	off_t offset, length = part(capacity, &offset);
	bool keep = pick(2);

	allocate(f, "alloc", keep ? FALLOC_FL_KEEP_SIZE : 0, offset, length);
	if (!keep)
		grow(f, offset + length);
}

static void clear(struct file *f, off_t offset, off_t length)
{
	memset(f->want + offset, 0, (size_t)length);
}

static void do_punch(struct file *f)
{
	off_t offset, length = part(capacity, &offset);

	allocate(f, "punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
	clear(f, offset, length);
}

static void do_zero(struct file *f)
{
	off_t offset, length = part(capacity, &offset);
	bool keep = pick(2);

	allocate(
		f, "zero", FALLOC_FL_ZERO_RANGE | (keep ? FALLOC_FL_KEEP_SIZE : 0), offset, length);
	clear(f, offset, length);
	if (!keep)
		grow(f, offset + length);
}

static void do_collapse(struct file *f)
{
	off_t offset, length = aligned_part(f->size > 0 ? f->size - 1 : 0, &offset), end;

	if (!length)
		return;
	allocate(f, "collapse", FALLOC_FL_COLLAPSE_RANGE, offset, length);
	end = offset + length;
	memmove(f->want + offset, f->want + end, (size_t)(f->size - end));
	f->size -= length;
	clear(f, f->size, length);
}

static void do_insert(struct file *f)
{
	off_t offset, length = aligned_part(f->size > 0 ? f->size - 1 : 0, &offset);

	if (!length || f->size + length > capacity)
		return;
	allocate(f, "insert", FALLOC_FL_INSERT_RANGE, offset, length);
	memmove(f->want + offset + length, f->want + offset, (size_t)(f->size - offset));
	f->size += length;
	clear(f, offset, length);
}

static void copied(struct file *to, off_t at, const struct file *from, off_t offset, off_t length)
{
	memmove(to->want + at, from->want + offset, (size_t)length);
	grow(to, at + length);
}

/* A part of @f that exists, and a place in @to for it that does not touch it; false: none. */
static bool place(
	const struct file *f, const struct file *to, off_t *offset, off_t *at, off_t *length)
{
	*length = part(f->size, offset);
	*at = pick((uint64_t)(capacity - *length + 1));
	return *length && (f != to || *at >= *offset + *length || *at + *length <= *offset);
}

static void do_copy(struct file *f)
{
	struct file *to = pick(3) ? &files[pick(nfiles)] : f;
	off_t offset, at, length, in, out;

	if (!place(f, to, &offset, &at, &length))
		return;
	note(to, "copy (from)", at, length, offset | (off_t)f->index << 40);
	in = offset;
	out = at;
	while (in < offset + length) {
		ssize_t n = copy_file_range(use(f, pick(2) ? RW : READ), &in, use(to, RW), &out,
			(size_t)(offset + length - in), 0);
		must(to, n, "copy_file_range");
		if (!n)
			fail(to, "copy_file_range ended at %#llx", (unsigned long long)in);
	}
	if (in != offset + length || out != at + length)
		fail(to, "copy_file_range left wrong positions");
	copied(to, at, f, offset, length);
}

static void do_send(struct file *f)
{
	struct file *to = &files[pick(nfiles)];
	off_t offset, at, length, in;

	if (!place(f, to, &offset, &at, &length))
		return;
	note(to, "sendfile", at, length, offset | (off_t)f->index << 40);
	must(to, lseek(use(to, RW), at, SEEK_SET), "lseek");
	for (in = offset; in < offset + length;) {
		if (must(to,
			    sendfile(to->fd[RW], use(f, READ), &in, (size_t)(offset + length - in)),
			    "sendfile") == 0)
			fail(to, "sendfile ended at %#llx", (unsigned long long)in);
	}
	copied(to, at, f, offset, length);
}

static void do_clone(struct file *f)
{
	struct file *to = &files[pick(nfiles)];
	off_t offset, at, length = aligned_part(f->size, &offset);
	struct file_clone_range range;

	at = (off_t)pick((uint64_t)((capacity - length) / PAGE + 1)) * PAGE;
	if (!length || (f == to && at < offset + length && at + length > offset))
		return;
	note(to, "clone", at, length, offset | (off_t)f->index << 40);
	range = (struct file_clone_range){ use(f, RW), (uint64_t)offset, (uint64_t)length,
		(uint64_t)at };
	must(to, ioctl(use(to, RW), FICLONERANGE, &range), "FICLONERANGE");
	copied(to, at, f, offset, length);
}

static off_t seek(struct file *f, off_t offset, int whence)
{
	off_t found = lseek(use(f, RW), offset, whence);

	if (found < 0 && errno == ENXIO)
		return whence == SEEK_DATA ? f->size : -1;
	must(f, found, whence == SEEK_DATA ? "SEEK_DATA" : "SEEK_HOLE");
	if (found < offset || found > f->size)
		fail(f, "seek from %#llx gave %#llx", (unsigned long long)offset,
			(unsigned long long)found);
	return found;
}

/* A hole may be given as data, but data never as a hole. */
static void do_seek(struct file *f)
{
	off_t offset = f->size ? pick((uint64_t)f->size) : 0;

	note(f, "seek", offset, 0, 0);
	while (offset < f->size) {
		off_t data = seek(f, offset, SEEK_DATA);

		for (off_t i = offset; i < data; i++) {
			if (f->want[i])
				fail(f, "data at %#llx is in a hole", (unsigned long long)i);
		}
		offset = data < f->size ? seek(f, data, SEEK_HOLE) : data;
		if (offset < 0)
			fail(f, "no end of the data at %#llx", (unsigned long long)data);
	}
	if (lseek(use(f, RW), f->size, SEEK_DATA) >= 0 || errno != ENXIO)
		fail(f, "SEEK_DATA at the end is no ENXIO");
}

static void do_sync(struct file *f)
{
	unsigned kind = pick(16);

	note(f, "sync", 0, 0, kind);
	if (kind == 0)
		must(f, fsync(use(f, RW)), "fsync");
	else if (kind == 1)
		must(f, fdatasync(use(f, READ)), "fdatasync");
	else
		posix_fadvise(use(f, READ), 0, 0, POSIX_FADV_DONTNEED);
}

static void do_reopen(struct file *f)
{
	int i = (int)pick(DESCRIPTIONS);
	char path[PATH_MAX];

	note(f, "reopen", 0, 0, i);
	if (i != RW) {
		shut(f, i);
		return;
	}
	int fd = (int)must(f, open(reach(f, path), O_RDWR | O_CLOEXEC), "open");
	shut(f, RW);
	f->fd[RW] = fd;
}

/* Only its names, or only its mapping, are left for a moment. */
static void do_close(struct file *f)
{
	char path[PATH_MAX];
	unsigned name = any_name(f);

	note(f, "close all", 0, 0, name);
	if (name == NAMES && (!f->map || geteuid()))
		return;
	if (name < NAMES)
		path_of(f, name, path);
	else
		snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)f->map,
			(unsigned long)f->map + (unsigned long)capacity);
	for (int i = 0; i < DESCRIPTIONS; i++)
		shut(f, i);
	f->fd[RW] = (int)must(f, open(path, O_RDWR | O_CLOEXEC), path);
}

static void do_unlink(struct file *f)
{
	char path[PATH_MAX], other[PATH_MAX];
	unsigned name = any_name(f);

	if (name == NAMES)
		return;
	path_of(f, name, path);
	note(f, "unlink", 0, 0, name);
	f->name[name] = false;
	if (pick(2)) {
		must(f, unlink(path), "unlink");
		return;
	}
	/* By another file that takes the name. */
	snprintf(other, sizeof(other), "%s/io-%u-other", dir, process);
	must(f, close((int)must(f, open(other, O_CREAT | O_WRONLY, 0600), other)), "close");
	must(f, rename(other, path), "rename");
	must(f, unlink(path), "unlink");
}

static void do_link(struct file *f)
{
	char from[PATH_MAX], to[PATH_MAX];
	unsigned name = pick(NAMES);
	bool may = nlink_of(f) || f->linkable;

	if (f->name[name])
		return;
	note(f, "link", 0, 0, name);
	if (linkat(AT_FDCWD, reach(f, from), AT_FDCWD, path_of(f, name, to), AT_SYMLINK_FOLLOW) <
		0) {
		if (may || errno != ENOENT)
			fail(f, "linkat: %s", strerror(errno));
		return;
	}
	if (!may && !frozen_links)
		fail(f, "linkat of a file without a name succeeded");
	f->name[name] = true;
	f->linkable = false;
}

static void do_rename(struct file *f)
{
	char from[PATH_MAX], to[PATH_MAX];
	unsigned name = any_name(f), other = pick(NAMES);

	if (name == NAMES)
		return;
	note(f, "rename", 0, 0, name | other << 4);
	must(f, rename(path_of(f, name, from), path_of(f, other, to)), "rename");
	/* Between two names of one file it does nothing. */
	if (!f->name[other]) {
		f->name[name] = false;
		f->name[other] = true;
	}
}

static void do_chmod(struct file *f)
{
	mode_t mode = 0600 | pick(0200);

	note(f, "chmod", 0, 0, mode);
	must(f, fchmod(use(f, RW), mode), "fchmod");
	f->mode = S_IFREG | mode;
}

static void do_stat(struct file *f)
{
	note(f, "stat", 0, 0, 0);
	look_at_attributes(f);
}

static void do_new(struct file *f)
{
	note(f, "new", 0, capacity, 0);
	remove_file(f);
	create(f);
}

struct class classes[] = {
	{ "read", 60, do_read, false, false },
	{ "write", 60, do_write, true, false },
	{ "append", 20, do_append, true, false },
	{ "direct", 20, do_direct, true, false },
	{ "map", 60, do_map, true, false },
	{ "truncate", 20, do_truncate, true, false },
	{ "alloc", 10, do_alloc, true, false },
	{ "punch", 15, do_punch, true, false },
	{ "zero", 15, do_zero, true, false },
	{ "collapse", 8, do_collapse, true, false },
	{ "insert", 8, do_insert, true, false },
	{ "copy", 20, do_copy, true, false },
	{ "send", 10, do_send, true, false },
	{ "clone", 10, do_clone, true, false },
	{ "seek", 10, do_seek, false, false },
	{ "sync", 3, do_sync, false, false },
	{ "reopen", 20, do_reopen, false, false },
	{ "close", 10, do_close, false, false },
	{ "unlink", 10, do_unlink, false, false },
	{ "link", 10, do_link, false, false },
	{ "rename", 10, do_rename, false, false },
	{ "chmod", 5, do_chmod, true, false },
	{ "stat", 20, do_stat, false, false },
	{ "new", 3, do_new, false, false },
};
const size_t nclasses = sizeof(classes) / sizeof(*classes);

struct class *class_by_name(const char *name, size_t length)
{
	for (size_t i = 0; i < nclasses; i++) {
		if (strlen(classes[i].name) == length && !memcmp(classes[i].name, name, length))
			return &classes[i];
	}
	return NULL;
}
