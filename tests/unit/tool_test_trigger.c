/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line of ckpt-trigger, and the hook that it runs. */
#include "store/util.h"
#include "tools/client.h"
#include "tools/hook.h"
#include "tools/trigger_options.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ARGS 8

static int parse(const char *const *args, struct trigger_options *out)
{
	char *argv[MAX_ARGS + 2] = { strdup("ckpt-trigger") };
	int argc = 1, ret;

	for (; args[argc - 1]; argc++)
		argv[argc] = (char *)args[argc - 1];
	ret = trigger_options_parse(argc, argv, out);
	free(argv[0]);
	return ret;
}

START_TEST(all_options)
{
	static const char *const args[] = { "--pid=17", "-P", "--template", "x/%t-%n", "-r", "true",
		"-u", "/mnt/x", NULL };
	struct trigger_options options;
	json_t *request;

	ck_assert_int_eq(parse(args, &options), -1);
	ck_assert_str_eq(options.path, "/mnt/x");
	ck_assert_str_eq(options.run, "true");
	request = trigger_options_request(&options);
	ck_assert_str_eq(tool_string(request, "scope"), "tree");
	ck_assert_int_eq(tool_integer(request, "pid"), 17);
	ck_assert_str_eq(tool_string(request, "template"), "x/%t-%n");
	ck_assert(json_is_true(json_object_get(request, "partial")));
	ck_assert(json_is_true(json_object_get(request, "hold")));
	ck_assert(json_is_true(json_object_get(request, "undo_on_disconnect")));
	json_decref(request);
}
END_TEST

START_TEST(no_options)
{
	static const char *const args[] = { ".", NULL };
	struct trigger_options options;
	json_t *request;

	ck_assert_int_eq(parse(args, &options), -1);
	request = trigger_options_request(&options);
	ck_assert_str_eq(tool_string(request, "scope"), "all");
	ck_assert_ptr_null(json_object_get(request, "pid"));
	ck_assert_ptr_null(json_object_get(request, "template"));
	ck_assert(json_is_false(json_object_get(request, "hold")));
	json_decref(request);
}
END_TEST

START_TEST(a_cgroup)
{
	static const char *const args[] = { "--cgroup", "/a/b", ".", NULL };
	static const char *const odd[] = { "--cgroup", "/\xff", ".", NULL };
	struct trigger_options options;
	json_t *request;

	ck_assert_int_eq(parse(args, &options), -1);
	request = trigger_options_request(&options);
	ck_assert_str_eq(tool_string(request, "scope"), "cgroup");
	ck_assert_str_eq(tool_string(request, "cgroup"), "/a/b");
	json_decref(request);
	ck_assert_int_eq(parse(odd, &options), -1);
	ck_assert_ptr_null(trigger_options_request(&options));
}
END_TEST

static const char *const wrong[][MAX_ARGS] = {
	{ NULL },
	{ "a", "b", NULL },
	{ "--nonsense", "a", NULL },
	{ "--pid", "0", "a", NULL },
	{ "--pid", "-3", "a", NULL },
	{ "--pid", "12x", "a", NULL },
	{ "--pid", "99999999999", "a", NULL },
	{ "--pid", "", "a", NULL },
	{ "--pid", "1", "--cgroup", "/x", "a", NULL },
	{ "--cgroup", "", "a", NULL },
	{ "--template", "no-number-%t", "a", NULL },
	{ "--template", "../%n-%t", "a", NULL },
	{ "--undo-on-failure", "a", NULL },
	{ "--json", "--quiet", "a", NULL },
	{ "--run", NULL },
};

START_TEST(wrong_usage)
{
	struct trigger_options options;

	ck_assert_int_eq(parse(wrong[_i], &options), TOOL_USAGE);
}
END_TEST

/* ---- the hook ---- */

static const struct hook_variable variables[] = { { "RELINKFS_X", "a b" } };

static int run(const char *command)
{
	int status = -1;

	ck_assert_int_eq(hook_run(command, variables, 1, false, &status), 0);
	return status;
}

START_TEST(the_status_of_a_hook)
{
	ck_assert_int_eq(run("true"), 0);
	ck_assert_int_eq(WEXITSTATUS(run("exit 7")), 7);
	ck_assert_int_eq(WEXITSTATUS(run("/no/such/program 2>&-")), 127);
	ck_assert_int_eq(WTERMSIG(run("kill -KILL $$")), SIGKILL);
	ck_assert_int_eq(run("test \"$RELINKFS_X\" = 'a b'"), 0);
}
END_TEST

START_TEST(the_output_of_a_hook_goes_to_stderr)
{
	int ends[2], status;
	char text[8] = "";

	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	ck_assert_int_eq(hook_run("printf said", NULL, 0, true, &status), 0);
	ck_assert_int_eq(read(ends[0], text, sizeof(text) - 1), 4);
	ck_assert_str_eq(text, "said");
}
END_TEST

/* Once the hook says that it is ready: sends us @signal. */
struct sender {
	int ready;
	int signal;
};

static void *send_signal(void *arg)
{
	const struct sender *sender = arg;
	char byte;

	if (read(sender->ready, &byte, 1) == 1)
		kill(getpid(), sender->signal);
	return NULL;
}

static int run_and_send(const char *command, int signal)
{
	struct sender sender = { .signal = signal };
	pthread_t thread;
	sigset_t set, before;
	int ends[2], status;

	/* As in the program: no other thread of it takes the signal. */
	sigfillset(&set);
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(dup2(ends[1], 9), 9);
	sender.ready = ends[0];
	pthread_sigmask(SIG_BLOCK, &set, &before);
	ck_assert_int_eq(pthread_create(&thread, NULL, send_signal, &sender), 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	status = run(command);
	pthread_join(thread, NULL);
	close(9);
	close(ends[0]);
	close(ends[1]);
	return status;
}

static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };

/*
 * It reaches the hook, and we live to see what came of it.  (No loop of commands: a shell
 * may lose a signal that comes while it starts one.)
 */
START_TEST(signals_are_passed_on)
{
	ck_assert_int_eq(
		WTERMSIG(run_and_send("echo >&9; exec sleep 1000", signals[_i])), signals[_i]);
}
END_TEST

/* A hook that tidies up and ends well decides that all is well. */
START_TEST(a_hook_may_handle_a_signal)
{
	ck_assert_int_eq(
		run_and_send("trap 'exit 0' TERM; echo >&9; while :; do sleep 0.01; done", SIGTERM),
		0);
}
END_TEST

/* Also when whoever started us does not want to hear of its children. */
START_TEST(ignored_sigchld)
{
	signal(SIGCHLD, SIG_IGN);
	ck_assert_int_eq(WEXITSTATUS(run("exit 3")), 3);
	ck_assert_ptr_eq(signal(SIGCHLD, SIG_DFL), SIG_IGN);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trigger");
	TCase *tcase = tcase_create("trigger");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, all_options);
	tcase_add_test(tcase, no_options);
	tcase_add_test(tcase, a_cgroup);
	tcase_add_loop_test(tcase, wrong_usage, 0, ARRAY_SIZE(wrong));
	tcase_add_test(tcase, the_status_of_a_hook);
	tcase_add_test(tcase, the_output_of_a_hook_goes_to_stderr);
	tcase_add_loop_test(tcase, signals_are_passed_on, 0, ARRAY_SIZE(signals));
	tcase_add_test(tcase, a_hook_may_handle_a_signal);
	tcase_add_test(tcase, ignored_sigchld);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
