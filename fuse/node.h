/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nodes: the inodes that the kernel knows of, one per backing inode.
 *
 * A node id is a slot in the session state (low 26 bits) and a count of all nodes ever
 * made (high 38 bits): the slot is found without a search, and an id is never given to
 * another inode.  The root is 1.
 *
 * Life: node_lookup() makes a node or counts one more reference of the kernel's;
 * node_forget() takes them back, and with the last one the node ends.  While the kernel
 * waits for the reply to a request on a node it holds a reference, so a handler may use
 * the slot without more ado; one found by node_find() may end at any time, and is only
 * to be trusted under its lock, when node_is() still says yes.
 *
 * Locks: node_lock() is a stripe, many nodes share one: never hold two.  Order: barrier
 * of the store, then node lock, then hash shard (inside node.c).
 *
 * The idea of a retried insert under one lock, so that two lookups cannot make two
 * nodes of one file, comes from the fixes that other passthrough filesystems needed.
 */
#ifndef RELINKFS_FUSE_NODE_H
#define RELINKFS_FUSE_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "fuse/backing.h"
#include "store/arena.h"

#define NODE_ROOT_ID 1
#define NODE_SLOT_BITS 26
#define NODE_SLOTS (1u << NODE_SLOT_BITS)

/* In the session state; 88 bytes.  Fields below the line are guarded by the node lock. */
struct node_record {
	uint64_t id;
	uint64_t nlookup;    /* references of the kernel; guarded by the hash shard */
	uint64_t ino;        /* st_ino as shown */
	struct node_key key;
	/* ---- */
	uint32_t entry;      /* (written atomically) hidden entry, index in ARENA_ENTRIES; 0: none */
	uint32_t nopen;      /* open descriptions that the kernel told us of */
	int32_t backing_id;  /* passthrough; 0: none */
	uint16_t flags;      /* NODE_F_* */
	uint16_t type;       /* st_mode >> 12 */
};

#define NODE_F_OPENED   0x01 /* opened since the kernel looked it up: may still be mapped */
#define NODE_F_RETIRED  0x02 /* a removed directory: no lookup finds it, a new one makes a new node */
#define NODE_F_ORPHAN   0x04 /* its last name was removed for real; the fd keeps it */
#define NODE_F_SPLICE   0x08 /* passthrough is not to be had while these opens last */
#define NODE_F_WRITTEN  0x10 /* opened for writing while these opens last; may be mapped so, too */

struct nodes;

/*
 * What happens when a node with a hidden entry ends: begin, then with the node lock held
 * last (drops the entry), then end.
 */
struct node_hooks {
	void *ctx;
	void (*begin)(void *ctx);
	void (*last)(void *ctx, struct node_record *node);
	void (*end)(void *ctx);
};

/*
 * @fd_limit: how many fds of idle nodes are kept open.  Rebuilds what it needs from the
 * session state if @arena was attached.  0 or -errno.
 */
int nodes_new(struct arena *arena, struct backings *backings, int source_fd, unsigned fd_limit,
	      struct nodes **out);
void nodes_free(struct nodes *nodes);
void nodes_set_hooks(struct nodes *nodes, const struct node_hooks *hooks);

/* The slot of @id, or 0 when there is no such node (any more). */
uint32_t node_slot(const struct nodes *nodes, uint64_t id);
struct node_record *node_at(const struct nodes *nodes, uint32_t slot);

/*
 * Finds or makes the node of @key and counts one reference.  @fd: an O_PATH fd of it,
 * taken over in any case, or -1.  0 or -errno (-ENOMEM: out of slots or memory; -ESTALE: key without a handle,
 * and no fd).
 */
int node_lookup(struct nodes *nodes, const struct node_key *key, uint64_t ino, mode_t mode, int fd,
		uint32_t *slot);

/* The slot of @key's node, or 0.  Counts nothing. */
uint32_t node_find(struct nodes *nodes, const struct node_key *key);

/* Under the lock of @slot: is it (still) the node of @key? */
bool node_is(struct nodes *nodes, uint32_t slot, const struct node_key *key);

/* Takes @count references back; the caller must not hold the barrier or a lock. */
void node_forget(struct nodes *nodes, uint64_t id, uint64_t count);

void node_lock(struct nodes *nodes, uint32_t slot);
void node_unlock(struct nodes *nodes, uint32_t slot);

/* A removed directory leaves the hash.  With the node lock held. */
void node_retire(struct nodes *nodes, uint32_t slot);

/*
 * An O_PATH fd of the node, from the cache or opened by handle: to be given back with
 * node_fd_put().  Or -errno (-ESTALE: gone).  Not with the node lock held.
 */
int node_fd_get(struct nodes *nodes, uint32_t slot);
void node_fd_put(struct nodes *nodes, uint32_t slot);

/*
 * A copy, the caller's, of the fd that is kept for node @id.  For who serves no request
 * on it: the node may end at any time.  -ENOENT: it has ended, or has no fd.
 */
int node_fd_copy(struct nodes *nodes, uint64_t id);

/* From now on the node's fd is never closed while the node lives.  With the node lock, and a got fd. */
void node_fd_pin(struct nodes *nodes, uint32_t slot);

/* A new fd of the node, the caller's, opened with @flags (no O_CREAT, O_EXCL). */
int node_open(struct nodes *nodes, uint32_t slot, int flags);

/* Open fds in the cache now. */
unsigned nodes_open_fds(const struct nodes *nodes);

#endif
