/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The control server: connections, the wire, start and stop. */
#include "libcontrol.h"
#include "store/util.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- the service ---- */

START_TEST(status_tells_all)
{
	struct client client = client_open();
	json_t *status = expect_fine(client_call(&client, "org.relinkfs.Status", "{}"));
	json_t *backing = json_array_get(json_object_get(status, "backings"), 0);

	ck_assert_int_eq(integer_of(status, "pid"), getpid());
	ck_assert_str_eq(string_of(status, "mount"), source);
	ck_assert_str_eq(string_of(status, "source"), source);
	ck_assert_str_eq(string_of(status, "started"), "2023-11-14T22:13:20.000000000Z");
	ck_assert_str_eq(string_of(status, "io_reason"), "a test");
	ck_assert_str_eq(string_of(status, "catalog"), "ok");
	ck_assert_int_eq(integer_of(status, "nodes"), 17);
	ck_assert_int_eq(integer_of(status, "open_handles"), 4);
	ck_assert_int_eq(integer_of(status, "hidden"), 0);
	ck_assert_int_eq(integer_of(status, "checkpoints"), 0);
	ck_assert_str_eq(json_string_value(json_array_get(json_object_get(status, "warnings"), 0)),
		"number 1");
	ck_assert_str_eq(string_of(backing, "path"), source);
	ck_assert(json_is_true(json_object_get(backing, "durable")));
	json_decref(status);
	client_close(&client);
}
END_TEST

START_TEST(introspection)
{
	struct client client = client_open();
	json_t *info = expect_fine(client_call(&client, "org.varlink.service.GetInfo", "{}"));
	json_t *list = json_object_get(info, "interfaces");

	ck_assert_str_eq(string_of(info, "product"), "relinkfs");
	ck_assert_uint_eq(json_array_size(list), 2);
	for (size_t i = 0; i < 2; i++) {
		autofree char *parameters = util_printf(
			"{\"interface\":\"%s\"}", json_string_value(json_array_get(list, i)));
		json_t *reply = expect_fine(client_call(
			&client, "org.varlink.service.GetInterfaceDescription", parameters));

		ck_assert_ptr_nonnull(strstr(string_of(reply, "description"),
			json_string_value(json_array_get(list, i))));
		json_decref(reply);
	}
	json_decref(info);
	client_close(&client);
}
END_TEST

static const struct {
	const char *method, *parameters, *error, *key, *value;
} wrong_calls[] = {
	{ "org.relinkfs.Nothing", "{}", "org.varlink.service.MethodNotFound", "method",
		"org.relinkfs.Nothing" },
	{ "org.relinkfs.status", "{}", "org.varlink.service.MethodNotFound", "method", "status" },
	{ "org.example.Status", "{}", "org.varlink.service.InterfaceNotFound", "interface",
		"org.example" },
	{ "Status", "{}", "org.varlink.service.InterfaceNotFound", "interface", "Status" },
	{ "", "{}", "org.varlink.service.InterfaceNotFound", "interface", "" },
	{ "org.relinkfs.Status", "[]", "org.varlink.service.InvalidParameter", "parameter",
		"parameters" },
	{ "org.relinkfs.Status", "{\"x\":1}", "org.varlink.service.InvalidParameter", "parameter",
		"x" },
	{ "org.relinkfs.ListEntries", "{\"holders\":\"yes\"}",
		"org.varlink.service.InvalidParameter", "parameter", "holders" },
	{ "org.relinkfs.Freeze", "{\"scope\":\"some\"}", "org.varlink.service.InvalidParameter",
		"parameter", "scope" },
	{ "org.relinkfs.Freeze", "{\"scope\":\"tree\"}", "org.varlink.service.InvalidParameter",
		"parameter", "pid" },
	{ "org.relinkfs.Freeze", "{\"pid\":5}", "org.varlink.service.InvalidParameter", "parameter",
		"pid" },
	{ "org.relinkfs.Freeze", "{\"scope\":\"tree\",\"pid\":4294967297}",
		"org.varlink.service.InvalidParameter", "parameter", "pid" },
	{ "org.relinkfs.Freeze", "{\"scope\":\"cgroup\"}", "org.varlink.service.InvalidParameter",
		"parameter", "cgroup" },
	{ "org.relinkfs.Freeze", "{\"template\":\"no placeholders\"}", "org.relinkfs.Error",
		"message", "" },
	{ "org.relinkfs.Commit", "{}", "org.varlink.service.InvalidParameter", "parameter", "id" },
	{ "org.relinkfs.Commit", "{\"id\":\"xyz\"}", "org.varlink.service.InvalidParameter",
		"parameter", "id" },
	{ "org.relinkfs.Commit", "{\"id\":\"12345678901234567\"}",
		"org.varlink.service.InvalidParameter", "parameter", "id" },
	{ "org.relinkfs.Commit", "{\"id\":\"1234\"}", "org.relinkfs.Error", "message",
		"no checkpoint 00001234" },
	{ "org.relinkfs.Undo", "{\"id\":\"1234\"}", "org.relinkfs.Error", "message",
		"no checkpoint 00001234" },
	{ "org.relinkfs.Drop", "{}", "org.varlink.service.InvalidParameter", "parameter",
		"manifest" },
	{ "org.relinkfs.Drop", "{\"id\":\"12\",\"manifest\":\"x\"}",
		"org.varlink.service.InvalidParameter", "parameter", "id" },
	{ "org.relinkfs.Drop", "{\"manifest\":\"../x\"}", "org.varlink.service.InvalidParameter",
		"parameter", "manifest" },
	{ "org.relinkfs.Drop", "{\"id\":\"1234\"}", "org.relinkfs.Error", "message",
		"cannot drop" },
	{ "org.relinkfs.ShowCheckpoint", "{\"id\":\"1234\"}", "org.relinkfs.Error", "message",
		"no such checkpoint" },
	{ "org.relinkfs.Alias", "{\"link\":\"a\"}", "org.varlink.service.InvalidParameter",
		"parameter", "path" },
	{ "org.relinkfs.Alias", "{\"link\":\"/a\",\"path\":\"b\"}",
		"org.varlink.service.InvalidParameter", "parameter", "link" },
	{ "org.relinkfs.Alias", "{\"link\":\"a\",\"path\":\"x/../b\"}",
		"org.varlink.service.InvalidParameter", "parameter", "path" },
	{ "org.relinkfs.Alias", "{\"link\":\"a\",\"path\":\"b\",\"pid\":1}", "org.relinkfs.Error",
		"message", "only given to the process that asks" },
	{ "org.relinkfs.Alias", "{\"link\":\"a\",\"path\":\"refused\"}", "org.relinkfs.Error",
		"message", "a: cannot stand for refused: not there" },
};

