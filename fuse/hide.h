/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Removing names.  A name of an inode that may be in use is not removed but moved into
 * the vault; one that cannot be in use is removed for real.
 *
 * "May be in use": open now; opened since the kernel looked it up (under passthrough a
 * mapping outlives close(), and no request tells of it); of a kind whose users never
 * send OPEN (FIFO, socket, device, symlink); a directory (working directories).  A
 * regular file that was never opened can still be held by O_PATH: its inode is kept by
 * an fd of our own, as POSIX wants, but it is not durable - unless -o track=all.
 *
 * The check and the act are one step under the node lock, and an open is counted under
 * the same lock before it happens: so an open either comes first, and the name is
 * hidden, or comes later, and finds the inode kept by our fd.
 *
 * When the vault cannot take a file (disk full, too many links, another filesystem),
 * the removal still succeeds: the inode is kept by an fd, and listed as not durable.
 */
#ifndef RELINKFS_FUSE_HIDE_H
#define RELINKFS_FUSE_HIDE_H

#include "fuse/ops.h"

/* As unlinkat(2); 0 or -errno. */
int hide_unlink(struct session *session, const struct node_ref *parent, const char *name);
int hide_rmdir(struct session *session, const struct node_ref *parent, const char *name);
/* As renameat2(2). */
int hide_rename(struct session *session, const struct node_ref *from, const char *name,
		const struct node_ref *to, const char *newname, unsigned flags);

/* A file that was born without a name: its entry.  With no lock held; 0 or -errno. */
int hide_tmpfile(struct session *session, const struct node_ref *parent, uint32_t slot,
		 const struct stat *st);

/*
 * The last description of an inode that has an entry was closed.  If it has another name
 * (one of several links, a nameless file that was linked in, a frozen link that somebody
 * looked at), the kernel may keep it in its caches for ever, and its entry would stay as
 * long.  So the kernel is asked to let go of names that nobody uses: FORGET then comes
 * with the last user.  A kernel that does not know that request: the other name keeps
 * the data from now on, and removing that one hides it again.
 */
void hide_settle(struct session *session, uint32_t slot);

/* ---- for fuse/restored.c ---- */

/* Under the node lock. */
bool hide_may_be_in_use(const struct session *session, const struct node_record *node);
void hide_set_entry(struct node_record *node, uint32_t entry);
void hide_object(struct store_object *object, const struct node_record *node,
		 const struct stat *st, const char *path);

/* ---- fuse/restored.c: frozen links that are restored or dropped ---- */

/*
 * For a restored inode that lies at a frozen link and is open: its entry, as if @path
 * had been a name of it and was now removed (the link itself stays).  With no lock
 * held.  0, -ENOENT if nobody has it open, or -errno.
 */
int hide_restored(struct session *session, const struct node_key *key, const char *path);

/* Store hook remove_link, see store/store.h. */
int hide_remove_link(void *ctx, const char *link, const char *original, bool dir);

/* ---- */

/* Node hooks: the end of a node that has an entry. */
void hide_last_begin(void *ctx);
void hide_last(void *ctx, struct node_record *node);
void hide_last_end(void *ctx);

#endif
