/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/node.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/log.h"
#include "store/util.h"

#define LOCK_STRIPES 4096
#define SHARDS 64
#define SHARD_MIN 64 /* slots of a shard's table at first; a power of two */

/* Slots by key, open addressing with linear probing; 0 is free. */
struct shard {
	pthread_mutex_t lock;
	uint32_t *table;
	uint32_t mask;
	uint32_t used;
};

/* What this process knows of a slot beyond its record; guarded by the node lock. */
struct node_local {
	int32_t fd_plus1; /* so that untouched memory says "none" */
	uint16_t pins;
	uint8_t flags;    /* LOCAL_* */
	bool ending;      /* a thread is in node_end(); guarded by the hash shard */
};
#define LOCAL_PINNED   0x1
#define LOCAL_USED     0x2 /* since the hand of the clock last passed */
#define LOCAL_IN_CLOCK 0x4

struct nodes {
	struct arena *arena;
	struct backings *backings;
	struct node_hooks hooks;
	struct node_local *local; /* by slot; sparse */
	_Atomic uint64_t *made;   /* count of nodes ever made; in the session state */
	_Atomic unsigned open_fds;
	pthread_mutex_t locks[LOCK_STRIPES];
	struct shard shards[SHARDS];

	/* The clock of cached fds: slots whose fd may be closed when others need the place. */
	pthread_mutex_t clock_lock;
	uint32_t *clock;
	unsigned clock_size, clock_hand;
};

static uint32_t key_hash(const struct node_key *key)
{
	const unsigned char *bytes = (const unsigned char *)key;
	uint64_t hash = UINT64_C(0x9e3779b97f4a7c15), word;
	size_t i;

	for (i = 0; i < sizeof(*key); i += sizeof(word)) {
		memcpy(&word, bytes + i, sizeof(word));
		hash = (hash ^ word) * UINT64_C(0xff51afd7ed558ccd);
		hash ^= hash >> 32;
	}
	return (uint32_t)hash;
}

