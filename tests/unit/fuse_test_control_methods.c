/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The methods of org.relinkfs, over a real store. */
#include "libcontrol.h"
#include "store/util.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- alias ---- */

START_TEST(an_alias_lasts_as_long_as_its_connection)
{
	struct client client = client_open();
	json_t *reply = expect_fine(client_call(
		&client, "org.relinkfs.Alias", "{\"link\":\"a/b\",\"path_base64\":\"/2M=\"}"));

	ck_assert_str_eq(string_of(reply, "mode"), "lookup");
	ck_assert_int_eq(above.alias, getpid());
	ck_assert_str_eq(above.link, "a/b");
	ck_assert_str_eq(above.path, "\xff"
				     "c");
	json_decref(reply);
	json_decref(expect_fine(client_call(&client, "org.relinkfs.Unalias", "{}")));
	ck_assert_int_eq(above.alias, 0);
	json_decref(expect_fine(
		client_call(&client, "org.relinkfs.Alias", "{\"link\":\"a\",\"path\":\"b\"}")));
	client_close(&client);
	wait_for_no_alias();
}
END_TEST

/* ---- checkpoints ---- */

START_TEST(entries_are_listed)
{
	autofd int a = hide_file("a", 0, 12345), b = hide_file("\xff", 7, 0);
	struct client client = client_open();
	json_t *reply =
		expect_fine(client_call(&client, "org.relinkfs.ListEntries", "{\"holders\":true}"));
	json_t *entries = json_object_get(reply, "entries"), *entry, *holder;
	struct stat st;

	ck_assert_int_eq(fstat(a, &st), 0);
	ck_assert_uint_eq(json_array_size(entries), 2);
	entry = json_array_get(entries, 0);
	ck_assert_str_eq(string_of(entry, "path"), "data/a");
	ck_assert_str_eq(string_of(entry, "state"), "hidden");
	ck_assert_str_eq(string_of(entry, "type"), "regular");
	ck_assert_uint_eq(strlen(string_of(entry, "id")), 16);
	ck_assert_int_eq(integer_of(entry, "size"), 12345);
	ck_assert_int_eq(integer_of(entry, "ino"), (json_int_t)st.st_ino);
	ck_assert_int_eq(integer_of(entry, "frozen"), 0);
	holder = json_array_get(json_object_get(entry, "holders"), 0);
	ck_assert_int_eq(integer_of(holder, "pid"), getpid());
	ck_assert_int_eq(integer_of(holder, "fd"), a);
	ck_assert_str_eq(string_of(holder, "kind"), "fd");
	entry = json_array_get(entries, 1);
	ck_assert_str_eq(string_of(entry, "path_base64"), "ZGF0YS//");
	ck_assert_int_eq(integer_of(entry, "uid"), 7);
	json_decref(reply);
	client_close(&client);
	ck_assert_int_ge(b, 0);
}
END_TEST

/* The id of a new checkpoint; "" as options: not held. */
static char *freeze_with(struct client *client, const char *options)
{
	json_t *reply = expect_fine(client_call(client, "org.relinkfs.Freeze", options));
	char *id = strdup(string_of(reply, "id"));

	ck_assert_uint_eq(json_array_size(json_object_get(reply, "left_out")), 0);
	json_decref(reply);
	return id;
}

/* The state of the checkpoint @id in the list, "" if it is not there; malloc'd. */
static char *state_of(struct client *client, const char *id)
{
	json_t *reply = expect_fine(client_call(client, "org.relinkfs.ListCheckpoints", "{}"));
	char *state = NULL;
	json_t *checkpoint;
	size_t i;

	json_array_foreach (json_object_get(reply, "checkpoints"), i, checkpoint)
		if (strcmp(string_of(checkpoint, "id"), id) == 0)
			state = strdup(string_of(checkpoint, "state"));
	json_decref(reply);
	return state ? state : strdup("");
}

