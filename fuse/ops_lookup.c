/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names to nodes, and the end of nodes. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fuse/ops.h"
#include "fuse/settle.h"
#include "store/util.h"

uint32_t request_slot(fuse_req_t req, fuse_ino_t id)
{
	uint32_t slot = node_slot(session_of(req)->nodes, id);

	if (!slot)
		reply_error(req, -ESTALE);
	return slot;
}

int ref_get(struct session *session, fuse_ino_t id, struct node_ref *ref)
{
	ref->slot = node_slot(session->nodes, id);
	if (!ref->slot)
		return -ESTALE;
	ref->fd = node_fd_get(session->nodes, ref->slot);
	return ref->fd < 0 ? ref->fd : 0;
}

void ref_put(struct session *session, const struct node_ref *ref)
{
	node_fd_put(session->nodes, ref->slot);
}

bool name_reserved(fuse_ino_t parent, const char *name)
{
	return parent == FUSE_ROOT_ID && strcmp(name, VAULT_NAME) == 0;
}

bool name_is_dots(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

int session_stat_locked(struct session *session, uint32_t slot, int fd, struct stat *st)
{
	const struct node_record *node = node_at(session->nodes, slot);
	int error = backing_stat(session->backings, node->key.fs, fd, st);

	if (error)
		return error;
	/* 0 already, if somebody else removed the link from the vault. */
	if (node->entry && st->st_nlink)
		st->st_nlink -= store_hidden_links(session->store, node->entry);
	/* Directories count their folders, where they count at all: not the vault. */
	if (node->id == NODE_ROOT_ID && st->st_nlink > 2)
		st->st_nlink--;
	/* A removed directory has no links, wherever the vault keeps it. */
	if (node->flags & NODE_F_RETIRED)
		st->st_nlink = 0;
	return 0;
}

int session_stat(struct session *session, uint32_t slot, int fd, struct stat *st)
{
	int error;

	node_lock(session->nodes, slot);
	error = session_stat_locked(session, slot, fd, st);
	node_unlock(session->nodes, slot);
	return error;
}

/*
 * The link count may have been read while the inode was being hidden or dropped: only
 * where that can matter it is read again, under the lock.  And a name of an inode that
 * has an entry is not to be kept after its last use, as it would keep the entry.
 */
static int settle(struct session *session, uint32_t slot, struct fuse_entry_param *entry)
{
	struct stat *st = &entry->attr;
	int fd, error = 0;
	bool hidden;

	node_lock(session->nodes, slot);
	hidden = node_at(session->nodes, slot)->entry != 0;
	node_unlock(session->nodes, slot);
	if (hidden) {
		entry->entry_timeout = 0;
		settler_add(session->settler, node_at(session->nodes, slot));
	}
	if (!hidden && (st->st_nlink <= 1 || S_ISDIR(st->st_mode)))
		return 0;
	fd = node_fd_get(session->nodes, slot);
	if (fd < 0)
		return fd;
	error = session_stat(session, slot, fd, st);
	node_fd_put(session->nodes, slot);
	return error;
}

static int enter(struct session *session, const struct node_key *key, int fd,
		 struct fuse_entry_param *entry)
{
	uint32_t slot;
	int error;

	error = node_lookup(session->nodes, key, entry->attr.st_ino, entry->attr.st_mode, fd, &slot);
	if (error)
		return error;
	entry->ino = node_at(session->nodes, slot)->id;
	entry->generation = 0;
	entry->attr_timeout = session->config.attr_timeout;
	entry->entry_timeout = session->config.entry_timeout;
	error = settle(session, slot, entry);
	if (error)
		node_forget(session->nodes, entry->ino, 1);
	return error;
}

int session_enter(struct session *session, int fd, struct fuse_entry_param *entry)
{
	struct node_key key;
	int error;

	memset(entry, 0, sizeof(*entry));
	error = backing_identify(session->backings, fd, &key, &entry->attr);
	if (error) {
		close(fd);
		return error;
	}
	return enter(session, &key, fd, entry);
}

void session_unlookup(struct session *session, const struct fuse_entry_param *entry)
{
	node_forget(session->nodes, entry->ino, 1);
}

/* "." and "..": only for inodes that come back by file handle (export support). */
static int lookup_dots(struct session *session, const struct node_ref *parent, const char *name)
{
	const struct node_record *node = node_at(session->nodes, parent->slot);
	bool up = name[1] == '.';
	int fd;

	/* The parent of a hidden directory is the vault, of the root a directory outside. */
	if (up && (node->flags & NODE_F_RETIRED))
		return -ENOENT;
	if (up && node->id == NODE_ROOT_ID)
		up = false;
	if (up)
		fd = openat(parent->fd, "..", O_PATH | O_CLOEXEC);
	else
		fd = fcntl(parent->fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

/* Checkpoints make and remove names behind the kernel's back here: none is kept by it. */
static bool is_checkpoint_dir(const struct session *session, const struct node_ref *dir)
{
	const struct node_record *node = node_at(session->nodes, dir->slot);

	return memcmp(&node->key, &session->checkpoint_dir, sizeof(node->key)) == 0;
}

int session_lookup(struct session *session, const struct node_ref *parent, const char *name,
		   struct fuse_entry_param *entry)
{
	int fd, error;

	if (name_reserved(node_at(session->nodes, parent->slot)->id, name))
		return -ENOENT;
	if (name_is_dots(name)) {
		fd = lookup_dots(session, parent, name);
		if (fd < 0)
			return fd;
	} else {
		fd = openat(parent->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return -errno;
	}
	error = session_enter(session, fd, entry);
	if (is_checkpoint_dir(session, parent))
		entry->entry_timeout = 0;
	return error;
}

int session_lookup_light(struct session *session, const struct node_ref *parent, const char *name,
			 struct fuse_entry_param *entry)
{
	struct node_key key;
	int error;

	memset(entry, 0, sizeof(*entry));
	error = backing_identify_at(session->backings, parent->fd, name, &key, &entry->attr);
	if (error)
		return error;
	if (node_key_needs_fd(&key))
		return session_lookup(session, parent, name, entry);
	error = enter(session, &key, -1, entry);
	if (is_checkpoint_dir(session, parent))
		entry->entry_timeout = 0;
	return error;
}

void reply_entry(fuse_req_t req, int error, const struct fuse_entry_param *entry)
{
	struct session *session = session_of(req); /* a reply frees the request */

	if (error)
		reply_error(req, error);
	else if (fuse_reply_entry(req, entry) < 0)
		session_unlookup(session, entry);
}

static double negative_timeout(struct session *session, const struct node_ref *parent)
{
	return is_checkpoint_dir(session, parent) ? 0 : session->config.negative_timeout;
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct session *session = session_of(req);
	struct fuse_entry_param entry;
	struct node_ref ref;
	int error = ref_get(session, parent, &ref);

	if (error) {
		reply_error(req, error);
		return;
	}
	memset(&entry, 0, sizeof(entry));
	if (!alias_lookup(session, fuse_req_ctx(req)->pid, &ref, name, &entry, &error))
		error = session_lookup(session, &ref, name, &entry);
	if (error == -ENOENT && negative_timeout(session, &ref) > 0) {
		/* A node id of zero says so in a way that may be cached. */
		memset(&entry, 0, sizeof(entry));
		entry.entry_timeout = negative_timeout(session, &ref);
		fuse_reply_entry(req, &entry);
	} else {
		reply_entry(req, error, &entry);
	}
	ref_put(session, &ref);
}

void op_forget(fuse_req_t req, fuse_ino_t id, uint64_t count)
{
	node_forget(session_of(req)->nodes, id, count);
	fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	size_t i;

	for (i = 0; i < count; i++)
		node_forget(session_of(req)->nodes, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}
