/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ckpt-trigger and relinkctl, as they are called, against a control server. */
#include "libcontrol.h"
#include "store/util.h"

#include <errno.h>
#include <pty.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- running programs ---- */

/*
 * Runs the shell command @format, with the source as $S; its exit status.  *out is what
 * it printed, malloc'd; freed first, so that one variable serves many calls.
 */
static int run(char **out, const char *format, ...) printf_format(2, 3);
static int run(char **out, const char *format, ...)
{
	autofree char *command = NULL;
	size_t size = 0;
	va_list args;
	FILE *pipe;
	int status;

	va_start(args, format);
	ck_assert_int_ge(vasprintf(&command, format, args), 0);
	va_end(args);
	free(*out);
	*out = NULL;
	/* NOLINTNEXTLINE(bugprone-command-processor,cert-env33-c) */
	pipe = popen(command, "re");
	ck_assert_ptr_nonnull(pipe);
	if (getdelim(out, &size, '\0', pipe) < 0)
		(*out)[0] = '\0';
	status = pclose(pipe);
	ck_assert_msg(WIFEXITED(status), "%s: ended by signal %d", command, WTERMSIG(status));
	return WEXITSTATUS(status);
}

static json_t *run_json(const char *command)
{
	autofree char *out = NULL;
	int status = run(&out, "%s", command);
	json_t *json = json_loads(out, 0, NULL);

	ck_assert_msg(status == 0 && json, "%s: status %d, printed: %s", command, status, out);
	return json;
}

static void setup(void)
{
	control_setup();
	setenv("S", source, 1);
	setenv("LC_ALL", "C", 1);
}

/* Reads @json's member @key into the environment, for the commands that follow. */
static void export(const json_t *json, const char *key)
{
	setenv(key, string_of(json, key), 1);
}

