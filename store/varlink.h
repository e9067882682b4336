/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The Varlink wire format (JSON messages, each ended by a NUL byte) over a unix
 * socket, for both ends.  Varlink's own service interface is answered by the server
 * side, so stock clients can introspect it.
 */
#ifndef RELINKFS_STORE_VARLINK_H
#define RELINKFS_STORE_VARLINK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define VARLINK_INTERFACE   "org.relinkfs"
#define VARLINK_MESSAGE_MAX (512u << 20) /* a client believes no longer reply */
#define VARLINK_REQUEST_MAX (64u << 10)  /* a server reads no longer request */

/*
 * The socket of the mount with device number @dev: "<dir>/<major>:<minor>.sock", where
 * <dir> is /run/relinkfs for root, else $XDG_RUNTIME_DIR/relinkfs.  malloc'd.
 */
char *varlink_socket_path(dev_t dev, bool root);

/* Reads messages from the socket @fd, which stays the caller's.  One thread at a time. */
struct varlink_reader;
struct varlink_reader *varlink_reader_new(int fd, size_t max_message);
void varlink_reader_free(struct varlink_reader *reader);

/*
 * Reads one message; *out is a new reference.  0 with *out NULL: a clean end of file.
 * -EAGAIN: @fd does not block and no whole message is here yet; call again, nothing is
 * lost.  After any other error the reader is of no more use:
 * -EPROTO (not one JSON object), -EMSGSIZE (longer than max_message, NUL not counted),
 * -ECONNRESET (end of file inside a message), -EBADF (the peer passed a file descriptor;
 * it never becomes one of ours), -ENOMEM, or what recvmsg() gave.
 */
int varlink_read(struct varlink_reader *reader, json_t **out);

/*
 * Writes one message whole (handles short writes; MSG_NOSIGNAL).  Does not take @message.
 * On an @fd that does not block: waits, and gives -ETIMEDOUT when the peer has taken
 * nothing for VARLINK_WRITE_TIMEOUT_MS.  After an error the stream is of no more use.
 */
#define VARLINK_WRITE_TIMEOUT_MS 30000
int varlink_write(int fd, const json_t *message);

/* ---- client ---- */

struct varlink_client;

/*
 * Connects to the daemon of the mount that @path lies in (found by st_dev).
 * -ENXIO: no relinkfs mount there (*why says what the path is on).  -ECONNREFUSED: one
 * is, but no daemon answers.  -EPERM: what listens there is neither root's nor ours.
 * -errno of looking up @path.  *why is malloc'd and always given.
 */
int varlink_connect(const char *path, struct varlink_client **out, char **why);
void varlink_disconnect(struct varlink_client *client);

/*
 * Calls org.relinkfs.@method with @parameters (taken; NULL = none) and gives the reply's
 * "parameters" (new reference).  An error reply: negative errno from its parameters'
 * "errno" (else -EREMOTEIO), *why its "message", *out its parameters.
 * -ECONNRESET and others of varlink_read(): the connection failed, *out is NULL; what
 * became of the call is not known.
 */
int varlink_call(struct varlink_client *client, const char *method, json_t *parameters,
		 json_t **out, char **why);

#endif
