/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/catalog_queue.h"

#include <stdlib.h>
#include <string.h>

#include "store/util.h"

static struct catalog_note *append(struct catalog_queue *queue)
{
	struct catalog_note *notes;
	size_t size;

	if (queue->count == CATALOG_QUEUE_MAX)
		return NULL;
	if (queue->count == queue->size) {
		size = queue->size ? queue->size * 2 : 256;
		notes = reallocarray(queue->notes, size, sizeof(*notes));
		if (!notes)
			return NULL;
		queue->notes = notes;
		queue->size = size;
	}
	return &queue->notes[queue->count];
}

void catalog_queue_hidden(
	struct catalog_queue *queue, const struct entry_record *record, const char *path)
{
	size_t length = strlen(path);
	bool fits = queue->bytes + length <= CATALOG_QUEUE_BYTES_MAX;
	struct catalog_note *note = fits ? append(queue) : NULL;
	autofree char *copy = note ? strdup(path) : NULL;

	if (!copy || idmap_add(&queue->hidden, record->id, (uint32_t)queue->count + 1)) {
		queue->lost++;
		return;
	}
	*note = (struct catalog_note){
		.id = record->id, .record = *record, .path = steal_ptr(&copy)
	};
	queue->count++;
	queue->live++;
	queue->bytes += length;
}

void catalog_queue_gone(struct catalog_queue *queue, uint64_t id, int64_t when)
{
	uint32_t position = idmap_find(&queue->hidden, id, 0);
	struct catalog_note *note;

	if (position) {
		note = &queue->notes[position - 1];
		idmap_remove(&queue->hidden, id, position);
		queue->bytes -= strlen(note->path);
		free(steal_ptr(&note->path));
		note->id = 0;
		queue->live--;
		return;
	}
	note = append(queue);
	if (!note) {
		queue->lost++;
		return;
	}
	*note = (struct catalog_note){ .id = id, .gone = true, .when = when };
	queue->count++;
	queue->live++;
}

void catalog_queue_clear(struct catalog_queue *queue)
{
	for (size_t i = 0; i < queue->count; i++)
		free(queue->notes[i].path);
	free(queue->notes);
	idmap_free(&queue->hidden);
	memset(queue, 0, sizeof(*queue));
}
