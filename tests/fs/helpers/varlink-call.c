/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * varlink-call SOCKET: sends what comes on stdin, as it is (NUL bytes too), then says that
 * nothing more comes, and writes what comes back, with a newline for each NUL, until the
 * other end closes.  Status 1 when it does not within 15 seconds.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		return -1;
	memcpy(address.sun_path, path, strlen(path) + 1);
	return connect(fd, (struct sockaddr *)&address, sizeof(address)) ? -1 : fd;
}

/* 1: something came; 0: the end; -1: silence. */
static int pass_on(int fd, int timeout)
{
	char text[65536];
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	if (poll(&poll_fd, 1, timeout) <= 0)
		return -1;
	ssize_t len = recv(fd, text, sizeof(text), 0);
	for (ssize_t i = 0; i < len; i++)
		putchar(text[i] ? text[i] : '\n');
	fflush(stdout);
	return len > 0;
}

int main(int argc, char **argv)
{
	char text[65536];
	ssize_t len;
	int fd = argc == 2 ? connect_to(argv[1]) : -1;

	if (fd < 0) {
		perror(argc == 2 ? argv[1] : "varlink-call");
		return 1;
	}
	while ((len = read(STDIN_FILENO, text, sizeof(text))) > 0) {
		if (send(fd, text, (size_t)len, MSG_NOSIGNAL) != len)
			break;
		while (pass_on(fd, 0) > 0)
			;
	}
	shutdown(fd, SHUT_WR);
	int more;
	do
		more = pass_on(fd, 15000);
	while (more > 0);
	close(fd);
	return more < 0 ? 1 : 0;
}
