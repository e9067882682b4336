/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Data of regular files, as far as it comes to us at all: see fuse/open.c. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

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
		drop_setid(fd);
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

	if (!error && fallocate(fd, mode, offset, length) < 0)
		error = -errno;
	reply_error(req, error);
}

void op_lseek(fuse_req_t req, fuse_ino_t id, off_t offset, int whence, struct fuse_file_info *fi)
{
	int fd = handle_fd(session_of(req)->handles, fi->fh);
	off_t found = fd < 0 ? -1 : lseek(fd, offset, whence);

	if (found < 0)
		reply_error(req, fd < 0 ? fd : -errno);
	else
		fuse_reply_lseek(req, found);
}

void op_copy_file_range(fuse_req_t req, fuse_ino_t in, off_t off_in, struct fuse_file_info *fi_in,
			fuse_ino_t out, off_t off_out, struct fuse_file_info *fi_out, size_t length,
			int flags)
{
	struct session *session = session_of(req);
	int fd_in = handle_fd(session->handles, fi_in->fh);
	int fd_out = handle_fd(session->handles, fi_out->fh);
	ssize_t copied;

	if (fd_in < 0 || fd_out < 0) {
		reply_error(req, -EBADF);
		return;
	}
	copied = copy_file_range(fd_in, &off_in, fd_out, &off_out, length, (unsigned)flags);
	if (copied < 0)
		reply_error(req, -errno);
	else
		fuse_reply_write(req, (size_t)copied);
}
