/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pass-fd FILE: opens FILE, puts the fd into the queue of a socket pair, closes it, says
 * "sent", and waits to be killed: then the file is held by a message in flight alone.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int send_fd(int socket, int fd)
{
	char byte = 'x';
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(int));
	return sendmsg(socket, &message, 0) == 1 ? 0 : -1;
}

int main(int argc, char **argv)
{
	int pair[2], fd = argc == 2 ? open(argv[1], O_RDWR) : -1;

	if (fd < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || send_fd(pair[0], fd)) {
		perror(argc == 2 ? argv[1] : "pass-fd");
		return 1;
	}
	close(fd);
	puts("sent");
	fflush(stdout);
	for (;;)
		pause();
}
