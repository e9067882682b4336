/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attributes of inodes and of the filesystem. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fuse/caller_rights.h"
#include "fuse/creds.h"
#include "fuse/ops.h"
#include "store/util.h"

void op_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	struct session *session = session_of(req);
	struct node_ref ref;
	struct stat st;
	int error = ref_get(session, id, &ref);

	if (!error) {
		error = session_stat(session, ref.slot, ref.fd, &st);
		ref_put(session, &ref);
	}
	if (error)
		reply_error(req, error);
	else
		fuse_reply_attr(req, &st, session->config.attr_timeout);
}

#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 18)
static void statx_own(struct session *session, uint32_t slot, struct statx *stx)
{
	const struct node_record *node = node_at(session->nodes, slot);

	stx->stx_ino = backing_ino(node->key.fs, stx->stx_ino);
	/* 0 already, if somebody else removed the link from the vault. */
	if (node->entry && stx->stx_nlink)
		stx->stx_nlink -= store_hidden_links(session->store, node->entry);
	if (node->id == NODE_ROOT_ID && stx->stx_nlink > 2)
		stx->stx_nlink--;
	if (node->flags & NODE_F_RETIRED)
		stx->stx_nlink = 0;
}

void op_statx(fuse_req_t req, fuse_ino_t id, int flags, int mask, struct fuse_file_info *fi)
{
	struct session *session = session_of(req);
	struct node_ref ref;
	struct statx stx;
	int error = ref_get(session, id, &ref);

	if (!error) {
		flags &= AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC;
		node_lock(session->nodes, ref.slot);
		if (statx(ref.fd, "", flags | AT_EMPTY_PATH, (unsigned)mask | STATX_BASIC_STATS,
			  &stx) < 0)
			error = -errno;
		else
			statx_own(session, ref.slot, &stx);
		node_unlock(session->nodes, ref.slot);
		ref_put(session, &ref);
	}
	if (error)
		reply_error(req, error);
	else
		fuse_reply_statx(req, 0, &stx, session->config.attr_timeout);
}
#endif

/*
 * By the rule of the kernel's own filesystems: without group execution the set-gid bit
 * stays for who is of the group, and who we cannot see is taken for one.
 */
static bool loses_setgid(fuse_req_t req, mode_t mode, gid_t group)
{
	return mode & S_ISGID &&
	       (mode & S_IXGRP || (fuse_req_ctx(req)->pid > 0 && !caller_in_group(req, group) &&
				   !caller_has(req, CAP_FSETID)));
}

/* @group: the file's, before it is changed. */
static int drop_setid_of_group(fuse_req_t req, int fd, gid_t group)
{
	char path[PROC_FD_PATH_SIZE];
	struct stat st;
	mode_t mode;

	if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
		return -errno;
	proc_fd_path(fd, path);
	if (S_ISREG(st.st_mode) && removexattr(path, "security.capability") < 0 &&
	    errno != ENODATA && errno != EOPNOTSUPP)
		return -errno;
	mode = st.st_mode & ~(mode_t)S_ISUID;
	if (loses_setgid(req, mode, group))
		mode &= ~(mode_t)S_ISGID;
	if (mode != st.st_mode && chmod(path, mode & 07777) < 0)
		return -errno;
	return 0;
}

int drop_setid(fuse_req_t req, int fd)
{
	struct stat st;

	if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
		return -errno;
	return drop_setid_of_group(req, fd, st.st_gid);
}