static void expect_state(struct client *client, const char *id, const char *state)
{
	autofree char *now = state_of(client, id);

	ck_assert_str_eq(now, state);
}

START_TEST(a_checkpoint_from_begin_to_end)
{
	autofd int a = hide_file("a", 0, 100), b = hide_file("b", 0, 100);
	struct client client = client_open();
	autofree char *id = freeze_with(&client, "{\"scope\":\"all\"}");
	json_t *reply, *link;
	size_t i;

	expect_state(&client, id, "committed");
	ck_assert(link_exists(id, 1) && link_exists(id, 2));
	reply = expect_fine(call_with_id(&client, "org.relinkfs.ShowCheckpoint", id));
	ck_assert_str_eq(string_of(reply, "state"), "committed");
	ck_assert_uint_eq(json_array_size(json_object_get(reply, "links")), 2);
	json_array_foreach (json_object_get(reply, "links"), i, link)
		ck_assert_str_eq(string_of(link, "status"), "present");
	json_decref(reply);
	reply = expect_fine(call_with_id(&client, "org.relinkfs.Drop", id));
	ck_assert_uint_eq(json_array_size(json_object_get(reply, "failures")), 0);
	json_decref(reply);
	ck_assert(!link_exists(id, 1) && !link_exists(id, 2));
	expect_state(&client, id, "");
	client_close(&client);
	ck_assert_int_ge(a + b, 0);
}
END_TEST

START_TEST(a_held_checkpoint_is_committed)
{
	autofd int a = hide_file("a", 0, 100);
	struct client client = client_open(), other = client_open();
	autofree char *id = freeze_with(&client, "{\"hold\":true,\"undo_on_disconnect\":true}");

	expect_state(&client, id, "durable");
	json_decref(expect_fine(call_with_id(&client, "org.relinkfs.Commit", id)));
	expect_errno(call_with_id(&client, "org.relinkfs.Commit", id), EINVAL, "not held");
	client_close(&client);
	expect_status(&other);
	expect_state(&other, id, "committed");
	client_close(&other);
	ck_assert_int_ge(a, 0);
}
END_TEST

START_TEST(a_held_checkpoint_is_undone)
{
	autofd int a = hide_file("a", 0, 100);
	struct client client = client_open();
	autofree char *id = freeze_with(&client, "{\"hold\":true}");

	ck_assert(link_exists(id, 1));
	json_decref(expect_fine(call_with_id(&client, "org.relinkfs.Undo", id)));
	ck_assert(!link_exists(id, 1));
	expect_state(&client, id, "");
	client_close(&client);
	ck_assert_int_ge(a, 0);
}
END_TEST

/* What becomes of it when its holder is gone: 0 committed, 1 undone. */
START_TEST(a_holder_that_goes_away)
{
	autofd int a = hide_file("a", 0, 100);
	struct client client = client_open(), other = client_open();
	autofree char *id = freeze_with(
		&client, _i ? "{\"hold\":true,\"undo_on_disconnect\":true}" : "{\"hold\":true}");
	autofree char *state = NULL;

	client_close(&client);
	do {
		free(state);
		state = state_of(&other, id);
	} while (strcmp(state, "durable") == 0);
	ck_assert_str_eq(state, _i ? "" : "committed");
	ck_assert_int_eq(link_exists(id, 1), !_i);
	client_close(&other);
	ck_assert_int_ge(a, 0);
}
END_TEST

START_TEST(stop_settles_what_is_held)
{
	autofd int a = hide_file("a", 0, 100);
	struct client client = client_open();
	autofree char *id = freeze_with(&client, "{\"hold\":true,\"undo_on_disconnect\":true}");

	server_stop();
	ck_assert(!link_exists(id, 1));
	client_close(&client);
	ck_assert_int_ge(a, 0);
}
END_TEST

/* ---- permissions ---- */

static char *shown_id;

