/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A control server over a real store in a temporary source; the filesystem above is a
 * table of callbacks, and clients speak the wire format themselves.
 */
#ifndef RELINKFS_TESTS_UNIT_LIBCONTROL_H
#define RELINKFS_TESTS_UNIT_LIBCONTROL_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>

#include "fuse/control.h"
#include "libstore.h"
#include "store/varlink.h"

#define NOBODY 65534

/* Made by control_setup(), gone with control_teardown().  A test may stop control itself. */
extern struct arena *served_arena;
extern struct store *served_store;
extern struct control_host host;
extern struct control *control;
extern char run_folder[64], socket_path[100];
void control_setup(void);
void control_teardown(void);
/* Stops the server, and starts it again. */
void server_stop(void);
void server_start(void);

/* What the callbacks saw, and what they are to do. */
struct above {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool block; /* flush() waits while this is set */
	int inside; /* threads in flush() */
	pid_t alias; /* who has one */
	char link[64], path[64];
};
extern struct above above;
void flush_block(bool block);
void wait_until_inside_flush(void);
void wait_for_no_alias(void);

/* A file of @size bytes that @uid owns, hidden as "data/NAME"; the fd that keeps it. */
int hide_file(const char *name, uid_t uid, off_t size);
/* True if there is something at the absolute @path. */
bool path_exists(const char *path);
/* True if the default link @n of the checkpoint @id is there. */
bool link_exists(const char *id, int n);

struct client {
	int fd;
	struct varlink_reader *reader;
};
struct client client_open(void);
void client_close(struct client *client);
void client_send(struct client *client, const char *text);
json_t *client_read(struct client *client);
void expect_hang_up(struct client *client);
/* Sends @method with the JSON text @parameters; gives the whole reply. */
json_t *client_call(struct client *client, const char *method, const char *parameters);
json_t *call_with_id(struct client *client, const char *method, const char *id);

/* Each takes @reply.  The parameters of one that is no error. */
json_t *expect_fine(json_t *reply);
/* It must be the error @name with @value in the text @key. */
void expect_error(json_t *reply, const char *name, const char *key, const char *value);
/* It must be org.relinkfs.Error with this errno and @message in its message. */
void expect_errno(json_t *reply, int error, const char *message);
void expect_status(struct client *client);

const char *string_of(const json_t *object, const char *key);
json_int_t integer_of(const json_t *object, const char *key);

/* Runs @body as nobody in a process of its own, whose failures are ours. */
void as_nobody(void (*body)(void));

#endif
