/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/hide.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "fuse/settle.h"
#include "store/log.h"
#include "store/util.h"

/* What a name is, found before it goes. */
struct victim {
	struct node_key key;
	struct stat st;
	uint32_t slot; /* 0: the kernel does not know the inode, so nobody uses it */
};

static int victim_find(struct session *session, const struct node_ref *parent, const char *name,
		       struct victim *victim)
{
	int error = backing_identify_at(session->backings, parent->fd, name, &victim->key,
					&victim->st);

	if (!error)
		victim->slot = node_find(session->nodes, &victim->key);
	return error;
}

/* Under the node lock. */
bool hide_may_be_in_use(const struct session *session, const struct node_record *node)
{
	if (node->nopen || node->flags & NODE_F_OPENED || session->config.track_all)
		return true;
	return (node->type << 12 & S_IFMT) != S_IFREG;
}

void hide_set_entry(struct node_record *node, uint32_t entry)
{
	__atomic_store_n(&node->entry, entry, __ATOMIC_RELAXED);
}

/* Absolute path of @fd, or -errno. */
static int path_of(int fd, char path[PATH_MAX])
{
	char proc[PROC_FD_PATH_SIZE];
	ssize_t length = readlink(proc_fd_path(fd, proc), path, PATH_MAX - 1);

	if (length < 0)
		return -errno;
	path[length] = '\0';
	return 0;
}

/*
 * The path of @name in the directory @parent, relative to the root of the mount, as it
 * is now.  When it is too long for the kernel to tell, only the name is known.
 */
static char *original_path(struct session *session, const struct node_ref *parent, const char *name)
{
	char root[PATH_MAX], dir[PATH_MAX];
	size_t length;

	if (path_of(store_source_fd(session->store), root) || path_of(parent->fd, dir))
		return strdup(name);
	length = strcmp(root, "/") == 0 ? 0 : strlen(root);
	if (strncmp(dir, root, length) != 0)
		return strdup(name);
	if (!dir[length] || (length == 0 && !dir[1]))
		return strdup(name);
	return util_printf("%s/%s", dir + length + 1, name);
}

void hide_object(struct store_object *object, const struct node_record *node,
		 const struct stat *st, const char *path)
{
	*object = (struct store_object){
		.owner = node->id,
		.ino = node->ino,
		.mode = st->st_mode,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.fs = node->key.fs,
		.path = path,
	};
}

/*
 * A real removal of a name of an inode that the kernel knows: an fd of ours keeps the
 * inode for O_PATH users, should this be its last name.  Node lock held, fd got.
 */
static void keep_by_fd(struct session *session, uint32_t slot, const struct stat *st)
{
	if (st->st_nlink > 1 && !S_ISDIR(st->st_mode))
		return;
	node_fd_pin(session->nodes, slot);
	node_at(session->nodes, slot)->flags |= NODE_F_ORPHAN;
}

/* An in-use inode that the vault cannot take: listed, kept by fd, not durable. */
static void hide_pinned(struct session *session, uint32_t slot, const struct stat *st,
			const struct store_object *object, int why)
{
	struct node_record *node = node_at(session->nodes, slot);
	uint32_t entry;

	if (object->fs == 0)
		log_warn("%s: the vault cannot keep it, so it is not durable while it is open: %s",
			 object->path, strerror(-why));
	keep_by_fd(session, slot, st);
	if (store_hide_pinned(session->store, object, &entry) == 0)
		hide_set_entry(node, entry);
}

/* With barrier and node lock held, and the node's fd got: unlink of a known inode. */
static int unlink_locked(struct session *session, const struct node_ref *parent, const char *name,
			 const struct victim *victim)
{
	struct node_record *node = node_at(session->nodes, victim->slot);
	struct store_object object;
	autofree char *path = NULL;
	uint32_t entry;
	int error = -EXDEV;

	if (node->entry || !hide_may_be_in_use(session, node)) {
		keep_by_fd(session, victim->slot, &victim->st);
		return unlinkat(parent->fd, name, 0) < 0 ? -errno : 0;
	}
	path = original_path(session, parent, name);
	if (!path)
		return -ENOMEM;
	hide_object(&object, node, &victim->st, path);
	if (backing_durable(victim->key.fs))
		error = store_hide_move(session->store, &object, parent->fd, name, &entry);
	if (!error) {
		hide_set_entry(node, entry);
		return 0;
	}
	if (unlinkat(parent->fd, name, 0) < 0)
		return -errno;
	hide_pinned(session, victim->slot, &victim->st, &object, error);
	return 0;
}