/* And the connection goes on. */
START_TEST(wrong_calls_are_answered)
{
	struct client client = client_open();
	json_t *reply = client_call(&client, wrong_calls[_i].method, wrong_calls[_i].parameters);

	expect_error(reply, wrong_calls[_i].error, wrong_calls[_i].key, wrong_calls[_i].value);
	expect_status(&client);
	client_close(&client);
}
END_TEST

START_TEST(flags_of_a_call)
{
	struct client client = client_open();

	client_send(&client, "{\"method\":\"org.relinkfs.Status\",\"oneway\":true}");
	client_send(&client, "{\"method\":\"org.nowhere.Status\",\"oneway\":true}");
	client_send(&client, "{\"method\":\"org.varlink.service.GetInfo\",\"more\":true,"
			     "\"parameters\":null}");
	json_decref(expect_fine(client_read(&client)));
	client_close(&client);
}
END_TEST

/* ---- clients that misbehave ---- */

START_TEST(half_sent_requests_hold_up_nobody)
{
	struct client half[32], whole;

	for (size_t i = 0; i < ARRAY_SIZE(half); i++) {
		half[i] = client_open();
		ck_assert_int_eq(util_write_all(half[i].fd, "{\"method\":", 10), 0);
	}
	whole = client_open();
	expect_status(&whole);
	client_send(&half[3], "\"org.relinkfs.Status\"}");
	json_decref(expect_fine(client_read(&half[3])));
	for (size_t i = 0; i < ARRAY_SIZE(half); i++)
		client_close(&half[i]);
	expect_status(&whole);
	client_close(&whole);
}
END_TEST

START_TEST(a_long_request_holds_up_nobody)
{
	struct client slow = client_open(), quick = client_open();

	flush_block(true);
	client_send(&slow, "{\"method\":\"org.relinkfs.ListEntries\"}");
	wait_until_inside_flush();
	expect_status(&quick);
	flush_block(false);
	json_decref(expect_fine(client_read(&slow)));
	client_close(&slow);
	client_close(&quick);
}
END_TEST

/* Fills the sockets both ways with requests whose answers it never takes. */
START_TEST(a_client_that_does_not_read_holds_up_nobody)
{
	static const char request[] = "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
				      "\"parameters\":{\"interface\":\"org.relinkfs\"}}";
	struct client deaf = client_open(), other = client_open();
	struct pollfd pfd = { .fd = deaf.fd, .events = POLLOUT };
	ssize_t sent = 0;

	/* Full for half a second: the worker waits in its write. */
	while (poll(&pfd, 1, 500) == 1 && sent >= 0)
		sent = send(deaf.fd, request, sizeof(request), MSG_DONTWAIT | MSG_NOSIGNAL);
	expect_status(&other);
	client_close(&deaf);
	expect_status(&other);
	client_close(&other);
}
END_TEST

