/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The manifest: the self-describing JSON file of one checkpoint, beside its links.
 * It is enough to restart from, on another machine and without the catalog.
 *
 * Names are bytes.  In JSON a name stands under "path" (or "link") when it is valid
 * UTF-8, else under "path_base64" ("link_base64").  All paths are relative to the root
 * of the mount, without a leading '/'.  docs/man/relinkfs-manifest.5 is the format.
 */
#ifndef RELINKFS_STORE_MANIFEST_H
#define RELINKFS_STORE_MANIFEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MANIFEST_FORMAT  "relinkfs-checkpoint"
#define MANIFEST_VERSION 1
/* Where manifests lie, and the default template of frozen links; relative to the root. */
#define MANIFEST_DIR          "lost+found/checkpoint"
#define MANIFEST_NAME_FMT     "unlink-at-restart-%08llx.json" /* ktime; under MANIFEST_DIR */
#define MANIFEST_LINK_DEFAULT "lost+found/checkpoint/unlink-at-restart-%t-%n"

enum opener_kind { OPENER_FD, OPENER_MMAP, OPENER_CWD, OPENER_ROOT, OPENER_EXE };

/* One way in which one process holds an inode. */
struct opener {
	pid_t pid;       /* in the daemon's pid namespace */
	char comm[16];   /* as in /proc/PID/comm */
	enum opener_kind kind;
	int fd;          /* OPENER_FD; else -1 */
	uint32_t flags;  /* OPENER_FD: open flags as in /proc/PID/fdinfo; O_CLOEXEC included */
	int64_t offset;  /* OPENER_FD: file offset */
};

struct manifest_time {
	int64_t sec;
	uint32_t nsec;
};

struct manifest_entry {
	uint32_t n;       /* from 1, unique in the checkpoint */
	char *link;       /* the frozen link */
	char *path;       /* original path */
	uint32_t mode;    /* st_mode, type included */
	uint32_t uid, gid;
	uint64_t size;    /* bytes */
	uint64_t blocks;  /* 512-byte units */
	uint64_t ino;     /* of the frozen link when it was made; not an identity elsewhere */
	uint32_t nlink;   /* visible links before the freeze: 0 when no other name existed */
	uint32_t rdev_major, rdev_minor;
	struct manifest_time atime, mtime, ctime, btime; /* btime.sec == 0: unknown */
	uint8_t handle[128]; /* file handle on the source: verifies there, does not locate */
	uint32_t handle_len; /* 0: none */
	int32_t handle_type;
	bool tmpfile;     /* born by O_TMPFILE */
	struct opener *openers;
	size_t nopeners;
};

struct manifest {
	uint64_t ktime;       /* CLOCK_REALTIME ns; its %08llx is the checkpoint's id */
	char id[17];
	char *path;           /* of the manifest itself */
	char *link_template;
	char *mount_path;     /* absolute, where it was mounted then; informational; may be NULL */
	char *scope;          /* "all", "pid 123", "cgroup /x" */
	pid_t creator_pid;
	uid_t creator_uid;
	char creator_comm[16];
	struct manifest_entry *entries;
	size_t nentries;
	/* Directories made for the links, outermost first: they go with them, once empty. */
	char **folders;
	size_t nfolders;
};

void manifest_free(struct manifest *manifest);

/* A new reference, or NULL when out of memory. */
json_t *manifest_to_json(const struct manifest *manifest);

/*
 * Strict reader of untrusted input: checks format, version, types, ranges; that names
 * are relative, non-empty, without "." ".." or empty components, NUL or a component
 * over NAME_MAX; that links and folders lie outside of the vault; that N and links are
 * unique.  Unknown members are passed over.  0, -EINVAL (*why says where and what,
 * malloc'd), -EPROTO for a version from the future, -ENOMEM.
 */
int manifest_from_json(const json_t *json, struct manifest **out, char **why);

/*
 * Reads the manifest at @dirfd/@path.  As manifest_from_json(), and -errno of the open
 * or read; -EFBIG over 1 GiB.
 */
int manifest_load(int dirfd, const char *path, struct manifest **out, char **why);

/*
 * Writes the manifest durably under @root_fd/@manifest->path, 0600: to a temporary
 * sibling, fsync, rename without replacing (-EEXIST), fsync of the directory.  After
 * 0 it survives a power cut; after an error nothing is left.
 */
int manifest_save(int root_fd, const struct manifest *manifest);

/* What the temporary sibling's name has more; a crash may leave one behind. */
#define MANIFEST_TEMPORARY ".tmp"

/* What is wrong with the relative path @name, for a message; NULL: nothing. */
const char *manifest_name_error(const char *name);

/* Put a name into @object under @key or "<key>_base64"; and get it back (malloc'd; NULL + *why). */
int manifest_json_set_name(json_t *object, const char *key, const char *name);
char *manifest_json_get_name(const json_t *object, const char *key, char **why);

const char *manifest_type_name(uint32_t mode); /* "regular", "directory", "fifo", "socket", "symlink", "block device", "character device" */
const char *opener_kind_name(enum opener_kind kind); /* "fd", "mmap", "cwd", "root", "exe" */

#endif
