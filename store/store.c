/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening and closing a store, its barrier, and what it hands out. */
#include "store/store.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "store/log.h"
#include "store/manifest.h"
#include "store/recovery.h"
#include "store/store_internal.h"
#include "store/template.h"
#include "store/util.h"
#include "store/vault_internal.h"

#define LOST_FOUND "lost+found"

/*
 * A filesystem's own lost+found belongs to root; another one may be ours.  In either
 * case nobody else may be able to put something in place of what lies there.
 */
static int check_lost_found(int fd, char **why)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return util_why(why, -errno, "cannot stat " LOST_FOUND ": %m");
	if ((st.st_uid != 0 && st.st_uid != geteuid()) || st.st_mode & 0022)
		return util_why(why, -EPERM,
			LOST_FOUND " in the source (uid %u, mode %04o) can be changed by others, "
				   "who could tamper with checkpoints there: chown it to root and "
				   "chmod it to 0700",
			st.st_uid, st.st_mode & 07777);
	return 0;
}

static int open_lost_found(int source_fd, char **why)
{
	autofd int fd = -1;
	int error;

	if (mkdirat(source_fd, LOST_FOUND, 0700) < 0 && errno != EEXIST)
		return util_why(why, -errno, "cannot make " LOST_FOUND " in the source: %m");
	fd = xopenat_beneath(source_fd, LOST_FOUND, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return util_why(
			why, fd, "cannot open " LOST_FOUND " in the source: %s", strerror(-fd));
	error = check_lost_found(fd, why);
	if (!error)
		error = fsync_dir(source_fd, ".");
	return error ? error : steal_fd(&fd);
}

/* Made now, so that a checkpoint cannot fail later for want of room for a directory. */
static int make_checkpoint_folder(int source_fd, char **why)
{
	autofd int lost_found = open_lost_found(source_fd, why);
	autofd int folder = -1;

	if (lost_found < 0)
		return lost_found;
	folder = vault_open_folder(lost_found, "checkpoint", MANIFEST_DIR, why);
	return folder < 0 ? folder : 0;
}

static int init_locks(struct store *store)
{
	pthread_rwlockattr_t attr;
	int error;

	/* A freeze that waits for the barrier is not overtaken by those who come later. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	error = -pthread_rwlock_init(&store->barrier, &attr);
	pthread_rwlockattr_destroy(&attr);
	pthread_mutex_init(&store->checkpoints, NULL);
	return error ? error : entries_init(store);
}

static int set_template(struct store *store, const char *text, char **why)
{
	struct link_template *template;
	int error = template_parse(text, &template, why);

	if (error)
		return error;
	template_free(template);
	store->link_template = strdup(text);
	return store->link_template ? 0 : -ENOMEM;
}

static int open_catalog(
	struct store *store, const char *instance, enum catalog_origin *origin, char **why)
{
	struct catalog_options options = {
		.instance = instance,
		.resume = arena_attached(store->arena),
	};

	return catalog_open(
		vault_instance_fd(store->vault), &options, &store->catalog, origin, why);
}

/* Everything that writes to the source, in an order that can be repeated after a crash. */
static int open_writable(
	struct store *store, const char *source_path, const char *instance, char **why)
{
	bool resumed = arena_attached(store->arena);
	enum catalog_origin origin;
	int error;

	error = vault_open(store->source_fd, source_path, instance, &store->vault, why);
	if (!error)
		error = make_checkpoint_folder(store->source_fd, why);
	if (!error)
		error = open_catalog(store, instance, &origin, why);
	if (!error)
		error = entries_attach(store);
	if (!error)
		error = recovery_run(store, origin, resumed);
	if (!error && resumed)
		entries_verify(store);
	return error;
}

static int open_parts(
	struct store *store, int source_fd, const struct store_options *options, char **why)
{
	const char *instance = options->instance ? options->instance : VAULT_INSTANCE_DEFAULT;
	const char *template =
		options->link_template ? options->link_template : MANIFEST_LINK_DEFAULT;
	int error;

	store->read_only = options->read_only;
	store->source_fd = openat(source_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->source_fd < 0)
		return util_why(why, -errno, "cannot open the source directory: %m");
	error = set_template(store, template, why);
	if (!error && !store->read_only)
		error = open_writable(store, options->source_path, instance, why);
	return error;
}

int store_open(int source_fd, const struct store_options *options, struct arena *arena,
	struct store **out, char **why)
{
	struct store *store = calloc(1, sizeof(*store));
	int error;

	if (why)
		*why = NULL;
	if (!store)
		return -ENOMEM;
	store->source_fd = -1;
	store->arena = arena;
	error = init_locks(store);
	if (error) {
		free(store);
		return error;
	}
	error = open_parts(store, source_fd, options, why);
	if (error) {
		store_close(store);
		if (why && !*why)
			util_why(why, error, "cannot open the store: %s", strerror(-error));
		return error;
	}
	*out = store;
	return 0;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	catalog_close(store->catalog);
	vault_close(store->vault);
	entries_destroy(store);
	pthread_rwlock_destroy(&store->barrier);
	pthread_mutex_destroy(&store->checkpoints);
	util_close(&store->source_fd);
	free(store->link_template);
	free(store->mount_path);
	free(store);
}

void store_set_hooks(struct store *store, const struct store_hooks *hooks)
{
	free(store->mount_path);
	store->mount_path = hooks->mount_path ? strdup(hooks->mount_path) : NULL;
	store->hooks = *hooks;
	store->hooks.mount_path = store->mount_path;
	if (store->vault)
		vault_set_holder(store->vault, store->mount_path);
}

struct vault *store_vault(struct store *store)
{
	return store->vault;
}

struct catalog *store_catalog(struct store *store)
{
	return store->catalog;
}

int store_source_fd(const struct store *store)
{
	return store->source_fd;
}

void store_mutation_begin(struct store *store)
{
	int error = pthread_rwlock_rdlock(&store->barrier);

	assert(error == 0);
}

void store_mutation_end(struct store *store)
{
	pthread_rwlock_unlock(&store->barrier);
}

void store_barrier_lock(struct store *store)
{
	int error = pthread_rwlock_wrlock(&store->barrier);

	assert(error == 0);
}

void store_barrier_unlock(struct store *store)
{
	pthread_rwlock_unlock(&store->barrier);
}
