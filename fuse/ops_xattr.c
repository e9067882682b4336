/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Extended attributes.  The kernel has checked the caller's rights on the name space of
 * a name, but a list is the backing's to filter: most show trusted.* to CAP_SYS_ADMIN
 * only, and we have that where the caller may not.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

#include "fuse/caller_rights.h"
#include "fuse/creds.h"
#include "fuse/ops.h"
#include "store/util.h"

/*
 * The kernel leaves it to us: whoever sets an access ACL and is not of the file's group
 * loses the set-gid bit, as with chmod(2).
 */
static int drop_setgid(fuse_req_t req, int fd)
{
	char path[PROC_FD_PATH_SIZE];
	struct stat st;

	if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
		return -errno;
	if (!(st.st_mode & S_ISGID) || caller_in_group(req, st.st_gid) ||
	    caller_has(req, CAP_FSETID))
		return 0;
	return chmod(proc_fd_path(fd, path), st.st_mode & 05777) < 0 ? -errno : 0;
}

void op_setxattr(fuse_req_t req, fuse_ino_t id, const char *name, const char *value, size_t size,
		 int flags)
{
	struct session *session = session_of(req);
	char path[PROC_FD_PATH_SIZE];
	struct node_ref ref;
	int error = ref_get(session, id, &ref);

	if (!error) {
		creds_spend(fuse_req_ctx(req)->uid);
		if (setxattr(proc_fd_path(ref.fd, path), name, value, size, flags) < 0)
			error = -errno;
		else if (strcmp(name, "system.posix_acl_access") == 0)
			error = drop_setgid(req, ref.fd);
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

/* The whole list of @fd into @names, XATTR_LIST_MAX bytes; its length, or -errno. */
static ssize_t list_all(int fd, char *names)
{
	char path[PROC_FD_PATH_SIZE];
	ssize_t length = listxattr(proc_fd_path(fd, path), names, XATTR_LIST_MAX);

	return length < 0 ? -errno : length;
}

/* The same without CAP_SYS_ADMIN. */
static ssize_t list_unprivileged(int fd, char *names)
{
	const cap_value_t capability = CAP_SYS_ADMIN;
	cap_t own = cap_get_proc(), less = own ? cap_dup(own) : NULL;
	ssize_t length = -ENOMEM;

	if (less) {
		cap_set_flag(less, CAP_EFFECTIVE, 1, &capability, CAP_CLEAR);
		length = cap_set_proc(less) < 0 ? -errno : list_all(fd, names);
		cap_set_proc(own);
	}
	cap_free(less);
	cap_free(own);
	return length;
}

static bool has_trusted(const char *names, ssize_t length)
{
	static const char prefix[] = "trusted.";

	for (ssize_t at = 0; at < length; at += (ssize_t)strlen(names + at) + 1) {
		if (strncmp(names + at, prefix, sizeof(prefix) - 1) == 0)
			return true;
	}
	return false;
}

/* What the backing lists for that caller. */
static ssize_t list_for(fuse_req_t req, int fd, char **names)
{
	ssize_t length;

	*names = malloc(XATTR_LIST_MAX);
	if (!*names)
		return -ENOMEM;
	length = list_all(fd, *names);
	if (has_trusted(*names, length) && !caller_has(req, CAP_SYS_ADMIN))
		length = list_unprivileged(fd, *names);
	return length;
}

void op_listxattr(fuse_req_t req, fuse_ino_t id, size_t size)
{
	struct session *session = session_of(req);
	autofree char *names = NULL;
	struct node_ref ref;
	ssize_t length = ref_get(session, id, &ref);

	if (!length) {
		length = list_for(req, ref.fd, &names);
		ref_put(session, &ref);
	}
	if (length > 0 && size && (size_t)length > size)
		length = -ERANGE;
	reply_value(req, names, length, size);
}
