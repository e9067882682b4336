/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line of ckpt-trigger. */
#ifndef RELINKFS_TOOLS_TRIGGER_OPTIONS_H
#define RELINKFS_TOOLS_TRIGGER_OPTIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

struct trigger_options {
	const char *path;
	pid_t pid; /* 0: not given */
	const char *cgroup, *link_template, *run;
	bool partial, undo_on_failure, json, quiet;
};

/*
 * -1: go on; else the exit code: --help and --version were answered, or the command
 * line is wrong and that was said.  *out points into @argv.
 */
int trigger_options_parse(int argc, char **argv, struct trigger_options *out);

/* The parameters of the method Freeze; NULL if a text among them is not UTF-8. */
json_t *trigger_options_request(const struct trigger_options *options);

#endif
