/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backing filesystems: the one that the source lies on (index 0), and any other
 * that is mounted somewhere beneath it.  Gives inodes an identity that outlives fds.
 *
 * An identity (struct node_key) is the file handle of name_to_handle_at(), compared
 * whole: inode numbers are reused, handles are not.  Where the filesystem has none, or
 * one that is too long, or we may not open by it (CAP_DAC_READ_SEARCH), it is st_dev
 * and st_ino, and whoever keeps the key must keep an fd too (node_key_needs_fd()).
 */
#ifndef RELINKFS_FUSE_BACKING_H
#define RELINKFS_FUSE_BACKING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define NODE_KEY_BYTES 40

/* 48 bytes; unused bytes are zero, so that keys compare with memcmp(). */
struct node_key {
	uint16_t fs;     /* index of the backing filesystem */
	uint8_t len;     /* of bytes; 0: no handle, bytes hold st_dev and st_ino */
	uint8_t reserved;
	int32_t type;    /* of the handle */
	uint8_t bytes[NODE_KEY_BYTES];
};

struct backings;

/* @source_fd: O_RDONLY|O_DIRECTORY, the caller's.  0 or -errno. */
int backings_new(int source_fd, struct backings **out);
void backings_free(struct backings *backings);

/* Is @key without a handle? */
static inline bool node_key_needs_fd(const struct node_key *key)
{
	return key->len == 0;
}

/*
 * Identity and attributes of the inode behind @fd (O_PATH will do).  st_ino comes back
 * made unique over all backing filesystems.  A filesystem seen for the first time is
 * added.  0 or -errno (-ENFILE: too many filesystems).
 */
int backing_identify(struct backings *backings, int fd, struct node_key *key, struct stat *st);

/*
 * The same for the name @name in @dirfd, symlinks not followed, without opening it: two
 * calls, so only where nobody can change the name meanwhile (the kernel holds the
 * directory's lock) or where a mismatch does no harm.
 */
int backing_identify_at(struct backings *backings, int dirfd, const char *name,
			struct node_key *key, struct stat *st);

/* Opens the inode of @key with open(2) @flags; -ESTALE if it is gone or has no handle. */
int backing_open(const struct backings *backings, const struct node_key *key, int flags);

/* fstat() with st_ino made unique. */
int backing_stat(const struct backings *backings, uint16_t fs, int fd, struct stat *st);

/* st_ino as the mount shows it. */
uint64_t backing_ino(uint16_t fs, uint64_t ino);

/*
 * Can removed names of that filesystem be kept in the vault?  (A rename must not cross
 * filesystems.)  Else its unlinked files are served, but are not durable.
 */
bool backing_durable(uint16_t fs);

#endif
