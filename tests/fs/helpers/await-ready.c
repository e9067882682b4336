/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * await-ready SOCKET: listens on the datagram socket SOCKET, says "listening", and says
 * "ready" and ends when a "READY=1" comes, as a service sends it to NOTIFY_SOCKET.  When
 * the process whose pid stands in SOCKET.pid ends first, it ends without a word.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path))
		return -1;
	memcpy(address.sun_path, path, strlen(path) + 1);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || chmod(path, 0666))
		return -1;
	return fd;
}

static bool is_ready(int fd)
{
	char text[4096];
	ssize_t len = recv(fd, text, sizeof(text) - 1, 0);

	if (len < 0)
		return false;
	text[len] = '\0';
	return !strncmp(text, "READY=1", 7) || strstr(text, "\nREADY=1");
}

/*
 * A pidfd of the service, or -1.  Its pid is written by whoever starts it: until then it
 * is looked for again.  *gone: it has ended already.
 */
static int open_service(const char *socket_path, bool *gone)
{
	char path[256];
	int pid = 0;

	snprintf(path, sizeof(path), "%s.pid", socket_path);
	FILE *file = fopen(path, "re");
	if (!file)
		return -1;
	if (fscanf(file, "%d", &pid) != 1)
		pid = 0;
	fclose(file);
	if (pid <= 0)
		return -1;
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	*gone = fd < 0;
	return fd;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;

	char pid_path[256];
	snprintf(pid_path, sizeof(pid_path), "%s.pid", argv[1]);
	unlink(pid_path);
	struct pollfd fds[2] = { { .fd = listen_at(argv[1]), .events = POLLIN },
		{ .fd = -1, .events = POLLIN } };
	if (fds[0].fd < 0) {
		perror(argv[1]);
		return 1;
	}
	puts("listening");
	fflush(stdout);
	for (bool gone = false; !gone;) {
		if (fds[1].fd < 0)
			fds[1].fd = open_service(argv[1], &gone);
		if (poll(fds, 2, fds[1].fd < 0 ? 20 : -1) < 0 && errno != EINTR)
			return 1;
		if ((fds[0].revents & POLLIN) && is_ready(fds[0].fd)) {
			puts("ready");
			return 0;
		}
		if (fds[1].revents)
			return 1;
	}
	return 1;
}
