/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/node.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuse/handle.h"
#include "fuse/session.h"
#include "store/arena.h"
#include "store/util.h"

#define FD_LIMIT 8
#define FILES    40

static char folder[] = "/tmp/relinkfs-node-XXXXXX";
static int dirfd_;
static struct arena *arena;
static struct backings *backings;
static struct nodes *nodes;
static atomic_int last_calls;

static void begin(void *ctx)
{
}

static void last(void *ctx, struct node_record *node)
{
	last_calls++;
	__atomic_store_n(&node->entry, 0, __ATOMIC_RELAXED);
}

static const struct node_hooks hooks = { .begin = begin, .last = last, .end = begin };

static void make_file(const char *name)
{
	int fd = openat(dirfd_, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	close(fd);
}

static void start_nodes(void)
{
	ck_assert_int_eq(nodes_new(arena, backings, dirfd_, FD_LIMIT, &nodes), 0);
	nodes_set_hooks(nodes, &hooks);
}

static void setup(void)
{
	strcpy(folder + sizeof(folder) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	dirfd_ = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(dirfd_, 0);
	ck_assert_int_eq(arena_new(session_arena_spec(), &arena), 0);
	ck_assert_int_eq(backings_new(dirfd_, &backings), 0);
	last_calls = 0;
	start_nodes();
}

static void teardown(void)
{
	char command[sizeof(folder) + 16];

	nodes_free(nodes);
	backings_free(backings);
	arena_free(arena);
	close(dirfd_);
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	ck_assert_int_eq(system(command), 0);
}

/* A LOOKUP of @name: its slot. */
static uint32_t look(const char *name)
{
	struct node_key key;
	struct stat st;
	uint32_t slot;
	int fd = openat(dirfd_, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(backing_identify(backings, fd, &key, &st), 0);
	ck_assert_int_eq(node_lookup(nodes, &key, st.st_ino, st.st_mode, fd, &slot), 0);
	return slot;
}

static uint64_t id_of(uint32_t slot)
{
	return node_at(nodes, slot)->id;
}

START_TEST(root_is_known)
{
	ck_assert_uint_eq(node_slot(nodes, NODE_ROOT_ID), 1);
	node_forget(nodes, NODE_ROOT_ID, 1000);
	ck_assert_uint_eq(node_slot(nodes, NODE_ROOT_ID), 1);
	ck_assert_uint_eq(look("."), 1);
}
END_TEST

START_TEST(two_names_are_one_node)
{
	uint32_t slot;

	make_file("a");
	ck_assert_int_eq(linkat(dirfd_, "a", dirfd_, "b", 0), 0);
	slot = look("a");
	ck_assert_uint_eq(look("b"), slot);
	ck_assert_uint_eq(node_at(nodes, slot)->nlookup, 2);
	node_forget(nodes, id_of(slot), 1);
	ck_assert_uint_eq(node_slot(nodes, id_of(slot)), slot);
	node_forget(nodes, id_of(slot), 1);
	ck_assert_uint_eq(arena_count(arena, ARENA_NODES), 1);
}
END_TEST

START_TEST(an_id_is_never_given_again)
{
	uint64_t id, again;
	uint32_t slot;

	make_file("a");
	slot = look("a");
	id = id_of(slot);
	node_forget(nodes, id, 1);
	ck_assert_uint_eq(node_slot(nodes, id), 0);
	slot = look("a");
	again = id_of(slot);
	ck_assert_uint_ne(id, again);
	ck_assert_uint_eq(node_slot(nodes, id), 0);
	ck_assert_uint_eq(node_slot(nodes, again), slot);
}
END_TEST

START_TEST(a_new_file_with_an_old_inode_number_is_another_node)
{
	struct stat before, after;
	uint32_t slot;
	int tries;

	for (tries = 0; tries < 50; tries++) {
		make_file("a");
		ck_assert_int_eq(fstatat(dirfd_, "a", &before, 0), 0);
		slot = look("a");
		ck_assert_int_eq(unlinkat(dirfd_, "a", 0), 0);
		nodes_free(nodes); /* lets go of the fd, so that the inode is freed */
		start_nodes();
		make_file("a");
		ck_assert_int_eq(fstatat(dirfd_, "a", &after, 0), 0);
		/* Only a filesystem that gives the number out again can show the difference. */
		if (after.st_ino == before.st_ino && node_at(nodes, slot)->key.len)
			ck_assert_uint_ne(look("a"), slot);
		ck_assert_int_eq(unlinkat(dirfd_, "a", 0), 0);
	}
}
END_TEST

START_TEST(a_retired_directory_is_found_no_more_but_lives)
{
	struct node_key key;
	uint32_t slot, fresh;

	ck_assert_int_eq(mkdirat(dirfd_, "d", 0700), 0);
	slot = look("d");
	key = node_at(nodes, slot)->key;
	ck_assert_uint_eq(node_find(nodes, &key), slot);
	node_lock(nodes, slot);
	node_retire(nodes, slot);
	node_retire(nodes, slot);
	node_unlock(nodes, slot);
	ck_assert_uint_eq(node_find(nodes, &key), 0);
	ck_assert_uint_eq(node_slot(nodes, id_of(slot)), slot);
	fresh = look("d");
	ck_assert_uint_ne(fresh, slot);
	ck_assert(node_is(nodes, fresh, &key));
	ck_assert(!node_is(nodes, slot, &key));
	node_forget(nodes, id_of(slot), 1);
	ck_assert_uint_eq(node_find(nodes, &key), fresh);
}
END_TEST

START_TEST(fds_of_idle_nodes_are_bounded_and_come_back)
{
	struct stat st, again;
	uint32_t slots[FILES];
	char name[16];
	int i, fd;

	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		make_file(name);
		slots[i] = look(name);
	}
	if (node_key_needs_fd(&node_at(nodes, slots[0])->key))
		return; /* without handles every node keeps its fd, as it must */
	ck_assert_uint_le(nodes_open_fds(nodes), FD_LIMIT + 1);
	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		fd = node_fd_get(nodes, slots[i]);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(fstat(fd, &st), 0);
		ck_assert_int_eq(fstatat(dirfd_, name, &again, 0), 0);
		ck_assert_uint_eq(st.st_ino, again.st_ino);
		node_fd_put(nodes, slots[i]);
	}
	ck_assert_uint_le(nodes_open_fds(nodes), FD_LIMIT + 1);
}
END_TEST

START_TEST(a_got_fd_stays_open_while_others_come_and_go)
{
	struct stat st;
	char name[16];
	uint32_t slot;
	ino_t ino;
	int i, fd;

	make_file("kept");
	slot = look("kept");
	fd = node_fd_get(nodes, slot);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ino = st.st_ino;
	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		make_file(name);
		look(name);
	}
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_ino, ino);
	node_fd_put(nodes, slot);
}
END_TEST

