/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Open descriptions of regular files.
 *
 * Under passthrough the kernel opens the backing file itself, for each description with
 * its own flags; our fd serves what still comes to us (fsync, truncate, fallocate,
 * lseek, copy_file_range), and carries the error state of fsync per description.  All
 * opens of one inode must agree on the mode, so the first one decides: the backing id,
 * or the fact that there is none, stays with the node until its last release.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "fuse/creds.h"
#include "fuse/hide.h"
#include "fuse/ops.h"
#include "store/log.h"

int open_own_flags(const struct session *session, int flags)
{
	/*
	 * Writes come with their offset, so appending is the kernel's matter; a repeated
	 * write must land where it was meant to.  Alignment rules of O_DIRECT would hit
	 * our buffers, not the caller's.
	 */
	flags &= ~(O_APPEND | O_DIRECT | O_NOFOLLOW | O_NOCTTY);
	/* To write a part of a page the kernel reads the rest of it first. */
	if (!session->passthrough && (flags & O_ACCMODE) == O_WRONLY)
		flags = (flags & ~O_ACCMODE) | O_RDWR;
	return flags;
}

void open_begin(struct session *session, uint32_t slot)
{
	struct node_record *node = node_at(session->nodes, slot);

	node_lock(session->nodes, slot);
	node->nopen++;
	node->flags |= NODE_F_OPENED;
	node_unlock(session->nodes, slot);
}

/* With the node lock held: one description less; with the last one the mode is open again. */
static int32_t closed_locked(struct node_record *node)
{
	int32_t backing_id = node->backing_id;

	if (--node->nopen)
		return 0;
	node->flags &= ~(NODE_F_SPLICE | NODE_F_WRITTEN);
	node->backing_id = 0;
	return backing_id;
}

static void close_backing(fuse_req_t req, int32_t backing_id)
{
	if (backing_id && fuse_passthrough_close(req, backing_id) < 0)
		log_error("cannot release a passthrough backing file: %m");
}

void open_failed(struct session *session, uint32_t slot)
{
	struct node_record *node = node_at(session->nodes, slot);

	node_lock(session->nodes, slot);
	closed_locked(node);
	node_unlock(session->nodes, slot);
}

static void passthrough_refused(struct session *session, int error)
{
	if (!atomic_exchange(&session->warned_passthrough, true))
		log_warn("passthrough was refused for a file, it is served by splice: %s",
			 strerror(error));
}

/* With the node lock held: gives @fi the mode of this node's opens. */
static void choose_mode(fuse_req_t req, struct node_record *node, int fd, struct fuse_file_info *fi)
{
	struct session *session = session_of(req);
	int id;

	if (!session->passthrough || node->flags & NODE_F_SPLICE)
		return;
	if (!node->backing_id) {
		errno = EOPNOTSUPP;
		id = fuse_passthrough_open(req, fd);
		if (id <= 0) {
			passthrough_refused(session, errno);
			node->flags |= NODE_F_SPLICE;
			return;
		}
		node->backing_id = id;
	}
	fi->backing_id = node->backing_id;
}

int open_finish(fuse_req_t req, uint32_t slot, int fd, struct fuse_file_info *fi)
{
	struct session *session = session_of(req);
	struct node_record *node = node_at(session->nodes, slot);
	int error;

	error = handle_new(session->handles, node->id, fi->flags, false, fd, &fi->fh);
	if (error) {
		open_failed(session, slot);
		return error;
	}
	/*
	 * The kernel does I/O on the backing file with the credentials of whoever registers it:
	 * so the first of the opens that last together says whose space is taken.
	 */
	creds_spend(fuse_req_ctx(req)->uid);
	node_lock(session->nodes, slot);
	choose_mode(req, node, fd, fi);
	if ((fi->flags & O_ACCMODE) != O_RDONLY)
		node->flags |= NODE_F_WRITTEN;
	node_unlock(session->nodes, slot);
	if (!fi->backing_id)
		fi->keep_cache = !session->config.cache_shared;
	fi->noflush = 1;
	return 0;
}

void op_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	struct session *session = session_of(req);
	uint32_t slot = request_slot(req, id);
	int fd, error;

	if (!slot)
		return;
	open_begin(session, slot);
	fd = node_open(session->nodes, slot, open_own_flags(session, fi->flags));
	/* A file that may only be appended to can be opened in no other way. */
	if (fd == -EPERM && fi->flags & O_APPEND)
		fd = node_open(session->nodes, slot, fi->flags & ~O_DIRECT);
	/* Write-only by right, or a filesystem of which we are an ordinary user. */
	if (fd == -EACCES && (fi->flags & O_ACCMODE) == O_WRONLY)
		fd = node_open(session->nodes, slot, fi->flags & ~(O_APPEND | O_DIRECT));
	if (fd < 0) {
		open_failed(session, slot);
		reply_error(req, fd);
		return;
	}
	if (wants_setid_dropped(fi))
		drop_setid(req, fd);
	error = open_finish(req, slot, fd, fi);
	if (error) {
		reply_error(req, error);
	} else if (fuse_reply_open(req, fi) < 0) {
		handle_end(session->handles, fi->fh);
		open_failed(session, slot);
	}
}

void op_release(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	struct session *session = session_of(req);
	uint32_t slot = node_slot(session->nodes, id);
	int32_t backing_id = 0;
	bool written = false, settle = false;

	handle_end(session->handles, fi->fh);
	if (slot) {
		struct node_record *node = node_at(session->nodes, slot);

		node_lock(session->nodes, slot);
		written = node->backing_id && node->flags & NODE_F_WRITTEN;
		backing_id = closed_locked(node);
		close_backing(req, backing_id);
		settle = node->entry && !node->nopen;
		node_unlock(session->nodes, slot);
	}
	if (settle)
		hide_settle(session, slot);
	/* Stores through a mapping do not tell the kernel of new times: they show from now on. */
	if (written)
		fuse_lowlevel_notify_inval_inode(session->se, id, -1, 0);
	reply_error(req, 0);
}
