/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ioctls that mean the same on every filesystem: inode flags (chattr), extended
 * flags and project ids.  To set "immutable" or "append only" needs a capability of the
 * caller's, which the backing filesystem would look for in us.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fuse/caller_rights.h"
#include "fuse/ops.h"
#include "store/util.h"

/* May the caller change flags from @old to @new? */
static int check_flags(fuse_req_t req, uint32_t old, uint32_t new, uint32_t guarded)
{
	return (old ^ new) & guarded && !caller_has(req, CAP_LINUX_IMMUTABLE) ? -EPERM : 0;
}

static int check_owner(fuse_req_t req, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid == fuse_req_ctx(req)->uid || caller_has(req, CAP_FOWNER))
		return 0;
	return -EPERM;
}

static int set_flags(fuse_req_t req, int fd, const void *in, size_t size)
{
	int old, new, error = check_owner(req, fd);

	if (error)
		return error;
	if (size < sizeof(new))
		return -EINVAL;
	memcpy(&new, in, sizeof(new));
	if (ioctl(fd, FS_IOC_GETFLAGS, &old) < 0)
		return -errno;
	error = check_flags(req, (uint32_t)old, (uint32_t)new, FS_IMMUTABLE_FL | FS_APPEND_FL);
	if (!error && ioctl(fd, FS_IOC_SETFLAGS, &new) < 0)
		error = -errno;
	return error;
}

static int set_fsxattr(fuse_req_t req, int fd, const void *in, size_t size)
{
	struct fsxattr old, new;
	int error = check_owner(req, fd);

	if (error)
		return error;
	if (size < sizeof(new))
		return -EINVAL;
	memcpy(&new, in, sizeof(new));
	if (ioctl(fd, FS_IOC_FSGETXATTR, &old) < 0)
		return -errno;
	error = check_flags(req, old.fsx_xflags, new.fsx_xflags,
			    FS_XFLAG_IMMUTABLE | FS_XFLAG_APPEND);
	if (!error && ioctl(fd, FS_IOC_FSSETXATTR, &new) < 0)
		error = -errno;
	return error;
}

union ioctl_out {
	int flags;
	long version;
	struct fsxattr xattr;
};

/* Bytes of *out to reply with, or -errno. */
static ssize_t run(fuse_req_t req, int fd, unsigned cmd, const void *in, size_t in_size,
		   union ioctl_out *out)
{
	switch (cmd) {
	case FS_IOC_GETFLAGS:
		return ioctl(fd, FS_IOC_GETFLAGS, &out->flags) < 0 ? -errno
								    : (ssize_t)sizeof(out->flags);
	case FS_IOC_GETVERSION:
		return ioctl(fd, FS_IOC_GETVERSION, &out->version) < 0 ? -errno
									: (ssize_t)sizeof(int);
	case FS_IOC_FSGETXATTR:
		return ioctl(fd, FS_IOC_FSGETXATTR, &out->xattr) < 0 ? -errno
								      : (ssize_t)sizeof(out->xattr);
	case FS_IOC_SETFLAGS:
		return set_flags(req, fd, in, in_size);
	case FS_IOC_FSSETXATTR:
		return set_fsxattr(req, fd, in, in_size);
	default:
		return -ENOTTY;
	}
}

void op_ioctl(fuse_req_t req, fuse_ino_t id, unsigned cmd, void *arg, struct fuse_file_info *fi,
	      unsigned flags, const void *in, size_t in_size, size_t out_size)
{
	struct session *session = session_of(req);
	uint32_t slot = request_slot(req, id);
	union ioctl_out out;
	autofd int fd = -1;
	ssize_t length;

	if (!slot)
		return;
	memset(&out, 0, sizeof(out));
	fd = node_open(session->nodes, slot, O_RDONLY | O_NONBLOCK);
	length = fd < 0 ? fd : run(req, fd, cmd, in, in_size, &out);
	if (length < 0)
		reply_error(req, (int)length);
	else
		fuse_reply_ioctl(req, 0, &out, (size_t)length < out_size ? (size_t)length : out_size);
}
