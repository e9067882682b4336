/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * execve() can fail for reasons that no test beforehand sees, and when it has succeeded
 * the caller is gone.  So a helper process traces us: the kernel stops us when execve()
 * has succeeded, in the new program, before its first instruction.  The helper then does
 * the step and lets the program go.
 *
 *	us                              helper (child of a child: not the program's)
 *	   <------------- its pid ------------
 *	   -------- "you may trace" --------->   PTRACE_SEIZE
 *	   <------------ result --------------
 *	execve()  . . stopped . . . . . . .  >   between()
 *	first instruction  <-----------------    PTRACE_DETACH
 *
 * If execve() fails we end the helper, which ends the tracing.  If the helper is killed
 * the program goes on without the step.
 */
#include "tools/handover.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/util.h"

/* ---- the program ---- */

static int check_program(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

/* Absolute, because the working directory may change before execve(). */
static char *absolute(const char *path)
{
	autofree char *here = NULL;

	if (path[0] == '/')
		return strdup(path);
	here = getcwd(NULL, 0);
	return here ? util_printf("%s/%s", here, path) : strdup(path);
}

static int find_in(const char *list, const char *name, char **out)
{
	int result = -ENOENT;

	for (;;) {
		size_t length = strcspn(list, ":");
		autofree char *path = util_printf("%.*s%s%s", (int)length, list,
			length ? "/" : "", name);
		int r = path ? check_program(path) : -ENOMEM;

		if (r == 0) {
			*out = absolute(path);
			return *out ? 0 : -ENOMEM;
		}
		if (r != -ENOENT && r != -ENOTDIR)
			result = r;
		if (!list[length])
			return result;
		list += length + 1;
	}
}

int handover_find(const char *name, char **out)
{
	const char *list = getenv("PATH");
	int r;

	if (!*name)
		return -ENOENT;
	if (!strchr(name, '/'))
		return find_in(list && *list ? list : "/usr/local/bin:/usr/bin:/bin", name, out);
	r = check_program(name);
	if (r < 0)
		return r;
	*out = absolute(name);
	return *out ? 0 : -ENOMEM;
}

/* The interpreter of a script must be there. */
static int check_script(char *line)
{
	line[strcspn(line, "\n")] = '\0';
	line += strspn(line, " \t");
	line[strcspn(line, " \t")] = '\0';
	return check_program(line);
}

/* As much as can be seen of whether the kernel will start the file. */
static int looks_executable(const char *path)
{
	char head[256] = { 0 };
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == EACCES ? 0 : -errno; /* it may be executed all the same */
	if (util_read_all(fd, head, sizeof(head) - 1) < 4)
		return -ENOEXEC;
	if (memcmp(head, "#!", 2) == 0)
		return check_script(head + 2);
	return memcmp(head, "\177ELF", 4) == 0 ? 0 : -ENOEXEC;
}

/* ---- the helper ---- */

static int32_t receive(int fd)
{
	int32_t value;

	return read(fd, &value, sizeof(value)) == sizeof(value) ? value : -EPIPE;
}

static void send_value(int fd, int32_t value)
{
	(void)!send(fd, &value, sizeof(value), MSG_NOSIGNAL);
}

/* How a stop that is not ours to wait for goes on. */
static void pass_on(pid_t pid, int status)
{
	int sig = WSTOPSIG(status);

	if (status >> 16 != PTRACE_EVENT_STOP)
		ptrace(PTRACE_CONT, pid, NULL, (void *)(uintptr_t)sig);
	else if (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU)
		ptrace(PTRACE_LISTEN, pid, NULL, NULL);
	else
		ptrace(PTRACE_CONT, pid, NULL, NULL);
}

/* False: the traced process ended before. */
static bool wait_for_exec(pid_t pid)
{
	for (;;) {
		int status;

		if (waitpid(pid, &status, __WALL) < 0) {
			if (errno != EINTR)
				return false;
		} else if (!WIFSTOPPED(status)) {
			return false;
		} else if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8)) {
			return true;
		} else {
			pass_on(pid, status);
		}
	}
}

/* Keys typed at the terminal are for the program. */
static void block_signals(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
}

static void help(const struct handover *handover, pid_t pid, int fd)
{
	long r;

	block_signals();
	send_value(fd, getpid());
	if (receive(fd) != 0)
		return;
	r = ptrace(PTRACE_SEIZE, pid, NULL, (void *)PTRACE_O_TRACEEXEC);
	send_value(fd, r < 0 ? -errno : 0);
	/* Held by us it would stay open when execve() has closed the other end. */
	close(fd);
	if (r < 0 || !wait_for_exec(pid))
		return;
	handover->between(handover->ctx);
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

/* The helper's pid once it traces us, or -errno and there is none. */
static pid_t start_helper(const struct handover *handover)
{
	int ends[2], r;
	pid_t self = getpid(), child, helper;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	child = fork();
	if (child == 0) {
		close(ends[0]);
		/* Twice, so that the program does not inherit a child it knows nothing of. */
		if (fork() == 0)
			help(handover, self, ends[1]);
		_exit(0);
	}
	close(ends[1]);
	if (child > 0)
		waitpid(child, NULL, 0);
	helper = child < 0 ? -errno : receive(ends[0]);
	if (helper > 0) {
		prctl(PR_SET_PTRACER, helper);
		send_value(ends[0], 0);
		r = receive(ends[0]);
		helper = r < 0 ? r : helper;
	}
	close(ends[0]);
	return helper;
}

/* Its end is waited for: only then are we traced no more. */
static void end_helper(pid_t helper)
{
	autofd int fd = pidfd_open(helper, 0);
	struct pollfd ended = { .fd = fd, .events = POLLIN };

	kill(helper, SIGKILL);
	if (fd >= 0)
		while (poll(&ended, 1, -1) < 0 && errno == EINTR)
			;
	prctl(PR_SET_PTRACER, 0);
}

/* ---- us ---- */

static int become(const struct handover *handover)
{
	int r = handover->prepare(handover->ctx);

	if (r < 0)
		return r;
	execv(handover->path, handover->argv);
	return -errno;
}

int handover_exec(const struct handover *handover, int *done)
{
	pid_t helper;
	int r;

	*done = 0;
	if (!handover->between)
		return become(handover);
	helper = start_helper(handover);
	if (helper > 0) {
		r = become(handover);
		end_helper(helper);
		return r;
	}
	r = looks_executable(handover->path);
	if (r < 0)
		return r;
	handover->between(handover->ctx);
	*done = 1;
	return become(handover);
}
