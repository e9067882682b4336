/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Listing directories: raw getdents64() records, whose d_off is the offset that the
 * kernel comes back with, also after another process changed the directory.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fuse/ops.h"
#include "store/util.h"

void op_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	struct session *session = session_of(req);
	uint32_t slot = request_slot(req, id);
	int fd, error;

	if (!slot)
		return;
	fd = node_open(session->nodes, slot, O_RDONLY | O_DIRECTORY);
	error = fd < 0 ? fd : handle_new(session->handles, id, fi->flags, true, fd, &fi->fh);
	if (error) {
		reply_error(req, error);
		return;
	}
	if (!session->config.cache_shared) {
		fi->cache_readdir = 1;
		fi->keep_cache = 1;
	}
	if (fuse_reply_open(req, fi) < 0)
		handle_end(session->handles, fi->fh);
}

void op_releasedir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	handle_end(session_of(req)->handles, fi->fh);
	reply_error(req, 0);
}

void op_fsyncdir(fuse_req_t req, fuse_ino_t id, int datasync, struct fuse_file_info *fi)
{
	op_fsync(req, id, datasync, fi);
}

/* The record after the one at @offset, or NULL at the end (*error 0) or on an error. */
static const struct dirent64 *stream_next(struct dir_stream *dir, int fd, off_t offset, int *error)
{
	const struct dirent64 *record;
	ssize_t got;

	*error = 0;
	if (offset != dir->next) {
		if (lseek(fd, offset, SEEK_SET) < 0) {
			*error = -errno;
			return NULL;
		}
		dir->next = offset;
		dir->at = dir->filled = 0;
	}
	if (dir->at == dir->filled) {
		got = getdents64(fd, dir->buffer, sizeof(dir->buffer));
		if (got <= 0) {
			*error = got < 0 ? -errno : 0;
			/* The end is no position: whoever comes again is to ask again. */
			dir->at = dir->filled = 0;
			return NULL;
		}
		dir->at = 0;
		dir->filled = (uint32_t)got;
	}
	record = (const struct dirent64 *)(dir->buffer + dir->at);
	return record;
}

static void stream_advance(struct dir_stream *dir, const struct dirent64 *record)
{
	dir->next = record->d_off;
	dir->at += record->d_reclen;
}

struct listing {
	fuse_req_t req;
	struct session *session;
	struct node_ref dir;
	bool plus;
	char *out;
	size_t size, used;
};

/* Adds one record: false when there is no room for it. */
static bool list_plain(struct listing *l, const struct dirent64 *record)
{
	const struct node_record *dir = node_at(l->session->nodes, l->dir.slot);
	struct stat st = { .st_ino = backing_ino(dir->key.fs, record->d_ino),
			   .st_mode = DTTOIF(record->d_type) };
	size_t length;

	length = fuse_add_direntry(l->req, l->out + l->used, l->size - l->used, record->d_name, &st,
				   record->d_off);
	if (length > l->size - l->used)
		return false;
	l->used += length;
	return true;
}

static bool list_plus(struct listing *l, const struct dirent64 *record)
{
	struct fuse_entry_param entry;
	size_t length;
	bool counted = false;

	memset(&entry, 0, sizeof(entry));
	/* One that is gone by now, or cannot be looked at, is listed by name alone. */
	if (!name_is_dots(record->d_name))
		counted = session_lookup_light(l->session, &l->dir, record->d_name, &entry) == 0;
	if (!counted) {
		memset(&entry, 0, sizeof(entry));
		entry.attr.st_ino = record->d_ino;
		entry.attr.st_mode = DTTOIF(record->d_type);
	}
	length = fuse_add_direntry_plus(l->req, l->out + l->used, l->size - l->used,
					record->d_name, &entry, record->d_off);
	if (length > l->size - l->used) {
		if (counted)
			session_unlookup(l->session, &entry);
		return false;
	}
	l->used += length;
	return true;
}

static int list_locked(struct listing *l, struct dir_stream *stream, int fd, off_t offset)
{
	fuse_ino_t id = node_at(l->session->nodes, l->dir.slot)->id;
	const struct dirent64 *record;
	int error;

	while ((record = stream_next(stream, fd, offset, &error))) {
		if (!name_reserved(id, record->d_name) &&
		    !(l->plus ? list_plus(l, record) : list_plain(l, record)))
			break;
		stream_advance(stream, record);
		offset = stream->next;
	}
	return l->used ? 0 : error;
}

static void list(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
		 struct fuse_file_info *fi, bool plus)
{
	struct session *session = session_of(req);
	struct listing l = { .req = req, .session = session, .plus = plus, .size = size };
	struct dir_stream *stream = handle_dir(session->handles, fi->fh);
	autofree char *out = malloc(size);
	int error;

	if (!stream || !out) {
		reply_error(req, stream ? -ENOMEM : -EBADF);
		return;
	}
	l.out = out;
	error = ref_get(session, id, &l.dir);
	if (!error) {
		pthread_mutex_lock(&stream->lock);
		error = list_locked(&l, stream, handle_fd(session->handles, fi->fh), offset);
		pthread_mutex_unlock(&stream->lock);
		ref_put(session, &l.dir);
	}
	if (error)
		reply_error(req, error);
	else
		fuse_reply_buf(req, out, l.used);
}

void op_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
		struct fuse_file_info *fi)
{
	list(req, id, size, offset, fi, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	list(req, id, size, offset, fi, true);
}
