/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/util.h"
#include "store/varlink.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

/* ours: the end that a reader works on.  theirs: the peer's. */
static int ours, theirs;
static struct varlink_reader *reader;

static void setup(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ours = pair[0];
	theirs = pair[1];
	ck_assert_int_eq(fcntl(ours, F_SETFL, O_NONBLOCK), 0);
	reader = varlink_reader_new(ours, VARLINK_REQUEST_MAX);
	ck_assert_ptr_nonnull(reader);
}

static void teardown(void)
{
	varlink_reader_free(reader);
	close(ours);
	if (theirs >= 0)
		close(theirs);
}

static void peer_sends(const char *bytes, size_t size)
{
	ck_assert_int_eq(util_write_all(theirs, bytes, size), 0);
}

static void peer_dies(void)
{
	close(theirs);
	theirs = -1;
}

static void expect_error(int error)
{
	json_t *message;

	ck_assert_int_eq(varlink_read(reader, &message), error);
	ck_assert_ptr_null(message);
}

static void expect_method(const char *method)
{
	json_t *message;

	ck_assert_int_eq(varlink_read(reader, &message), 0);
	ck_assert_ptr_nonnull(message);
	ck_assert_str_eq(json_string_value(json_object_get(message, "method")), method);
	json_decref(message);
}

START_TEST(a_message_byte_by_byte)
	{
		static const char text[] = "{\"method\": \"org.relinkfs.Status\"}";

		for (size_t i = 0; i < sizeof(text); i++) {
			expect_error(-EAGAIN);
			peer_sends(text + i, 1);
		}
		expect_method("org.relinkfs.Status");
		expect_error(-EAGAIN);
	}
END_TEST

START_TEST(several_messages_at_once)
	{
		static const char text[] = "{\"method\":\"a\"}\0{\"method\":\"b\"}\0{\"meth";
		static const char rest[] = "od\":\"c\"}";

		peer_sends(text, sizeof(text) - 1);
		expect_method("a");
		expect_method("b");
		expect_error(-EAGAIN);
		peer_sends(rest, sizeof(rest));
		expect_method("c");
	}
END_TEST

START_TEST(a_clean_end)
	{
		json_t *message;

		peer_sends("{\"method\":\"a\"}", 15);
		peer_dies();
		expect_method("a");
		ck_assert_int_eq(varlink_read(reader, &message), 0);
		ck_assert_ptr_null(message);
	}
END_TEST

START_TEST(an_end_inside_a_message)
	{
		peer_sends("{\"method\":\"a\"}\0{}", 17);
		peer_dies();
		expect_method("a");
		expect_error(-ECONNRESET);
	}
END_TEST

static const struct {
	const char *bytes;
	size_t size;
} garbage[] = {
	{ "", 1 },
	{ "hello", 6 },
	{ "[]", 3 },
	{ "17", 3 },
	{ "{\"a\":1", 7 },
	{ "{\"a\":1} x", 10 },
	{ "{\"a\":1,\"a\":2}", 14 },
	{ "{\"a\":\"\\u0000\"}", 15 },
	{ "{\"a\":\"\xff\"}", 10 },
	{ "\x16\x03\x01\x02\x00", 5 },
};

START_TEST(garbage_is_refused)
	{
		peer_sends(garbage[_i].bytes, garbage[_i].size);
		expect_error(-EPROTO);
	}
END_TEST

START_TEST(deep_nesting_is_refused)
	{
		static char text[VARLINK_REQUEST_MAX];

		memset(text, '[', sizeof(text) - 1);
		peer_sends(text, sizeof(text));
		expect_error(-EPROTO);
	}
END_TEST

/* A message of just @size bytes and its NUL. */
static void peer_sends_message_of(size_t size)
{
	autofree char *text = malloc(size + 1);

	ck_assert_ptr_nonnull(text);
	memset(text, ' ', size);
	text[0] = '{';
	text[size - 1] = '}';
	text[size] = '\0';
	peer_sends(text, size + 1);
}

START_TEST(the_limit_is_exact)
	{
		json_t *message;

		peer_sends_message_of(VARLINK_REQUEST_MAX);
		ck_assert_int_eq(varlink_read(reader, &message), 0);
		json_decref(message);
		peer_sends_message_of(VARLINK_REQUEST_MAX + 1);
		expect_error(-EMSGSIZE);
	}
END_TEST

START_TEST(a_message_without_end_is_refused)
	{
		static char spaces[VARLINK_REQUEST_MAX + 1];

		memset(spaces, ' ', sizeof(spaces));
		peer_sends(spaces, sizeof(spaces));
		expect_error(-EMSGSIZE);
	}
