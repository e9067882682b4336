/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/varlink.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "store/util.h"

/*
 * The bytes that were received and not yet consumed are at [start, end); those before
 * scanned are known to hold no NUL.
 */
struct varlink_reader {
	int fd;
	size_t max_message;
	char *buffer;
	size_t size;
	size_t start, scanned, end;
};

#define READ_SIZE_FIRST 4096u

struct varlink_reader *varlink_reader_new(int fd, size_t max_message)
{
	struct varlink_reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return NULL;
	reader->fd = fd;
	reader->max_message = max_message;
	return reader;
}

void varlink_reader_free(struct varlink_reader *reader)
{
	if (!reader)
		return;
	free(reader->buffer);
	free(reader);
}

/* Makes room behind end: first by moving what is there to the front, then by growing. */
static int reader_make_room(struct varlink_reader *reader)
{
	size_t limit = reader->max_message + 1, size;
	char *buffer;

	if (reader->start > 0) {
		memmove(reader->buffer, reader->buffer + reader->start,
			reader->end - reader->start);
		reader->end -= reader->start;
		reader->scanned -= reader->start;
		reader->start = 0;
	}
	if (reader->end < reader->size)
		return 0;
	if (reader->size >= limit)
		return -EMSGSIZE;
	size = reader->size ? reader->size * 2 : READ_SIZE_FIRST;
	if (size > limit)
		size = limit;
	buffer = realloc(reader->buffer, size);
	if (!buffer)
		return -ENOMEM;
	reader->buffer = buffer;
	reader->size = size;
	return 0;
}

/*
 * With no room for control data the kernel drops a descriptor that was passed, before
 * it could become ours, and says MSG_CTRUNC.  Gives the count, 0 at the end of file.
 */
static ssize_t reader_receive(struct varlink_reader *reader)
{
	struct iovec iov;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t got;
	int ret;

	ret = reader_make_room(reader);
	if (ret < 0)
		return ret;
	iov.iov_base = reader->buffer + reader->end;
	iov.iov_len = reader->size - reader->end;
	do {
		got = recvmsg(reader->fd, &msg, MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	if (msg.msg_flags & MSG_CTRUNC)
		return -EBADF;
	reader->end += (size_t)got;
	return got;
}

/* The message that ends at the NUL @end. */
static int reader_parse(struct varlink_reader *reader, const char *end, json_t **out)
{
	const char *text = reader->buffer + reader->start;
	json_t *message;

	message = json_loadb(text, (size_t)(end - text), JSON_REJECT_DUPLICATES, NULL);
	reader->start = reader->scanned = (size_t)(end - reader->buffer) + 1;
	if (!json_is_object(message)) {
		json_decref(message);
		return -EPROTO;
	}
	*out = message;
	return 0;
}

int varlink_read(struct varlink_reader *reader, json_t **out)
{
	const char *end;
	ssize_t got;

	*out = NULL;
	for (;;) {
		end = reader->scanned == reader->end ? NULL
						     : memchr(reader->buffer + reader->scanned,
							       '\0', reader->end - reader->scanned);
		if (end)
			return reader_parse(reader, end, out);
		reader->scanned = reader->end;
		if (reader->end - reader->start > reader->max_message)
			return -EMSGSIZE;
		got = reader_receive(reader);
		if (got < 0)
			return (int)got;
		if (got == 0)
			return reader->start == reader->end ? 0 : -ECONNRESET;
	}
}

static int wait_writable(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };
	int ret;

	do {
		ret = poll(&pfd, 1, VARLINK_WRITE_TIMEOUT_MS);
	} while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return -errno;
	return ret == 0 ? -ETIMEDOUT : 0;
}

int varlink_write(int fd, const json_t *message)
{
	autofree char *text = json_dumps(message, JSON_COMPACT);
	size_t size, done = 0;
	ssize_t sent;
	int ret;

	if (!text)
		return -ENOMEM;
	size = strlen(text) + 1;
	while (done < size) {
		sent = send(fd, text + done, size - done, MSG_NOSIGNAL);
		if (sent >= 0) {
			done += (size_t)sent;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		ret = wait_writable(fd);
		if (ret < 0)
			return ret;
	}
	return 0;
}
