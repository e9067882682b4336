/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The restart: reopen what a manifest records, give the files their names back, and
 * only then let go of the links.
 *
 *   restart_new     the plan: which fd gets which number.  Touches nothing.
 *   restart_open    opens and checks everything; all or nothing.
 *   restart_name    /proc/PID/fd says "<original path> (deleted)" from then on; what
 *                   cannot be named keeps the name of its link, with a warning.
 *   restart_drop    removes links and manifest of a plain directory.  On a mount the
 *                   daemon does this instead (method Drop).
 *   restart_hand_over  makes the fds inheritable, at their numbers: just before exec.
 *
 * Up to restart_drop() nothing on disk has changed when a function returns, and what a
 * killed process leaves of a name in between is put right by the next restart.  The
 * manifest may come from anywhere: no name in it leads out of the root, and no link is
 * believed that is neither the recorded inode nor looks like a true copy of it.
 *
 * How each type comes back:
 *   regular     recorded access mode and flags, offset
 *   directory   O_RDONLY, no offset: it is empty, and a position in it means nothing
 *   fifo        recorded access mode and flags; never waits for another end
 *   socket, symlink, device node   O_PATH: a socket cannot be bound again, and opening a
 *               device may do things
 * An entry without a recorded descriptor (a mapping, an executable, a working directory)
 * is opened once, O_RDWR, or O_RDONLY where that fails or it was executed.
 *
 * One thread only.  fd numbers of the process are taken over as the plan says, so keep
 * none of your own among them (restart_free_number()).
 */
#ifndef RELINKFS_STORE_RESTART_H
#define RELINKFS_STORE_RESTART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/manifest.h"

#define RESTART_FIRST_FD 3

struct restart;

/* Original paths at or below @from are taken for the same below @to; "" is the root. */
struct restart_map {
	const char *from, *to; /* relative to the root, as in the manifest */
};

struct restart_options {
	bool by_number; /* at the numbers that @pid had, and with its working directory */
	pid_t pid;      /* 0: the only process recorded */
	bool force;     /* take links that are neither the inode nor a true copy; with a warning */
	const struct restart_map *maps; /* the first one that matches counts */
	size_t nmaps;
};

/* One descriptor to be opened.  Strings belong to the restart or to the manifest. */
struct restart_item {
	const struct manifest_entry *entry;
	const struct opener *opener; /* NULL: no descriptor recorded */
	const char *path;            /* the original path, mapped */
	int number;                  /* at which it is handed over; -1: only as working directory */
	int fd;                      /* where it is now; -1: not open */
};

/*
 * Something that went wrong with one entry (n > 0) or with the whole (n == 0).  Freed
 * with the restart.
 */
struct restart_problem {
	bool warning;     /* the restart goes on */
	uint32_t n;
	const char *path; /* the entry's original path, mapped; "" */
	const char *link; /* or "" */
	const char *step; /* "open", "identity", "seek", "limit", "name", "drop" */
	int error;        /* positive errno */
	char *message;    /* a sentence without path and link */
};

/*
 * @manifest must outlive the restart.  Descriptors of several processes that share
 * entry, number, flags and offset are taken for one description (as after fork).
 * With by_number an entry that @pid does not hold is opened once, at a number above
 * all of its own, so that nothing is lost.  -EINVAL with *why: no such process, more
 * than one and none chosen, a number twice, a mapped path that leads out.
 */
int restart_new(const struct manifest *manifest, const struct restart_options *options,
		struct restart **out, char **why);

/* Closes what is open, changes nothing on disk. */
void restart_free(struct restart *restart);

const struct restart_item *restart_items(const struct restart *restart, size_t *count);
const struct restart_problem *restart_problems(const struct restart *restart, size_t *count);

/* The plan needs no number from here on: put your own fds there or above. */
int restart_free_number(const struct restart *restart);

/* The process whose numbers are used, or 0. */
pid_t restart_pid(const struct restart *restart);

/*
 * Opens and verifies every item below @root_fd, which is taken over, also on error.
 * Raises RLIMIT_NOFILE as far as needed.  0, or -errno of the first problem that is no
 * warning: all of them are in restart_problems(), and nothing stays open.
 */
int restart_open(struct restart *restart, int root_fd);

/*
 * How names are made.  With a daemon, @alias and @unalias are its methods Alias and
 * Unalias for this process; then nothing on disk is touched, but for missing parent
 * directories, which are made 0700 and removed again.  Without (NULL), the name is made
 * for an instant.  A directory of a plain root gets its name in restart_drop().
 */
enum restart_alias_mode { RESTART_LOOKUP, RESTART_EXCHANGE, RESTART_REPLACE_TYPE };
struct restart_namer {
	void *ctx;
	/* In place of the last one.  0 or -errno with *why (malloc'd). */
	int (*alias)(void *ctx, const char *link, const char *path, enum restart_alias_mode *mode,
		     char **why);
	void (*unalias)(void *ctx);
};

/* After restart_open().  0, or -ENOMEM; what could not be named is a warning. */
int restart_name(struct restart *restart, const struct restart_namer *namer);

/*
 * Removes the links, if they still are what was opened; then, if none is left, the
 * manifest at @manifest_path (relative to the root; NULL: it does not lie there); then
 * folders that were made for these links and are empty.  Goes on after a failure: 0, or
 * -errno of the first; what is left is in restart_problems(), as warnings.
 */
int restart_drop(struct restart *restart, const char *manifest_path);

/*
 * Each fd at its number, without FD_CLOEXEC, and the working directory: for the exec
 * that follows.  0 or -errno; the caller's standard descriptors may be gone then.
 */
int restart_hand_over(struct restart *restart);

#endif
