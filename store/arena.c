/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Layout of the memfd, every part at a page boundary:
 *
 *	header | meta | bitmap of table 0 | records of table 0 | bitmap of table 1 | ...
 *
 * A record is allocated when its bit is set; nothing else in the memfd says so.  The
 * process may be killed between any two instructions and the next one finds a state
 * that makes sense:
 *   - a record is zeroed before its bit is set, so a live record is never old content;
 *   - `high` is raised before the bit is set, so it bounds all set bits;
 *   - the magic is written last by arena_new(), so a half-made memfd is refused.
 * A record that was allocated and not yet filled in is live and all zero: its owner
 * finds it so on its walk after arena_attach() and releases it.
 *
 * A free record is found through summaries of the bitmap: a bit of level n+1 says that
 * a word of level n is full.  64 to the power of 5 covers every index, so alloc and
 * release touch at most six words.  The lowest free index wins, which keeps the used
 * pages few.  Summaries are derived: they live in this process and are built by
 * arena_attach().
 */
#include "store/arena.h"

#include <assert.h>
#include <errno.h>
#include <linux/memfd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/util.h"

#define ARENA_MAGIC UINT64_C(0x72656c6e6b617265) /* "relnkare" */
#define ARENA_VERSION 1
#define ARENA_PAGE 4096
#define WORD_BITS 64
#define LEVELS_MAX 6

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

struct arena_header {
	_Atomic uint64_t magic;
	uint32_t version;
	uint32_t tables;
	struct arena_spec spec;
	_Atomic uint32_t high[ARENA_TABLES];
};
static_assert(sizeof(struct arena_header) <= ARENA_PAGE, "the header is one page");

typedef _Atomic uint64_t arena_word;

struct summary {
	uint64_t *words; /* a set bit is a full word of the level below */
	size_t count;
};

struct table {
	uint32_t record_size;
	uint32_t max_records;
	arena_word *bitmap; /* in the memfd; read without the mutex */
	char *records;      /* in the memfd */
	_Atomic uint32_t *high;
	_Atomic uint32_t count;

	pthread_mutex_t mutex; /* guards changes of the bitmap, and all below */
	struct summary summary[LEVELS_MAX];
	int levels;
};

struct arena {
	int fd;
	bool attached;
	size_t size;
	char *base;
	struct arena_header *header;
	void *meta;
	struct table table[ARENA_TABLES];
};

/* Byte offsets of the parts. */
struct layout {
	size_t meta;
	size_t bitmap[ARENA_TABLES];
	size_t records[ARENA_TABLES];
	size_t size;
};

static size_t words_for(size_t bits)
{
	return (bits + WORD_BITS - 1) / WORD_BITS;
}

static bool layout_add(struct layout *layout, size_t *offset, size_t size)
{
	*offset = layout->size;
	if (__builtin_add_overflow(layout->size, size, &layout->size) ||
		__builtin_add_overflow(layout->size, ARENA_PAGE - 1, &layout->size))
		return false;
	layout->size &= ~(size_t)(ARENA_PAGE - 1);
	return layout->size <= SIZE_MAX / 4;
}

static int layout_of(const struct arena_spec *spec, struct layout *layout)
{
	*layout = (struct layout){ .size = ARENA_PAGE };
	if (!layout_add(layout, &layout->meta, spec->meta_size))
		return -EINVAL;
	for (int i = 0; i < ARENA_TABLES; i++) {
		const struct arena_table_spec *table = &spec->table[i];
		size_t size;

		if (table->record_size == 0 || table->record_size % 8 != 0 ||
			table->max_records < 2)
			return -EINVAL;
		if (__builtin_mul_overflow(
			    (size_t)table->record_size, (size_t)table->max_records, &size))
			return -EINVAL;
		if (!layout_add(layout, &layout->bitmap[i], words_for(table->max_records) * 8) ||
			!layout_add(layout, &layout->records[i], size))
			return -EINVAL;
	}
	return 0;
}

static int table_init(struct table *table)
{
	size_t words = words_for(table->max_records);

	while (words > 1) {
		struct summary *summary = &table->summary[table->levels];

		words = words_for(words);
		summary->count = words;
		summary->words = calloc(words, sizeof(*summary->words));
		if (!summary->words)
			return -ENOMEM;
		table->levels++;
	}
	return 0;
}