typedef int known_fn(struct session *session, const struct node_ref *parent, const char *name,
		     const struct victim *victim);

/*
 * Calls @known with the node of @victim locked and its fd got; -EAGAIN when the kernel
 * does not know that inode after all.
 */
static int with_known(struct session *session, const struct node_ref *parent, const char *name,
		      const struct victim *victim, known_fn *known)
{
	int error, fd;

	if (!victim->slot)
		return -EAGAIN;
	fd = node_fd_get(session->nodes, victim->slot);
	if (fd < 0)
		return fd == -ESTALE ? -EAGAIN : fd;
	node_lock(session->nodes, victim->slot);
	error = -EAGAIN;
	if (node_is(session->nodes, victim->slot, &victim->key))
		error = known(session, parent, name, victim);
	node_unlock(session->nodes, victim->slot);
	node_fd_put(session->nodes, victim->slot);
	return error;
}

int hide_unlink(struct session *session, const struct node_ref *parent, const char *name)
{
	struct victim victim;
	int error;

	store_mutation_begin(session->store);
	error = victim_find(session, parent, name, &victim);
	if (!error) {
		error = S_ISDIR(victim.st.st_mode) ? -EAGAIN
			: with_known(session, parent, name, &victim, unlink_locked);
		if (error == -EAGAIN)
			error = unlinkat(parent->fd, name, 0) < 0 ? -errno : 0;
	}
	store_mutation_end(session->store);
	return error;
}

/* 0 if empty, -ENOTEMPTY, or -errno. */
static int check_empty(int dirfd, const char *name)
{
	autodir DIR *dir = NULL;
	const struct dirent *entry;
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -errno;
	}
	for (errno = 0; (entry = readdir(dir)); errno = 0)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			return -ENOTEMPTY;
	return -errno;
}

/* Folders that checkpoints need, and that we hold. */
static bool is_our_folder(const struct session *session, const struct node_key *key)
{
	return memcmp(key, &session->checkpoint_dir, sizeof(*key)) == 0 ||
	       memcmp(key, &session->checkpoint_parent, sizeof(*key)) == 0;
}

/* A directory left its name: the kernel's inode is dead, a new lookup makes a new node. */
static void directory_gone(struct session *session, uint32_t slot, uint32_t entry)
{
	hide_set_entry(node_at(session->nodes, slot), entry);
	node_retire(session->nodes, slot);
}

/*
 * The entry of the removed directory @name, by moving it into the vault.  A directory
 * that was removed before, frozen, and now loses its frozen link, has an entry already.
 */
static int hide_directory(struct session *session, const struct node_ref *parent, const char *name,
			  const struct victim *victim, const char *path)
{
	struct store_object object;
	uint32_t entry;
	int error;

	if (!backing_durable(victim->key.fs))
		return -EXDEV;
	entry = store_find_dir(session->store, victim->st.st_ino, victim->key.fs);
	if (entry) {
		error = store_hide_back(session->store, entry, parent->fd, name);
		if (error)
			store_forget(session->store, entry);
	} else {
		hide_object(&object, node_at(session->nodes, victim->slot), &victim->st, path);
		error = store_hide_move(session->store, &object, parent->fd, name, &entry);
	}
	if (!error)
		directory_gone(session, victim->slot, entry);
	return error;
}

static int rmdir_for_real(struct session *session, const struct node_ref *parent, const char *name,
			  uint32_t slot, const struct stat *st)
{
	if (unlinkat(parent->fd, name, AT_REMOVEDIR) < 0)
		return -errno;
	keep_by_fd(session, slot, st);
	node_retire(session->nodes, slot);
	return 0;
}

static int rmdir_locked(struct session *session, const struct node_ref *parent, const char *name,
			const struct victim *victim)
{
	autofree char *path = NULL;
	int error = check_empty(parent->fd, name);

	/* The backing says why: not every filesystem, nor every folder, gives the same error. */
	if (error == -ENOTEMPTY)
		return rmdir_for_real(session, parent, name, victim->slot, &victim->st);
	if (error)
		return error;
	path = original_path(session, parent, name);
	if (!path)
		return -ENOMEM;
	error = hide_directory(session, parent, name, victim, path);
	if (error)
		error = rmdir_for_real(session, parent, name, victim->slot, &victim->st);
	return error;
}

