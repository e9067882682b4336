/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/alias.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fuse/hide.h"
#include "fuse/ops.h"
#include "store/util.h"

enum alias_mode { ALIAS_LOOKUP, ALIAS_EXCHANGE, ALIAS_REPLACE_TYPE };

/* Where the story stands; the kernel's steps drive it forward, never back. */
enum alias_stage {
	STAGE_SET,       /* nothing happened yet (lookup: the name can be opened) */
	STAGE_EXCHANGED, /* path is the frozen inode, link is the file that has the name */
	STAGE_REMOVED,   /* replace-type: path is free, link is still the file */
	STAGE_DONE,
};

/* A name: its directory's identity and the last component. */
struct alias_name {
	struct node_key dir;
	char *name;
};

struct alias {
	pid_t tid;
	enum alias_mode mode;
	enum alias_stage stage;
	struct alias_name path, link;
	struct node_key frozen; /* identity of the frozen inode */
	char *original;         /* path, relative to the root */
	int frozen_fd;          /* O_PATH */
	struct alias *next;
};

/*
 * An alias changes only by requests of its thread, which waits for each answer, and is
 * cleared when the connection of that thread's process is gone: the lock is held for
 * finding and for the step itself, so that clearing waits for it.
 */
struct aliases {
	atomic_uint count; /* asked first, so that nobody else pays for this */
	pthread_mutex_t lock;
	struct alias *list; /* guarded by lock */
};

int aliases_new(struct aliases **out)
{
	struct aliases *aliases = calloc(1, sizeof(*aliases));

	if (!aliases)
		return -ENOMEM;
	pthread_mutex_init(&aliases->lock, NULL);
	*out = aliases;
	return 0;
}

static void alias_free(struct alias *alias)
{
	if (!alias)
		return;
	if (alias->frozen_fd >= 0)
		close(alias->frozen_fd);
	free(alias->path.name);
	free(alias->link.name);
	free(alias->original);
	free(alias);
}

void aliases_free(struct aliases *aliases)
{
	struct alias *alias;

	if (!aliases)
		return;
	while ((alias = aliases->list)) {
		aliases->list = alias->next;
		alias_free(alias);
	}
	pthread_mutex_destroy(&aliases->lock);
	free(aliases);
}

/* Fills @name from @path, and gives an fd of its directory, or -errno. */
static int name_resolve(struct session *session, const char *path, struct alias_name *name)
{
	struct stat st;
	int fd = session_open_folder(session, path, &name->name), error;

	if (fd < 0)
		return fd;
	error = backing_identify(session->backings, fd, &name->dir, &st);
	if (error) {
		close(fd);
		return error;
	}
	return fd;
}

static enum alias_mode mode_for(int dirfd, const char *name, const struct stat *frozen)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return ALIAS_LOOKUP;
	if (st.st_dev == frozen->st_dev && st.st_ino == frozen->st_ino)
		return ALIAS_LOOKUP;
	return S_ISDIR(st.st_mode) == S_ISDIR(frozen->st_mode) ? ALIAS_EXCHANGE
							       : ALIAS_REPLACE_TYPE;
}

