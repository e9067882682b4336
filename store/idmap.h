/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A hash table from 64-bit numbers to record indexes, derived from the records and in
 * this process's memory only.  A number may be there more than once.  Not locked: its
 * owner's matter.
 */
#ifndef RELINKFS_STORE_IDMAP_H
#define RELINKFS_STORE_IDMAP_H

#include <stddef.h>
#include <stdint.h>

struct idmap_slot {
	uint64_t key;
	uint32_t index; /* 0: the slot is free */
};

/* All zero is an empty map. */
struct idmap {
	struct idmap_slot *slots;
	size_t size; /* a power of 2, or 0 */
	size_t used;
};

void idmap_free(struct idmap *map);

/* @index is not 0.  0 or -ENOMEM. */
int idmap_add(struct idmap *map, uint64_t key, uint32_t index);

/* Does nothing when it is not there. */
void idmap_remove(struct idmap *map, uint64_t key, uint32_t index);

/*
 * The first index of @key, or the one that comes after @after in the same order (0: the
 * first); 0 when there are no more.  For a walk that does not change the map.
 */
uint32_t idmap_find(const struct idmap *map, uint64_t key, uint32_t after);

#endif
