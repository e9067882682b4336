/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Restart names.  A restored file should show its original name in /proc/PID/fd, but
 * that name may be taken, and nothing on disk may change before the restart is sure
 * to work.  So the kernel, and only the kernel, is told a story: requests of one
 * thread, the restarter's, are answered as if the frozen link stood at the original
 * name.  The backing directory does not change; a crash leaves nothing to undo.
 *
 *   lookup        the name is free.  LOOKUP(path) by the thread gives the frozen inode,
 *                 not cached; UNLINK/RMDIR(path) by it is answered "done".
 *   exchange      the name is taken.  RENAME(link, path, EXCHANGE) by the thread is
 *                 answered "done": in the kernel the two dentries change places; the
 *                 file that has the name keeps its dentry, so its users' /proc names
 *                 are right again after the thread renames it back over path, which
 *                 is answered "done" too.
 *   replace-type  as exchange, but a directory is on one side only: rename cannot go
 *                 over it; the thread unlinks path, then renames with NOREPLACE.
 *
 * The moment in which the frozen inode loses the name again is the moment in which its
 * hidden entry is made (hide_restored()).
 */
#ifndef RELINKFS_FUSE_ALIAS_H
#define RELINKFS_FUSE_ALIAS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct session;
struct aliases;
struct node_ref;
struct fuse_entry_param;

int aliases_new(struct aliases **out);
void aliases_free(struct aliases *aliases);

/* session_alias(), session_unalias(). */
int alias_set(struct session *session, pid_t tid, const char *link, const char *path,
	      const char **mode, char **why);
void alias_clear(struct session *session, pid_t tid);

/*
 * Asked first by LOOKUP, UNLINK, RMDIR and RENAME.  False: not a name of an alias of
 * that thread, go on as usual.  True: answered, *error is the result (and *entry is
 * filled for a lookup).
 */
bool alias_lookup(struct session *session, pid_t tid, const struct node_ref *parent,
		  const char *name, struct fuse_entry_param *entry, int *error);
bool alias_remove(struct session *session, pid_t tid, const struct node_ref *parent,
		  const char *name, int *error);
bool alias_rename(struct session *session, pid_t tid, const struct node_ref *from,
		  const char *name, const struct node_ref *to, const char *newname, unsigned flags,
		  int *error);

#endif
