/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Extended attributes.  The kernel has checked the caller's rights on the name space of
 * a name, but a list is ours to filter: a filesystem shows trusted.* to CAP_SYS_ADMIN
 * only, and we have that where the caller may not.
 */
#include <errno.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/xattr.h>

#include "fuse/ops.h"
#include "store/util.h"

void op_setxattr(fuse_req_t req, fuse_ino_t id, const char *name, const char *value, size_t size,
		 int flags)
{
	struct session *session = session_of(req);
	char path[PROC_FD_PATH_SIZE];
	struct node_ref ref;
	int error = ref_get(session, id, &ref);

	if (!error) {
		if (setxattr(proc_fd_path(ref.fd, path), name, value, size, flags) < 0)
			error = -errno;
		ref_put(session, &ref);
	}
	reply_error(req, error);
}

void op_removexattr(fuse_req_t req, fuse_ino_t id, const char *name)
{
	struct session *session = session_of(req);
	char path[PROC_FD_PATH_SIZE];
	struct node_ref ref;
	int error = ref_get(session, id, &ref);

	if (!error) {
		if (removexattr(proc_fd_path(ref.fd, path), name) < 0)
			error = -errno;
		ref_put(session, &ref);
	}
	reply_error(req, error);
}

/* Replies with @length bytes of @value, or with the length alone if that was asked for. */
static void reply_value(fuse_req_t req, const char *value, ssize_t length, size_t size)
{
	if (length < 0)
		reply_error(req, (int)length);
	else if (size == 0)
		fuse_reply_xattr(req, (size_t)length);
	else
		fuse_reply_buf(req, value, (size_t)length);
}

void op_getxattr(fuse_req_t req, fuse_ino_t id, const char *name, size_t size)
{
	struct session *session = session_of(req);
	char path[PROC_FD_PATH_SIZE];
	autofree char *value = size ? malloc(size) : NULL;
	struct node_ref ref;
	ssize_t length = ref_get(session, id, &ref);

	if (!length) {
		length = size && !value ? -ENOMEM
					: getxattr(proc_fd_path(ref.fd, path), name, value, size);
		if (length < 0 && (value || !size))
			length = -errno;
		ref_put(session, &ref);
	}
	reply_value(req, value, length, size);
}

/* Only asked when a list has a name that the answer decides about. */
static bool caller_sees_trusted(fuse_req_t req)
{
	cap_flag_value_t value = CAP_CLEAR;
	cap_t caps;

	if (fuse_req_ctx(req)->uid != 0)
		return false;
	caps = cap_get_pid(fuse_req_ctx(req)->pid);
	if (!caps)
		return false;
	cap_get_flag(caps, CAP_SYS_ADMIN, CAP_EFFECTIVE, &value);
	cap_free(caps);
	return value == CAP_SET;
}

/* Takes the names out that the caller may not see; the length that is left. */
static ssize_t filter_list(fuse_req_t req, char *names, ssize_t length)
{
	static const char hidden[] = "trusted.";
	ssize_t in = 0, out = 0;
	int sees = -1;

	while (in < length) {
		size_t size = strlen(names + in) + 1;
		bool keep = strncmp(names + in, hidden, sizeof(hidden) - 1) != 0;

		if (!keep) {
			if (sees < 0)
				sees = caller_sees_trusted(req);
			keep = sees;
		}
		if (keep) {
			memmove(names + out, names + in, size);
			out += (ssize_t)size;
		}
		in += (ssize_t)size;
	}
	return out;
}

/* The whole list of @fd into *names; its length, or -errno. */
static ssize_t list_all(int fd, char **names)
{
	char path[PROC_FD_PATH_SIZE];
	ssize_t length;

	*names = malloc(XATTR_LIST_MAX);
	if (!*names)
		return -ENOMEM;
	length = listxattr(proc_fd_path(fd, path), *names, XATTR_LIST_MAX);
	return length < 0 ? -errno : length;
}

void op_listxattr(fuse_req_t req, fuse_ino_t id, size_t size)
{
	struct session *session = session_of(req);
	autofree char *names = NULL;
	struct node_ref ref;
	ssize_t length = ref_get(session, id, &ref);

	if (!length) {
		length = list_all(ref.fd, &names);
		if (length > 0)
			length = filter_list(req, names, length);
		ref_put(session, &ref);
	}
	if (length > 0 && size && (size_t)length > size)
		length = -ERANGE;
	reply_value(req, names, length, size);
}
