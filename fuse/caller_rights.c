/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/caller_rights.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "store/util.h"

/* Capabilities of another user namespace are none here. */
static bool in_our_user_namespace(pid_t pid)
{
	struct stat ours, theirs;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	return stat("/proc/self/ns/user", &ours) == 0 && stat(path, &theirs) == 0 &&
	       ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

bool caller_has(fuse_req_t req, cap_value_t capability)
{
	pid_t pid = fuse_req_ctx(req)->pid;
	cap_flag_value_t value = CAP_CLEAR;
	cap_t caps = pid > 0 && in_our_user_namespace(pid) ? cap_get_pid(pid) : NULL;

	if (!caps)
		return false;
	cap_get_flag(caps, capability, CAP_EFFECTIVE, &value);
	cap_free(caps);
	return value == CAP_SET;
}

bool caller_in_group(fuse_req_t req, gid_t gid)
{
	autofree gid_t *groups = NULL;
	int count = 64, room = 0;

	if (fuse_req_ctx(req)->gid == gid)
		return true;
	/* As many as there are; another call may meet more. */
	while (count > room) {
		gid_t *more = realloc(groups, (size_t)count * sizeof(*groups));

		if (!more)
			return false;
		groups = more;
		room = count;
		count = fuse_req_getgroups(req, room, groups);
	}
	for (int i = 0; i < count; i++) {
		if (groups[i] == gid)
			return true;
	}
	return false;
}