static int resolve_link(struct session *session, struct alias *alias, const char *link, char **why)
{
	struct stat st;
	autofd int dirfd = name_resolve(session, link, &alias->link);
	int error;

	if (dirfd < 0)
		return util_why(why, dirfd, "%s: cannot open its folder: %s", link,
				strerror(-dirfd));
	alias->frozen_fd = openat(dirfd, alias->link.name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (alias->frozen_fd < 0)
		return util_why(why, -errno, "%s: no such frozen link: %s", link, strerror(errno));
	error = backing_identify(session->backings, alias->frozen_fd, &alias->frozen, &st);
	return error ? util_why(why, error, "%s: %s", link, strerror(-error)) : 0;
}

static int resolve_path(struct session *session, struct alias *alias, const char *path, char **why)
{
	struct stat frozen;
	autofd int dirfd = name_resolve(session, path, &alias->path);

	if (dirfd < 0)
		return util_why(why, dirfd, "%s: cannot open the directory of that name: %s", path,
				strerror(-dirfd));
	if (fstat(alias->frozen_fd, &frozen) < 0)
		return util_why(why, -errno, "%s: %s", path, strerror(errno));
	alias->mode = mode_for(dirfd, alias->path.name, &frozen);
	alias->original = strdup(path);
	return alias->original ? 0 : -ENOMEM;
}

/* The kernel may remember that the name does not exist. */
static void forget_negative(struct session *session, const struct alias_name *name)
{
	uint32_t slot = node_find(session->nodes, &name->dir);

	if (slot)
		fuse_lowlevel_notify_inval_entry(session->se, node_at(session->nodes, slot)->id,
						 name->name, strlen(name->name));
}

static struct alias **find_locked(struct aliases *aliases, pid_t tid)
{
	struct alias **at = &aliases->list;

	while (*at && (*at)->tid != tid)
		at = &(*at)->next;
	return at;
}

static int add(struct aliases *aliases, struct alias *alias)
{
	int error = 0;

	pthread_mutex_lock(&aliases->lock);
	if (*find_locked(aliases, alias->tid)) {
		error = -EBUSY;
	} else {
		alias->next = aliases->list;
		aliases->list = alias;
		aliases->count++;
	}
	pthread_mutex_unlock(&aliases->lock);
	return error;
}

int alias_set(struct session *session, pid_t tid, const char *link, const char *path,
	      const char **mode, char **why)
{
	static const char *const names[] = { "lookup", "exchange", "replace-type" };
	struct alias *alias = calloc(1, sizeof(*alias));
	enum alias_mode chosen;
	int error;

	if (!alias)
		return -ENOMEM;
	alias->tid = tid;
	alias->frozen_fd = -1;
	if (strcmp(path, VAULT_NAME) == 0 || strncmp(path, VAULT_NAME "/", sizeof(VAULT_NAME)) == 0)
		error = util_why(why, -EINVAL, "%s: that name is the vault's", path);
	else
		error = resolve_link(session, alias, link, why);
	if (!error)
		error = resolve_path(session, alias, path, why);
	if (error) {
		alias_free(alias);
		return error;
	}
	chosen = alias->mode;
	if (chosen == ALIAS_LOOKUP)
		forget_negative(session, &alias->path);
	error = add(session->aliases, alias);
	if (error) {
		alias_free(alias);
		return util_why(why, error, "process %d has a restart name set already", (int)tid);
	}
	*mode = names[chosen];
	return 0;
}

void alias_clear(struct session *session, pid_t tid)
{
	struct aliases *aliases = session->aliases;
	struct alias **at, *alias;

	pthread_mutex_lock(&aliases->lock);
	at = find_locked(aliases, tid);
	alias = *at;
	if (alias) {
		*at = alias->next;
		aliases->count--;
	}
	pthread_mutex_unlock(&aliases->lock);
	alias_free(alias);
}

/* Is @name in @dir the name @alias_name? */
static bool is_name(const struct session *session, const struct alias_name *alias_name,
		    const struct node_ref *dir, const char *name)
{
	const struct node_record *node = node_at(session->nodes, dir->slot);

	return strcmp(alias_name->name, name) == 0 &&
	       memcmp(&node->key, &alias_name->dir, sizeof(node->key)) == 0;
}

/* The alias of @tid with the lock held, or NULL with no lock held. */
static struct alias *take(struct session *session, pid_t tid)
{
	struct aliases *aliases = session->aliases;
	struct alias *alias;

	if (!aliases->count)
		return NULL;
	pthread_mutex_lock(&aliases->lock);
	alias = *find_locked(aliases, tid);
	if (!alias)
		pthread_mutex_unlock(&aliases->lock);
	return alias;
}

static void leave(struct session *session)
{
	pthread_mutex_unlock(&session->aliases->lock);
}

/* Looks the frozen inode up, in a way that the kernel does not keep. */
static int lookup_frozen(struct session *session, const struct alias *alias,
			 struct fuse_entry_param *entry)
{
	int fd = fcntl(alias->frozen_fd, F_DUPFD_CLOEXEC, 0);
	int error = fd < 0 ? -errno : session_enter(session, fd, entry);

	entry->entry_timeout = 0;
	return error;
}

/* In the kernel, link is now what lies at path: say the same if it asks. */
static int lookup_live(struct session *session, const struct alias *alias,
		       struct fuse_entry_param *entry)
{
	struct node_ref dir;
	uint32_t slot = node_find(session->nodes, &alias->path.dir);
	int error;

	if (!slot)
		return -ENOENT;
	dir.slot = slot;
	dir.fd = node_fd_get(session->nodes, slot);
	if (dir.fd < 0)
		return dir.fd;
	error = session_lookup(session, &dir, alias->path.name, entry);
	entry->entry_timeout = 0;
	node_fd_put(session->nodes, slot);
	return error;
}

bool alias_lookup(struct session *session, pid_t tid, const struct node_ref *parent,
		  const char *name, struct fuse_entry_param *entry, int *error)
{
	struct alias *alias = take(session, tid);
	bool ours = true, exchanged;

	if (!alias)
		return false;
	exchanged = alias->mode != ALIAS_LOOKUP && alias->stage == STAGE_EXCHANGED;
	if (is_name(session, &alias->path, parent, name) &&
	    (exchanged || (alias->mode == ALIAS_LOOKUP && alias->stage == STAGE_SET)))
		*error = lookup_frozen(session, alias, entry);
	else if (is_name(session, &alias->path, parent, name) && alias->stage == STAGE_REMOVED)
		*error = -ENOENT;
	else if (is_name(session, &alias->link, parent, name) &&
		 (exchanged || alias->stage == STAGE_REMOVED))
		*error = lookup_live(session, alias, entry);
	else
		ours = false;
	leave(session);
	return ours;
}

bool alias_remove(struct session *session, pid_t tid, const struct node_ref *parent,
		  const char *name, int *error)
{
	struct alias *alias = take(session, tid);
	bool ours;

	if (!alias)
		return false;
	ours = is_name(session, &alias->path, parent, name) &&
	       ((alias->mode == ALIAS_LOOKUP && alias->stage == STAGE_SET) ||
		(alias->mode == ALIAS_REPLACE_TYPE && alias->stage == STAGE_EXCHANGED));
	if (ours) {
		*error = hide_restored(session, &alias->frozen, alias->original);
		if (!*error)
			alias->stage = alias->mode == ALIAS_LOOKUP ? STAGE_DONE : STAGE_REMOVED;
	}
	leave(session);
	return ours;
}

/* A rename from link to path by the thread: the step that is due, if it is one. */
static bool rename_step(struct session *session, struct alias *alias, unsigned flags, int *error)
{
	*error = 0;
	if (alias->stage == STAGE_SET && alias->mode != ALIAS_LOOKUP && flags == RENAME_EXCHANGE) {
		alias->stage = STAGE_EXCHANGED;
	} else if (alias->stage == STAGE_EXCHANGED && alias->mode == ALIAS_EXCHANGE && !flags) {
		*error = hide_restored(session, &alias->frozen, alias->original);
		if (!*error)
			alias->stage = STAGE_DONE;
	} else if (alias->stage == STAGE_REMOVED && flags == RENAME_NOREPLACE) {
		alias->stage = STAGE_DONE;
	} else if (alias->stage == STAGE_EXCHANGED && flags == RENAME_EXCHANGE) {
		/* The restarter gives up: back to the beginning. */
		alias->stage = STAGE_SET;
	} else {
		return false;
	}
	return true;
}

bool alias_rename(struct session *session, pid_t tid, const struct node_ref *from,
		  const char *name, const struct node_ref *to, const char *newname, unsigned flags,
		  int *error)
{
	struct alias *alias = take(session, tid);
	bool ours;

	if (!alias)
		return false;
	ours = is_name(session, &alias->link, from, name) &&
	       is_name(session, &alias->path, to, newname) &&
	       rename_step(session, alias, flags, error);
	leave(session);
	return ours;
}
