/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/hook.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/util.h"

static const int passed_on[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

/* In a foreground process group ^C and ^Z reach the hook and us alike. */
static bool in_foreground(void)
{
	autofd int tty = open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY);

	return tty >= 0 && tcgetpgrp(tty) == getpgrp();
}

struct hook {
	const char *command;
	const struct hook_variable *variables;
	size_t count;
	bool to_stderr;
	bool own_group;
	sigset_t mask; /* as it was for us */
};

static void hook_exec(const struct hook *hook)
{
	if (hook->own_group)
		setpgid(0, 0);
	for (size_t i = 0; i < hook->count; i++)
		if (setenv(hook->variables[i].name, hook->variables[i].value, 1) < 0)
			_exit(126);
	if (hook->to_stderr && dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		_exit(126);
	sigprocmask(SIG_SETMASK, &hook->mask, NULL);
	execl("/bin/sh", "sh", "-c", hook->command, (char *)NULL);
	_exit(127);
}

/* The kernel's own signals (of a terminal) reached the hook already if it is in our group. */
static void pass_on(const struct hook *hook, pid_t pid, const siginfo_t *info)
{
	if (hook->own_group)
		kill(-pid, info->si_signo);
	else if (info->si_code != SI_KERNEL)
		kill(pid, info->si_signo);
}

static int hook_wait(const struct hook *hook, pid_t pid, const sigset_t *signals, int *status)
{
	siginfo_t info;
	pid_t ended;

	for (;;) {
		ended = waitpid(pid, status, WNOHANG);
		if (ended == pid)
			return 0;
		if (ended < 0)
			return -errno;
		if (sigwaitinfo(signals, &info) < 0 || info.si_signo == SIGCHLD)
			continue;
		pass_on(hook, pid, &info);
	}
}

int hook_run(const char *command, const struct hook_variable *variables, size_t count,
	bool to_stderr, int *status)
{
	struct hook hook = {
		.command = command,
		.variables = variables,
		.count = count,
		.to_stderr = to_stderr,
		.own_group = !in_foreground(),
	};
	struct sigaction normal = { .sa_handler = SIG_DFL }, before;
	sigset_t signals;
	pid_t pid;
	int ret;

	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	for (size_t i = 0; i < ARRAY_SIZE(passed_on); i++)
		sigaddset(&signals, passed_on[i]);
	/* Whoever started us may have SIGCHLD ignored: then there would be no status. */
	sigaction(SIGCHLD, &normal, &before);
	sigprocmask(SIG_BLOCK, &signals, &hook.mask);
	pid = fork();
	if (pid == 0)
		hook_exec(&hook);
	ret = pid < 0 ? -errno : 0;
	if (ret == 0) {
		/* Also here: the child may not have come so far when a signal is passed on. */
		if (hook.own_group)
			setpgid(pid, pid);
		ret = hook_wait(&hook, pid, &signals, status);
	}
	sigprocmask(SIG_SETMASK, &hook.mask, NULL);
	sigaction(SIGCHLD, &before, NULL);
	return ret;
}
