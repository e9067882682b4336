/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/caller.h"
#include "store/util.h"

#include <check.h>
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

static char dir[64];
static struct sockaddr_un address;
static int listener;

static void setup(void)
{
	strcpy(dir, "/tmp/relinkfs-caller-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chmod(dir, 0755), 0);
	address.sun_family = AF_UNIX;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/sock", dir);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(chmod(address.sun_path, 0666), 0);
	ck_assert_int_eq(listen(listener, 4), 0);
}

static void teardown(void)
{
	close(listener);
	unlink(address.sun_path);
	ck_assert_int_eq(rmdir(dir), 0);
}

/* A process that becomes something, connects, and maybe becomes something else. */
struct peer {
	bool (*before)(void);
	bool (*after)(void);
	pid_t pid;
	int fd; /* our end of the connection */
};

static bool stay(void)
{
	return true;
}

/* Says 'y' when it is what it should be, 'n' if it could not; then lives while we do. */
static void peer_main(const struct peer *peer)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool fine = peer->before();
	char byte;

	fine = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && fine;
	fine = peer->after() && fine;
	if (write(fd, fine ? "y" : "n", 1) == 1 && read(fd, &byte, 1) < 0)
		_exit(1);
	_exit(0);
}

/* False: such a process cannot be made here. */
static bool peer_start(struct peer *peer, bool (*before)(void), bool (*after)(void))
{
	char byte = 0;

	*peer = (struct peer){ .before = before, .after = after };
	peer->pid = fork();
	ck_assert_int_ge(peer->pid, 0);
	if (peer->pid == 0)
		peer_main(peer);
	/* cppcheck-suppress nullPointer */
	peer->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(peer->fd, 0);
	ck_assert_int_eq(read(peer->fd, &byte, 1), 1);
	return byte == 'y';
}

static void peer_end(struct peer *peer)
{
	shutdown(peer->fd, SHUT_RDWR);
	ck_assert_int_eq(waitpid(peer->pid, NULL, 0), peer->pid);
	close(peer->fd);
}

static bool drop(const cap_value_t *values, int count)
{
	cap_t caps = cap_get_proc();
	bool fine = caps && cap_set_flag(caps, CAP_EFFECTIVE, count, values, CAP_CLEAR) == 0 &&
		    cap_set_proc(caps) == 0;

	cap_free(caps);
	return fine;
}

static bool drop_override(void)
{
	return drop((cap_value_t[]){ CAP_DAC_OVERRIDE }, 1);
}

static bool drop_read_search(void)
{
	return drop((cap_value_t[]){ CAP_DAC_READ_SEARCH }, 1);
}

static bool drop_both(void)
{
	return drop((cap_value_t[]){ CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH }, 2);
}

static bool become_nobody(void)
{
	return setgid(NOBODY) == 0 && setuid(NOBODY) == 0;
}

/* Root of a new user namespace, where uid 0 is also uid 0 outside. */
static bool become_other_root(void)
{
	autofd int map = -1;

	if (unshare(CLONE_NEWUSER) < 0)
		return false;
	map = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
	return map >= 0 && util_write_all(map, "0 0 1\n", 6) == 0 && getuid() == 0;
}

static const struct {
	const char *name;
	bool (*before)(void), (*after)(void);
	enum caller_standing standing;
	bool override, read_search;
	const char *why; /* a part of it; NULL: allowed */
} peers[] = {
	{ "root", stay, stay, CALLER_OURS, true, true, NULL },
	{ "no override", drop_override, stay, CALLER_OURS, false, true,
		"lacks CAP_DAC_OVERRIDE in" },
	{ "no read search", drop_read_search, stay, CALLER_OURS, true, false,
		"lacks CAP_DAC_READ_SEARCH in" },
	{ "neither", drop_both, stay, CALLER_OURS, false, false,
		"lacks CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH in" },
	{ "dropped later", stay, drop_override, CALLER_OURS, false, true,
		"lacks CAP_DAC_OVERRIDE in" },
	{ "nobody", become_nobody, stay, CALLER_OURS, false, false,
		"lacks CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH in" },
	{ "another user now", stay, become_nobody, CALLER_CHANGED, false, false,
		"became another user" },
	{ "root elsewhere", become_other_root, stay, CALLER_OTHER_USERNS, false, false,
		"another user namespace" },
	{ "moved elsewhere", stay, become_other_root, CALLER_OTHER_USERNS, false, false,
		"another user namespace" },
};

START_TEST(who_may_relink)
	{
		autofree char *why = NULL;
		struct caller caller;
		struct peer peer;

		if (peer_start(&peer, peers[_i].before, peers[_i].after)) {
			ck_assert_int_eq(caller_from_socket(peer.fd, &caller), 0);
			ck_assert_int_eq(caller.pid, peer.pid);
			ck_assert_int_eq(caller.standing, peers[_i].standing);
			ck_assert_int_eq(caller.has_dac_override, peers[_i].override);
			ck_assert_int_eq(caller.has_dac_read_search, peers[_i].read_search);
			ck_assert_int_eq(
				caller_may_relink(&caller, &why), peers[_i].why ? -EPERM : 0);
			if (peers[_i].why)
				ck_assert_ptr_nonnull(strstr(why, peers[_i].why));
			else
				ck_assert_ptr_null(why);
		} else {
			/* A container may forbid user namespaces; nothing else may fail. */
			ck_assert_int_ge(peers[_i].standing, CALLER_OTHER_USERNS);
			fprintf(stderr, "skipped: %s: not possible here\n", peers[_i].name);
		}
		peer_end(&peer);
	}
END_TEST

START_TEST(who_it_is)
	{
		autofree char *ours = NULL;
		struct caller caller;
		struct peer peer;

		ck_assert(peer_start(&peer, become_nobody, stay));
		ck_assert_int_eq(caller_from_socket(peer.fd, &caller), 0);
		ck_assert_int_eq(caller.uid, NOBODY);
		ck_assert_int_eq(caller.gid, NOBODY);
		ck_assert_int_eq(util_read_file(AT_FDCWD, "/proc/self/comm", 64, &ours, NULL), 0);
		ours[strcspn(ours, "\n")] = '\0';
		ck_assert_str_eq(caller.comm, ours);
		peer_end(&peer);
	}
END_TEST

START_TEST(a_peer_that_ended)
	{
		autofree char *why = NULL;
		struct caller caller;
		struct peer peer;

		ck_assert(peer_start(&peer, stay, stay));
		shutdown(peer.fd, SHUT_RDWR);
		ck_assert_int_eq(waitpid(peer.pid, NULL, 0), peer.pid);
		ck_assert_int_eq(caller_from_socket(peer.fd, &caller), 0);
		ck_assert_int_eq(caller.standing, CALLER_UNSEEN);
		ck_assert_int_eq(caller_may_relink(&caller, &why), -EPERM);
		ck_assert_ptr_nonnull(strstr(why, "cannot be seen"));
		close(peer.fd);
	}
END_TEST

START_TEST(not_a_socket)
	{
		autofd int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		struct caller caller;

		ck_assert_int_eq(caller_from_socket(fd, &caller), -ENOTSOCK);
	}
END_TEST

int main(void)
{
	Suite *suite = suite_create("caller");
	TCase *tcase = tcase_create("caller");
	SRunner *runner;
	int failed;

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root, to make processes of other rights\n");
		return 77;
	}
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, who_may_relink, 0, ARRAY_SIZE(peers));
	tcase_add_test(tcase, who_it_is);
	tcase_add_test(tcase, a_peer_that_ended);
	tcase_add_test(tcase, not_a_socket);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
