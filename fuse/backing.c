/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/backing.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "store/log.h"
#include "store/util.h"

/* So many mounts beneath one source; the index has 16 bits, the shown st_ino 8 of them. */
#define BACKINGS_MAX 256
#define INO_FS_SHIFT 56

struct backing {
	int mount_fd; /* O_RDONLY directory (or file) on that mount, for open_by_handle_at() */
	int mount_id;
	dev_t dev;
};

struct backings {
	bool handles_usable; /* we have the right to open by handle */
	pthread_mutex_t lock;
	/* Append only: entries below count never change, and are read without the lock. */
	_Atomic unsigned count;
	struct backing list[BACKINGS_MAX];
};

union handle_buffer {
	struct file_handle handle;
	char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
};

static int handle_of(int dirfd, const char *name, int flags, union handle_buffer *buffer,
		     int *mount_id)
{
	buffer->handle.handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(dirfd, name, &buffer->handle, mount_id, flags) == 0)
		return 0;
	return -errno;
}

static int mount_id_of(int dirfd, const char *name, int flags)
{
	struct statx stx;

	if (statx(dirfd, name, flags | AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, STATX_MNT_ID,
		  &stx) < 0)
		return -errno;
	return (int)stx.stx_mnt_id;
}

uint64_t backing_ino(uint16_t fs, uint64_t ino)
{
	return ino ^ (uint64_t)fs << INO_FS_SHIFT;
}

bool backing_durable(uint16_t fs)
{
	return fs == 0;
}

/* A name may be a mount point of its own; the fd opened here stays on that mount. */
static int backing_add_locked(struct backings *backings, int dirfd, const char *name, int mount_id,
			      dev_t dev)
{
	unsigned count = backings->count;
	struct backing *added;
	char path[PROC_FD_PATH_SIZE];
	int fd;

	if (count == BACKINGS_MAX)
		return -ENFILE;
	if (*name)
		fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	else
		fd = open(proc_fd_path(dirfd, path), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	added = &backings->list[count];
	added->mount_fd = fd;
	added->mount_id = mount_id;
	added->dev = dev;
	backings->count = count + 1;
	if (count > 0)
		log_warn("another filesystem is mounted beneath the source (device %u:%u): its "
			 "unlinked files work, but are not durable",
			 major(dev), minor(dev));
	return (int)count;
}

/* Index of the backing filesystem with that mount id; adds it when it is new. */
static int backing_index(struct backings *backings, int mount_id, int dirfd, const char *name,
			 dev_t dev)
{
	unsigned i, count = backings->count;
	int index = -1;

	for (i = 0; i < count; i++)
		if (backings->list[i].mount_id == mount_id)
			return (int)i;
	pthread_mutex_lock(&backings->lock);
	for (i = 0; i < backings->count && index < 0; i++)
		if (backings->list[i].mount_id == mount_id)
			index = (int)i;
	if (index < 0)
		index = backing_add_locked(backings, dirfd, name, mount_id, dev);
	pthread_mutex_unlock(&backings->lock);
	return index;
}

static void key_by_inode(struct node_key *key, const struct stat *st)
{
	uint64_t dev = st->st_dev, ino = st->st_ino;

	memcpy(key->bytes, &dev, sizeof(dev));
	memcpy(key->bytes + sizeof(dev), &ino, sizeof(ino));
}

static int identify(struct backings *backings, int dirfd, const char *name, int handle_flags,
		    struct node_key *key, struct stat *st)
{
	union handle_buffer buffer;
	int mount_id, index, error;
	bool handle = false;

	memset(key, 0, sizeof(*key));
	error = handle_of(dirfd, name, handle_flags, &buffer, &mount_id);
	if (error == -EOPNOTSUPP || error == -EOVERFLOW) {
		mount_id = mount_id_of(dirfd, name, handle_flags);
		error = mount_id < 0 ? mount_id : 0;
	} else if (!error) {
		handle = backings->handles_usable && buffer.handle.handle_bytes <= NODE_KEY_BYTES;
	}
	if (error)
		return error;
	if (fstatat(dirfd, name, st, handle_flags | AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	index = backing_index(backings, mount_id, dirfd, name, st->st_dev);
	if (index < 0)
		return index;
	key->fs = (uint16_t)index;
	if (handle) {
		key->len = (uint8_t)buffer.handle.handle_bytes;
		key->type = buffer.handle.handle_type;
		memcpy(key->bytes, buffer.handle.f_handle, key->len);
	} else {
		key_by_inode(key, st);
	}
	st->st_ino = backing_ino(key->fs, st->st_ino);
	return 0;
}

int backing_identify(struct backings *backings, int fd, struct node_key *key, struct stat *st)
{
	return identify(backings, fd, "", AT_EMPTY_PATH, key, st);
}

int backing_identify_at(struct backings *backings, int dirfd, const char *name,
			struct node_key *key, struct stat *st)
{
	return identify(backings, dirfd, name, 0, key, st);
}

int backing_open(const struct backings *backings, const struct node_key *key, int flags)
{
	union handle_buffer buffer;
	int fd;

	if (node_key_needs_fd(key))
		return -ESTALE;
	buffer.handle.handle_bytes = key->len;
	buffer.handle.handle_type = key->type;
	memcpy(buffer.handle.f_handle, key->bytes, key->len);
	fd = open_by_handle_at(backings->list[key->fs].mount_fd, &buffer.handle, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int backing_stat(const struct backings *backings, uint16_t fs, int fd, struct stat *st)
{
	if (fstatat(fd, "", st, AT_EMPTY_PATH) < 0)
		return -errno;
	st->st_ino = backing_ino(fs, st->st_ino);
	return 0;
}

/* Handles are of use only if this process may also open by them. */
static bool handles_usable(struct backings *backings, int source_fd)
{
	union handle_buffer buffer;
	int mount_id, fd;

	if (handle_of(source_fd, "", AT_EMPTY_PATH, &buffer, &mount_id))
		return false;
	fd = open_by_handle_at(source_fd, &buffer.handle, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

int backings_new(int source_fd, struct backings **out)
{
	struct backings *backings = calloc(1, sizeof(*backings));
	struct node_key key;
	struct stat st;
	int error;

	if (!backings)
		return -ENOMEM;
	pthread_mutex_init(&backings->lock, NULL);
	backings->handles_usable = handles_usable(backings, source_fd);
	error = backing_identify(backings, source_fd, &key, &st);
	if (error) {
		backings_free(backings);
		return error;
	}
	if (!backings->handles_usable)
		log_info("no file handles here (filesystem or rights): one fd is kept per inode");
	*out = backings;
	return 0;
}

void backings_free(struct backings *backings)
{
	unsigned i;

	if (!backings)
		return;
	for (i = 0; i < backings->count; i++)
		close(backings->list[i].mount_fd);
	pthread_mutex_destroy(&backings->lock);
	free(backings);
}
