/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* New names: objects are made with the caller's identity and umask, see fuse/creds.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fuse/creds.h"
#include "fuse/hide.h"
#include "fuse/ops.h"
#include "store/util.h"

/* The directory of a new name, and this thread in the caller's identity. */
static int begin(fuse_req_t req, fuse_ino_t parent, const char *name, struct node_ref *ref)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	int error;

	if (name && name_reserved(parent, name))
		return -EPERM;
	error = ref_get(session_of(req), parent, ref);
	if (error)
		return error;
	error = creds_become(ctx->uid, ctx->gid, ctx->umask);
	if (error)
		ref_put(session_of(req), ref);
	return error;
}

/* Replies with the inode that @name now is, if @error is 0. */
static void finish(fuse_req_t req, const struct node_ref *ref, const char *name, int error)
{
	struct session *session = session_of(req);
	struct fuse_entry_param entry;

	if (!error)
		error = session_lookup(session, ref, name, &entry);
	reply_entry(req, error, &entry);
	ref_put(session, ref);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct node_ref ref;
	int error = begin(req, parent, name, &ref);

	if (error)
		reply_error(req, error);
	else
		finish(req, &ref, name, mknodat(ref.fd, name, mode, rdev) < 0 ? -errno : 0);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct node_ref ref;
	int error = begin(req, parent, name, &ref);

	if (error)
		reply_error(req, error);
	else
		finish(req, &ref, name, mkdirat(ref.fd, name, mode) < 0 ? -errno : 0);
}

void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct node_ref ref;
	int error = begin(req, parent, name, &ref);

	if (error)
		reply_error(req, error);
	else
		finish(req, &ref, name, symlinkat(target, ref.fd, name) < 0 ? -errno : 0);
}

/* A link of the inode behind @fd, whichever way our rights allow. */
static int link_fd(int fd, int dirfd, const char *name)
{
	char path[PROC_FD_PATH_SIZE];

	if (linkat(fd, "", dirfd, name, AT_EMPTY_PATH) == 0)
		return 0;
	/* ENOENT: the capability for AT_EMPTY_PATH is missing, or no link is left to copy. */
	if (errno != ENOENT)
		return -errno;
	if (linkat(AT_FDCWD, proc_fd_path(fd, path), dirfd, name, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	return -errno;
}

void op_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t parent, const char *name)
{
	struct session *session = session_of(req);
	struct node_ref node, dir;
	int error = ref_get(session, id, &node);

	if (error) {
		reply_error(req, error);
		return;
	}
	error = begin(req, parent, name, &dir);
	if (error)
		reply_error(req, error);
	else
		finish(req, &dir, name, link_fd(node.fd, dir.fd, name));
	ref_put(session, &node);
}

/* Replies to CREATE and TMPFILE: the node of @fd (taken, real), opened. */
static void finish_open(fuse_req_t req, const struct fuse_entry_param *entry, int fd,
			struct fuse_file_info *fi)
{
	struct session *session = session_of(req);
	uint32_t slot = node_slot(session->nodes, entry->ino);
	int error;

	error = open_finish(req, slot, fd, fi);
	if (error) {
		session_unlookup(session, entry);
		reply_error(req, error);
	} else if (fuse_reply_create(req, entry, fi) < 0) {
		handle_end(session->handles, fi->fh);
		open_failed(session, slot);
		session_unlookup(session, entry);
	}
}

/*
 * The kernel asks only for a name that it takes to be free, and has not checked whether the
 * caller may open what is there.  So nothing that exists is opened here (it could also be a
 * FIFO, and block): ESTALE makes the kernel look the name up again and go the usual way.
 */
static int create_open(struct session *session, const struct node_ref *dir, const char *name,
		       mode_t mode, int flags, struct fuse_entry_param *entry)
{
	char path[PROC_FD_PATH_SIZE];
	int fd, own, error;

	fd = openat(dir->fd, name, open_own_flags(session, flags) | O_CREAT | O_EXCL | O_CLOEXEC,
		    mode);
	if (fd < 0)
		return errno == EEXIST && !(flags & O_EXCL) ? -ESTALE : -errno;
	own = open(proc_fd_path(fd, path), O_PATH | O_CLOEXEC);
	error = own < 0 ? -errno : session_enter(session, own, entry);
	if (error) {
		close(fd);
		return error;
	}
	return fd;
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi)
{
	struct session *session = session_of(req);
	struct fuse_entry_param entry;
	struct node_ref dir;
	int fd, error = begin(req, parent, name, &dir);

	if (error) {
		reply_error(req, error);
		return;
	}
	fd = create_open(session, &dir, name, mode, fi->flags, &entry);
	ref_put(session, &dir);
	if (fd < 0) {
		reply_error(req, fd);
		return;
	}
	open_begin(session, node_slot(session->nodes, entry.ino));
	finish_open(req, &entry, fd, fi);
}

/*
 * The nameless file: opened, known as a node, and hidden from its birth on.  O_EXCL says
 * that the application may never give it a name; the kernel sees to that on its own
 * inode.  Not on the backing file: the vault needs a link, and tmpfile(3) sets O_EXCL.
 */
static int tmpfile_open(struct session *session, const struct node_ref *dir, mode_t mode,
			int flags, struct fuse_entry_param *entry)
{
	char path[PROC_FD_PATH_SIZE];
	uint32_t slot;
	int fd, own, error;

	fd = openat(dir->fd, ".", (open_own_flags(session, flags) & ~O_EXCL) | O_TMPFILE | O_CLOEXEC,
		    mode);
	if (fd < 0)
		return -errno;
	own = open(proc_fd_path(fd, path), O_PATH | O_CLOEXEC);
	error = own < 0 ? -errno : session_enter(session, own, entry);
	if (!error) {
		slot = node_slot(session->nodes, entry->ino);
		open_begin(session, slot);
		error = hide_tmpfile(session, dir, slot, &entry->attr);
		if (error) {
			open_failed(session, slot);
			session_unlookup(session, entry);
		}
	}
	if (error) {
		close(fd);
		return error;
	}
	entry->attr.st_nlink = 0;
	return fd;
}

void op_tmpfile(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct fuse_file_info *fi)
{
	struct fuse_entry_param entry;
	struct node_ref dir;
	int fd, error = begin(req, parent, NULL, &dir);

	if (error) {
		reply_error(req, error);
		return;
	}
	fd = tmpfile_open(session_of(req), &dir, mode, fi->flags, &entry);
	ref_put(session_of(req), &dir);
	if (fd < 0)
		reply_error(req, fd);
	else
		finish_open(req, &entry, fd, fi);
}
