/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the operations share.  An operation resolves its nodes, calls what does the
 * work, and replies exactly once; results travel as 0 or -errno until reply_error().
 */
#ifndef RELINKFS_FUSE_OPS_H
#define RELINKFS_FUSE_OPS_H

#define FUSE_USE_VERSION 317
#include <fuse_lowlevel.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "fuse/alias.h"
#include "fuse/backing.h"
#include "fuse/handle.h"
#include "fuse/node.h"
#include "fuse/session.h"
#include "store/store.h"

/* Directories of our own in the source; relative to its root. */
#define VAULT_NAME ".relinkfs"
#define CHECKPOINT_PARENT "lost+found"
#define CHECKPOINT_DIR "lost+found/checkpoint"

struct settler;

struct session {
	struct session_config config;
	struct store *store;
	struct arena *arena;
	struct backings *backings;
	struct nodes *nodes;
	struct handles *handles;
	struct aliases *aliases;
	struct settler *settler; /* while bound */
	struct fuse_session *se;
	char *mount_path;
	dev_t mount_dev;
	struct node_key checkpoint_parent, checkpoint_dir; /* lost+found, and its checkpoint */
	bool passthrough;      /* set by INIT; per node it may still fail: NODE_F_SPLICE */
	const char *io_reason;
	atomic_bool warned_passthrough;
	atomic_bool cannot_prune;
	atomic_bool ready;
	atomic_uint waiting;   /* threads that wait for what the kernel has another one do */
};

static inline struct session *session_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* The only place where an error turns positive. */
static inline void reply_error(fuse_req_t req, int error)
{
	fuse_reply_err(req, -error);
}

/*
 * The slot of the node that a request is about; replies ESTALE and gives 0 if the
 * kernel names one that we do not have.
 */
uint32_t request_slot(fuse_req_t req, fuse_ino_t id);

/* A node and its O_PATH fd for the time of one operation. */
struct node_ref {
	uint32_t slot;
	int fd;
};
/* 0 or -errno.  On 0 give it back with ref_put(). */
int ref_get(struct session *session, fuse_ino_t id, struct node_ref *ref);
void ref_put(struct session *session, const struct node_ref *ref);

/*
 * Asks the kernel to let go of the names of an inode that it keeps but nobody uses, so
 * that FORGET comes with the last user.  False: this kernel does not know the request
 * (6.18 does).  No lock may be held.
 */
bool session_prune(struct session *session, uint64_t id);

/* Is @name, in the directory @parent, the vault's?  Nobody may see or take that name. */
bool name_reserved(fuse_ino_t parent, const char *name);

/* Is it "." or ".."? */
bool name_is_dots(const char *name);

/*
 * The folder of @path, which is relative to the root of the mount: an O_PATH fd, and the
 * last component in *name, malloc'd.  Never leads out of the source.  Or -errno.
 */
int session_open_folder(const struct session *session, const char *path, char **name);

/* Attributes as the workload sees them, the vault's links taken off.  Takes the node lock. */
int session_stat(struct session *session, uint32_t slot, int fd, struct stat *st);
int session_stat_locked(struct session *session, uint32_t slot, int fd, struct stat *st);

/*
 * Looks @name up in the directory @parent and counts a reference of the kernel's;
 * fills @entry.  If the reply then cannot be sent: session_unlookup().
 */
int session_lookup(struct session *session, const struct node_ref *parent, const char *name,
		   struct fuse_entry_param *entry);
/* The same without opening the inode, for listings. */
int session_lookup_light(struct session *session, const struct node_ref *parent, const char *name,
			 struct fuse_entry_param *entry);
/* Counts a reference on the inode behind @fd, an O_PATH fd that is taken over. */
int session_enter(struct session *session, int fd, struct fuse_entry_param *entry);
void session_unlookup(struct session *session, const struct fuse_entry_param *entry);

/* Replies with @entry if @error is 0. */
void reply_entry(fuse_req_t req, int error, const struct fuse_entry_param *entry);

/* ---- fuse/open.c: open descriptions of regular files ---- */

/* Counts an open before the file is opened, so that a concurrent unlink hides it. */
void open_begin(struct session *session, uint32_t slot);
void open_failed(struct session *session, uint32_t slot);
/*
 * Makes the handle and chooses passthrough or splice for @fd (taken); fills @fi.
 * On error the count is taken back.
 */
int open_finish(fuse_req_t req, uint32_t slot, int fd, struct fuse_file_info *fi);
/* Flags for our own fd: what only concerns the caller's description is left out. */
int open_own_flags(const struct session *session, int flags);
/* The caller lost the right to keep set-id bits by writing: drop them. */
int drop_setid(fuse_req_t req, int fd);
/* The kernel asks for that with the request; libfuse 3.17 does not hand it on. */
static inline bool wants_setid_dropped(const struct fuse_file_info *fi)
{
#ifdef HAVE_FUSE_KILL_SUIDGID
	return fi->kill_suidgid;
#else
	return false;
#endif
}

/* ---- operations, by file ---- */

/* fuse/ops_lookup.c */
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_forget(fuse_req_t req, fuse_ino_t id, uint64_t count);
void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
/* fuse/ops_attr.c */
void op_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi);
void op_setattr(fuse_req_t req, fuse_ino_t id, struct stat *attr, int valid,
		struct fuse_file_info *fi);
void op_readlink(fuse_req_t req, fuse_ino_t id);
void op_statfs(fuse_req_t req, fuse_ino_t id);
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 18)
void op_statx(fuse_req_t req, fuse_ino_t id, int flags, int mask, struct fuse_file_info *fi);
#endif
/* fuse/ops_create.c */
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi);
void op_tmpfile(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct fuse_file_info *fi);
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void op_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t parent, const char *name);
/* fuse/ops_remove.c */
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	       const char *newname, unsigned flags);
/* fuse/ops_file.c */
void op_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *fi);
void op_write_buf(fuse_req_t req, fuse_ino_t id, struct fuse_bufvec *in, off_t offset,
		  struct fuse_file_info *fi);
void op_flush(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t id, int datasync, struct fuse_file_info *fi);
void op_fallocate(fuse_req_t req, fuse_ino_t id, int mode, off_t offset, off_t length,
		  struct fuse_file_info *fi);
void op_lseek(fuse_req_t req, fuse_ino_t id, off_t offset, int whence, struct fuse_file_info *fi);
void op_copy_file_range(fuse_req_t req, fuse_ino_t in, off_t off_in, struct fuse_file_info *fi_in,
			fuse_ino_t out, off_t off_out, struct fuse_file_info *fi_out, size_t length,
			int flags);
/* fuse/ops_dir.c */
void op_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi);
void op_releasedir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
		struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
		    struct fuse_file_info *fi);
void op_fsyncdir(fuse_req_t req, fuse_ino_t id, int datasync, struct fuse_file_info *fi);
/* fuse/ops_xattr.c */
void op_setxattr(fuse_req_t req, fuse_ino_t id, const char *name, const char *value, size_t size,
		 int flags);
void op_getxattr(fuse_req_t req, fuse_ino_t id, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t id, size_t size);
void op_removexattr(fuse_req_t req, fuse_ino_t id, const char *name);
/* fuse/ops_ioctl.c */
void op_ioctl(fuse_req_t req, fuse_ino_t id, unsigned cmd, void *arg, struct fuse_file_info *fi,
	      unsigned flags, const void *in, size_t in_size, size_t out_size);

#endif
