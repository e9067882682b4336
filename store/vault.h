/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The vault: where the real files of hidden entries lie, each under the %016llx of its
 * entry's id.  It is a directory of the source's own filesystem, so that hiding is one
 * rename or link, and it is the truth about what is hidden:
 *
 *	.relinkfs/                 0700, of the daemon's user, as all below
 *	.relinkfs/INSTANCE/        one per mount that the source may have at one time
 *	.relinkfs/INSTANCE/vault/  the entries; any other name there is left alone
 *	.relinkfs/INSTANCE/lock    flock()ed while in use; its text says by whom
 *
 * Names are never overwritten: -EEXIST.  Every function may be called from any thread.
 * What survives a crash of the machine: what the filesystem has written by then; a
 * freeze calls syncfs() before it promises anything.
 */
#ifndef RELINKFS_STORE_VAULT_H
#define RELINKFS_STORE_VAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* In the root of the source; to be hidden from whoever looks through the mount. */
#define VAULT_FOLDER ".relinkfs"
#define VAULT_INSTANCE_DEFAULT "default"
#define VAULT_INSTANCE_MAX 64

struct vault;

/* True for 1 to VAULT_INSTANCE_MAX bytes of [A-Za-z0-9._-], not "." or "..". */
bool vault_instance_valid(const char *instance);

/*
 * Makes the folders where they are missing, checks that nobody else could have made or
 * changed them, and takes the lock.  @source_fd is duplicated.  @source_path is for messages;
 * NULL: what /proc/self/fd says, which is wrong for a mount without a place.  On error *why (malloc'd)
 * says what is wrong and what to do.  -EBUSY: somebody holds the lock; -EROFS: nothing
 * can be written there; -EINVAL: not the name of an instance; -ENOTDIR, -ELOOP, -EPERM,
 * -EXDEV: something is in place of a folder; or any errno of making them.
 */
int vault_open(int source_fd, const char *source_path, const char *instance, struct vault **out,
	char **why);

/* Unlocks and frees; the entries stay.  NULL is fine. */
void vault_close(struct vault *vault);

/* Where the holder of the lock is mounted, for those who find it held.  May be NULL. */
void vault_set_holder(struct vault *vault, const char *mount_path);

const char *vault_instance(const struct vault *vault);
int vault_instance_fd(const struct vault *vault); /* .relinkfs/INSTANCE; owned by the vault */
int vault_fd(const struct vault *vault);          /* .relinkfs/INSTANCE/vault; likewise */

/*
 * A new id: above every id in the vault, and above those of all earlier sessions also
 * when the clock was set back.
 */
uint64_t vault_next_id(struct vault *vault);
/* From now on ids are above @id: for ids that are known from elsewhere. */
void vault_raise_next_id(struct vault *vault, uint64_t id);

/*
 * Into the vault.  vault_hide_name: rename of @dirfd/@name, a directory too.
 * vault_hide_fd: a link of the inode behind @fd (any, O_PATH and O_TMPFILE too; not a
 * directory).
 */
int vault_hide_name(struct vault *vault, int dirfd, const char *name, uint64_t id);
int vault_hide_fd(struct vault *vault, int fd, uint64_t id);

/* Removes the entry for good.  -ENOENT; -ENOTEMPTY: a directory that holds something. */
int vault_drop(struct vault *vault, uint64_t id, bool dir);

/* One more name @dirfd/@name for the entry, which stays; not for directories. */
int vault_link_to(struct vault *vault, uint64_t id, int dirfd, const char *name);

/* Out of the vault to @dirfd/@name, and (vault_hide_name() in other words) back. */
int vault_move_to(struct vault *vault, uint64_t id, int dirfd, const char *name);
int vault_move_from(struct vault *vault, int dirfd, const char *name, uint64_t id);

/* Opens the entry itself, a symlink too: an fd or -errno.  @flags: O_PATH, O_RDONLY ... */
int vault_open_entry(struct vault *vault, uint64_t id, int flags);
int vault_stat(struct vault *vault, uint64_t id, struct stat *st);

/* All ids in the vault at one time, ascending; malloc'd.  Foreign names are not in it. */
int vault_list(struct vault *vault, uint64_t **out, size_t *count);

/*
 * Calls @visit for each entry, in order; one that goes meanwhile is left out.  Any other
 * value than 0 ends the walk and is returned.  @visit may drop entries.
 */
int vault_walk(struct vault *vault, int (*visit)(void *ctx, uint64_t id, const struct stat *st),
	void *ctx);

struct vault_reaped {
	uint64_t files;   /* removed: all that are not directories */
	uint64_t dirs;    /* removed */
	uint64_t kept;    /* by @keep */
	uint64_t failed;  /* logged and left: a directory that is not empty, any error */
	uint64_t foreign; /* names that are not of an entry: logged and left */
	uint64_t bytes;   /* allocated to files whose last name went */
};

/*
 * Removes every entry of which @keep (NULL: none) does not say true.  One line of log
 * for each thing that stays against expectation, none for the rest.  0, or -errno when
 * the vault cannot be read.
 */
int vault_reap(struct vault *vault, bool (*keep)(void *ctx, uint64_t id), void *ctx,
	struct vault_reaped *out);

#endif
