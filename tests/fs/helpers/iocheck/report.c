/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fs/helpers/iocheck/iocheck.h"

#define STEPS 100

static struct step {
	unsigned long number;
	const char *what;
	unsigned file;
	off_t offset, length, extra;
} steps[STEPS];

void note(const struct file *f, const char *what, off_t offset, off_t length, off_t extra)
{
	struct step *last = &steps[number % STEPS];

	*last = (struct step){ number, what, f->index, offset, length, extra };
}

/* Those that touched @at of @f (-1: no such place) are marked. */
static void tell_steps(const struct file *f, off_t at)
{
	for (unsigned long i = 0; i < STEPS; i++) {
		const struct step *s = &steps[(number + 1 + i) % STEPS];
		bool touches = s->file == f->index && at >= s->offset && at < s->offset + s->length;

		if (s->what)
			fprintf(stderr, "%c %8lu file %u  %-14s %#9llx + %#llx (%llx)\n",
				touches ? '*' : ' ', s->number, s->file, s->what,
				(unsigned long long)s->offset, (unsigned long long)s->length,
				(unsigned long long)s->extra);
	}
}

static _Noreturn void end_with(const struct file *f, off_t at, const char *message)
{
	flockfile(stderr);
	tell_steps(f, at);
	fprintf(stderr, "iocheck: process %u, operation %lu, file %u (size %#llx): %s\n", process,
		number, f->index, (unsigned long long)f->size, message);
	fprintf(stderr, "again: iocheck -s %lu -n %lu -f %u -p %u -l %llu%s%s%s%s%s%s DIR\n", seed,
		total, nfiles, nprocesses, (unsigned long long)capacity, frozen_links ? " -k" : "",
		refused_reads ? " -e" : "", only ? " -c " : "", only ? only : "",
		without ? " -x " : "", without ? without : "");
	fflush(stderr);
	_exit(1);
}

void fail(const struct file *f, const char *format, ...)
{
	char message[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(message, sizeof(message), format, ap);
	va_end(ap);
	end_with(f, -1, message);
}

long must(const struct file *f, long result, const char *what)
{
	if (result < 0)
		fail(f, "%s: %s", what, strerror(errno));
	return result;
}

static void hex(char *text, const char *data, off_t length)
{
	for (off_t i = 0; i < length; i++)
		sprintf(text + i * 3, "%02x ", (unsigned char)data[i]);
}

void compare(const struct file *f, const char *seen, off_t offset, off_t length, const char *how)
{
	const char *want = f->want + offset;
	char message[512], left[64] = "", right[64] = "";
	off_t first = 0, shown;
	unsigned long long at;
	unsigned differ = 0;

	if (memcmp(seen, want, (size_t)length) == 0)
		return;
	while (seen[first] == want[first])
		first++;
	for (off_t i = first; i < length; i++)
		differ += seen[i] != want[i];
	at = (unsigned long long)offset + (unsigned long long)first;
	shown = length - first < 16 ? length - first : 16;
	hex(left, seen + first, shown);
	hex(right, want + first, shown);
	snprintf(message, sizeof(message),
		"%s of %#llx + %#llx: %u bytes differ, the first at %#llx\n"
		"    seen: %s\n    want: %s",
		how, (unsigned long long)offset, (unsigned long long)length, differ, at, left,
		right);
	end_with(f, (off_t)at, message);
}
