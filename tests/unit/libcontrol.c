/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libcontrol.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/util.h"

struct arena *served_arena;
struct store *served_store;
struct control_host host;
struct control *control;
char run_folder[64], socket_path[100];

/* ---- the filesystem above ---- */

struct above above = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void host_status(void *ctx, struct control_numbers *out, struct control_status *status)
{
	*out = (struct control_numbers){ "splice", "a test", "long", 3, 17, 4 };
	control_status_warn(status, "number %d", 1);
	control_status_backing(status, source, true, NULL);
}

static void host_flush(void *ctx)
{
	pthread_mutex_lock(&above.lock);
	above.inside++;
	pthread_cond_broadcast(&above.changed);
	while (above.block)
		pthread_cond_wait(&above.changed, &above.lock);
	above.inside--;
	pthread_mutex_unlock(&above.lock);
}

void flush_block(bool block)
{
	pthread_mutex_lock(&above.lock);
	above.block = block;
	pthread_cond_broadcast(&above.changed);
	pthread_mutex_unlock(&above.lock);
}

void wait_until_inside_flush(void)
{
	pthread_mutex_lock(&above.lock);
	while (above.inside == 0)
		pthread_cond_wait(&above.changed, &above.lock);
	pthread_mutex_unlock(&above.lock);
}

static int host_alias_set(
	void *ctx, pid_t pid, const char *link, const char *path, const char **mode, char **why)
{
	if (strcmp(path, "refused") == 0)
		return util_why(why, -ENOENT, "not there");
	pthread_mutex_lock(&above.lock);
	above.alias = pid;
	snprintf(above.link, sizeof(above.link), "%s", link);
	snprintf(above.path, sizeof(above.path), "%s", path);
	pthread_mutex_unlock(&above.lock);
	*mode = "lookup";
	return 0;
}

static void host_alias_clear(void *ctx, pid_t pid)
{
	pthread_mutex_lock(&above.lock);
	if (above.alias == pid)
		above.alias = 0;
	pthread_cond_broadcast(&above.changed);
	pthread_mutex_unlock(&above.lock);
}

void wait_for_no_alias(void)
{
	pthread_mutex_lock(&above.lock);
	while (above.alias != 0)
		pthread_cond_wait(&above.changed, &above.lock);
	pthread_mutex_unlock(&above.lock);
}

/* ---- fixture ---- */

static void open_store(void)
{
	const struct store_options options = { 0 };
	autofree char *why = NULL;
	int ret;

	ck_assert_int_eq(arena_new(&small_spec, &served_arena), 0);
	ret = store_open(source_fd, &options, served_arena, &served_store, &why);
	ck_assert_msg(ret == 0, "store_open: %s", why);
}

void server_start(void)
{
	autofree char *why = NULL;
	int ret = control_start(&host, socket_path, &control, &why);

	ck_assert_msg(ret == 0, "control_start: %s", why);
}

void server_stop(void)
{
	control_stop(control);
	control = NULL;
}