/* Undoes arena_map(), also one that stopped half-way. */
void arena_free(struct arena *arena)
{
	if (!arena)
		return;
	for (int i = 0; i < ARENA_TABLES; i++) {
		struct table *table = &arena->table[i];

		for (int level = 0; level < table->levels; level++)
			free(table->summary[level].words);
		pthread_mutex_destroy(&table->mutex);
	}
	if (arena->base)
		munmap(arena->base, arena->size);
	if (arena->fd >= 0)
		close(arena->fd);
	free(arena);
}

/* Maps @fd, which it takes over also on error; reads nothing of the content. */
static int arena_map(
	int fd, const struct arena_spec *spec, const struct layout *layout, struct arena **out)
{
	struct arena *arena = calloc(1, sizeof(*arena));
	void *base;
	int error;

	if (!arena) {
		close(fd);
		return -ENOMEM;
	}
	arena->fd = fd;
	arena->size = layout->size;
	for (int i = 0; i < ARENA_TABLES; i++)
		pthread_mutex_init(&arena->table[i].mutex, NULL);
	base = mmap(NULL, layout->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (base == MAP_FAILED) {
		error = -errno;
		arena_free(arena);
		return error;
	}
	arena->base = base;
	arena->header = base;
	arena->meta = arena->base + layout->meta;
	for (int i = 0; i < ARENA_TABLES; i++) {
		struct table *table = &arena->table[i];

		table->record_size = spec->table[i].record_size;
		table->max_records = spec->table[i].max_records;
		table->bitmap = (arena_word *)(void *)(arena->base + layout->bitmap[i]);
		table->records = arena->base + layout->records[i];
		table->high = &arena->header->high[i];
		error = table_init(table);
		if (error) {
			arena_free(arena);
			return error;
		}
	}
	*out = arena;
	return 0;
}

/* No code in it, and its size is final: a mapping can never fault beyond its end. */
static int memfd_new(size_t size)
{
	autofd int fd = memfd_create("relinkfs-session", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("relinkfs-session", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0)
		return errno == EFBIG ? -EINVAL : -errno;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	return steal_fd(&fd);
}

int arena_new(const struct arena_spec *spec, struct arena **out)
{
	struct layout layout;
	struct arena *arena;
	int error, fd;

	error = layout_of(spec, &layout);
	if (error)
		return error;
	fd = memfd_new(layout.size);
	if (fd < 0)
		return fd;
	error = arena_map(fd, spec, &layout, &arena);
	if (error)
		return error;
	arena->header->version = ARENA_VERSION;
	arena->header->tables = ARENA_TABLES;
	arena->header->spec = *spec;
	for (int i = 0; i < ARENA_TABLES; i++) {
		atomic_store(&arena->header->high[i], 1);
		atomic_store(&arena->table[i].bitmap[0], 1);
	}
	atomic_store(&arena->header->magic, ARENA_MAGIC);
	*out = arena;
	return 0;
}

static void summary_mark_full(struct table *table, size_t word)
{
	for (int level = 0; level < table->levels; level++) {
		uint64_t *summary = &table->summary[level].words[word / WORD_BITS];

		*summary |= UINT64_C(1) << (word % WORD_BITS);
		if (*summary != UINT64_MAX)
			return;
		word /= WORD_BITS;
	}
}

static void summary_mark_free(struct table *table, size_t word)
{
	for (int level = 0; level < table->levels; level++) {
		uint64_t *summary = &table->summary[level].words[word / WORD_BITS];
		bool was_full = *summary == UINT64_MAX;

		*summary &= ~(UINT64_C(1) << (word % WORD_BITS));
		if (!was_full)
			return;
		word /= WORD_BITS;
	}
}

static int table_attach(struct table *table)
{
	uint32_t high = atomic_load(table->high);
	uint32_t count = 0;

	if (high < 1 || high > table->max_records || !(atomic_load(&table->bitmap[0]) & 1))
		return -EPROTO;
	for (size_t word = 0; word < words_for(high); word++) {
		uint64_t bits = atomic_load(&table->bitmap[word]);

		count += (uint32_t)__builtin_popcountll(bits);
		if (bits == UINT64_MAX)
			summary_mark_full(table, word);
	}
	atomic_store(&table->count, count - 1);
	return 0;
}

static bool spec_equal(const struct arena_spec *a, const struct arena_spec *b)
{
	for (int i = 0; i < ARENA_TABLES; i++) {
		if (a->table[i].record_size != b->table[i].record_size ||
			a->table[i].max_records != b->table[i].max_records)
			return false;
	}
	return a->meta_size == b->meta_size;
}

static int check_header(int fd, const struct arena_spec *spec, const struct layout *layout)
{
	struct arena_header header;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != layout->size)
		return -EPROTO;
	if (pread(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header))
		return -EPROTO;
	if (atomic_load(&header.magic) != ARENA_MAGIC || header.version != ARENA_VERSION ||
		header.tables != ARENA_TABLES || !spec_equal(&header.spec, spec))
		return -EPROTO;
	return 0;
}

int arena_attach(int memfd, const struct arena_spec *spec, struct arena **out)
{
	autofd int fd = memfd;
	struct layout layout;
	struct arena *arena;
	int error;

	error = layout_of(spec, &layout);
	if (!error)
		error = check_header(fd, spec, &layout);
	if (!error)
		error = arena_map(steal_fd(&fd), spec, &layout, &arena);
	if (error)
		return error;
	for (int i = 0; i < ARENA_TABLES && !error; i++)
		error = table_attach(&arena->table[i]);
	if (error) {
		arena_free(arena);
		return error;
	}
	arena->attached = true;
	*out = arena;
	return 0;
}

bool arena_attached(const struct arena *arena)
{
	return arena->attached;
}

int arena_fd(const struct arena *arena)
{
	return arena->fd;
}

void *arena_meta(struct arena *arena)
{
	return arena->meta;
}

/*
 * The lowest free index, or one at or beyond max_records: then the table is full.  The
 * last word of a level has bits for words that there are not; they are never marked
 * full, and so they are come upon only when nothing else is free.
 */
static size_t find_free_locked(const struct table *table)
{
	size_t word = 0;
	uint64_t bits;

	for (int level = table->levels - 1; level >= 0; level--) {
		const struct summary *summary = &table->summary[level];

		if (word >= summary->count || summary->words[word] == UINT64_MAX)
			return SIZE_MAX;
		word = word * WORD_BITS + (size_t)__builtin_ctzll(~summary->words[word]);
	}
	if (word >= words_for(table->max_records))
		return SIZE_MAX;
	bits = atomic_load(&table->bitmap[word]);
	if (bits == UINT64_MAX)
		return SIZE_MAX;
	return word * WORD_BITS + (size_t)__builtin_ctzll(~bits);
}

static void *record_at(const struct table *table, size_t index)
{
	return table->records + index * table->record_size;
}

static uint32_t alloc_locked(struct table *table)
{
	size_t index = find_free_locked(table);
	size_t word = index / WORD_BITS;
	uint64_t bits;

	if (index >= table->max_records)
		return 0;
	memset(record_at(table, index), 0, table->record_size);
	if (atomic_load(table->high) <= index)
		atomic_store(table->high, (uint32_t)index + 1);
	bits = atomic_load(&table->bitmap[word]) | UINT64_C(1) << (index % WORD_BITS);
	atomic_store(&table->bitmap[word], bits);
	if (bits == UINT64_MAX)
		summary_mark_full(table, word);
	atomic_fetch_add(&table->count, 1);
	return (uint32_t)index;
}

uint32_t arena_alloc(struct arena *arena, enum arena_table which)
{
	struct table *table = &arena->table[which];
	uint32_t index;

	pthread_mutex_lock(&table->mutex);
	index = alloc_locked(table);
	pthread_mutex_unlock(&table->mutex);
	return index;
}

void arena_release(struct arena *arena, enum arena_table which, uint32_t index)
{
	struct table *table = &arena->table[which];
	size_t word = index / WORD_BITS;
	uint64_t bit = UINT64_C(1) << (index % WORD_BITS);
	uint64_t bits;

	assert(index > 0 && index < table->max_records);
	pthread_mutex_lock(&table->mutex);
	bits = atomic_load(&table->bitmap[word]);
	assert(bits & bit);
	atomic_store(&table->bitmap[word], bits & ~bit);
	if (bits == UINT64_MAX)
		summary_mark_free(table, word);
	atomic_fetch_sub(&table->count, 1);
	pthread_mutex_unlock(&table->mutex);
}

void *arena_at(const struct arena *arena, enum arena_table which, uint32_t index)
{
	const struct table *table = &arena->table[which];

	assert(index < table->max_records);
	return record_at(table, index);
}

bool arena_live(const struct arena *arena, enum arena_table which, uint32_t index)
{
	const struct table *table = &arena->table[which];

	if (index == 0 || index >= table->max_records)
		return false;
	return atomic_load(&table->bitmap[index / WORD_BITS]) >> (index % WORD_BITS) & 1;
}

uint32_t arena_high(const struct arena *arena, enum arena_table which)
{
	return atomic_load(arena->table[which].high);
}

uint32_t arena_count(const struct arena *arena, enum arena_table which)
{
	return atomic_load(&arena->table[which].count);
}
