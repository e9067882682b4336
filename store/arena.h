/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The session state: one memfd, mapped shared, that holds tables of fixed-size
 * records.  There is no pointer in it: a record is addressed by (table, index),
 * so whoever maps the same memfd next - the worker that replaces a crashed one -
 * finds everything at the same indexes, wherever the mapping lands.
 *
 * The memfd is made at its full, sparse size at once and never remapped: pages
 * come into being when they are first touched, and addresses stay valid for the
 * life of the mapping.  Index 0 is never given out: it means "none".
 *
 * What can be derived (hashes over the records) does not live here; its owner
 * builds it again after arena_attach() by walking the live records.
 */
#ifndef RELINKFS_STORE_ARENA_H
#define RELINKFS_STORE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

/* The tables of a session, in the order in which they lie in the memfd. */
enum arena_table {
	ARENA_NODES,   /* struct node_record, fuse/node.h */
	ARENA_HANDLES, /* struct handle_record, fuse/handle.h */
	ARENA_ENTRIES, /* struct entry_record, store/entry.h */
	ARENA_TEXT,    /* 64-byte chunks of variable-length bytes, store/text.h */
	ARENA_TABLES
};

struct arena_table_spec {
	uint32_t record_size; /* bytes; a multiple of 8 */
	uint32_t max_records; /* index 0 included */
};

struct arena_spec {
	struct arena_table_spec table[ARENA_TABLES];
	uint32_t meta_size; /* bytes of the session's own header, arena_meta() */
};

/*
 * Make a new, empty session state.  0 or -errno (-ENOMEM, -EMFILE, -EINVAL for a
 * spec that cannot be).  *out is freed with arena_free().
 */
int arena_new(const struct arena_spec *spec, struct arena **out);

/*
 * Map the session state of an earlier worker.  Takes over @memfd (also on error).
 * -EPROTO when the magic, the layout version or any size differs from @spec: the
 * caller must then refuse or convert, never guess.
 */
int arena_attach(int memfd, const struct arena_spec *spec, struct arena **out);

/* True if @arena came from arena_attach(): there may be records of an earlier worker. */
bool arena_attached(const struct arena *arena);

/* Unmaps and closes; the content lives on while another process holds the memfd. */
void arena_free(struct arena *arena);

/* The memfd; owned by the arena.  Hand it to another process by inheritance or SCM_RIGHTS. */
int arena_fd(const struct arena *arena);

/* The meta_size bytes that belong to the session loop; zeroed by arena_new(). */
void *arena_meta(struct arena *arena);

/*
 * A zeroed record: its index, or 0 when the table is full.  Thread-safe (one mutex
 * per table, held for a few instructions).
 */
uint32_t arena_alloc(struct arena *arena, enum arena_table which);

/* Gives a record back.  @index must be live.  Thread-safe. */
void arena_release(struct arena *arena, enum arena_table which, uint32_t index);

/*
 * The record at @index: any index below max_records has an address, live or not.
 * Never fails, takes no lock.  Locking of the content is its owner's matter.
 */
void *arena_at(const struct arena *arena, enum arena_table which, uint32_t index);

/* True while @index is allocated. */
bool arena_live(const struct arena *arena, enum arena_table which, uint32_t index);

/* One past the highest index that was ever allocated: the bound for a walk. */
uint32_t arena_high(const struct arena *arena, enum arena_table which);

/* How many records of @which are live. */
uint32_t arena_count(const struct arena *arena, enum arena_table which);

#endif
