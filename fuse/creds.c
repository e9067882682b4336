/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/creds.h"

#include <errno.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/capability.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/log.h"

/* What this thread's credentials are now; they change only here. */
static _Thread_local struct {
	uid_t uid;
	gid_t gid;
	mode_t umask;
	bool unlimited; /* has CAP_SYS_RESOURCE */
} current;

/* Best effort: who never had it cannot get it. */
static void set_unlimited(bool value)
{
	const cap_value_t capability = CAP_SYS_RESOURCE;
	cap_t caps = cap_get_proc();

	if (caps &&
		cap_set_flag(caps, CAP_EFFECTIVE, 1, &capability, value ? CAP_SET : CAP_CLEAR) ==
			0 &&
		cap_set_proc(caps) == 0)
		current.unlimited = value;
	if (caps)
		cap_free(caps);
}

int creds_thread_init(void)
{
	int bits;

	if (unshare(CLONE_FS) < 0) {
		log_error("cannot have a umask of its own per thread: %m");
		return -errno;
	}
	current.uid = geteuid();
	current.gid = getegid();
	current.umask = 0;
	umask(0);
	if (current.uid != 0)
		return 0;
	current.unlimited = true;
	bits = prctl(PR_GET_SECUREBITS);
	if (bits < 0 || prctl(PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP) < 0) {
		log_error("cannot keep capabilities over a change of fsuid (CAP_SETPCAP is "
			  "missing?): %m");
		return -errno;
	}
	return 0;
}

static int become(uid_t uid, gid_t gid)
{
	/* These calls report the previous id, never an error: the second one asks. */
	if (gid != current.gid) {
		setfsgid(gid);
		if ((gid_t)setfsgid((gid_t)-1) != gid)
			return -EPERM;
		current.gid = gid;
	}
	if (uid != current.uid) {
		setfsuid(uid);
		if ((uid_t)setfsuid((uid_t)-1) != uid)
			return -EPERM;
		current.uid = uid;
	}
	if (current.unlimited != (uid == 0))
		set_unlimited(uid == 0);
	return 0;
}

int creds_become(uid_t uid, gid_t gid, mode_t mask)
{
	if (mask != current.umask) {
		umask(mask);
		current.umask = mask;
	}
	return become(uid, gid);
}

int creds_spend(uid_t uid)
{
	return become(uid, current.gid);
}

void creds_own(void)
{
	become(geteuid(), getegid());
}
