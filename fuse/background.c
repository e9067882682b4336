/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/background.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/log.h"
#include "store/util.h"

static __attribute__((noreturn)) void wait_for_child(pid_t child, int fd)
{
	char byte;
	int status = 0;

	if (util_read_all(fd, &byte, 1) == 1)
		_exit(EXIT_SUCCESS);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			_exit(EXIT_FAILURE);
	if (WIFSIGNALED(status))
		log_error("the daemon was ended by signal %d (%s) while it started",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	_exit(WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : EXIT_FAILURE);
}

int background_start(int *ready_fd)
{
	int fds[2];
	pid_t child;

	close_range(STDERR_FILENO + 1, UINT_MAX, 0);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	child = fork();
	if (child < 0) {
		int error = -errno;

		close(fds[0]);
		close(fds[1]);
		return error;
	}
	if (child > 0) {
		close(fds[1]);
		wait_for_child(child, fds[0]);
	}
	close(fds[0]);
	*ready_fd = fds[1];
	return setsid() < 0 ? -errno : 0;
}

int background_ready(int ready_fd)
{
	autofd int ready = ready_fd;
	autofd int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return -errno;
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (dup2(null, fd) < 0)
			return -errno;
	return util_write_all(ready, "", 1);
}

int notify_manager(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	autofd int fd = -1;
	size_t length;

	if (!path)
		return 0;
	length = strlen(path);
	if (length < 2 || length >= sizeof(address.sun_path))
		return -EINVAL;
	memcpy(address.sun_path, path, length);
	/* "@name" stands for a name in the abstract namespace, which begins with NUL. */
	if (*path == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
		return -errno;
	return 0;
}
