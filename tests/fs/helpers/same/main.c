/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * same DIR: does what programs rarely do, in a new folder of DIR, and prints a line for
 * each answer.  On two filesystems that behave the same, the lines are the same.  For root.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/fs/helpers/same/same.h"

const char *section;

void tell(const char *what, long result)
{
	if (result < 0)
		printf("%s: %s: %s\n", section, what, strerrorname_np(errno));
	else
		printf("%s: %s: %ld\n", section, what, result);
}

void ok(const char *what, int result)
{
	tell(what, result < 0 ? -1 : 0);
}

void show(const char *what, const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		tell(what, -1);
	else
		printf("%s: %s: mode %o uid %u gid %u size %jd nlink %ju\n", section, what,
			st.st_mode, st.st_uid, st.st_gid,
			S_ISDIR(st.st_mode) ? 0 : (intmax_t)st.st_size, (uintmax_t)st.st_nlink);
}

int make(const char *path, uid_t uid, gid_t gid, mode_t mode)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, 10000) < 0 || fchown(fd, uid, gid) < 0 ||
		fchmod(fd, mode) < 0) {
		perror(path);
		exit(1);
	}
	return fd;
}

/* Runs @body as the user, who is in many groups. */
void as_user(void (*body)(void))
{
	gid_t groups[41];
	int status;

	for (gid_t i = 0; i < 40; i++)
		groups[i] = 6000 + i;
	groups[40] = GROUP;
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		if (setgroups(41, groups) || setresgid(USER, USER, USER) ||
			setresuid(USER, USER, USER))
			_exit(1);
		body();
		fflush(stdout);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status)
		tell("the user's part ended badly", status);
}

void in_child(void (*body)(void))
{
	int status;

	fflush(stdout);
	if (fork() == 0) {
		body();
		fflush(stdout);
		_exit(0);
	}
	if (wait(&status) < 0 || status)
		tell("a child ended badly", status);
}

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	{ "groups", test_groups },
	{ "acl", test_acl },
	{ "setid", test_setid },
	{ "limits", test_limits },
	{ "immutable", test_flags },
	{ "locks", test_locks },
	{ "inotify", test_inotify },
	{ "unlinked", test_unlinked },
	{ "xattr", test_xattr },
	{ "names", test_names },
};

int main(int argc, char **argv)
{
	if (argc != 2) {
		fputs("Usage: same DIR\n", stderr);
		return 2;
	}
	umask(022);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++) {
		section = tests[i].name;
		if (chdir(argv[1]) || mkdir(section, 0777) || chmod(section, 0777) ||
			chdir(section)) {
			perror(argv[1]);
			return 1;
		}
		in_child(tests[i].run);
	}
	return 0;
}