START_TEST(garbage_ends_the_connection)
{
	static char spaces[VARLINK_REQUEST_MAX + 8];
	struct client bad = client_open(), big = client_open();

	client_send(&bad, "GET / HTTP/1.1\r\n");
	expect_errno(client_read(&bad), EPROTO, "not one JSON object");
	expect_hang_up(&bad);
	memset(spaces, ' ', sizeof(spaces));
	util_write_all(big.fd, spaces, sizeof(spaces));
	expect_errno(client_read(&big), EMSGSIZE, "too long");
	expect_hang_up(&big);
	client_close(&bad);
	client_close(&big);
}
END_TEST

static void send_with_fd(int socket, int fd, char *text)
{
	char space[CMSG_SPACE(sizeof(fd))] = { 0 };
	struct iovec iov = { .iov_base = text, .iov_len = strlen(text) + 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = space,
		.msg_controllen = sizeof(space),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	ck_assert_int_gt(sendmsg(socket, &msg, 0), 0);
}

START_TEST(a_passed_file_is_refused)
{
	char text[] = "{\"method\":\"org.relinkfs.Freeze\"}";
	struct client client = client_open();
	char byte;
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	send_with_fd(client.fd, ends[1], text);
	close(ends[1]);
	expect_errno(client_read(&client), EBADF, "file descriptors are not accepted");
	expect_hang_up(&client);
	/* End of file: the server does not have it. */
	ck_assert_int_eq(read(ends[0], &byte, 1), 0);
	close(ends[0]);
	client_close(&client);
}
END_TEST

START_TEST(too_many_clients_are_told_so)
{
	static struct client clients[CONTROL_CLIENTS_MAX];
	struct client more;

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		clients[i] = client_open();
	expect_status(&clients[CONTROL_CLIENTS_MAX - 1]);
	more = client_open();
	expect_errno(client_read(&more), EBUSY, "too many clients");
	expect_hang_up(&more);
	client_close(&more);
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		client_close(&clients[i]);
}
END_TEST

static void crowd(void)
{
	struct client clients[CONTROL_CLIENTS_PER_USER], more;

	for (size_t i = 0; i < CONTROL_CLIENTS_PER_USER; i++)
		clients[i] = client_open();
	expect_status(&clients[CONTROL_CLIENTS_PER_USER - 1]);
	more = client_open();
	expect_errno(client_read(&more), EBUSY, "of this user");
	client_close(&more);
	client_close(&clients[0]);
	for (size_t i = 1; i < CONTROL_CLIENTS_PER_USER; i++)
		client_close(&clients[i]);
}

START_TEST(one_user_cannot_take_all_places)
{
	as_nobody(crowd);
}
END_TEST

/* ---- start and stop ---- */

START_TEST(the_socket_comes_and_goes)
{
	struct stat st;

	ck_assert_int_eq(lstat(socket_path, &st), 0);
	ck_assert_uint_eq(st.st_mode, S_IFSOCK | 0666);
	server_stop();
	ck_assert(!path_exists(socket_path));
}
END_TEST

static void make_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

START_TEST(a_stale_socket_is_replaced)
{
	struct client client;

	server_stop();
	make_socket(socket_path);
	server_start();
	client = client_open();
	expect_status(&client);
	client_close(&client);
}
END_TEST

START_TEST(the_socket_of_a_newer_mount_stays)
{
	ck_assert_int_eq(unlink(socket_path), 0);
	make_socket(socket_path);
	server_stop();
	ck_assert(path_exists(socket_path));
}
END_TEST

START_TEST(what_is_no_socket_stays)
{
	autofree char *why = NULL;
	autofd int fd = -1;

	server_stop();
	fd = open(socket_path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(control_start(&host, socket_path, &control, &why), -EEXIST);
	ck_assert_ptr_nonnull(strstr(why, "no socket; remove it"));
	ck_assert(path_exists(socket_path));
}
END_TEST

START_TEST(a_folder_open_to_all_is_refused)
{
	autofree char *why = NULL, *folder = util_printf("%s/relinkfs", run_folder);

	server_stop();
	ck_assert_int_eq(chmod(folder, 0777), 0);
	ck_assert_int_eq(control_start(&host, socket_path, &control, &why), -EPERM);
	ck_assert_ptr_nonnull(strstr(why, "nobody else can write to"));
}
END_TEST

static void *stop(void *arg)
{
	server_stop();
	return NULL;
}

/* A request that runs is finished and answered; one that comes later is not taken. */
START_TEST(stop_waits_for_what_runs)
{
	struct client client = client_open(), idle = client_open();
	pthread_t stopper;

	flush_block(true);
	client_send(&client, "{\"method\":\"org.relinkfs.ListEntries\"}");
	wait_until_inside_flush();
	ck_assert_int_eq(pthread_create(&stopper, NULL, stop, NULL), 0);
	while (path_exists(socket_path))
		poll(NULL, 0, 1);
	flush_block(false);
	json_decref(expect_fine(client_read(&client)));
	expect_hang_up(&client);
	expect_hang_up(&idle);
	pthread_join(stopper, NULL);
	client_close(&client);
	client_close(&idle);
}
END_TEST

/* ---- the text of the interface ---- */

static const char *cursor;

static void skip_space(void)
{
	while (*cursor == ' ' || *cursor == '\n' || *cursor == '#')
		cursor += *cursor == '#' ? strcspn(cursor, "\n") : 1;
}

static bool accept_text(const char *text)
{
	skip_space();
	if (strncmp(cursor, text, strlen(text)) != 0)
		return false;
	cursor += strlen(text);
	return true;
}

static void expect_text(const char *text)
{
	ck_assert_msg(accept_text(text), "expected '%s' at: %.60s", text, cursor);
}

/* @first and then @other characters, at least one. */
static void expect_name(const char *first, const char *other)
{
	skip_space();
	ck_assert_msg(strspn(cursor, first) > 0, "expected a name at: %.60s", cursor);
	cursor += strspn(cursor, other);
}

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGIT "0123456789"

static void expect_type(void)
{
	if (accept_text("?")) {
		skip_space();
		ck_assert_int_ne(*cursor, '?');
	}
	while (accept_text("[]"))
		;
	if (!accept_text("bool") && !accept_text("int") && !accept_text("float") &&
		!accept_text("string") && !accept_text("object"))
		expect_name(UPPER, LOWER UPPER DIGIT);
}

static void expect_struct(void)
{
	expect_text("(");
	if (accept_text(")"))
		return;
	do {
		expect_name(LOWER UPPER, LOWER UPPER DIGIT "_");
		expect_text(":");
		expect_type();
	} while (accept_text(","));
	expect_text(")");
}

static void expect_member(void)
{
	bool method = accept_text("method ");

	if (!method && !accept_text("type "))
		expect_text("error ");
	expect_name(UPPER, LOWER UPPER DIGIT);
	expect_struct();
	if (method) {
		expect_text("->");
		expect_struct();
	}
}

static const char *const interfaces[] = { "org.varlink.service", "org.relinkfs" };

/* The whole grammar of what Varlink calls an interface, less enums. */
START_TEST(the_interface_is_valid)
{
	struct client client = client_open();
	autofree char *parameters = util_printf("{\"interface\":\"%s\"}", interfaces[_i]);
	json_t *reply = expect_fine(
		client_call(&client, "org.varlink.service.GetInterfaceDescription", parameters));

	cursor = string_of(reply, "description");
	expect_text("interface ");
	expect_text(interfaces[_i]);
	do {
		expect_member();
		skip_space();
	} while (*cursor);
	json_decref(reply);
	client_close(&client);
}
END_TEST

/* ---- */

static TCase *server_cases(void)
{
	TCase *tcase = tcase_create("server");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, control_setup, control_teardown);
	tcase_add_test(tcase, status_tells_all);
	tcase_add_test(tcase, introspection);
	tcase_add_loop_test(tcase, wrong_calls_are_answered, 0, ARRAY_SIZE(wrong_calls));
	tcase_add_test(tcase, flags_of_a_call);
	tcase_add_test(tcase, half_sent_requests_hold_up_nobody);
	tcase_add_test(tcase, a_long_request_holds_up_nobody);
	tcase_add_test(tcase, a_client_that_does_not_read_holds_up_nobody);
	tcase_add_test(tcase, garbage_ends_the_connection);
	tcase_add_test(tcase, a_passed_file_is_refused);
	tcase_add_test(tcase, too_many_clients_are_told_so);
	tcase_add_test(tcase, one_user_cannot_take_all_places);
	tcase_add_test(tcase, the_socket_comes_and_goes);
	tcase_add_test(tcase, a_stale_socket_is_replaced);
	tcase_add_test(tcase, the_socket_of_a_newer_mount_stays);
	tcase_add_test(tcase, what_is_no_socket_stays);
	tcase_add_test(tcase, a_folder_open_to_all_is_refused);
	tcase_add_test(tcase, stop_waits_for_what_runs);
	tcase_add_loop_test(tcase, the_interface_is_valid, 0, ARRAY_SIZE(interfaces));
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("control");

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root, whose calls are permitted\n");
		return 77;
	}
	suite_add_tcase(suite, server_cases());
	return run_suite(suite);
}