/* The socket is where clients look for that of a mount with the source's device number. */
static void choose_socket(dev_t dev)
{
	autofree char *path = NULL;

	strcpy(run_folder, "/tmp/relinkfs-run-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(run_folder));
	ck_assert_int_eq(chmod(run_folder, 0755), 0);
	setenv("XDG_RUNTIME_DIR", run_folder, 1);
	path = varlink_socket_path(dev, false);
	snprintf(socket_path, sizeof(socket_path), "%s", path);
}

void control_setup(void)
{
	struct stat st;

	umask(022);
	source_setup();
	ck_assert_int_eq(fstat(source_fd, &st), 0);
	choose_socket(st.st_dev);
	open_store();
	store_set_hooks(served_store,
		&(struct store_hooks){ .mount_dev = st.st_dev, .mount_path = source });
	host = (struct control_host){
		.store = served_store,
		.version = "1.2.3",
		.mount_path = source,
		.source_path = source,
		.instance = "default",
		.fstype = "test",
		.started = 1700000000,
		.mount_dev = st.st_dev,
		.status = host_status,
		.flush = host_flush,
		.alias_set = host_alias_set,
		.alias_clear = host_alias_clear,
	};
	server_start();
}

void control_teardown(void)
{
	autofree char *folder = util_printf("%s/relinkfs", run_folder);

	server_stop();
	store_close(served_store);
	arena_free(served_arena);
	source_teardown();
	unlink(socket_path);
	ck_assert_int_eq(rmdir(folder), 0);
	ck_assert_int_eq(rmdir(run_folder), 0);
}

int hide_file(const char *name, uid_t uid, off_t size)
{
	int fd = openat(source_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	autofree char *path = util_printf("data/%s", name);
	struct store_object object = { .owner = 1, .path = path, .mode = S_IFREG | 0600 };
	struct stat st;
	uint32_t entry;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, size), 0);
	ck_assert_int_eq(fchown(fd, uid, uid), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	object.ino = st.st_ino;
	object.uid = object.gid = uid;
	store_mutation_begin(served_store);
	ck_assert_int_eq(store_hide_move(served_store, &object, source_fd, name, &entry), 0);
	store_mutation_end(served_store);
	return fd;
}

bool path_exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

bool link_exists(const char *id, int n)
{
	autofree char *path =
		util_printf("%s/lost+found/checkpoint/unlink-at-restart-%s-%d", source, id, n);

	return path_exists(path);
}

/* ---- clients ---- */

struct client client_open(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = 30 };
	struct client client;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	client.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(client.fd, (struct sockaddr *)&address, sizeof(address)), 0);
	setsockopt(client.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	client.reader = varlink_reader_new(client.fd, VARLINK_MESSAGE_MAX);
	return client;
}

void client_close(struct client *client)
{
	close(client->fd);
	varlink_reader_free(client->reader);
}

void client_send(struct client *client, const char *text)
{
	ck_assert_int_eq(util_write_all(client->fd, text, strlen(text) + 1), 0);
}

json_t *client_read(struct client *client)
{
	json_t *reply;

	ck_assert_int_eq(varlink_read(client->reader, &reply), 0);
	ck_assert_ptr_nonnull(reply);
	return reply;
}

void expect_hang_up(struct client *client)
{
	json_t *reply = NULL;
	int ret = varlink_read(client->reader, &reply);

	ck_assert(ret == 0 || ret == -ECONNRESET);
	ck_assert_ptr_null(reply);
}

json_t *client_call(struct client *client, const char *method, const char *parameters)
{
	autofree char *text =
		util_printf("{\"method\":\"%s\",\"parameters\":%s}", method, parameters);

	client_send(client, text);
	return client_read(client);
}

json_t *expect_fine(json_t *reply)
{
	autofree char *text = json_dumps(reply, 0);
	json_t *parameters = json_incref(json_object_get(reply, "parameters"));

	ck_assert_msg(!json_object_get(reply, "error"), "unexpected: %s", text);
	ck_assert(json_is_object(parameters));
	json_decref(reply);
	return parameters;
}

const char *string_of(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	ck_assert_msg(value != NULL, "no string %s", key);
	return value;
}

json_int_t integer_of(const json_t *object, const char *key)
{
	ck_assert_msg(json_is_integer(json_object_get(object, key)), "no number %s", key);
	return json_integer_value(json_object_get(object, key));
}

void expect_error(json_t *reply, const char *name, const char *key, const char *value)
{
	const json_t *parameters = json_object_get(reply, "parameters");

	ck_assert_str_eq(string_of(reply, "error"), name);
	ck_assert_ptr_nonnull(strstr(string_of(parameters, key), value));
	json_decref(reply);
}

void expect_errno(json_t *reply, int error, const char *message)
{
	ck_assert_int_eq(integer_of(json_object_get(reply, "parameters"), "errno"), error);
	expect_error(reply, "org.relinkfs.Error", "message", message);
}

void expect_status(struct client *client)
{
	json_t *parameters = expect_fine(client_call(client, "org.relinkfs.Status", "{}"));

	ck_assert_str_eq(string_of(parameters, "version"), "1.2.3");
	json_decref(parameters);
}

json_t *call_with_id(struct client *client, const char *method, const char *id)
{
	autofree char *parameters = util_printf("{\"id\":\"%s\"}", id);

	return client_call(client, method, parameters);
}

void as_nobody(void (*body)(void))
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
			_exit(2);
		body();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