static int set_owner(int fd, const struct stat *attr, int valid)
{
	uid_t uid = valid & FUSE_SET_ATTR_UID ? attr->st_uid : (uid_t)-1;
	gid_t gid = valid & FUSE_SET_ATTR_GID ? attr->st_gid : (gid_t)-1;

	return fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static struct timespec time_to_set(int valid, int set, int now, struct timespec value)
{
	if (valid & now)
		return (struct timespec){ .tv_nsec = UTIME_NOW };
	if (valid & set)
		return value;
	return (struct timespec){ .tv_nsec = UTIME_OMIT };
}

static int set_times(int fd, const struct stat *attr, int valid)
{
	const struct timespec times[2] = {
		time_to_set(valid, FUSE_SET_ATTR_ATIME, FUSE_SET_ATTR_ATIME_NOW, attr->st_atim),
		time_to_set(valid, FUSE_SET_ATTR_MTIME, FUSE_SET_ATTR_MTIME_NOW, attr->st_mtim),
	};

	return utimensat(fd, "", times, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

/* truncate(2) of an inode that may be open; its own fd where the kernel names one. */
static int set_size(struct session *session, const struct node_ref *ref, off_t size,
		    const struct fuse_file_info *fi)
{
	char path[PROC_FD_PATH_SIZE];
	int fd = fi ? handle_fd(session->handles, fi->fh) : -1;

	if (fd >= 0 && (handle_flags(session->handles, fi->fh) & O_ACCMODE) != O_RDONLY)
		return ftruncate(fd, size) < 0 ? -errno : 0;
	return truncate(proc_fd_path(ref->fd, path), size) < 0 ? -errno : 0;
}

static int set_attributes(fuse_req_t req, const struct node_ref *ref,
			  const struct stat *attr, int valid, const struct fuse_file_info *fi)
{
	struct session *session = session_of(req);
	char path[PROC_FD_PATH_SIZE];
	struct stat before = { 0 };
	int error = 0;

	/*
	 * What a write that bypasses us has the kernel ask for: only that these bits go.  For
	 * who may keep them it asks too, when there are file capabilities, which it has
	 * removed already.
	 */
	if (!valid)
		return caller_has(req, CAP_FSETID) ? 0 : drop_setid(req, ref->fd);
	creds_spend(fuse_req_ctx(req)->uid);
	if (valid & FUSE_SET_ATTR_KILL_SUID && fstatat(ref->fd, "", &before, AT_EMPTY_PATH) < 0)
		return -errno;
	if (valid & FUSE_SET_ATTR_MODE && chmod(proc_fd_path(ref->fd, path), attr->st_mode & 07777) < 0)
		error = -errno;
	if (!error && valid & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
		error = set_owner(ref->fd, attr, valid);
	if (!error && valid & FUSE_SET_ATTR_SIZE)
		error = set_size(session, ref, attr->st_size, fi);
	/* The kernel's one bit for "suid and sgid" (FATTR_KILL_SUIDGID) arrives under this name. */
	if (!error && valid & FUSE_SET_ATTR_KILL_SUID)
		error = drop_setid_of_group(req, ref->fd, before.st_gid);
	if (!error && valid & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME_NOW |
			       FUSE_SET_ATTR_MTIME_NOW))
		error = set_times(ref->fd, attr, valid);
	return error;
}

void op_setattr(fuse_req_t req, fuse_ino_t id, struct stat *attr, int valid,
		struct fuse_file_info *fi)
{
	struct session *session = session_of(req);
	struct node_ref ref;
	struct stat st;
	int error = ref_get(session, id, &ref);

	if (!error) {
		error = set_attributes(req, &ref, attr, valid, fi);
		if (!error)
			error = session_stat(session, ref.slot, ref.fd, &st);
		ref_put(session, &ref);
	}
	if (error)
		reply_error(req, error);
	else
		fuse_reply_attr(req, &st, session->config.attr_timeout);
}

void op_readlink(fuse_req_t req, fuse_ino_t id)
{
	struct session *session = session_of(req);
	char target[PATH_MAX + 1];
	struct node_ref ref;
	ssize_t length = 0;
	int error = ref_get(session, id, &ref);

	if (!error) {
		length = readlinkat(ref.fd, "", target, sizeof(target) - 1);
		if (length < 0)
			error = -errno;
		ref_put(session, &ref);
	}
	if (error) {
		reply_error(req, error);
		return;
	}
	target[length] = '\0';
	fuse_reply_readlink(req, target);
}

void op_statfs(fuse_req_t req, fuse_ino_t id)
{
	struct session *session = session_of(req);
	struct node_ref ref;
	struct statvfs st;
	int error = ref_get(session, id ? id : FUSE_ROOT_ID, &ref);

	if (!error) {
		if (fstatvfs(ref.fd, &st) < 0)
			error = -errno;
		ref_put(session, &ref);
	}
	if (error)
		reply_error(req, error);
	else
		fuse_reply_statfs(req, &st);
}