static void unprivileged(void)
{
	static const char *const forbidden[][2] = {
		{ "org.relinkfs.Freeze", "{}" },
		{ "org.relinkfs.Commit", "{\"id\":\"12\"}" },
		{ "org.relinkfs.Undo", "{\"id\":\"12\"}" },
		{ "org.relinkfs.Drop", "{\"id\":\"12\"}" },
		{ "org.relinkfs.Alias", "{\"link\":\"a\",\"path\":\"b\"}" },
		{ "org.relinkfs.Unalias", "{}" },
	};
	struct client client = client_open();
	json_t *reply, *list;

	for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++)
		expect_errno(client_call(&client, forbidden[i][0], forbidden[i][1]), EPERM,
			"CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH");
	reply = expect_fine(client_call(&client, "org.relinkfs.Status", "{}"));
	ck_assert_int_eq(integer_of(reply, "hidden"), 1);
	ck_assert_ptr_null(json_object_get(reply, "nodes"));
	json_decref(reply);
	reply = expect_fine(client_call(&client, "org.relinkfs.ListEntries", "{\"holders\":true}"));
	list = json_object_get(reply, "entries");
	ck_assert_uint_eq(json_array_size(list), 1);
	ck_assert_str_eq(string_of(json_array_get(list, 0), "path"), "data/theirs");
	/* We have it open, as a child of root, who has it open too: not theirs to know. */
	list = json_object_get(json_array_get(list, 0), "holders");
	ck_assert_uint_eq(json_array_size(list), 1);
	ck_assert_int_eq(integer_of(json_array_get(list, 0), "pid"), getpid());
	json_decref(reply);
	reply = expect_fine(call_with_id(&client, "org.relinkfs.ShowCheckpoint", shown_id));
	list = json_object_get(json_object_get(reply, "manifest"), "entries");
	ck_assert_uint_eq(json_array_size(list), 1);
	ck_assert_uint_eq(json_array_size(json_object_get(reply, "links")), 1);
	json_decref(reply);
	reply = expect_fine(client_call(&client, "org.relinkfs.ListCheckpoints", "{}"));
	list = json_object_get(reply, "checkpoints");
	ck_assert_uint_eq(json_array_size(list), 1);
	ck_assert_int_eq(integer_of(json_array_get(list, 0), "entries"), 1);
	json_decref(reply);
	expect_error(client_call(&client, "org.relinkfs.ShowCheckpoint",
			     "{\"manifest\":\"data/some.json\"}"),
		"org.varlink.service.InvalidParameter", "parameter", "manifest");
	client_close(&client);
}

START_TEST(the_unprivileged_see_only_their_own)
{
	autofd int a = hide_file("ours", NOBODY, 100), b = hide_file("theirs", 0, 100);
	struct client client = client_open();

	/* Whose it is now counts, not whose it was when it was hidden. */
	ck_assert_int_eq(fchown(a, 0, 0), 0);
	ck_assert_int_eq(fchown(b, NOBODY, NOBODY), 0);
	shown_id = freeze_with(&client, "{}");
	as_nobody(unprivileged);
	free(shown_id);
	client_close(&client);
	ck_assert_int_ge(a + b, 0);
}
END_TEST

/* ---- */

static TCase *method_cases(void)
{
	TCase *tcase = tcase_create("methods");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, control_setup, control_teardown);
	tcase_add_test(tcase, an_alias_lasts_as_long_as_its_connection);
	tcase_add_test(tcase, entries_are_listed);
	tcase_add_test(tcase, a_checkpoint_from_begin_to_end);
	tcase_add_test(tcase, a_held_checkpoint_is_committed);
	tcase_add_test(tcase, a_held_checkpoint_is_undone);
	tcase_add_loop_test(tcase, a_holder_that_goes_away, 0, 2);
	tcase_add_test(tcase, stop_settles_what_is_held);
	tcase_add_test(tcase, the_unprivileged_see_only_their_own);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("control methods");

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root, whose calls are permitted\n");
		return 77;
	}
	suite_add_tcase(suite, method_cases());
	return run_suite(suite);
}
