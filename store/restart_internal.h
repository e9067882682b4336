/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the restart share. */
#ifndef RELINKFS_STORE_RESTART_INTERNAL_H
#define RELINKFS_STORE_RESTART_INTERNAL_H

#include "store/likeness.h"
#include "store/restart.h"
#include "store/util.h"

struct restart_entry {
	const struct manifest_entry *record;
	char *path;           /* the original path, mapped */
	size_t first, count;  /* its items */
	dev_t dev;            /* identity of what was opened, from then on */
	ino_t ino;
	enum likeness like;
	bool name_at_drop;    /* a directory that gets its name when its link goes */
};

struct restart {
	const struct manifest *manifest;
	bool by_number, force;
	pid_t pid;
	int root_fd;
	int free_number;      /* above every number of the plan */
	struct restart_entry *entries; /* as many as the manifest has */
	struct restart_item *items;
	size_t nitems, items_room;
	struct restart_problem *problems;
	size_t nproblems, problems_room;
};

/*
 * Notes a problem; @entry NULL: with the whole.  Returns -@error.  Out of memory the
 * note is lost, the error is not.
 */
int restart_problem(struct restart *restart, const struct restart_entry *entry, const char *step,
		    int error, const char *format, ...) printf_format(5, 6);
int restart_warn(struct restart *restart, const struct restart_entry *entry, const char *step,
		 int error, const char *format, ...) printf_format(5, 6);

/*
 * New descriptions, as the items of @entry want them, of the inode behind the O_PATH fd
 * @pin: fds[i] for its i-th item.  Nothing is left open on error; *item is then the one
 * that failed.
 */
int restart_open_descriptions(struct restart *restart, const struct restart_entry *entry, int pin,
			      int *fds, const struct restart_item **item);

/* The fds become those of the items; those before them are closed. */
void restart_adopt(struct restart *restart, const struct restart_entry *entry, int *fds);

/* The directory in which a name lies, and directories that were made to get there. */
struct restart_place {
	int dirfd;        /* O_PATH */
	const char *base; /* part of the path that was given */
	int *made_in;     /* O_PATH directories, and the names that were made in them */
	char **made;
	size_t nmade;
};
#define RESTART_PLACE_NONE ((struct restart_place){ .dirfd = -1 })

/*
 * Walks to the parent of @path beneath the root, never through a symlink; @make: missing
 * directories are made, 0700.  On error nothing is left.
 */
int restart_place_open(struct restart *restart, const char *path, bool make,
		       struct restart_place *out);
/* Removes the directories that were made, if they are empty, and closes. */
void restart_place_close(struct restart_place *place);

/* Is @name in @dirfd the inode of @entry?  1, 0, or -errno (-ENOENT: no such name). */
int restart_is_entry(const struct restart_entry *entry, int dirfd, const char *name);

#endif
