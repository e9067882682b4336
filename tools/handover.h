/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Becoming another program, with a step in between that must not happen unless that
 * program really starts, and must be over before it does anything.
 */
#ifndef RELINKFS_TOOLS_HANDOVER_H
#define RELINKFS_TOOLS_HANDOVER_H

struct handover {
	const char *path;   /* of the program: handover_find() */
	char *const *argv;
	void *ctx;
	/*
	 * In this process, the last thing before execve(); 0 or -errno.  Must not touch
	 * what @between needs.
	 */
	int (*prepare)(void *ctx);
	/*
	 * In a child process that has everything this one has, while the program is
	 * loaded and stopped before its first instruction.  NULL: nothing to do.  Where
	 * tracing is not allowed: in this process, after a look at the program's file.
	 */
	void (*between)(void *ctx);
};

/*
 * The absolute path of the program that execvp() would take for @name: *out, malloc'd.
 * -ENOENT: there is none; -EACCES: it may not be executed; -ENOEXEC: no program.
 */
int handover_find(const char *name, char **out);

/*
 * Returns only if the program does not run: -errno.  *done says whether @between was
 * called all the same (only where tracing is not allowed).
 */
int handover_exec(const struct handover *handover, int *done);

#endif
