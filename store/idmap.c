/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Open addressing with linear probing; a removal moves the slots behind it up. */
#include "store/idmap.h"

#include <errno.h>
#include <stdlib.h>

#define SIZE_FIRST 64

/* Ids and inode numbers are often consecutive: multiply, and take the high bits. */
static size_t home(const struct idmap *map, uint64_t key)
{
	return (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (map->size - 1);
}

static size_t next_slot(const struct idmap *map, size_t slot)
{
	return (slot + 1) & (map->size - 1);
}

void idmap_free(struct idmap *map)
{
	free(map->slots);
	*map = (struct idmap){ 0 };
}

static void insert(struct idmap *map, uint64_t key, uint32_t index)
{
	size_t slot = home(map, key);

	while (map->slots[slot].index)
		slot = next_slot(map, slot);
	map->slots[slot] = (struct idmap_slot){ key, index };
	map->used++;
}

static int grow(struct idmap *map)
{
	struct idmap larger = { .size = map->size ? map->size * 2 : SIZE_FIRST };

	larger.slots = calloc(larger.size, sizeof(*larger.slots));
	if (!larger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < map->size; i++) {
		if (map->slots[i].index)
			insert(&larger, map->slots[i].key, map->slots[i].index);
	}
	free(map->slots);
	*map = larger;
	return 0;
}

int idmap_add(struct idmap *map, uint64_t key, uint32_t index)
{
	if (map->used >= map->size / 2) {
		int error = grow(map);

		if (error)
			return error;
	}
	insert(map, key, index);
	return 0;
}

/* Fills the hole with what could not have its home slot because of it. */
static void close_hole(struct idmap *map, size_t hole)
{
	size_t mask = map->size - 1;

	for (size_t slot = next_slot(map, hole); map->slots[slot].index;
		slot = next_slot(map, slot)) {
		size_t from_home = (slot - home(map, map->slots[slot].key)) & mask;
		size_t from_hole = (slot - hole) & mask;

		if (from_home < from_hole)
			continue;
		map->slots[hole] = map->slots[slot];
		hole = slot;
	}
	map->slots[hole] = (struct idmap_slot){ 0 };
}

void idmap_remove(struct idmap *map, uint64_t key, uint32_t index)
{
	size_t slot;

	if (!map->size)
		return;
	for (slot = home(map, key); map->slots[slot].index; slot = next_slot(map, slot)) {
		if (map->slots[slot].key == key && map->slots[slot].index == index) {
			close_hole(map, slot);
			map->used--;
			return;
		}
	}
}

uint32_t idmap_find(const struct idmap *map, uint64_t key, uint32_t after)
{
	if (!map->size)
		return 0;
	for (size_t slot = home(map, key); map->slots[slot].index; slot = next_slot(map, slot)) {
		if (map->slots[slot].key != key)
			continue;
		if (!after)
			return map->slots[slot].index;
		if (map->slots[slot].index == after)
			after = 0;
	}
	return 0;
}
