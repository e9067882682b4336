/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Variable-length bytes in the session state: chains of chunks of ARENA_TEXT, known by
 * the index of their first chunk.  Index 0 is the empty text.  Thread-safe; a text is
 * never changed once it was put.
 *
 * So that a kill between two instructions can only lose chunks, never leave a record
 * with a text that is gone: put the text, then store its index in the record; clear the
 * index in the record, then free the text.  Lost chunks come back by text_sweep().
 */
#ifndef RELINKFS_STORE_TEXT_H
#define RELINKFS_STORE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "store/arena.h"

/* record_size of ARENA_TEXT in the arena's spec. */
#define TEXT_CHUNK_SIZE 64
/* Longest text: a path of the largest size and more. */
#define TEXT_SIZE_MAX 65536

/* Chunks that one text of @size bytes takes. */
#define TEXT_CHUNKS(size) (((size) + 4 + 59) / 60)

/* 0, -ENOSPC when the table is full, -EMSGSIZE over TEXT_SIZE_MAX.  @bytes may hold any bytes. */
int text_put(struct arena *arena, const void *bytes, size_t size, uint32_t *out);

/*
 * A copy, malloc'd, with a NUL byte after it that *size (may be NULL) does not count.
 * 0, -ENOMEM, -EPROTO when there is no whole text at @text.
 */
int text_get(const struct arena *arena, uint32_t text, char **out, size_t *size);

/* Gives the chunks back; @text 0 is nothing to do.  No record may name it any more. */
void text_free(struct arena *arena, uint32_t text);

/*
 * After arena_attach(), before other threads run: frees every chunk that is of none of
 * the texts that @next gives.  @next returns one text of the live records at each call,
 * and 0 when there are no more.  0 or -ENOMEM (and then nothing was freed).
 */
int text_sweep(struct arena *arena, uint32_t (*next)(void *ctx), void *ctx, uint32_t *freed);

#endif