START_TEST(a_pinned_fd_keeps_the_inode_after_its_last_name)
{
	char name[16];
	struct stat st;
	uint32_t slot;
	int i, fd;

	make_file("gone");
	slot = look("gone");
	fd = node_fd_get(nodes, slot);
	node_lock(nodes, slot);
	node_fd_pin(nodes, slot);
	node_unlock(nodes, slot);
	node_fd_put(nodes, slot);
	ck_assert_int_eq(unlinkat(dirfd_, "gone", 0), 0);
	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		make_file(name);
		look(name);
	}
	ck_assert_int_eq(node_fd_get(nodes, slot), fd);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_nlink, 0);
	node_fd_put(nodes, slot);
	node_forget(nodes, id_of(slot), 1);
	ck_assert_int_lt(fcntl(fd, F_GETFD), 0);
}
END_TEST

START_TEST(a_copied_fd_is_of_the_node_that_was_asked_for)
{
	struct stat node, copy;
	uint32_t slot;
	uint64_t id;
	int fd;

	make_file("f");
	ck_assert_int_eq(fstatat(dirfd_, "f", &node, 0), 0);
	slot = look("f");
	id = node_at(nodes, slot)->id;
	fd = node_fd_get(nodes, slot);
	ck_assert_int_ge(fd, 0);
	node_lock(nodes, slot);
	node_fd_pin(nodes, slot);
	node_unlock(nodes, slot);
	node_fd_put(nodes, slot);
	fd = node_fd_copy(nodes, id);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &copy), 0);
	ck_assert_uint_eq(copy.st_ino, node.st_ino);
	node_forget(nodes, id, 1);
	/* The copy lives on, the node does not, nor does the next one in its slot answer. */
	ck_assert_int_eq(fstat(fd, &copy), 0);
	close(fd);
	ck_assert_int_eq(node_fd_copy(nodes, id), -ENOENT);
	slot = look("f");
	ck_assert_int_eq(node_fd_copy(nodes, id), -ENOENT);
	node_forget(nodes, node_at(nodes, slot)->id, 1);
}
END_TEST

START_TEST(the_end_of_a_node_drops_its_entry)
{
	uint32_t slot;

	make_file("a");
	slot = look("a");
	look("a");
	__atomic_store_n(&node_at(nodes, slot)->entry, 77, __ATOMIC_RELAXED);
	node_forget(nodes, id_of(slot), 1);
	ck_assert_int_eq(last_calls, 0);
	node_forget(nodes, id_of(slot), 1);
	ck_assert_int_eq(last_calls, 1);
}
END_TEST

