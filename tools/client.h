/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the programs share as clients of the daemon. */
#ifndef RELINKFS_TOOLS_CLIENT_H
#define RELINKFS_TOOLS_CLIENT_H

#include <jansson.h>

#include "store/util.h"
#include "store/varlink.h"

/* Exit codes, in all programs the same. */
enum tool_exit {
	TOOL_OK = 0,
	TOOL_FAILED = 1,
	TOOL_USAGE = 2,
	TOOL_HOOK_FAILED = 3, /* ckpt-trigger: the checkpoint was kept */
	TOOL_UNDONE = 4,      /* ckpt-trigger: the hook failed, the checkpoint was undone */
	TOOL_NO_MOUNT = 5,    /* no relinkfs mount there, or no daemon that answers */
	TOOL_PERMISSION = 6,  /* a capability is missing */
};

/*
 * "PROGRAM: TEXT" to stderr, escaped as output_escape() does.  The second also says
 * where to find help, and returns TOOL_USAGE.
 */
void tool_error(const char *format, ...) printf_format(1, 2);
int tool_usage(const char *format, ...) printf_format(1, 2);

/* Which exit code stands for the errno of a failed connect or call. */
enum tool_exit tool_exit_of(int error);

/*
 * varlink_connect() and varlink_call() for programs: on failure the message, and one
 * line for each entry that failed, went to stderr.  0 or an exit code.  *out of a
 * failed call is NULL.
 */
int tool_connect(const char *path, struct varlink_client **out);
int tool_call(struct varlink_client *client, const char *method, json_t *parameters, json_t **out);

/* One line on stderr for each of an array of failures (org.relinkfs, type Failure). */
void tool_print_failures(const json_t *failures);

/*
 * A member of a reply that the interface promises; "" or 0 if it is not there.  A number
 * may also stand as text, as in manifests.
 */
const char *tool_string(const json_t *object, const char *key);
json_int_t tool_integer(const json_t *object, const char *key);
/* A name, whether it is under KEY or KEY_base64: malloc'd bytes; "" if it has none. */
char *tool_name(const json_t *object, const char *key);

#endif
