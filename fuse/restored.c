/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Frozen links whose inode is in use again: restored under its old name, or dropped. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fuse/hide.h"
#include "fuse/settle.h"
#include "store/util.h"

/* Node lock and barrier held: a removed directory keeps lying at its frozen link. */
static int restored_directory(struct session *session, uint32_t slot,
			      const struct store_object *object)
{
	uint32_t entry = store_find_dir(session->store, object->ino, object->fs);
	int error = 0;

	if (!entry)
		error = store_hide_moved_dir(session->store, object, 0, 0, &entry);
	if (error)
		return error;
	hide_set_entry(node_at(session->nodes, slot), entry);
	node_retire(session->nodes, slot);
	return 0;
}

static int restored_locked(struct session *session, uint32_t slot, int fd, const char *path)
{
	struct node_record *node = node_at(session->nodes, slot);
	struct store_object object;
	struct stat st;
	uint32_t entry;
	int error;

	/* The inode is known by another removed name already: that one stays. */
	if (node->entry)
		return 0;
	error = backing_stat(session->backings, node->key.fs, fd, &st);
	if (error)
		return error;
	hide_object(&object, node, &st, path);
	if (S_ISDIR(st.st_mode))
		return restored_directory(session, slot, &object);
	error = store_hide_link(session->store, &object, fd, &entry);
	if (!error)
		hide_set_entry(node, entry);
	return error;
}

int hide_restored(struct session *session, const struct node_key *key, const char *path)
{
	uint32_t slot = node_find(session->nodes, key);
	int fd, error = -ENOENT;

	if (!slot)
		return -ENOENT;
	fd = node_fd_get(session->nodes, slot);
	if (fd < 0)
		return fd == -ESTALE ? -ENOENT : fd;
	store_mutation_begin(session->store);
	node_lock(session->nodes, slot);
	if (node_is(session->nodes, slot, key))
		error = restored_locked(session, slot, fd, path);
	node_unlock(session->nodes, slot);
	store_mutation_end(session->store);
	node_fd_put(session->nodes, slot);
	/* The frozen link was looked up before there was an entry. */
	if (!error)
		settler_add(session->settler, node_at(session->nodes, slot));
	return error;
}

/* Node lock held: the frozen link of a file goes; it is hidden if it is in use and is not yet. */
static int remove_known(struct session *session, uint32_t slot, int dirfd, const char *name,
			const struct stat *st, const char *original)
{
	struct node_record *node = node_at(session->nodes, slot);
	struct store_object object;
	uint32_t entry;
	int error;

	if (node->entry || !hide_may_be_in_use(session, node)) {
		/* Should this be its last name, the fd keeps it for those who hold it by O_PATH. */
		if (st->st_nlink <= 1)
			node_fd_pin(session->nodes, slot);
		return unlinkat(dirfd, name, 0) < 0 ? -errno : 0;
	}
	hide_object(&object, node, st, original);
	error = store_hide_move(session->store, &object, dirfd, name, &entry);
	if (!error)
		hide_set_entry(node, entry);
	return error;
}

static int remove_file(struct session *session, int dirfd, const char *name,
		       const struct node_key *key, const struct stat *st, const char *original)
{
	uint32_t slot = node_find(session->nodes, key);
	int fd, error;
	bool known;

	if (!slot)
		return unlinkat(dirfd, name, 0) < 0 ? -errno : 0;
	fd = node_fd_get(session->nodes, slot);
	if (fd == -ESTALE) /* it has ended meanwhile */
		return unlinkat(dirfd, name, 0) < 0 ? -errno : 0;
	if (fd < 0)
		return fd;
	node_lock(session->nodes, slot);
	known = node_is(session->nodes, slot, key);
	if (known) {
		error = remove_known(session, slot, dirfd, name, st, original);
		/* One visible link less, and the kernel does not know.  Takes no lock in it. */
		if (!error && session->se)
			fuse_lowlevel_notify_inval_inode(session->se,
							 node_at(session->nodes, slot)->id, -1, 0);
	} else {
		error = unlinkat(dirfd, name, 0) < 0 ? -errno : 0;
	}
	node_unlock(session->nodes, slot);
	node_fd_put(session->nodes, slot);
	return error;
}

/* The directory of a MOVED entry goes back into the vault; one that nobody removed is known
 * to the kernel at most as a folder among others, and goes. */
static int remove_directory(struct session *session, int dirfd, const char *name,
			    const struct node_key *key, const struct stat *st, const char *original)
{
	uint32_t entry = store_find_dir(session->store, st->st_ino, key->fs), slot;
	struct store_object object;
	int error;

	if (entry) {
		error = store_hide_back(session->store, entry, dirfd, name);
		/* The reference of the search; those that use it have their own. */
		store_forget(session->store, entry);
		return error;
	}
	slot = node_find(session->nodes, key);
	if (!slot)
		return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
	node_lock(session->nodes, slot);
	if (node_is(session->nodes, slot, key)) {
		hide_object(&object, node_at(session->nodes, slot), st, original);
		error = store_hide_move(session->store, &object, dirfd, name, &entry);
		if (!error) {
			hide_set_entry(node_at(session->nodes, slot), entry);
			node_retire(session->nodes, slot);
		}
	} else {
		error = unlinkat(dirfd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
	}
	node_unlock(session->nodes, slot);
	return error;
}

int hide_remove_link(void *ctx, const char *link, const char *original, bool dir)
{
	struct session *session = ctx;
	autofree char *name = NULL;
	autofd int dirfd = session_open_folder(session, link, &name);
	struct node_key key;
	struct stat st;
	int error;

	if (dirfd < 0)
		return dirfd;
	error = backing_identify_at(session->backings, dirfd, name, &key, &st);
	if (error)
		return error;
	if (S_ISDIR(st.st_mode) != dir)
		return dir ? -ENOTDIR : -EISDIR;
	if (dir)
		return remove_directory(session, dirfd, name, &key, &st, original);
	return remove_file(session, dirfd, name, &key, &st, original);
}
