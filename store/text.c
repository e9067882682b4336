/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/text.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "store/util.h"

/* The data of a text: its size as uint32_t, then its bytes, cut into pieces. */
struct chunk {
	uint32_t next; /* 0: the last one */
	char data[TEXT_CHUNK_SIZE - sizeof(uint32_t)];
};
static_assert(sizeof(struct chunk) == TEXT_CHUNK_SIZE, "a chunk is one record");

static struct chunk *chunk_at(const struct arena *arena, uint32_t index)
{
	return arena_at(arena, ARENA_TEXT, index);
}

/* Copies what comes next of @size and @bytes, as one stream from @from on, into a chunk. */
static size_t fill(struct chunk *chunk, uint32_t size, const char *bytes, size_t from)
{
	size_t head = from == 0 ? sizeof(size) : 0;
	size_t n = sizeof(chunk->data) - head;

	if (n > size - from)
		n = size - from;
	if (head)
		memcpy(chunk->data, &size, head);
	if (n)
		memcpy(chunk->data + head, bytes + from, n);
	return n;
}

int text_put(struct arena *arena, const void *bytes, size_t size, uint32_t *out)
{
	struct chunk *last = NULL;
	uint32_t first = 0;
	size_t done = 0;

	if (size > TEXT_SIZE_MAX)
		return -EMSGSIZE;
	while (done < size) {
		uint32_t index = arena_alloc(arena, ARENA_TEXT);

		if (!index) {
			text_free(arena, first);
			return -ENOSPC;
		}
		done += fill(chunk_at(arena, index), (uint32_t)size, bytes, done);
		if (last)
			last->next = index;
		else
			first = index;
		last = chunk_at(arena, index);
	}
	*out = first;
	return 0;
}

int text_get(const struct arena *arena, uint32_t text, char **out, size_t *size)
{
	autofree char *copy = NULL;
	uint32_t total = 0;
	size_t done = 0;

	if (text && !arena_live(arena, ARENA_TEXT, text))
		return -EPROTO;
	if (text)
		memcpy(&total, chunk_at(arena, text)->data, sizeof(total));
	if (total > TEXT_SIZE_MAX)
		return -EPROTO;
	copy = malloc((size_t)total + 1);
	if (!copy)
		return -ENOMEM;
	while (done < total) {
		const struct chunk *chunk;
		size_t head = done == 0 ? sizeof(total) : 0;
		size_t n = sizeof(chunk->data) - head;

		if (!arena_live(arena, ARENA_TEXT, text))
			return -EPROTO;
		chunk = chunk_at(arena, text);
		if (n > total - done)
			n = total - done;
		memcpy(copy + done, chunk->data + head, n);
		done += n;
		text = chunk->next;
	}
	copy[total] = '\0';
	*out = steal_ptr(&copy);
	if (size)
		*size = total;
	return 0;
}

void text_free(struct arena *arena, uint32_t text)
{
	while (text) {
		uint32_t next = chunk_at(arena, text)->next;

		arena_release(arena, ARENA_TEXT, text);
		text = next;
	}
}

int text_sweep(struct arena *arena, uint32_t (*next)(void *ctx), void *ctx, uint32_t *freed)
{
	uint32_t high = arena_high(arena, ARENA_TEXT);
	autofree bool *used = calloc(high, sizeof(*used));
	uint32_t text, count = 0;

	if (!used)
		return -ENOMEM;
	while ((text = next(ctx)) != 0) {
		/* A chunk seen before ends the walk: a damaged chain may be a ring. */
		while (text && text < high && !used[text]) {
			used[text] = true;
			text = chunk_at(arena, text)->next;
		}
	}
	for (uint32_t index = 1; index < high; index++) {
		if (used[index] || !arena_live(arena, ARENA_TEXT, index))
			continue;
		arena_release(arena, ARENA_TEXT, index);
		count++;
	}
	if (freed)
		*freed = count;
	return 0;
}
