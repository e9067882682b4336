/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the control server share: control.c (connections), control_request.c
 * (one request: who asks, which method, the answer), control_methods.c and
 * control_list.c (the methods), control_idl.c (the text of the interface).
 */
#ifndef RELINKFS_FUSE_CONTROL_INTERNAL_H
#define RELINKFS_FUSE_CONTROL_INTERNAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fuse/control.h"
#include "store/caller.h"
#include "store/freeze.h"
#include "store/util.h"
#include "store/varlink.h"

/* A checkpoint that waits for Commit or Undo from the connection that made it. */
struct control_hold {
	uint64_t ktime;
	bool undo; /* what becomes of it if the connection closes: undone, else committed */
};

/*
 * One client.  It belongs to one thread at a time: the polling thread while no request
 * of it runs, else the worker.  They pass it on through epoll (EPOLLONESHOT) and through
 * the start of the worker.
 */
struct connection {
	struct control *control;
	int fd; /* does not block */
	struct varlink_reader *reader;
	struct caller caller; /* when it connected */
	bool privileged;      /* when it connected: both capabilities */
	bool aliased;         /* has an alias for caller.pid */
	struct control_hold *holds;
	size_t nholds;
	int status;      /* handed to the worker: what varlink_read() gave, */
	json_t *message; /* and the request */
	bool busy;       /* guarded by the lock of the server: a worker has it */
};

/* One request; lives on the worker's stack. */
struct request {
	struct connection *connection;
	const struct control_host *host;
	struct caller caller; /* as it is now */
	bool privileged;      /* had both capabilities when it connected, and has them now */
	const json_t *parameters;
	const char *error; /* NULL: @answer is the reply; else the name of the error */
	json_t *answer;
};

/*
 * Runs the request @message and sends the answer, if one is wanted.  False: the
 * connection cannot go on.
 */
bool request_run(struct connection *connection, const struct control_host *host,
		 const json_t *message);

/* Tells the peer why its connection ends; best effort, never waits. */
void request_refuse(int fd, int error, const char *message);

/* Ends what the closing connection holds: its checkpoints, its alias. */
void request_settle(struct connection *connection, const struct control_host *host);

/* ---- for methods: each gives one answer ---- */

/* Takes @answer; NULL stands for out of memory. */
void request_reply(struct request *request, json_t *answer);
/* org.relinkfs.Error; @error: negative errno; takes @failures (may be NULL). */
void request_fail(struct request *request, int error, json_t *failures, const char *format, ...)
	printf_format(4, 5);
/* org.varlink.service.InvalidParameter */
void request_invalid(struct request *request, const char *parameter);

struct request_parameter {
	const char *name;
	json_type type; /* JSON_TRUE: boolean */
	void *out;      /* bool *, const char **, json_int_t *; left alone if absent or null */
};
/*
 * False, with the answer given, when a parameter has another type or an unknown name.
 * JSON_NULL as a type: any, and not stored (the method reads it itself).
 */
bool request_parameters(struct request *request, const struct request_parameter *table,
			size_t count);

/* A string of any bytes: what is not UTF-8 comes out as \xNN.  NULL: empty. */
json_t *control_text(const char *bytes);
json_t *control_time(int64_t realtime);
/* 64-bit ids as text of 16 hexadecimal digits. */
json_t *control_id(uint64_t id);
bool control_parse_id(const char *text, uint64_t *id);
/* What went wrong, without the names. */
const char *control_failure_text(const struct freeze_failure *failure);
/* {path, link, step, errno, message} of each. */
json_t *control_failures(const struct freeze_failure *failures, size_t count);
/*
 * For a method with no other parameters: the manifest that "id" or "manifest" names, its
 * path relative to the root, malloc'd.  NULL: the answer is given.
 */
char *control_manifest_path(struct request *request);

struct control_method {
	const char *name;
	bool privileged; /* only for callers that may relink */
	void (*run)(struct request *request);
};
extern const struct control_method control_methods[]; /* ends with a NULL name */

void control_list_entries(struct request *request);
void control_list_checkpoints(struct request *request);
void control_show_checkpoint(struct request *request);

/* What a caller may see: what belongs to anybody, or only to itself. */
bool control_may_see(const struct request *request, uid_t owner);
/*
 * False: the caller may not see this hidden entry.  Else *out has its attributes as they
 * are now; if they cannot be had, those it was hidden with, and st_size is -1.
 */
bool control_look_at(const struct request *request, const struct entry_record *record,
		     struct stat *out);

/* The interface org.relinkfs, and org.varlink.service, in Varlink's language. */
extern const char control_idl[], control_idl_service[];

#endif