END_TEST

static void pass_fd(int fd)
{
	char control[CMSG_SPACE(sizeof(fd))] = { 0 }, text[] = "{}";
	struct iovec iov = { .iov_base = text, .iov_len = sizeof(text) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	ck_assert_int_eq(sendmsg(theirs, &msg, 0), 3);
}

START_TEST(a_passed_descriptor_never_arrives)
	{
		int ends[2];
		char byte;

		ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
		pass_fd(ends[1]);
		close(ends[1]);
		expect_error(-EBADF);
		/* The end of file says that nobody has the write end any more. */
		ck_assert_int_eq(read(ends[0], &byte, 1), 0);
		close(ends[0]);
	}
END_TEST

static json_t *big_message(size_t items)
{
	json_t *array = json_array();

	for (size_t i = 0; i < items; i++)
		json_array_append_new(array, json_integer((json_int_t)i));
	return json_pack("{s:s, s:o}", "method", "big", "items", array);
}

static int write_big_ret;

static void *write_big(void *fd)
{
	json_t *message = big_message(200000);

	write_big_ret = varlink_write(*(int *)fd, message);
	json_decref(message);
	return NULL;
}

/* The writer's end does not block, so it gets there in many short writes. */
START_TEST(a_big_message_over_a_small_buffer)
	{
		struct varlink_reader *big = varlink_reader_new(theirs, VARLINK_MESSAGE_MAX);
		int small = 4096;
		pthread_t writer;
		json_t *message;

		ck_assert_int_eq(setsockopt(ours, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
		ck_assert_int_eq(pthread_create(&writer, NULL, write_big, &ours), 0);
		ck_assert_int_eq(varlink_read(big, &message), 0);
		pthread_join(writer, NULL);
		ck_assert_int_eq(write_big_ret, 0);
		ck_assert_uint_eq(json_array_size(json_object_get(message, "items")), 200000);
		json_decref(message);
		varlink_reader_free(big);
	}
END_TEST

START_TEST(writing_to_a_dead_peer)
	{
		json_t *message = json_pack("{s:s}", "method", "a");

		peer_dies();
		ck_assert_int_eq(varlink_write(ours, message), -EPIPE);
		json_decref(message);
	}
END_TEST

/* A peer that ends while we wait for it to take more. */
START_TEST(a_peer_that_dies_while_we_write)
	{
		pthread_t writer;
		char byte;

		ck_assert_int_eq(pthread_create(&writer, NULL, write_big, &ours), 0);
		ck_assert_int_eq(read(theirs, &byte, 1), 1);
		peer_dies();
		pthread_join(writer, NULL);
		ck_assert_int_lt(write_big_ret, 0);
		ck_assert_int_ne(write_big_ret, -ETIMEDOUT);
	}
END_TEST

/* ---- client, against a server of one prepared answer ---- */

static char dir[64];
static char *socket_path;
static int listener;

static void client_setup(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	autofree char *folder = NULL;
	struct stat st;

	strcpy(dir, "/tmp/relinkfs-varlink-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	setenv("XDG_RUNTIME_DIR", dir, 1);
	folder = util_printf("%s/relinkfs", dir);
	ck_assert_int_eq(mkdir(folder, 0700), 0);
	ck_assert_int_eq(stat(dir, &st), 0);
	socket_path = varlink_socket_path(st.st_dev, false);
	ck_assert_int_eq(strncmp(socket_path, dir, strlen(dir)), 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
}

static void client_teardown(void)
{
	autofree char *folder = util_printf("%s/relinkfs", dir);

	close(listener);
	unlink(socket_path);
	free(socket_path);
	rmdir(folder);
	ck_assert_int_eq(rmdir(dir), 0);
}

/* Takes one request and sends @answer ("" = hangs up); gives what the request said. */
static void *serve_one(void *answer)
{
	/* cppcheck-suppress nullPointer */
	autofd int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct varlink_reader *requests = varlink_reader_new(fd, VARLINK_REQUEST_MAX);
	json_t *request = NULL;

	if (varlink_read(requests, &request) == 0 && *(const char *)answer)
		util_write_all(fd, answer, strlen(answer) + 1);
	varlink_reader_free(requests);
	return request;
}

static int call_against(const char *answer, json_t **request, json_t **out, char **why)
{
	struct varlink_client *client;
	pthread_t server;
	int ret;

	ck_assert_int_eq(pthread_create(&server, NULL, serve_one, (void *)answer), 0);
	ck_assert_int_eq(varlink_connect(dir, &client, why), 0);
	ret = varlink_call(client, "Show", json_pack("{s:s}", "id", "12"), out, why);
	varlink_disconnect(client);
	pthread_join(server, (void **)request);
	return ret;
}

static const struct {
	const char *answer;
	int ret;
	const char *why;
} answers[] = {
	{ "{\"parameters\":{\"x\":5}}", 0, NULL },
	{ "{}", 0, NULL },
	{ "{\"error\":\"org.relinkfs.Error\",\"parameters\":{\"errno\":2,\"message\":\"no such "
	  "checkpoint\"}}",
		-ENOENT, "no such checkpoint" },
	{ "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{\"method\":\"x\"}}",
		-EREMOTEIO, "the daemon answered org.varlink.service.MethodNotFound" },
	{ "{\"error\":\"org.relinkfs.Error\",\"parameters\":{\"errno\":-5,\"message\":\"x\"}}",
		-EREMOTEIO, "x" },
	{ "", -ECONNRESET, "lost the connection to the daemon: Connection reset by peer" },
	{ "nonsense", -EPROTO, "lost the connection to the daemon: Protocol error" },
};

START_TEST(the_client_understands_answers)
	{
		autofree char *why = NULL;
		json_t *request, *out;
		int ret = call_against(answers[_i].answer, &request, &out, &why);

		ck_assert_int_eq(ret, answers[_i].ret);
		ck_assert_pstr_eq(why, answers[_i].why);
		ck_assert_str_eq(
			json_string_value(json_object_get(request, "method")), "org.relinkfs.Show");
		ck_assert_str_eq(json_string_value(json_object_get(
					 json_object_get(request, "parameters"), "id")),
			"12");
		if (ret == 0)
			ck_assert(json_is_object(out));
		json_decref(request);
		json_decref(out);
	}
END_TEST

START_TEST(a_path_without_a_daemon)
	{
		autofree char *why = NULL;
		struct varlink_client *client;

		ck_assert_int_eq(varlink_connect("/proc", &client, &why), -ENXIO);
		ck_assert_str_eq(
			why, "/proc: not on a relinkfs mount but on proc (mounted at /proc)");
		ck_assert_int_eq(varlink_connect("/nowhere/at/all", &client, &why), -ENOENT);
		ck_assert_ptr_nonnull(strstr(why, "/nowhere/at/all: "));
	}
END_TEST

START_TEST(where_sockets_are)
	{
		autofree char *of_root = varlink_socket_path(makedev(0, 300), true);
		autofree char *of_user = NULL, *unset = NULL;

		ck_assert_str_eq(of_root, "/run/relinkfs/0:300.sock");
		setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
		of_user = varlink_socket_path(makedev(259, 2), false);
		ck_assert_str_eq(of_user, "/run/user/7/relinkfs/259:2.sock");
		setenv("XDG_RUNTIME_DIR", "relative", 1);
		unset = varlink_socket_path(makedev(259, 2), false);
		ck_assert_int_eq(unset[0], '/');
	}
END_TEST

static TCase *client_cases(void)
{
	TCase *tcase = tcase_create("client");

	tcase_add_checked_fixture(tcase, client_setup, client_teardown);
	tcase_add_loop_test(tcase, the_client_understands_answers, 0, ARRAY_SIZE(answers));
	tcase_add_test(tcase, a_path_without_a_daemon);
	return tcase;
}

static TCase *wire_cases(void)
{
	TCase *tcase = tcase_create("wire");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_message_byte_by_byte);
	tcase_add_test(tcase, several_messages_at_once);
	tcase_add_test(tcase, a_clean_end);
	tcase_add_test(tcase, an_end_inside_a_message);
	tcase_add_loop_test(tcase, garbage_is_refused, 0, ARRAY_SIZE(garbage));
	tcase_add_test(tcase, deep_nesting_is_refused);
	tcase_add_test(tcase, the_limit_is_exact);
	tcase_add_test(tcase, a_message_without_end_is_refused);
	tcase_add_test(tcase, a_passed_descriptor_never_arrives);
	tcase_add_test(tcase, a_big_message_over_a_small_buffer);
	tcase_add_test(tcase, writing_to_a_dead_peer);
	tcase_add_test(tcase, a_peer_that_dies_while_we_write);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("varlink");
	TCase *paths = tcase_create("paths");
	SRunner *runner;
	int failed;

	tcase_add_test(paths, where_sockets_are);
	suite_add_tcase(suite, wire_cases());
	suite_add_tcase(suite, client_cases());
	suite_add_tcase(suite, paths);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
