/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/arena.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/entry.h"
#include "store/text.h"
#include "store/util.h"

#define NODES 5000

static const struct arena_spec spec = {
	.table = {
		[ARENA_NODES] = { 64, NODES },
		[ARENA_HANDLES] = { 8, 2 },
		[ARENA_ENTRIES] = { sizeof(struct entry_record), 64 },
		[ARENA_TEXT] = { TEXT_CHUNK_SIZE, 200 },
	},
	.meta_size = 100,
};
static struct arena *arena;

static void setup(void)
{
	ck_assert_int_eq(arena_new(&spec, &arena), 0);
}

static void teardown(void)
{
	arena_free(arena);
	arena = NULL;
}

START_TEST(records_are_given_out_zeroed_and_reused)
{
	uint32_t a = arena_alloc(arena, ARENA_NODES);
	uint32_t b = arena_alloc(arena, ARENA_NODES);
	const char *again;

	ck_assert_uint_ne(a, 0);
	ck_assert_uint_ne(b, 0);
	ck_assert_uint_ne(a, b);
	ck_assert(arena_live(arena, ARENA_NODES, a));
	ck_assert_uint_eq(arena_count(arena, ARENA_NODES), 2);
	memset(arena_at(arena, ARENA_NODES, a), 0xff, 64);
	arena_release(arena, ARENA_NODES, a);
	ck_assert(!arena_live(arena, ARENA_NODES, a));
	ck_assert(arena_live(arena, ARENA_NODES, b));
	ck_assert_uint_eq(arena_alloc(arena, ARENA_NODES), a);
	again = arena_at(arena, ARENA_NODES, a);
	for (int i = 0; i < 64; i++)
		ck_assert_int_eq(again[i], 0);
	ck_assert_uint_eq(arena_count(arena, ARENA_NODES), 2);
	ck_assert_uint_eq(arena_high(arena, ARENA_NODES), (a > b ? a : b) + 1);
}
END_TEST

START_TEST(index_zero_and_beyond_are_never_live)
{
	ck_assert(!arena_live(arena, ARENA_NODES, 0));
	ck_assert(!arena_live(arena, ARENA_NODES, NODES));
	ck_assert(!arena_live(arena, ARENA_NODES, UINT32_MAX));
	ck_assert_uint_eq(arena_count(arena, ARENA_NODES), 0);
	ck_assert_uint_eq(arena_high(arena, ARENA_NODES), 1);
}
END_TEST

static void fill_table(enum arena_table table, uint32_t max)
{
	for (uint32_t i = 1; i < max; i++)
		ck_assert_uint_eq(arena_alloc(arena, table), i);
	ck_assert_uint_eq(arena_alloc(arena, table), 0);
	ck_assert_uint_eq(arena_count(arena, table), max - 1);
	ck_assert_uint_eq(arena_high(arena, table), max);
}

START_TEST(a_full_table_says_so_and_takes_up_again)
{
	static const uint32_t some[] = { 1, 63, 64, 65, 4095, 4096, 4097, NODES - 1 };

	fill_table(ARENA_NODES, NODES);
	fill_table(ARENA_HANDLES, 2);
	fill_table(ARENA_ENTRIES, 64);
	for (size_t i = 0; i < ARRAY_SIZE(some); i++)
		arena_release(arena, ARENA_NODES, some[i]);
	for (size_t i = 0; i < ARRAY_SIZE(some); i++)
		ck_assert_uint_eq(arena_alloc(arena, ARENA_NODES), some[i]);
	ck_assert_uint_eq(arena_alloc(arena, ARENA_NODES), 0);
}
END_TEST

START_TEST(tables_do_not_overlap)
{
	const char *meta = arena_meta(arena);

	for (int table = 0; table < ARENA_TABLES; table++) {
		uint32_t index = arena_alloc(arena, (enum arena_table)table);

		memset(arena_at(arena, (enum arena_table)table, index), 0x11 * (table + 1),
			spec.table[table].record_size);
	}
	for (int table = 0; table < ARENA_TABLES; table++) {
		const unsigned char *at = arena_at(arena, (enum arena_table)table, 1);

		for (uint32_t i = 0; i < spec.table[table].record_size; i++)
			ck_assert_uint_eq(at[i], 0x11 * ((unsigned)table + 1));
	}
	for (uint32_t i = 0; i < spec.meta_size; i++)
		ck_assert_int_eq(meta[i], 0);
}
END_TEST

static void expect_invalid(struct arena_table_spec table)
{
	struct arena_spec bad = spec;
	struct arena *none = NULL;

	bad.table[ARENA_TEXT] = table;
	ck_assert_int_eq(arena_new(&bad, &none), -EINVAL);
	ck_assert_ptr_null(none);
}

