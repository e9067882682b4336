/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/background.h"
#include "store/util.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY 42 /* what the stand-in for a daemon does before it ends */

static char folder[] = "/tmp/relinkfs-background-XXXXXX";
static struct sockaddr_un address;
static int manager;

static void setup(void)
{
	strcpy(folder + sizeof(folder) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_ge(manager, 0);
	unsetenv("NOTIFY_SOCKET");
}

static void teardown(void)
{
	close(manager);
	if (address.sun_path[0])
		unlink(address.sun_path);
	ck_assert_int_eq(rmdir(folder), 0);
}

static void listen_at(socklen_t length)
{
	const struct sockaddr *name = (const struct sockaddr *)&address;

	ck_assert_int_eq(
		bind(manager, name, (socklen_t)offsetof(struct sockaddr_un, sun_path) + length), 0);
}

static void assert_told(const char *wanted)
{
	char text[64] = "";

	ck_assert_int_ge(recv(manager, text, sizeof(text) - 1, 0), 0);
	ck_assert_str_eq(text, wanted);
}

START_TEST(no_manager_is_no_error)
{
	ck_assert_int_eq(notify_manager("READY=1"), 0);
}
END_TEST

START_TEST(a_manager_by_path)
{
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", folder);
	listen_at((socklen_t)strlen(address.sun_path));
	setenv("NOTIFY_SOCKET", address.sun_path, 1);
	ck_assert_int_eq(notify_manager("READY=1"), 0);
	assert_told("READY=1");
	ck_assert_int_eq(notify_manager("STOPPING=1"), 0);
	assert_told("STOPPING=1");
}
END_TEST

START_TEST(a_manager_in_the_abstract_namespace)
{
	autofree char *name = util_printf("@%s", folder);

	strcpy(address.sun_path + 1, name + 1);
	listen_at((socklen_t)strlen(name));
	setenv("NOTIFY_SOCKET", name, 1);
	ck_assert_int_eq(notify_manager("READY=1"), 0);
	assert_told("READY=1");
}
END_TEST

START_TEST(a_manager_that_is_not_there)
{
	char longest[sizeof(address.sun_path) + 1];
	autofree char *path = util_printf("%s/nobody", folder);

	setenv("NOTIFY_SOCKET", path, 1);
	ck_assert_int_eq(notify_manager("READY=1"), -ENOENT);
	setenv("NOTIFY_SOCKET", "", 1);
	ck_assert_int_eq(notify_manager("READY=1"), -EINVAL);
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	setenv("NOTIFY_SOCKET", longest, 1);
	ck_assert_int_eq(notify_manager("READY=1"), -EINVAL);
}
END_TEST

/* The daemon's part, in the background: it ends as @how says. */
static __attribute__((noreturn)) void be_daemon(int how, int report)
{
	const struct rlimit no_core = { 0, 0 };
	int ready, r;

	/* Made known by a number that survives: all above standard error is closed. */
	if (dup2(report, STDOUT_FILENO) < 0)
		_exit(99);
	r = background_start(&ready);
	if (r == 0 && how == READY)
		r = background_ready(ready);
	if (r == 0 && how == SIGKILL) {
		setrlimit(RLIMIT_CORE, &no_core);
		raise(SIGKILL);
	}
	_exit(how == READY ? r == 0 ? 0 : 98 : how);
}

/* How the command ends that the user called. */
static int status_of(int how, int *report)
{
	int fds[2], status;
	pid_t pid;

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		be_daemon(how, fds[1]);
	close(fds[1]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	*report = fds[0];
	return WEXITSTATUS(status);
}

START_TEST(the_caller_is_let_go_when_it_is_ready)
{
	char byte;
	int report;

	ck_assert_int_eq(status_of(READY, &report), 0);
	/* Nobody has the caller's standard output any more. */
	ck_assert_int_eq(read(report, &byte, 1), 0);
	close(report);
}
END_TEST

START_TEST(the_caller_hears_of_a_failure)
{
	int report;

	ck_assert_int_eq(status_of(3, &report), 3);
	close(report);
	ck_assert_int_eq(status_of(EXIT_SUCCESS, &report), EXIT_FAILURE);
	close(report);
	ck_assert_int_eq(status_of(SIGKILL, &report), EXIT_FAILURE);
	close(report);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("background");
	TCase *tcase = tcase_create("background");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, no_manager_is_no_error);
	tcase_add_test(tcase, a_manager_by_path);
	tcase_add_test(tcase, a_manager_in_the_abstract_namespace);
	tcase_add_test(tcase, a_manager_that_is_not_there);
	tcase_add_test(tcase, the_caller_is_let_go_when_it_is_ready);
	tcase_add_test(tcase, the_caller_hears_of_a_failure);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