START_TEST(the_hash_is_rebuilt_from_the_session_state)
{
	struct node_key keys[FILES];
	uint32_t slots[FILES], retired;
	char name[16];
	int i;

	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		make_file(name);
		slots[i] = look(name);
		keys[i] = node_at(nodes, slots[i])->key;
	}
	ck_assert_int_eq(mkdirat(dirfd_, "d", 0700), 0);
	retired = look("d");
	node_lock(nodes, retired);
	node_retire(nodes, retired);
	node_unlock(nodes, retired);
	nodes_free(nodes);
	start_nodes();
	for (i = 0; i < FILES; i++)
		ck_assert_uint_eq(node_find(nodes, &keys[i]), slots[i]);
	ck_assert_uint_ne(look("d"), retired);
}
END_TEST

/* Many threads look up, use and forget the same few inodes; every count must come out. */
static void *churn(void *arg)
{
	unsigned seed = *(unsigned *)arg;
	char name[16];
	int i, fd;

	for (i = 0; i < 4000; i++) {
		uint32_t slot;
		uint64_t id;

		snprintf(name, sizeof(name), "f%d", (int)(rand_r(&seed) % FILES));
		slot = look(name);
		id = id_of(slot);
		fd = node_fd_get(nodes, slot);
		ck_assert_int_ge(fd, 0);
		node_fd_put(nodes, slot);
		ck_assert_uint_eq(node_slot(nodes, id), slot);
		node_forget(nodes, id, 1);
	}
	return NULL;
}

START_TEST(counts_and_fds_come_out_under_threads)
{
	unsigned seeds[4] = { 1, 2, 3, 4 };
	pthread_t threads[4];
	char name[16];
	int i;

	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		make_file(name);
	}
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, churn, &seeds[i]), 0);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(arena_count(arena, ARENA_NODES), 1);
	ck_assert_uint_eq(nodes_open_fds(nodes), 1);
}
END_TEST

START_TEST(handles_are_named_by_number_and_end)
{
	struct handles *handles;
	uint64_t file, dir;
	int fd = openat(dirfd_, ".", O_RDONLY | O_CLOEXEC);
	int other = openat(dirfd_, ".", O_RDONLY | O_CLOEXEC);

	ck_assert_int_eq(handles_new(arena, &handles), 0);
	ck_assert_int_eq(handle_new(handles, 5, O_RDWR | O_APPEND, false, fd, &file), 0);
	ck_assert_int_eq(handle_new(handles, 6, O_RDONLY, true, other, &dir), 0);
	ck_assert_uint_ne(file, dir);
	ck_assert_int_eq(handle_fd(handles, file), fd);
	ck_assert_int_eq(handle_flags(handles, file), O_RDWR | O_APPEND);
	ck_assert_ptr_null(handle_dir(handles, file));
	ck_assert_ptr_nonnull(handle_dir(handles, dir));
	ck_assert_int_eq(handle_fd(handles, 12345), -EBADF);
	ck_assert_int_eq(handle_fd(handles, UINT64_MAX), -EBADF);
	handle_end(handles, file);
	ck_assert_int_eq(handle_fd(handles, file), -EBADF);
	ck_assert_int_lt(fcntl(fd, F_GETFD), 0);
	handle_end(handles, file);
	ck_assert_uint_eq(arena_count(arena, ARENA_HANDLES), 1);
	handles_free(handles);
	ck_assert_int_lt(fcntl(other, F_GETFD), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("node");
	TCase *tcase = tcase_create("node");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, root_is_known);
	tcase_add_test(tcase, two_names_are_one_node);
	tcase_add_test(tcase, an_id_is_never_given_again);
	tcase_add_test(tcase, a_new_file_with_an_old_inode_number_is_another_node);
	tcase_add_test(tcase, a_retired_directory_is_found_no_more_but_lives);
	tcase_add_test(tcase, fds_of_idle_nodes_are_bounded_and_come_back);
	tcase_add_test(tcase, a_got_fd_stays_open_while_others_come_and_go);
	tcase_add_test(tcase, a_pinned_fd_keeps_the_inode_after_its_last_name);
	tcase_add_test(tcase, a_copied_fd_is_of_the_node_that_was_asked_for);
	tcase_add_test(tcase, the_end_of_a_node_drops_its_entry);
	tcase_add_test(tcase, the_hash_is_rebuilt_from_the_session_state);
	tcase_add_test(tcase, counts_and_fds_come_out_under_threads);
	tcase_add_test(tcase, handles_are_named_by_number_and_end);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
