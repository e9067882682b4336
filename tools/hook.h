/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command that ckpt-trigger runs between the freeze and its end. */
#ifndef RELINKFS_TOOLS_HOOK_H
#define RELINKFS_TOOLS_HOOK_H

#include <stdbool.h>
#include <stddef.h>

struct hook_variable {
	const char *name;
	const char *value;
};

/*
 * Runs "sh -c @command" with @variables in its environment; @to_stderr: what it prints
 * goes to stderr.  Waits for its end; until then SIGINT, SIGTERM, SIGHUP and SIGQUIT do
 * not end us but are passed on to it, and to all its processes unless they share the
 * foreground of a terminal with us (which then sends them ^C itself).
 * 0 with *status as of waitpid(), or -errno if it was not run.
 */
int hook_run(const char *command, const struct hook_variable *variables, size_t count,
	     bool to_stderr, int *status);

#endif
