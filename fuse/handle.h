/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Open file descriptions, as the kernel names them to us ("fh"): the record in the
 * session state says what was opened and how, the fd belongs to this process.
 */
#ifndef RELINKFS_FUSE_HANDLE_H
#define RELINKFS_FUSE_HANDLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/arena.h"

#define HANDLES_MAX (1u << 24)

/* In the session state; 24 bytes. */
struct handle_record {
	uint64_t node;  /* node id; 0: free */
	uint32_t flags; /* open(2) flags with which the fd was, or is to be, opened */
	uint32_t directory;
	uint64_t reserved;
};

/* The position of one open directory: raw getdents64() records and how far they were given out. */
struct dir_stream {
	pthread_mutex_t lock;
	int64_t next;        /* offset that the next record to give out follows */
	uint32_t filled, at; /* bytes in buffer, and given out */
	char buffer[16 << 10] __attribute__((aligned(8)));
};

struct handles;

int handles_new(struct arena *arena, struct handles **out);
void handles_free(struct handles *handles);

/* A new handle with @fd (taken, also on error).  0 or -errno. */
int handle_new(struct handles *handles, uint64_t node, int flags, bool directory, int fd,
	       uint64_t *fh);

/* Its fd, or -EBADF.  Valid until handle_end(); the kernel sends no request after RELEASE. */
int handle_fd(const struct handles *handles, uint64_t fh);

/* Of a directory: its position; NULL for another kind or a bad handle. */
struct dir_stream *handle_dir(const struct handles *handles, uint64_t fh);

/* Flags it was opened with; 0 for a bad handle. */
int handle_flags(const struct handles *handles, uint64_t fh);

/* Closes and frees. */
void handle_end(struct handles *handles, uint64_t fh);

#endif