static bool key_equal(const struct node_key *a, const struct node_key *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static struct shard *shard_of(struct nodes *nodes, uint32_t hash)
{
	return &nodes->shards[hash % SHARDS];
}

/* Where in the shard's table a hash starts: bits that the choice of shard did not use. */
static uint32_t shard_start(const struct shard *shard, uint32_t hash)
{
	return (hash / SHARDS) & shard->mask;
}

struct node_record *node_at(const struct nodes *nodes, uint32_t slot)
{
	return arena_at(nodes->arena, ARENA_NODES, slot);
}

uint32_t node_slot(const struct nodes *nodes, uint64_t id)
{
	uint32_t slot = (uint32_t)(id & (NODE_SLOTS - 1));

	return slot && __atomic_load_n(&node_at(nodes, slot)->id, __ATOMIC_ACQUIRE) == id ? slot : 0;
}

static uint32_t shard_find_locked(const struct nodes *nodes, const struct shard *shard,
				  uint32_t hash, const struct node_key *key)
{
	uint32_t at, slot;

	for (at = shard_start(shard, hash); (slot = shard->table[at]); at = (at + 1) & shard->mask)
		if (key_equal(&node_at(nodes, slot)->key, key))
			return slot;
	return 0;
}

static void shard_put(struct shard *shard, uint32_t hash, uint32_t slot)
{
	uint32_t at = shard_start(shard, hash);

	while (shard->table[at])
		at = (at + 1) & shard->mask;
	shard->table[at] = slot;
}

static int shard_grow_locked(const struct nodes *nodes, struct shard *shard)
{
	uint32_t old_size = shard->mask + 1, i;
	uint32_t *old = shard->table, *table;

	table = calloc((size_t)old_size * 2, sizeof(*table));
	if (!table)
		return -ENOMEM;
	shard->table = table;
	shard->mask = old_size * 2 - 1;
	for (i = 0; i < old_size; i++)
		if (old[i])
			shard_put(shard, key_hash(&node_at(nodes, old[i])->key), old[i]);
	free(old);
	return 0;
}

static int shard_insert_locked(const struct nodes *nodes, struct shard *shard, uint32_t hash,
			       uint32_t slot)
{
	int error;

	if (shard->used >= (shard->mask + 1) / 4 * 3) {
		error = shard_grow_locked(nodes, shard);
		if (error)
			return error;
	}
	shard_put(shard, hash, slot);
	shard->used++;
	return 0;
}

/* Removes by moving later members of the run up, so that no tombstones are needed. */
static void shard_remove_locked(const struct nodes *nodes, struct shard *shard, uint32_t hash,
				uint32_t slot)
{
	uint32_t hole = shard_start(shard, hash), at, home;

	while (shard->table[hole] != slot) {
		if (!shard->table[hole])
			return;
		hole = (hole + 1) & shard->mask;
	}
	for (at = (hole + 1) & shard->mask; shard->table[at]; at = (at + 1) & shard->mask) {
		home = shard_start(shard, key_hash(&node_at(nodes, shard->table[at])->key));
		if (((at - home) & shard->mask) >= ((at - hole) & shard->mask)) {
			shard->table[hole] = shard->table[at];
			hole = at;
		}
	}
	shard->table[hole] = 0;
	shard->used--;
}

void node_lock(struct nodes *nodes, uint32_t slot)
{
	pthread_mutex_lock(&nodes->locks[slot % LOCK_STRIPES]);
}

void node_unlock(struct nodes *nodes, uint32_t slot)
{
	pthread_mutex_unlock(&nodes->locks[slot % LOCK_STRIPES]);
}

static void local_close_locked(struct nodes *nodes, uint32_t slot)
{
	struct node_local *local = &nodes->local[slot];

	if (!local->fd_plus1)
		return;
	close(local->fd_plus1 - 1);
	local->fd_plus1 = 0;
	nodes->open_fds--;
}

/* With clock_lock held: can the place of @slot be had?  Closes the fd of an idle one. */
static bool clock_evict(struct nodes *nodes, uint32_t slot)
{
	struct node_local *local = &nodes->local[slot];
	bool taken = true;

	/* The holder of a node lock may wait for the clock: never wait the other way round. */
	if (pthread_mutex_trylock(&nodes->locks[slot % LOCK_STRIPES]))
		return false;
	if (!local->fd_plus1 || (local->flags & LOCAL_PINNED)) {
		local->flags &= ~LOCAL_IN_CLOCK;
	} else if (local->pins || (local->flags & LOCAL_USED)) {
		local->flags &= ~LOCAL_USED;
		taken = false;
	} else {
		local_close_locked(nodes, slot);
		local->flags &= ~LOCAL_IN_CLOCK;
	}
	node_unlock(nodes, slot);
	return taken;
}

/* Gives @slot's fd a place, at the cost of one not used lately.  False: all are in use. */
static bool clock_enter(struct nodes *nodes, uint32_t slot)
{
	unsigned tries;
	bool entered = false;

	pthread_mutex_lock(&nodes->clock_lock);
	for (tries = 0; tries < nodes->clock_size * 2 && !entered; tries++) {
		uint32_t *place = &nodes->clock[nodes->clock_hand];

		nodes->clock_hand = (nodes->clock_hand + 1) % nodes->clock_size;
		entered = !*place || clock_evict(nodes, *place);
		if (entered)
			*place = slot;
	}
	pthread_mutex_unlock(&nodes->clock_lock);
	return entered;
}

/*
 * Makes @fd (taken) the fd of the node @id, unless it has one.  The fd is got once: the
 * caller gives it back with node_fd_put().  -ESTALE: the node has ended, and the slot
 * may be another's now, which must never get this fd.
 */
static int local_adopt(struct nodes *nodes, uint32_t slot, uint64_t id, int fd)
{
	struct node_local *local = &nodes->local[slot];
	bool enter = false;
	int got;

	node_lock(nodes, slot);
	if (node_slot(nodes, id) != slot) {
		node_unlock(nodes, slot);
		close(fd);
		return -ESTALE;
	}
	if (local->fd_plus1) {
		close(fd);
	} else {
		local->fd_plus1 = fd + 1;
		nodes->open_fds++;
	}
	if (!(local->flags & (LOCAL_PINNED | LOCAL_IN_CLOCK))) {
		local->flags |= LOCAL_IN_CLOCK;
		enter = true;
	}
	local->flags |= LOCAL_USED;
	local->pins++;
	got = local->fd_plus1 - 1;
	node_unlock(nodes, slot);
	if (enter && !clock_enter(nodes, slot)) {
		node_lock(nodes, slot);
		local->flags &= ~LOCAL_IN_CLOCK; /* node_fd_put() closes it */
		node_unlock(nodes, slot);
	}
	return got;
}

int node_fd_get(struct nodes *nodes, uint32_t slot)
{
	struct node_local *local = &nodes->local[slot];
	struct node_key key;
	uint64_t id;
	int fd = -1;

	node_lock(nodes, slot);
	/* The key is written before the id, and stays as long as the id. */
	id = __atomic_load_n(&node_at(nodes, slot)->id, __ATOMIC_ACQUIRE);
	if (id)
		key = node_at(nodes, slot)->key;
	if (local->fd_plus1) {
		fd = local->fd_plus1 - 1;
		local->pins++;
		local->flags |= LOCAL_USED;
	}
	node_unlock(nodes, slot);
	if (fd >= 0)
		return fd;
	if (!id)
		return -ESTALE;
	fd = backing_open(nodes->backings, &key, O_PATH | O_NOFOLLOW);
	return fd < 0 ? fd : local_adopt(nodes, slot, id, fd);
}

int node_fd_copy(struct nodes *nodes, uint64_t id)
{
	uint32_t slot = node_slot(nodes, id);
	int fd = -ENOENT;

	if (!slot)
		return fd;
	node_lock(nodes, slot);
	/* Ids are never given again: if it is still this one, the fd is its own. */
	if (node_slot(nodes, id) == slot && nodes->local[slot].fd_plus1) {
		fd = fcntl(nodes->local[slot].fd_plus1 - 1, F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			fd = -errno;
	}
	node_unlock(nodes, slot);
	return fd;
}

void node_fd_put(struct nodes *nodes, uint32_t slot)
{
	struct node_local *local = &nodes->local[slot];

	node_lock(nodes, slot);
	local->pins--;
	if (!local->pins && !(local->flags & (LOCAL_PINNED | LOCAL_IN_CLOCK)))
		local_close_locked(nodes, slot);
	node_unlock(nodes, slot);
}

void node_fd_pin(struct nodes *nodes, uint32_t slot)
{
	nodes->local[slot].flags |= LOCAL_PINNED;
}

int node_open(struct nodes *nodes, uint32_t slot, int flags)
{
	char path[PROC_FD_PATH_SIZE];
	int fd = node_fd_get(nodes, slot), opened, error = 0;

	if (fd < 0)
		return fd;
	opened = open(proc_fd_path(fd, path), (flags & ~O_NOFOLLOW) | O_CLOEXEC);
	if (opened < 0)
		error = -errno;
	node_fd_put(nodes, slot);
	return error ? error : opened;
}

/* Ids are read without a lock: of a slot that ends and is used again, the old id is no more. */
static void node_set_id(struct node_record *node, uint64_t id)
{
	__atomic_store_n(&node->id, id, __ATOMIC_RELEASE);
}

/* A record for @key, not yet in the hash. */
static uint32_t node_make(struct nodes *nodes, const struct node_key *key, uint64_t ino,
			  mode_t mode)
{
	uint32_t slot = arena_alloc(nodes->arena, ARENA_NODES);
	struct node_record *node;

	if (!slot)
		return 0;
	node = node_at(nodes, slot);
	node->key = *key;
	node->ino = ino;
	node->type = (uint16_t)(mode >> 12);
	node->nlookup = 1;
	node_set_id(node, ++*nodes->made << NODE_SLOT_BITS | slot);
	return slot;
}

/* With the shard's lock held: finds or makes. */
static int lookup_locked(struct nodes *nodes, struct shard *shard, uint32_t hash,
			 const struct node_key *key, uint64_t ino, mode_t mode, bool has_fd,
			 uint32_t *slot)
{
	int error;

	*slot = shard_find_locked(nodes, shard, hash, key);
	if (*slot) {
		node_at(nodes, *slot)->nlookup++;
		return 0;
	}
	if (node_key_needs_fd(key) && !has_fd)
		return -ESTALE;
	*slot = node_make(nodes, key, ino, mode);
	if (!*slot)
		return -ENOMEM;
	error = shard_insert_locked(nodes, shard, hash, *slot);
	if (error) {
		node_set_id(node_at(nodes, *slot), 0);
		arena_release(nodes->arena, ARENA_NODES, *slot);
	}
	return error;
}

int node_lookup(struct nodes *nodes, const struct node_key *key, uint64_t ino, mode_t mode, int fd,
		uint32_t *slot)
{
	uint32_t hash = key_hash(key);
	struct shard *shard = shard_of(nodes, hash);
	int error;

	pthread_mutex_lock(&shard->lock);
	error = lookup_locked(nodes, shard, hash, key, ino, mode, fd >= 0, slot);
	pthread_mutex_unlock(&shard->lock);
	if (fd < 0)
		return error;
	if (error) {
		close(fd);
		return error;
	}
	/* The reference that was counted keeps the node. */
	local_adopt(nodes, *slot, node_at(nodes, *slot)->id, fd);
	if (node_key_needs_fd(key)) {
		node_lock(nodes, *slot);
		node_fd_pin(nodes, *slot);
		node_unlock(nodes, *slot);
	}
	node_fd_put(nodes, *slot);
	return 0;
}

uint32_t node_find(struct nodes *nodes, const struct node_key *key)
{
	uint32_t hash = key_hash(key), slot;
	struct shard *shard = shard_of(nodes, hash);

	pthread_mutex_lock(&shard->lock);
	slot = shard_find_locked(nodes, shard, hash, key);
	pthread_mutex_unlock(&shard->lock);
	return slot;
}

bool node_is(struct nodes *nodes, uint32_t slot, const struct node_key *key)
{
	return node_find(nodes, key) == slot;
}

void node_retire(struct nodes *nodes, uint32_t slot)
{
	struct node_record *node = node_at(nodes, slot);
	uint32_t hash = key_hash(&node->key);
	struct shard *shard = shard_of(nodes, hash);

	pthread_mutex_lock(&shard->lock);
	if (!(node->flags & NODE_F_RETIRED)) {
		node->flags |= NODE_F_RETIRED;
		shard_remove_locked(nodes, shard, hash, slot);
	}
	pthread_mutex_unlock(&shard->lock);
}

/*
 * Ends a node whose count is zero, unless a lookup came first and revived it.  The
 * entry is dropped while the node can still be found: a lookup of another name of the
 * inode then waits for the node lock, and sees the link count without the vault link.
 *
 * Only one thread does this at a time, or the slower one would find the next user of
 * the slot.  So false, look again: the count went up and came back to zero meanwhile
 * (which nobody else acts upon), or there is an entry now and the hook has not @begun.
 */
static bool node_end(struct nodes *nodes, uint32_t slot, struct shard *shard, uint32_t hash,
		     bool begun)
{
	struct node_record *node = node_at(nodes, slot);
	struct node_local *local = &nodes->local[slot];
	bool last, settled;

	node_lock(nodes, slot);
	pthread_mutex_lock(&shard->lock);
	last = node->nlookup == 0 && (begun || !node->entry);
	pthread_mutex_unlock(&shard->lock);
	if (last && node->entry)
		nodes->hooks.last(nodes->hooks.ctx, node);
	pthread_mutex_lock(&shard->lock);
	last = last && node->nlookup == 0;
	settled = last || node->nlookup > 0;
	if (settled)
		local->ending = false;
	if (last) {
		if (!(node->flags & NODE_F_RETIRED))
			shard_remove_locked(nodes, shard, hash, slot);
		node_set_id(node, 0);
	}
	pthread_mutex_unlock(&shard->lock);
	if (last) {
		local_close_locked(nodes, slot);
		/* A place in the clock stays behind: whoever comes to it finds no fd. */
		local->flags &= LOCAL_IN_CLOCK;
		arena_release(nodes->arena, ARENA_NODES, slot);
	}
	node_unlock(nodes, slot);
	return settled;
}

static bool node_end_with_hooks(struct nodes *nodes, uint32_t slot, struct shard *shard,
				uint32_t hash)
{
	bool settled, hidden = __atomic_load_n(&node_at(nodes, slot)->entry, __ATOMIC_RELAXED) != 0;

	if (hidden)
		nodes->hooks.begin(nodes->hooks.ctx);
	settled = node_end(nodes, slot, shard, hash, hidden);
	if (hidden)
		nodes->hooks.end(nodes->hooks.ctx);
	return settled;
}

void node_forget(struct nodes *nodes, uint64_t id, uint64_t count)
{
	uint32_t slot = node_slot(nodes, id), hash;
	struct node_record *node = node_at(nodes, slot);
	struct shard *shard;
	bool ours;

	if (!slot || id == NODE_ROOT_ID)
		return;
	hash = key_hash(&node->key);
	shard = shard_of(nodes, hash);
	pthread_mutex_lock(&shard->lock);
	if (count > node->nlookup) {
		log_error("node %llx: the kernel forgets %llu of %llu references",
			  (unsigned long long)id, (unsigned long long)count,
			  (unsigned long long)node->nlookup);
		count = node->nlookup;
	}
	node->nlookup -= count;
	ours = node->nlookup == 0 && !nodes->local[slot].ending;
	if (ours)
		nodes->local[slot].ending = true;
	pthread_mutex_unlock(&shard->lock);
	if (!ours)
		return;
	while (!node_end_with_hooks(nodes, slot, shard, hash))
		;
}

unsigned nodes_open_fds(const struct nodes *nodes)
{
	return nodes->open_fds;
}

void nodes_set_hooks(struct nodes *nodes, const struct node_hooks *hooks)
{
	nodes->hooks = *hooks;
}

static int nodes_make_root(struct nodes *nodes, int source_fd)
{
	struct node_key key;
	struct node_record *root;
	struct stat st;
	uint32_t slot;
	int error, fd;

	error = backing_identify(nodes->backings, source_fd, &key, &st);
	if (error)
		return error;
	fd = fcntl(source_fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (!arena_live(nodes->arena, ARENA_NODES, NODE_ROOT_ID)) {
		slot = arena_alloc(nodes->arena, ARENA_NODES);
		if (slot != NODE_ROOT_ID) {
			close(fd);
			return -EPROTO;
		}
		root = node_at(nodes, slot);
		root->id = NODE_ROOT_ID;
		root->key = key;
		root->ino = st.st_ino;
		root->type = (uint16_t)(st.st_mode >> 12);
		root->nlookup = 1;
	}
	nodes->local[NODE_ROOT_ID].fd_plus1 = fd + 1;
	nodes->local[NODE_ROOT_ID].flags = LOCAL_PINNED;
	nodes->open_fds++;
	return 0;
}

/* The hash is derived from the records: after a change of worker, and at the start. */
static int nodes_rebuild(struct nodes *nodes)
{
	uint32_t slot, high = arena_high(nodes->arena, ARENA_NODES), hash;
	int error = 0;

	for (slot = 1; slot < high && !error; slot++) {
		const struct node_record *node = node_at(nodes, slot);

		if (!node->id || (node->flags & NODE_F_RETIRED))
			continue;
		hash = key_hash(&node->key);
		error = shard_insert_locked(nodes, shard_of(nodes, hash), hash, slot);
	}
	return error;
}

static int nodes_init(struct nodes *nodes, int source_fd, unsigned fd_limit)
{
	size_t i, size = (size_t)NODE_SLOTS * sizeof(*nodes->local);
	int error;

	for (i = 0; i < LOCK_STRIPES; i++)
		pthread_mutex_init(&nodes->locks[i], NULL);
	pthread_mutex_init(&nodes->clock_lock, NULL);
	for (i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&nodes->shards[i].lock, NULL);
		nodes->shards[i].mask = SHARD_MIN - 1;
		nodes->shards[i].table = calloc(SHARD_MIN, sizeof(uint32_t));
		if (!nodes->shards[i].table)
			return -ENOMEM;
	}
	nodes->clock_size = fd_limit;
	nodes->clock = calloc(fd_limit, sizeof(*nodes->clock));
	if (!nodes->clock)
		return -ENOMEM;
	nodes->local = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (nodes->local == MAP_FAILED) {
		nodes->local = NULL;
		return -ENOMEM;
	}
	error = nodes_make_root(nodes, source_fd);
	return error ? error : nodes_rebuild(nodes);
}

int nodes_new(struct arena *arena, struct backings *backings, int source_fd, unsigned fd_limit,
	      struct nodes **out)
{
	struct nodes *nodes = calloc(1, sizeof(*nodes));
	int error;

	if (!nodes)
		return -ENOMEM;
	nodes->arena = arena;
	nodes->backings = backings;
	nodes->made = arena_meta(arena);
	error = nodes_init(nodes, source_fd, fd_limit);
	if (error) {
		nodes_free(nodes);
		return error;
	}
	*out = nodes;
	return 0;
}

void nodes_free(struct nodes *nodes)
{
	size_t i;

	if (!nodes)
		return;
	if (nodes->local) {
		uint32_t slot, high = arena_high(nodes->arena, ARENA_NODES);

		for (slot = 1; slot < high; slot++)
			local_close_locked(nodes, slot);
		munmap(nodes->local, (size_t)NODE_SLOTS * sizeof(*nodes->local));
	}
	for (i = 0; i < SHARDS; i++)
		free(nodes->shards[i].table);
	free(nodes->clock);
	free(nodes);
}