int hide_rmdir(struct session *session, const struct node_ref *parent, const char *name)
{
	struct victim victim;
	int error;

	store_mutation_begin(session->store);
	error = victim_find(session, parent, name, &victim);
	if (!error && is_our_folder(session, &victim.key))
		error = -EBUSY;
	if (!error) {
		error = S_ISDIR(victim.st.st_mode)
				? with_known(session, parent, name, &victim, rmdir_locked)
				: -EAGAIN;
		if (error == -EAGAIN)
			error = unlinkat(parent->fd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
	}
	store_mutation_end(session->store);
	return error;
}

/* One rename with all that its steps need. */
struct renaming {
	struct session *session;
	const struct node_ref *from, *to;
	const char *name, *newname;
	unsigned flags;
	struct victim victim;
};

static int rename_for_real(const struct renaming *r, unsigned flags)
{
	if (renameat2(r->from->fd, r->name, r->to->fd, r->newname, flags) < 0)
		return -errno;
	return 0;
}

/* The victim's inode is kept by an fd only. */
static int rename_over_pinned(const struct renaming *r, const struct store_object *object, int why)
{
	int error = rename_for_real(r, r->flags);

	if (!error)
		hide_pinned(r->session, r->victim.slot, &r->victim.st, object, why);
	return error;
}

/*
 * For victims that cannot have one more link: exchange the two, then move the victim
 * away from the old name.  The target name never vanishes; after a power cut between
 * the two steps the old name shows the victim.
 */
static int rename_over_exchange(const struct renaming *r, const struct store_object *object,
				uint32_t *entry)
{
	int error = rename_for_real(r, RENAME_EXCHANGE);

	if (error)
		return error;
	error = store_hide_move(r->session->store, object, r->from->fd, r->name, entry);
	if (error && rename_for_real(r, RENAME_EXCHANGE))
		log_error("%s: half of a rename could not be undone: %m", object->path);
	return error;
}

/* Victim: anything but a directory, in use, without an entry. */
static int rename_over_used(const struct renaming *r, int victim_fd)
{
	struct node_record *node = node_at(r->session->nodes, r->victim.slot);
	struct store_object object;
	autofree char *path = original_path(r->session, r->to, r->newname);
	uint32_t entry;
	int error;

	if (!path)
		return -ENOMEM;
	hide_object(&object, node, &r->victim.st, path);
	if (!backing_durable(r->victim.key.fs))
		return rename_over_pinned(r, &object, -EXDEV);
	error = store_hide_link(r->session->store, &object, victim_fd, &entry);
	if (!error) {
		error = rename_for_real(r, r->flags);
		if (error)
			store_forget(r->session->store, entry);
		else
			hide_set_entry(node, entry);
		return error;
	}
	if (!(r->flags & RENAME_WHITEOUT) && rename_over_exchange(r, &object, &entry) == 0) {
		hide_set_entry(node, entry);
		return 0;
	}
	return rename_over_pinned(r, &object, error);
}

static int rename_over_directory(const struct renaming *r)
{
	struct node_record *node = node_at(r->session->nodes, r->victim.slot);
	struct store_object object;
	autofree char *path = original_path(r->session, r->to, r->newname);
	uint32_t entry;
	int error = check_empty(r->to->fd, r->newname);

	if (!path)
		return -ENOMEM;
	if (error && error != -ENOTEMPTY)
		return error;
	hide_object(&object, node, &r->victim.st, path);
	/* One that is not empty: the backing says with which error. */
	if (!error && backing_durable(r->victim.key.fs) && !(r->flags & RENAME_WHITEOUT) &&
	    rename_over_exchange(r, &object, &entry) == 0) {
		directory_gone(r->session, r->victim.slot, entry);
		return 0;
	}
	error = rename_for_real(r, r->flags);
	if (!error) {
		keep_by_fd(r->session, r->victim.slot, &r->victim.st);
		node_retire(r->session->nodes, r->victim.slot);
	}
	return error;
}

/* With barrier and node lock of the victim held. */
static int rename_over_locked(const struct renaming *r, int victim_fd, bool directory)
{
	struct node_record *node = node_at(r->session->nodes, r->victim.slot);
	int error;

	if (S_ISDIR(r->victim.st.st_mode))
		return directory ? rename_over_directory(r) : -EISDIR;
	if (directory)
		return -ENOTDIR;
	if (!node->entry && hide_may_be_in_use(r->session, node))
		return rename_over_used(r, victim_fd);
	error = rename_for_real(r, r->flags);
	if (!error)
		keep_by_fd(r->session, r->victim.slot, &r->victim.st);
	return error;
}

static int rename_over(const struct renaming *r, bool directory)
{
	struct nodes *nodes = r->session->nodes;
	int error = -EAGAIN, fd;

	fd = node_fd_get(nodes, r->victim.slot);
	if (fd >= 0) {
		node_lock(nodes, r->victim.slot);
		if (node_is(nodes, r->victim.slot, &r->victim.key))
			error = rename_over_locked(r, fd, directory);
		node_unlock(nodes, r->victim.slot);
		node_fd_put(nodes, r->victim.slot);
	}
	return error == -EAGAIN ? rename_for_real(r, r->flags) : error;
}

static int rename_with_barrier(struct renaming *r)
{
	struct victim source;
	int error = victim_find(r->session, r->from, r->name, &source);

	if (error)
		return error;
	if (is_our_folder(r->session, &source.key))
		return -EBUSY;
	if (r->flags & RENAME_NOREPLACE)
		return rename_for_real(r, r->flags);
	error = victim_find(r->session, r->to, r->newname, &r->victim);
	if (error == -ENOENT)
		return rename_for_real(r, r->flags);
	if (error)
		return error;
	if (is_our_folder(r->session, &r->victim.key))
		return -EBUSY;
	/* Two names of one inode: rename(2) does nothing, and nothing is removed. */
	if (r->flags & RENAME_EXCHANGE || !r->victim.slot || source.key.fs != r->victim.key.fs ||
	    memcmp(&source.key, &r->victim.key, sizeof(source.key)) == 0)
		return rename_for_real(r, r->flags);
	return rename_over(r, S_ISDIR(source.st.st_mode));
}

int hide_rename(struct session *session, const struct node_ref *from, const char *name,
		const struct node_ref *to, const char *newname, unsigned flags)
{
	struct renaming r = { session, from, to, name, newname, flags, { .slot = 0 } };
	int error;

	store_mutation_begin(session->store);
	error = rename_with_barrier(&r);
	store_mutation_end(session->store);
	return error;
}

int hide_tmpfile(struct session *session, const struct node_ref *parent, uint32_t slot,
		 const struct stat *st)
{
	struct node_record *node = node_at(session->nodes, slot);
	struct store_object object;
	char name[32];
	autofree char *path = NULL;
	uint32_t entry = 0;
	int error, fd;

	/* The name that the kernel shows in /proc/PID/fd. */
	snprintf(name, sizeof(name), "#%llu", (unsigned long long)st->st_ino);
	path = original_path(session, parent, name);
	if (!path)
		return -ENOMEM;
	fd = node_fd_get(session->nodes, slot);
	if (fd < 0)
		return fd;
	store_mutation_begin(session->store);
	node_lock(session->nodes, slot);
	hide_object(&object, node, st, path);
	object.flags = ENTRY_F_TMPFILE;
	error = backing_durable(object.fs) ? store_hide_link(session->store, &object, fd, &entry)
					   : -EXDEV;
	if (error)
		hide_pinned(session, slot, st, &object, error);
	else
		hide_set_entry(node, entry);
	node_unlock(session->nodes, slot);
	store_mutation_end(session->store);
	node_fd_put(session->nodes, slot);
	return 0;
}

/* Names that the workload can see, other than frozen links. */
static bool has_other_name(struct session *session, uint32_t slot, int fd)
{
	const struct node_record *node = node_at(session->nodes, slot);
	struct stat st;

	if (session_stat_locked(session, slot, fd, &st) || S_ISDIR(st.st_mode))
		return false;
	return st.st_nlink > store_frozen_links(session->store, node->entry);
}

static void drop_if_named(struct session *session, uint32_t slot)
{
	struct node_record *node = node_at(session->nodes, slot);
	int fd = node_fd_get(session->nodes, slot);

	if (fd < 0)
		return;
	store_mutation_begin(session->store);
	node_lock(session->nodes, slot);
	if (node->entry && !node->nopen && has_other_name(session, slot, fd)) {
		store_forget(session->store, node->entry);
		hide_set_entry(node, 0);
	}
	node_unlock(session->nodes, slot);
	store_mutation_end(session->store);
	node_fd_put(session->nodes, slot);
}

void hide_settle(struct session *session, uint32_t slot)
{
	const struct node_record *node = node_at(session->nodes, slot);

	if (session_prune(session, node->id))
		settler_add(session->settler, node);
	else
		drop_if_named(session, slot);
}

void hide_last_begin(void *ctx)
{
	struct session *session = ctx;

	store_mutation_begin(session->store);
}

void hide_last(void *ctx, struct node_record *node)
{
	struct session *session = ctx;

	store_forget(session->store, node->entry);
	hide_set_entry(node, 0);
	node->flags &= ~NODE_F_OPENED;
}

void hide_last_end(void *ctx)
{
	struct session *session = ctx;

	store_mutation_end(session->store);
}