static bool contains(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

/* ---- ckpt-trigger ---- */

START_TEST(trigger_as_json)
{
	autofd int a = hide_file("a", 0, 100), b = hide_file("b", 0, 100);
	json_t *made = run_json("ckpt-trigger --json \"$S\"");

	ck_assert_int_eq(integer_of(made, "entries"), 2);
	ck_assert_str_eq(string_of(made, "state"), "committed");
	ck_assert_ptr_null(json_object_get(made, "hook"));
	ck_assert(link_exists(string_of(made, "id"), 1));
	ck_assert(link_exists(string_of(made, "id"), 2));
	json_decref(made);
	ck_assert_int_ge(a + b, 0);
}
END_TEST

START_TEST(trigger_as_text)
{
	autofd int a = hide_file("a", 0, 100);
	autofree char *out = NULL, *file = NULL;

	ck_assert_int_eq(run(&out, "ckpt-trigger \"$S\""), 0);
	ck_assert(contains(out, "checkpoint  ") && contains(out, "\nentries     1\n"));
	ck_assert(contains(out, "\ntime        "));
	ck_assert_int_eq(run(&file, "ckpt-trigger \"$S\" | sed -n 's/^manifest *//p' | "
				    "xargs -d '\\n' test -f"),
		0);
	ck_assert_int_eq(run(&out, "ckpt-trigger --quiet \"$S\""), 0);
	ck_assert_str_eq(out, "");
	ck_assert_int_ge(a, 0);
}
END_TEST

START_TEST(trigger_with_a_command)
{
	autofd int a = hide_file("a", 0, 100);
	autofree char *out = NULL;

	ck_assert_int_eq(
		run(&out, "ckpt-trigger --quiet \"$S\" --run '"
			  "test -f \"$RELINKFS_CHECKPOINT_MANIFEST\" && "
			  "test \"$RELINKFS_CHECKPOINT_DIR\" = \"$S/lost+found/checkpoint\" && "
			  "test \"$RELINKFS_CHECKPOINT_ENTRIES\" = 1 && "
			  "test \"$RELINKFS_CHECKPOINT_KTIME\" -gt 1 && "
			  "test \"$RELINKFS_MOUNT\" = \"$S\" && "
			  "test \"$RELINKFS_SOURCE\" = \"$S\" && "
			  "relinkctl checkpoints \"$S\" | grep \"$RELINKFS_CHECKPOINT_ID\"'"),
		0);
	/* While the command runs the checkpoint is held, afterwards it is made. */
	ck_assert(contains(out, "durable"));
	ck_assert_int_eq(run(&out, "relinkctl checkpoints \"$S\""), 0);
	ck_assert(contains(out, "committed"));
	ck_assert_int_ge(a, 0);
}
END_TEST

START_TEST(a_failed_command_keeps_the_checkpoint)
{
	autofd int a = hide_file("a", 0, 100);
	autofree char *out = NULL;

	ck_assert_int_eq(run(&out, "ckpt-trigger \"$S\" --run 'exit 9' 2>&1"), 3);
	ck_assert(contains(out, "the command failed with status 9"));
	ck_assert_int_eq(run(&out, "relinkctl checkpoints \"$S\""), 0);
	ck_assert(contains(out, "committed"));
	ck_assert_int_ge(a, 0);
}
END_TEST

START_TEST(a_failed_command_undoes_the_checkpoint)
{
	autofd int a = hide_file("a", 0, 100);
	autofree char *out = NULL;
	json_t *made;

	ck_assert_int_eq(
		run(&out, "ckpt-trigger \"$S\" -j -u -r 'echo no; kill -9 $$' 2>/dev/null"), 4);
	made = json_loads(out, 0, NULL);
	ck_assert_msg(made != NULL, "not JSON alone: %s", out);
	ck_assert_str_eq(string_of(made, "state"), "undone");
	ck_assert_int_eq(integer_of(json_object_get(made, "hook"), "signal"), 9);
	json_decref(made);
	ck_assert_int_eq(names_in("lost+found/checkpoint"), 0);
	ck_assert_int_ge(a, 0);
}
END_TEST

/* 0: the checkpoint stays; 1: it goes. */
START_TEST(trigger_is_killed)
{
	autofd int a = hide_file("a", 0, 100);
	autofree char *out = NULL;
	const char *state = _i ? "" : "committed";

	run(&out, "sh -c 'ckpt-trigger \"$S\" %s --run \"kill -9 \\$PPID\"; exit 0' 2>&1",
		_i ? "-u" : "");
	do
		ck_assert_int_eq(run(&out, "relinkctl checkpoints \"$S\""), 0);
	while (contains(out, "durable"));
	ck_assert(contains(out, _i ? "no checkpoints" : state));
	ck_assert_int_eq(names_in("lost+found/checkpoint"), _i ? 0 : 2);
	ck_assert_int_ge(a, 0);
}
END_TEST

START_TEST(nothing_is_left_of_a_failure)
{
	autofd int a = hide_file("a", 0, 100);
	autofree char *out = NULL;

	make_file("in-the-way", "");
	ck_assert_int_eq(run(&out, "ckpt-trigger -t 'in-the-way/%%t-%%n' \"$S\" 2>&1"), 1);
	ck_assert(contains(out, "in-the-way"));
	ck_assert_int_eq(names_in("lost+found/checkpoint"), 0);
	ck_assert_int_ge(a, 0);
}
END_TEST

START_TEST(no_such_process)
{
	autofree char *out = NULL;

	ck_assert_int_eq(run(&out, "ckpt-trigger --pid 2147483646 \"$S\" 2>&1"), 1);
	ck_assert_msg(contains(out, "there is no such process"), "%s", out);
	ck_assert_int_eq(names_in("lost+found/checkpoint"), 0);
}
END_TEST

START_TEST(not_a_mount)
{
	autofree char *out = NULL;

	ck_assert_int_eq(run(&out, "ckpt-trigger /proc 2>&1"), 5);
	ck_assert(contains(out, "not on a relinkfs mount"));
	ck_assert_int_eq(run(&out, "relinkctl status /proc 2>&1"), 5);
	server_stop();
	ck_assert_int_eq(run(&out, "relinkctl status \"$S\" 2>&1"), 5);
}
END_TEST

static void as_user(void)
{
	autofree char *out = NULL;

	ck_assert_int_eq(run(&out, "ckpt-trigger \"$S\" 2>&1"), 6);
	ck_assert(contains(out, "CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH"));
	ck_assert_int_eq(run(&out, "relinkctl drop -y 1234 \"$S\" 2>&1"), 6);
	ck_assert_int_eq(run(&out, "relinkctl list \"$S\" 2>&1"), 0);
	ck_assert(contains(out, "0 hidden entries"));
}

START_TEST(users_are_told_what_they_lack)
{
	autofd int a = hide_file("a", 0, 100);

	ck_assert_int_eq(chmod(source, 0755), 0);
	as_nobody(as_user);
	ck_assert_int_ge(a, 0);
}
END_TEST

/* ---- relinkctl ---- */

START_TEST(list)
{
	autofd int a = hide_file("log\n\x1b[31m", 0, 4096);
	autofree char *out = NULL;
	autofree char *holder = util_printf("held by %d (", getpid());

	ck_assert_int_eq(run(&out, "cd \"$S\" && relinkctl list"), 0);
	ck_assert(contains(out, "4.0 KiB"));
	ck_assert(contains(out, "data/log\\x0a\\x1b[31m\n"));
	ck_assert(contains(out, holder));
	ck_assert(contains(out, "1 hidden entry"));
	ck_assert_int_eq(run(&out, "relinkctl list --no-holders \"$S\""), 0);
	ck_assert(!contains(out, "held by"));
	ck_assert_int_ge(a, 0);
}
END_TEST

START_TEST(json_of_everything)
{
	autofd int a = hide_file("a", 0, 100);
	json_t *json = run_json("relinkctl list --json \"$S\"");

	ck_assert_uint_eq(json_array_size(json_object_get(json, "entries")), 1);
	json_decref(json);
	json = run_json("relinkctl status --json \"$S\"");
	ck_assert_str_eq(string_of(json, "mount"), source);
	json_decref(json);
	json = run_json("ckpt-trigger --json \"$S\"");
	export(json, "id");
	json_decref(json);
	json = run_json("relinkctl checkpoints --json \"$S\"");
	ck_assert_uint_eq(json_array_size(json_object_get(json, "checkpoints")), 1);
	json_decref(json);
	json = run_json("relinkctl show --json $id \"$S\"");
	ck_assert_str_eq(string_of(json, "state"), "committed");
	json_decref(json);
	json = run_json("relinkctl drop --json $id \"$S\"");
	ck_assert_uint_eq(json_array_size(json_object_get(json, "failures")), 0);
	json_decref(json);
	ck_assert_int_ge(a, 0);
}
END_TEST

START_TEST(status_in_80_columns)
{
	autofree char *out = NULL;

	ck_assert_int_eq(run(&out, "relinkctl status \"$S\""), 0);
	ck_assert(contains(out, "data        splice (a test)\n"));
	ck_assert(contains(out, "warning     number 1\n"));
	ck_assert_int_eq(run(&out, "relinkctl status \"$S\" | expand | grep -E '.{81}'"), 1);
}
END_TEST

START_TEST(show_and_drop_by_manifest)
{
	autofd int a = hide_file("a", 0, 100), b = hide_file("b", 0, 100);
	json_t *made = run_json("ckpt-trigger --json \"$S\"");
	autofree char *out = NULL;

	export(made, "id");
	export(made, "manifest");
	json_decref(made);
	ck_assert_int_eq(run(&out, "relinkctl show \"$S/$manifest\""), 0);
	ck_assert(contains(out, "present"));
	ck_assert_int_eq(run(&out, "rm \"$S/lost+found/checkpoint/unlink-at-restart-$id-2\" && "
				   "relinkctl show $id \"$S\""),
		0);
	ck_assert(contains(out, "missing"));
	/* What is missing is told, and does not keep the rest. */
	ck_assert_int_eq(run(&out, "relinkctl drop \"$S/$manifest\" 2>&1 </dev/null"), 0);
	ck_assert(contains(out, "data/b"));
	ck_assert_int_eq(names_in("lost+found/checkpoint"), 0);
	ck_assert_int_eq(run(&out, "relinkctl drop -y $id \"$S\" 2>&1"), 1);
	ck_assert_int_ge(a + b, 0);
}
END_TEST

/* Runs relinkctl drop on a terminal of its own and types @answer; its exit status. */
static int drop_on_terminal(const char *answer)
{
	char text[4096];
	int terminal, status;
	pid_t pid = forkpty(&terminal, NULL, NULL, NULL);
	ssize_t got;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		execlp("relinkctl", "relinkctl", "drop", getenv("id"), source, (char *)NULL);
		_exit(127);
	}
	ck_assert_int_eq(util_write_all(terminal, answer, strlen(answer)), 0);
	do
		got = read(terminal, text, sizeof(text));
	while (got > 0);
	close(terminal);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

START_TEST(drop_asks_on_a_terminal)
{
	autofd int a = hide_file("a", 0, 100);
	json_t *made = run_json("ckpt-trigger --json \"$S\"");

	export(made, "id");
	json_decref(made);
	ck_assert_int_eq(drop_on_terminal("n\n"), 1);
	ck_assert_int_eq(drop_on_terminal("\n"), 1);
	ck_assert(link_exists(getenv("id"), 1));
	ck_assert_int_eq(drop_on_terminal("y\n"), 0);
	ck_assert(!link_exists(getenv("id"), 1));
	ck_assert_int_ge(a, 0);
}
END_TEST

static const struct {
	const char *arguments, *says;
} wrong[] = {
	{ "", "a command is missing" },
	{ "nonsense", "there is no command 'nonsense'" },
	{ "help nonsense", "there is no command 'nonsense'" },
	{ "--nonsense", "unknown option '--nonsense'" },
	{ "status --nonsense", "relinkctl: unrecognized option '--nonsense'" },
	{ "status --yes", "status: --yes does not belong to this command" },
	{ "status a b", "status: unexpected argument: b" },
	{ "show", "show: CHECKPOINT is missing" },
	{ "drop 1 2 3", "drop: unexpected argument: 3" },
};

START_TEST(wrong_usage_of_relinkctl)
{
	autofree char *out = NULL;

	ck_assert_int_eq(run(&out, "relinkctl %s 2>&1", wrong[_i].arguments), 2);
	ck_assert_msg(contains(out, wrong[_i].says), "%s", out);
	ck_assert(contains(out, "--help'."));
}
END_TEST

static const char *const helps[] = { "status", "list", "checkpoints", "show", "drop" };

START_TEST(help_of_each_command)
{
	autofree char *out = NULL, *same = NULL;

	ck_assert_int_eq(run(&out, "relinkctl %s --help", helps[_i]), 0);
	ck_assert_int_eq(run(&same, "relinkctl help %s", helps[_i]), 0);
	ck_assert_str_eq(out, same);
	ck_assert(contains(out, "Usage: relinkctl"));
	ck_assert_int_eq(run(&out, "relinkctl %s --help | expand | grep -E '.{81}'", helps[_i]), 1);
}
END_TEST

START_TEST(output_that_cannot_be_written)
{
	autofree char *out = NULL;

	ck_assert_int_eq(run(&out, "relinkctl status \"$S\" 2>&1 >/dev/full"), 1);
	ck_assert(contains(out, "cannot write the output"));
}
END_TEST

static TCase *trigger_cases(void)
{
	TCase *tcase = tcase_create("ckpt-trigger");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, control_teardown);
	tcase_add_test(tcase, trigger_as_json);
	tcase_add_test(tcase, trigger_as_text);
	tcase_add_test(tcase, trigger_with_a_command);
	tcase_add_test(tcase, a_failed_command_keeps_the_checkpoint);
	tcase_add_test(tcase, a_failed_command_undoes_the_checkpoint);
	tcase_add_loop_test(tcase, trigger_is_killed, 0, 2);
	tcase_add_test(tcase, nothing_is_left_of_a_failure);
	tcase_add_test(tcase, no_such_process);
	tcase_add_test(tcase, not_a_mount);
	tcase_add_test(tcase, users_are_told_what_they_lack);
	return tcase;
}

static TCase *relinkctl_cases(void)
{
	TCase *tcase = tcase_create("relinkctl");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, control_teardown);
	tcase_add_test(tcase, list);
	tcase_add_test(tcase, json_of_everything);
	tcase_add_test(tcase, status_in_80_columns);
	tcase_add_test(tcase, show_and_drop_by_manifest);
	tcase_add_test(tcase, drop_asks_on_a_terminal);
	tcase_add_loop_test(tcase, wrong_usage_of_relinkctl, 0, ARRAY_SIZE(wrong));
	tcase_add_loop_test(tcase, help_of_each_command, 0, ARRAY_SIZE(helps));
	tcase_add_test(tcase, output_that_cannot_be_written);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("tools");

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root, whose calls are permitted\n");
		return 77;
	}
	suite_add_tcase(suite, trigger_cases());
	suite_add_tcase(suite, relinkctl_cases());
	return run_suite(suite);
}