START_TEST(impossible_specs_are_refused)
{
	expect_invalid((struct arena_table_spec){ 0, 10 });
	expect_invalid((struct arena_table_spec){ 12, 10 });
	expect_invalid((struct arena_table_spec){ 64, 1 });
	expect_invalid((struct arena_table_spec){ UINT32_MAX - 7, UINT32_MAX });
}
END_TEST

START_TEST(the_memfd_is_sparse_private_and_of_final_size)
{
	struct arena_spec big = spec;
	struct arena *large;
	struct stat st;

	big.table[ARENA_NODES] = (struct arena_table_spec){ 192, 1 << 24 };
	ck_assert_int_eq(arena_new(&big, &large), 0);
	ck_assert_uint_eq(arena_alloc(large, ARENA_NODES), 1);
	ck_assert_int_eq(fstat(arena_fd(large), &st), 0);
	ck_assert_int_gt(st.st_size, INT64_C(192) << 24);
	ck_assert_int_lt(st.st_blocks, 1024);
	ck_assert_int_eq(fcntl(arena_fd(large), F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(ftruncate(arena_fd(large), 0), -1);
	arena_free(large);
}
END_TEST

static int dup_of(const struct arena *of)
{
	int fd = fcntl(arena_fd(of), F_DUPFD_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	return fd;
}

START_TEST(attach_refuses_another_shape)
{
	struct arena *other = NULL;
	struct arena_spec changed = spec;
	int fd;

	changed.meta_size++;
	ck_assert_int_eq(arena_attach(dup_of(arena), &changed, &other), -EPROTO);
	changed = spec;
	changed.table[ARENA_NODES].max_records--;
	ck_assert_int_eq(arena_attach(dup_of(arena), &changed, &other), -EPROTO);
	changed = spec;
	changed.table[ARENA_HANDLES].record_size *= 2;
	fd = dup_of(arena);
	ck_assert_int_eq(arena_attach(fd, &changed, &other), -EPROTO);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(arena_attach(fd, &spec, &other), -EPROTO);
	fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	ck_assert_int_eq(arena_attach(fd, &spec, &other), -EPROTO);
	ck_assert_int_eq(arena_attach(-1, &spec, &other), -EBADF);
	ck_assert_ptr_null(other);
}
END_TEST

START_TEST(attach_refuses_a_damaged_header)
{
	struct arena *other = NULL;
	uint64_t zero = 0;

	ck_assert_int_eq(pwrite(arena_fd(arena), &zero, sizeof(zero), 0), sizeof(zero));
	ck_assert_int_eq(arena_attach(dup_of(arena), &spec, &other), -EPROTO);
	ck_assert_ptr_null(other);
}
END_TEST

START_TEST(attach_finds_everything_again)
{
	struct arena *other;
	uint32_t last = 0;

	for (int i = 0; i < 3000; i++)
		last = arena_alloc(arena, ARENA_NODES);
	memcpy(arena_at(arena, ARENA_NODES, last), "content", 8);
	memcpy(arena_meta(arena), "meta", 5);
	arena_release(arena, ARENA_NODES, 70);
	ck_assert_int_eq(arena_attach(dup_of(arena), &spec, &other), 0);
	teardown();

	ck_assert(arena_attached(other));
	ck_assert_str_eq(arena_at(other, ARENA_NODES, last), "content");
	ck_assert_str_eq(arena_meta(other), "meta");
	ck_assert_uint_eq(arena_count(other, ARENA_NODES), 2999);
	ck_assert_uint_eq(arena_high(other, ARENA_NODES), last + 1);
	ck_assert_uint_eq(arena_alloc(other, ARENA_NODES), 70);
	ck_assert_uint_eq(arena_alloc(other, ARENA_NODES), last + 1);
	arena_free(other);
}
END_TEST

/*
 * Allocates and releases for ever.  A record says that it is owned by its own index,
 * from after its allocation until before its release.
 */
static _Noreturn void churn(int ready)
{
	uint32_t held[600] = { 0 };
	unsigned random = 1;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned long round = 0;; round++) {
		uint32_t *slot, index;

		random = random * 1103515245 + 12345;
		slot = &held[(random >> 8) % ARRAY_SIZE(held)];
		if (*slot) {
			memset(arena_at(arena, ARENA_NODES, *slot), 0xee, 64);
			arena_release(arena, ARENA_NODES, *slot);
			*slot = 0;
		} else {
			*slot = index = arena_alloc(arena, ARENA_NODES);
			memcpy(arena_at(arena, ARENA_NODES, index), &index, sizeof(index));
		}
		if (round == 5000 && write(ready, "", 1) != 1)
			_exit(1);
	}
}

static void check_attached_after_kill(int memfd)
{
	struct arena *next;
	uint32_t live = 0, unfinished = 0;

	ck_assert_int_eq(arena_attach(memfd, &spec, &next), 0);
	for (uint32_t i = 1; i < arena_high(next, ARENA_NODES); i++) {
		uint32_t content;

		if (!arena_live(next, ARENA_NODES, i))
			continue;
		live++;
		memcpy(&content, arena_at(next, ARENA_NODES, i), sizeof(content));
		unfinished += content != i;
	}
	ck_assert_uint_eq(live, arena_count(next, ARENA_NODES));
	ck_assert_uint_gt(live, 0);
	ck_assert_uint_le(unfinished, 1);
	for (uint32_t i = live; i < NODES - 1; i++)
		ck_assert_uint_ne(arena_alloc(next, ARENA_NODES), 0);
	ck_assert_uint_eq(arena_alloc(next, ARENA_NODES), 0);
	arena_free(next);
}

START_TEST(attach_after_the_owner_was_killed)
{
	char byte;
	int ready[2], status;
	pid_t pid;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		churn(ready[1]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	check_attached_after_kill(dup_of(arena));
	close(ready[0]);
	close(ready[1]);
}
END_TEST

#define THREADS 4

static _Atomic unsigned char owners[NODES];

static void *hammer(void *arg)
{
	uint32_t held[200] = { 0 };
	unsigned random = (unsigned)(uintptr_t)arg;

	for (int round = 0; round < 20000; round++) {
		uint32_t *slot;

		random = random * 1103515245 + 12345;
		slot = &held[(random >> 8) % ARRAY_SIZE(held)];
		if (*slot) {
			ck_assert(arena_live(arena, ARENA_NODES, *slot));
			atomic_fetch_sub(&owners[*slot], 1);
			arena_release(arena, ARENA_NODES, *slot);
			*slot = 0;
		} else {
			*slot = arena_alloc(arena, ARENA_NODES);
			ck_assert_uint_ne(*slot, 0);
			ck_assert_uint_eq(atomic_fetch_add(&owners[*slot], 1), 0);
			memset(arena_at(arena, ARENA_NODES, *slot), 1, 64);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(held); i++) {
		if (!held[i])
			continue;
		atomic_fetch_sub(&owners[held[i]], 1);
		arena_release(arena, ARENA_NODES, held[i]);
	}
	return NULL;
}

START_TEST(threads_never_share_a_record)
{
	pthread_t threads[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, hammer, (void *)(i + 1)), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(arena_count(arena, ARENA_NODES), 0);
	ck_assert_uint_le(arena_high(arena, ARENA_NODES), THREADS * 200 + 1);
}
END_TEST

static void check_text(const char *bytes, size_t size)
{
	autofree char *copy = NULL;
	uint32_t before = arena_count(arena, ARENA_TEXT), text = 99;
	size_t length = 99;

	ck_assert_int_eq(text_put(arena, bytes, size, &text), 0);
	ck_assert_int_eq(text_get(arena, text, &copy, &length), 0);
	ck_assert_uint_eq(length, size);
	ck_assert_mem_eq(copy, bytes, size);
	ck_assert_int_eq(copy[size], 0);
	if (size)
		ck_assert_uint_eq(arena_count(arena, ARENA_TEXT) - before, TEXT_CHUNKS(size));
	text_free(arena, text);
	ck_assert_uint_eq(arena_count(arena, ARENA_TEXT), before);
}

START_TEST(texts_of_all_sizes)
{
	char bytes[4096];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7);
	for (size_t size = 0; size < 300; size++)
		check_text(bytes, size);
	check_text(bytes, sizeof(bytes));
}
END_TEST

START_TEST(a_text_too_long_or_for_which_there_is_no_room)
{
	autofree char *bytes = calloc(1, TEXT_SIZE_MAX + 1);
	uint32_t text = 0;

	ck_assert_int_eq(text_put(arena, bytes, TEXT_SIZE_MAX + 1, &text), -EMSGSIZE);
	ck_assert_int_eq(text_put(arena, bytes, TEXT_SIZE_MAX, &text), -ENOSPC);
	ck_assert_uint_eq(arena_count(arena, ARENA_TEXT), 0);
	check_text(bytes, 199 * 60 - 4);
}
END_TEST

START_TEST(a_damaged_text_is_not_believed)
{
	char *none = NULL;
	uint32_t text, ring[2];

	ck_assert_int_eq(text_get(arena, 5, &none, NULL), -EPROTO);
	ck_assert_int_eq(text_get(arena, 100000, &none, NULL), -EPROTO);
	ck_assert_int_eq(text_put(arena, "abc", 3, &text), 0);
	ring[0] = 0;
	ring[1] = 1000;
	memcpy(arena_at(arena, ARENA_TEXT, text), ring, sizeof(ring));
	ck_assert_int_eq(text_get(arena, text, &none, NULL), -EPROTO);
	ring[1] = UINT32_MAX;
	memcpy(arena_at(arena, ARENA_TEXT, text), ring, sizeof(ring));
	ck_assert_int_eq(text_get(arena, text, &none, NULL), -EPROTO);
	ck_assert_ptr_null(none);
}
END_TEST

static uint32_t next_text(void *ctx)
{
	uint32_t **at = ctx;

	return **at ? *(*at)++ : 0;
}

START_TEST(a_sweep_frees_what_nobody_names)
{
	autofree char *copy = NULL;
	uint32_t kept[3] = { 0 }, lost, freed = 0;
	uint32_t *at = kept;
	char bytes[200];

	memset(bytes, 'x', sizeof(bytes));
	ck_assert_int_eq(text_put(arena, bytes, sizeof(bytes), &kept[0]), 0);
	ck_assert_int_eq(text_put(arena, bytes, sizeof(bytes), &lost), 0);
	ck_assert_int_eq(text_put(arena, "kept", 4, &kept[1]), 0);
	ck_assert_int_eq(text_sweep(arena, next_text, &at, &freed), 0);
	ck_assert_uint_eq(freed, TEXT_CHUNKS(sizeof(bytes)));
	ck_assert_int_eq(text_get(arena, kept[1], &copy, NULL), 0);
	ck_assert_str_eq(copy, "kept");
	ck_assert_uint_eq(
		arena_count(arena, ARENA_TEXT), TEXT_CHUNKS(sizeof(bytes)) + TEXT_CHUNKS(4));
	ck_assert(!arena_live(arena, ARENA_TEXT, lost));
}
END_TEST

START_TEST(entry_transitions)
{
	static const bool expected[4][4] = {
		[ENTRY_FREE] = { false, true, true, true },
		[ENTRY_HIDDEN] = { true, false, true, true },
		[ENTRY_MOVED] = { true, true, false, false },
		[ENTRY_PINNED] = { true, false, false, false },
	};

	for (int from = 0; from < 4; from++) {
		for (int to = 0; to < 4; to++)
			ck_assert_int_eq(entry_transition_allowed(
						 (enum entry_state)from, (enum entry_state)to),
				expected[from][to]);
	}
	ck_assert(!entry_transition_allowed((enum entry_state)4, ENTRY_FREE));
	ck_assert(!entry_transition_allowed(ENTRY_FREE, (enum entry_state)9));
	ck_assert_str_eq(entry_state_name(ENTRY_HIDDEN), "hidden");
	ck_assert_str_eq(entry_state_name(ENTRY_PINNED), "pinned");
	ck_assert_str_eq(entry_state_name((enum entry_state)77), "unknown");
}
END_TEST

static void add_arena_tests(TCase *tcase)
{
	tcase_add_test(tcase, records_are_given_out_zeroed_and_reused);
	tcase_add_test(tcase, index_zero_and_beyond_are_never_live);
	tcase_add_test(tcase, a_full_table_says_so_and_takes_up_again);
	tcase_add_test(tcase, tables_do_not_overlap);
	tcase_add_test(tcase, impossible_specs_are_refused);
	tcase_add_test(tcase, the_memfd_is_sparse_private_and_of_final_size);
	tcase_add_test(tcase, attach_refuses_another_shape);
	tcase_add_test(tcase, attach_refuses_a_damaged_header);
	tcase_add_test(tcase, attach_finds_everything_again);
	tcase_add_test(tcase, attach_after_the_owner_was_killed);
	tcase_add_test(tcase, threads_never_share_a_record);
}

static void add_text_and_entry_tests(TCase *tcase)
{
	tcase_add_test(tcase, texts_of_all_sizes);
	tcase_add_test(tcase, a_text_too_long_or_for_which_there_is_no_room);
	tcase_add_test(tcase, a_damaged_text_is_not_believed);
	tcase_add_test(tcase, a_sweep_frees_what_nobody_names);
	tcase_add_test(tcase, entry_transitions);
}

int main(void)
{
	Suite *suite = suite_create("arena");
	TCase *tcase = tcase_create("arena");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	add_arena_tests(tcase);
	add_text_and_entry_tests(tcase);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
