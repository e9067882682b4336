/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Data of regular files, as far as it comes to us at all: see fuse/open.c. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "fuse/creds.h"
#include "fuse/ops.h"

void op_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct fuse_bufvec data = FUSE_BUFVEC_INIT(size);
	int fd = handle_fd(session_of(req)->handles, fi->fh);

	if (fd < 0) {
		reply_error(req, fd);
		return;
	}
	data.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	data.buf[0].fd = fd;
	data.buf[0].pos = offset;
	fuse_reply_data(req, &data, FUSE_BUF_SPLICE_MOVE);
}

void op_write_buf(fuse_req_t req, fuse_ino_t id, struct fuse_bufvec *in, off_t offset,
	struct fuse_file_info *fi)
{
	struct fuse_bufvec out = FUSE_BUFVEC_INIT(fuse_buf_size(in));
	int fd = handle_fd(session_of(req)->handles, fi->fh);
	ssize_t written;

	if (fd < 0) {
		reply_error(req, fd);
		return;
	}
	if (wants_setid_dropped(fi))
		drop_setid(req, fd);
	creds_spend(fuse_req_ctx(req)->uid);
	out.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	out.buf[0].fd = fd;
	out.buf[0].pos = offset;
	written = fuse_buf_copy(&out, in, 0);
	if (written < 0)
		reply_error(req, (int)written);
	else
		fuse_reply_write(req, (size_t)written);
}

/* Nothing is held back here, and ENOSYS, once, tells the kernel not to ask again. */
void op_flush(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	reply_error(req, -ENOSYS);
}

void op_fsync(fuse_req_t req, fuse_ino_t id, int datasync, struct fuse_file_info *fi)
{
	int fd = handle_fd(session_of(req)->handles, fi->fh);
	int error = fd < 0 ? fd : 0;

	if (!error && (datasync ? fdatasync(fd) : fsync(fd)) < 0)
		error = -errno;
	reply_error(req, error);
}

void op_fallocate(fuse_req_t req, fuse_ino_t id, int mode, off_t offset, off_t length,
	struct fuse_file_info *fi)
{
	int fd = handle_fd(session_of(req)->handles, fi->fh);
	int error = fd < 0 ? fd : 0;

	creds_spend(fuse_req_ctx(req)->uid);
	if (!error && fallocate(fd, mode, offset, length) < 0)
		error = -errno;
	reply_error(req, error);
}

/*
 * Without passthrough, stores through a mapping of the file lie in the kernel's cache, and
 * the file beneath still has a hole there.
 */
static bool may_hide_stores(struct session *session, fuse_ino_t id)
{
	uint32_t slot = node_slot(session->nodes, id);
	bool may = false;

	if (slot) {
		struct node_record *node = node_at(session->nodes, slot);

		node_lock(session->nodes, slot);
		may = !node->backing_id && node->flags & NODE_F_WRITTEN;
		node_unlock(session->nodes, slot);
	}
	return may;
}

/*
 * Told to drop its cache, the kernel first has what is new written, to another thread of
 * ours, and this one waits for it: so one must stay that does not wait.  False: none did.
 */
static bool fetch_stores(struct session *session, fuse_ino_t id)
{
	bool may = atomic_fetch_add(&session->waiting, 1) + 1 < session->config.threads;

	if (may)
		fuse_lowlevel_notify_inval_inode(session->se, id, 0, 0);
	atomic_fetch_sub(&session->waiting, 1);
	return may;
}

/* As if the file had no holes. */
static off_t seek_in_data(int fd, off_t offset, int whence)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	if (offset < 0 || offset >= st.st_size) {
		errno = ENXIO;
		return -1;
	}
	return whence == SEEK_DATA ? offset : st.st_size;
}

void op_lseek(fuse_req_t req, fuse_ino_t id, off_t offset, int whence, struct fuse_file_info *fi)
{
	struct session *session = session_of(req);
	int fd = handle_fd(session->handles, fi->fh);
	off_t found = -1;

	if (fd < 0) {
		reply_error(req, fd);
		return;
	}
	if ((whence == SEEK_DATA || whence == SEEK_HOLE) && may_hide_stores(session, id) &&
		!fetch_stores(session, id))
		found = seek_in_data(fd, offset, whence);
	else
		found = lseek(fd, offset, whence);
	if (found < 0)
		reply_error(req, -errno);
	else
		fuse_reply_lseek(req, found);
}

void op_copy_file_range(fuse_req_t req, fuse_ino_t in, off_t off_in, struct fuse_file_info *fi_in,
	fuse_ino_t out, off_t off_out, struct fuse_file_info *fi_out, size_t length, int flags)
{
	struct session *session = session_of(req);
	int fd_in = handle_fd(session->handles, fi_in->fh);
	int fd_out = handle_fd(session->handles, fi_out->fh);
	ssize_t copied;

	if (fd_in < 0 || fd_out < 0) {
		reply_error(req, -EBADF);
		return;
	}
	creds_spend(fuse_req_ctx(req)->uid);
	copied = copy_file_range(fd_in, &off_in, fd_out, &off_out, length, (unsigned)flags);
	if (copied < 0)
		reply_error(req, -errno);
	else
		fuse_reply_write(req, (size_t)copied);
}
