/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/handle.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/util.h"

struct handle_local {
	int fd_plus1; /* so that untouched memory says "none" */
	struct dir_stream *dir;
};

struct handles {
	struct arena *arena;
	struct handle_local *local; /* by index; sparse */
};

int handles_new(struct arena *arena, struct handles **out)
{
	struct handles *handles = calloc(1, sizeof(*handles));

	if (!handles)
		return -ENOMEM;
	handles->arena = arena;
	handles->local = mmap(NULL, (size_t)HANDLES_MAX * sizeof(*handles->local),
			      PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			      -1, 0);
	if (handles->local == MAP_FAILED) {
		free(handles);
		return -ENOMEM;
	}
	*out = handles;
	return 0;
}

static void local_end(struct handle_local *local)
{
	if (local->fd_plus1)
		close(local->fd_plus1 - 1);
	if (local->dir) {
		pthread_mutex_destroy(&local->dir->lock);
		free(local->dir);
	}
	memset(local, 0, sizeof(*local));
}

void handles_free(struct handles *handles)
{
	uint32_t i, high;

	if (!handles)
		return;
	high = arena_high(handles->arena, ARENA_HANDLES);
	for (i = 1; i < high; i++)
		local_end(&handles->local[i]);
	munmap(handles->local, (size_t)HANDLES_MAX * sizeof(*handles->local));
	free(handles);
}

static struct handle_record *handle_at(const struct handles *handles, uint64_t fh)
{
	struct handle_record *handle;

	if (!fh || fh >= HANDLES_MAX)
		return NULL;
	handle = arena_at(handles->arena, ARENA_HANDLES, (uint32_t)fh);
	return handle->node ? handle : NULL;
}

int handle_new(struct handles *handles, uint64_t node, int flags, bool directory, int fd,
	       uint64_t *fh)
{
	struct dir_stream *dir = NULL;
	struct handle_record *handle;
	uint32_t index = 0;

	if (directory)
		dir = calloc(1, sizeof(*dir));
	if (!directory || dir)
		index = arena_alloc(handles->arena, ARENA_HANDLES);
	if (!index) {
		free(dir);
		close(fd);
		return -ENOMEM;
	}
	if (dir)
		pthread_mutex_init(&dir->lock, NULL);
	handles->local[index].fd_plus1 = fd + 1;
	handles->local[index].dir = dir;
	handle = arena_at(handles->arena, ARENA_HANDLES, index);
	handle->flags = (uint32_t)flags;
	handle->directory = directory;
	handle->node = node;
	*fh = index;
	return 0;
}

int handle_fd(const struct handles *handles, uint64_t fh)
{
	return handle_at(handles, fh) ? handles->local[fh].fd_plus1 - 1 : -EBADF;
}

struct dir_stream *handle_dir(const struct handles *handles, uint64_t fh)
{
	return handle_at(handles, fh) ? handles->local[fh].dir : NULL;
}

int handle_flags(const struct handles *handles, uint64_t fh)
{
	const struct handle_record *handle = handle_at(handles, fh);

	return handle ? (int)handle->flags : 0;
}

void handle_end(struct handles *handles, uint64_t fh)
{
	struct handle_record *handle = handle_at(handles, fh);

	if (!handle)
		return;
	local_end(&handles->local[fh]);
	handle->node = 0;
	arena_release(handles->arena, ARENA_HANDLES, (uint32_t)fh);
}
