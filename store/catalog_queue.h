/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Notes on entries that wait to be written to the catalog.  Most hidden entries live for
 * a short time only: when one goes while the note of its hiding still waits, both cancel
 * out and the database never sees it.  Memory is bounded: what does not fit is counted
 * and lost.  Not locked: the catalog's matter.
 */
#ifndef RELINKFS_STORE_CATALOG_QUEUE_H
#define RELINKFS_STORE_CATALOG_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/entry.h"
#include "store/idmap.h"

#define CATALOG_QUEUE_MAX 65536
#define CATALOG_QUEUE_BYTES_MAX (16u << 20) /* of paths */

struct catalog_note {
	uint64_t id; /* 0: cancelled */
	bool gone;   /* else hidden */
	int64_t when;
	struct entry_record record; /* hidden */
	char *path;                 /* hidden */
};

/* All zero is an empty queue. */
struct catalog_queue {
	struct catalog_note *notes; /* in the order in which they came */
	size_t count, size;
	size_t live;         /* notes that are not cancelled */
	size_t bytes;        /* of paths */
	struct idmap hidden; /* id -> position + 1 of the note of its hiding */
	uint64_t lost;
};

void catalog_queue_hidden(
	struct catalog_queue *queue, const struct entry_record *record, const char *path);
void catalog_queue_gone(struct catalog_queue *queue, uint64_t id, int64_t when);

/* Frees the notes; the queue is then empty, with nothing lost. */
void catalog_queue_clear(struct catalog_queue *queue);

#endif
