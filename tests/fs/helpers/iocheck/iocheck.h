/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of iocheck share: the files, the model of them, and the report of a
 * difference, which ends the process.
 */
#ifndef RELINKFS_TESTS_IOCHECK_H
#define RELINKFS_TESTS_IOCHECK_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define PAGE 4096 /* alignment of direct I/O, and of what moves blocks */
#define FILES_MAX 16
#define NAMES 3

/* Open descriptions of one file; the first is always open, others from their first use. */
enum { RW, APPEND, DIRECT, READ, DESCRIPTIONS };

struct file {
	unsigned index;
	int fd[DESCRIPTIONS]; /* -1: closed */
	char *map;            /* NULL: not mapped */
	/* The model. */
	char *want; /* zeros from size on */
	off_t size;
	mode_t mode;
	ino_t ino;
	bool name[NAMES];
	bool linkable; /* a nameless file that never had a name */
};

struct class
{
	const char *name;
	unsigned weight;
	void (*run)(struct file *f);
	bool changes; /* content, size or mode */
	bool off;
};

/* From the command line; main.c. */
extern const char *dir;
extern unsigned long seed, total;
extern unsigned nfiles, nprocesses;
extern off_t capacity;    /* of a file */
extern bool frozen_links; /* others make and drop checkpoints meanwhile */
extern bool refused_reads;
extern const char *only, *without, *forget;

/* Of this process. */
extern unsigned process;
extern unsigned long number; /* of the operation under way */
extern struct file files[FILES_MAX];
extern char *buffer; /* of that capacity, aligned */

/* ---- chance.c ---- */

void chance_begin(void);
unsigned pick(uint64_t below);
/* A part of [0, limit): *offset, and its length, which is 0 only if @limit is. */
off_t part(off_t limit, off_t *offset);
/* The same in whole pages; 0 if there is none. */
off_t aligned_part(off_t limit, off_t *offset);
/* No byte of it is zero, so that what is lost shows. */
void fill(char *data, off_t length);

/* ---- report.c ---- */

/* What the operation under way does; the last ones are told after a difference. */
void note(const struct file *f, const char *what, off_t offset, off_t length, off_t extra);
_Noreturn void fail(const struct file *f, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* A system call that must succeed. */
long must(const struct file *f, long result, const char *what);
/* @seen against the model. */
void compare(const struct file *f, const char *seen, off_t offset, off_t length, const char *how);

/* ---- file.c ---- */

const char *path_of(const struct file *f, unsigned name, char *path);
unsigned nlink_of(const struct file *f);
/* A name of the file, or NAMES. */
unsigned any_name(const struct file *f);
/* A path that leads to the file now: one of its names, or an open description. */
const char *reach(const struct file *f, char *path);
int use(struct file *f, int description);
void shut(struct file *f, int description);
char *mapping(struct file *f);
void unmap(struct file *f);
void create(struct file *f);
void remove_file(struct file *f);
void look_at_attributes(struct file *f);
/* At the content, by one way or another. */
void look(struct file *f, off_t offset, off_t length);

/* ---- ops.c, probe.c ---- */

extern struct class classes[];
extern const size_t nclasses;
struct class *class_by_name(const char *name, size_t length);
/* Switches off what cannot be done in the directory. */
void probe(void);

#endif
