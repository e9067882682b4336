/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/caller.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "store/util.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

/*
 * A descriptor of the peer's process, or -errno.  An older kernel only gives the pid:
 * then the process that has it now is taken, and the comparison of users in
 * standing_of() is what is left against a reused pid.
 */
static int open_peer(int fd, pid_t pid)
{
	int pidfd = -1;
	socklen_t size = sizeof(pidfd);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0)
		return pidfd;
	if (errno != ENOPROTOOPT)
		return -errno;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	return pidfd < 0 ? -errno : pidfd;
}

/* A pidfd is readable once its process has ended: until then the pid is not reused. */
static bool peer_lives(int pidfd)
{
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };

	return poll(&pfd, 1, 0) == 0;
}

static bool same_user_namespace(pid_t pid)
{
	struct stat ours, theirs;
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	if (stat("/proc/self/ns/user", &ours) < 0 || stat(path, &theirs) < 0)
		return false;
	return ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

/* The value of @key, "Uid:" for example, in the text of /proc/PID/status. */
static const char *status_value(const char *status, const char *key)
{
	const char *line = strstr(status, key);

	return line ? line + strlen(key) : NULL;
}

/*
 * The user that SO_PEERCRED names is the one that called connect().  A peer that has
 * since become another user, by exec of a set-user-ID program, did not mean to lend us
 * its new rights: somebody else may hold the other end of this very socket.
 */
static enum caller_standing standing_of(const struct caller *caller)
{
	autofree char *status = NULL;
	unsigned int real, effective;
	const char *uids;
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/status", caller->pid);
	if (util_read_file(AT_FDCWD, path, 65536, &status, NULL) < 0)
		return CALLER_UNSEEN;
	uids = status_value(status, "\nUid:");
	if (!uids || sscanf(uids, "%u %u", &real, &effective) != 2)
		return CALLER_UNSEEN;
	if (effective != caller->uid)
		return CALLER_CHANGED;
	return same_user_namespace(caller->pid) ? CALLER_OURS : CALLER_OTHER_USERNS;
}

static bool is_effective(cap_t caps, cap_value_t capability)
{
	cap_flag_value_t value = CAP_CLEAR;

	return cap_get_flag(caps, capability, CAP_EFFECTIVE, &value) == 0 && value == CAP_SET;
}

static void read_capabilities(struct caller *caller)
{
	cap_t caps = cap_get_pid(caller->pid);

	if (!caps)
		return;
	caller->has_dac_override = is_effective(caps, CAP_DAC_OVERRIDE);
	caller->has_dac_read_search = is_effective(caps, CAP_DAC_READ_SEARCH);
	cap_free(caps);
}

static void read_comm(struct caller *caller)
{
	autofree char *comm = NULL;
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/comm", caller->pid);
	if (util_read_file(AT_FDCWD, path, 256, &comm, NULL) < 0)
		return;
	comm[strcspn(comm, "\n")] = '\0';
	snprintf(caller->comm, sizeof(caller->comm), "%.15s", comm);
}

/* Takes back what was read: it may be about another process. */
static void forget_process(struct caller *caller)
{
	caller->standing = CALLER_UNSEEN;
	caller->has_dac_override = caller->has_dac_read_search = false;
	caller->comm[0] = '\0';
}

int caller_from_socket(int fd, struct caller *out)
{
	autofd int pidfd = -1;
	struct ucred cred;
	socklen_t size = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
		return -errno;
	*out = (struct caller){ .pid = cred.pid, .uid = cred.uid, .gid = cred.gid };
	out->standing = CALLER_UNSEEN;
	if (cred.pid <= 0)
		return 0;
	pidfd = open_peer(fd, cred.pid);
	if (pidfd < 0)
		return 0;
	read_comm(out);
	out->standing = standing_of(out);
	if (out->standing == CALLER_OURS)
		read_capabilities(out);
	if (!peer_lives(pidfd))
		forget_process(out);
	return 0;
}

int caller_may_relink(const struct caller *caller, char **why)
{
	bool both = !caller->has_dac_override && !caller->has_dac_read_search;

	switch (caller->standing) {
	case CALLER_OURS:
		break;
	case CALLER_OTHER_USERNS:
		return util_why(why, -EPERM,
			"the caller lives in another user namespace than the daemon, so its "
			"capabilities do not count here; call from the daemon's user namespace");
	case CALLER_CHANGED:
		return util_why(why, -EPERM,
			"the caller became another user after it connected; connect again");
	case CALLER_UNSEEN:
		return util_why(why, -EPERM,
			"the caller cannot be seen from the daemon (it ended, or lives in another "
			"pid namespace), so its capabilities are not known");
	}
	if (caller->has_dac_override && caller->has_dac_read_search)
		return 0;
	return util_why(why, -EPERM,
		"the caller lacks %s%s%s in its effective set; run as root or with %s",
		caller->has_dac_override ? "" : "CAP_DAC_OVERRIDE", both ? " and " : "",
		caller->has_dac_read_search ? "" : "CAP_DAC_READ_SEARCH",
		both ? "these capabilities" : "this capability");
}
