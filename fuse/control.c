/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/control.h"

#include <errno.h>
#include <libgen.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "fuse/control_internal.h"
#include "store/log.h"

/*
 * The polling thread reads what has come and starts a worker for each whole request.
 * A worker goes on with requests that are buffered already, then arms the connection
 * again.  So nobody waits for a client but its own worker, and a connection that is
 * silent costs no thread.
 */
struct control {
	const struct control_host *host;
	char *socket_path;
	dev_t socket_dev; /* which socket is ours: the path may be another one's by now */
	ino_t socket_ino;
	int listener, epoll, wake;
	int spare; /* given up for a moment to refuse a client when no descriptor is left */
	pthread_t poller;

	pthread_mutex_t lock; /* innermost; guards all below */
	pthread_cond_t idle;  /* nbusy became 0 */
	struct connection *connections[CONTROL_CLIENTS_MAX];
	unsigned nbusy;
	bool stopping;
};

/* How long control_stop() lets workers send their answers before it cuts them off. */
#define STOP_GRACE_NS (2 * NSEC_PER_SEC)

/* ---- connections ---- */

static void connection_free(struct connection *connection)
{
	close(connection->fd);
	varlink_reader_free(connection->reader);
	json_decref(connection->message);
	free(connection->holds);
	free(connection);
}

static int connection_arm(struct connection *connection, int how)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT,
		.data.ptr = connection,
	};

	return epoll_ctl(connection->control->epoll, how, connection->fd, &event) < 0 ? -errno : 0;
}

static void connection_forget(struct connection *connection)
{
	struct control *control = connection->control;

	pthread_mutex_lock(&control->lock);
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (control->connections[i] == connection)
			control->connections[i] = NULL;
	pthread_mutex_unlock(&control->lock);
	connection_free(connection);
}

static void control_less_busy_locked(struct control *control)
{
	if (--control->nbusy == 0)
		pthread_cond_broadcast(&control->idle);
}

/* The worker's end of a connection that goes on; it must not be touched afterwards. */
static void worker_hand_back(struct connection *connection)
{
	struct control *control = connection->control;

	pthread_mutex_lock(&control->lock);
	connection->busy = false;
	if (!control->stopping && connection_arm(connection, EPOLL_CTL_MOD) < 0)
		log_error("control: cannot watch a client: %m");
	control_less_busy_locked(control);
	pthread_mutex_unlock(&control->lock);
}

static void worker_end(struct connection *connection)
{
	struct control *control = connection->control;

	request_settle(connection, control->host);
	connection_forget(connection);
	pthread_mutex_lock(&control->lock);
	control_less_busy_locked(control);
	pthread_mutex_unlock(&control->lock);
}

static const char *why_unreadable(int status)
{
	switch (status) {
	case -EMSGSIZE:
		return "the request is too long";
	case -EPROTO:
		return "the request is not one JSON object";
	case -EBADF:
		return "file descriptors are not accepted";
	default:
		return NULL;
	}
}

static bool worker_step(struct connection *connection)
{
	const struct control_host *host = connection->control->host;
	const char *why = why_unreadable(connection->status);
	json_t *message = steal_ptr(&connection->message);
	bool goes_on;

	if (why)
		request_refuse(connection->fd, connection->status, why);
	if (!message)
		return false;
	goes_on = request_run(connection, host, message);
	json_decref(message);
	return goes_on;
}

static void *worker_main(void *arg)
{
	struct connection *connection = arg;

	do {
		if (!worker_step(connection)) {
			worker_end(connection);
			return NULL;
		}
		connection->status = varlink_read(connection->reader, &connection->message);
	} while (connection->status != -EAGAIN);
	worker_hand_back(connection);
	return NULL;
}

static int start_detached(void *(*run)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;
	int ret;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	ret = pthread_create(&thread, &attr, run, arg);
	pthread_attr_destroy(&attr);
	return -ret;
}

/* Gives the connection, of which @status and @message were read, to a worker. */
static void start_worker(struct connection *connection)
{
	struct control *control = connection->control;

	pthread_mutex_lock(&control->lock);
	connection->busy = true;
	control->nbusy++;
	pthread_mutex_unlock(&control->lock);
	if (start_detached(worker_main, connection) == 0)
		return;
	log_error("control: cannot start a thread; a client of pid %d is sent away",
		connection->caller.pid);
	request_refuse(connection->fd, -EAGAIN, "the daemon cannot start a thread");
	worker_end(connection);
}

/* The worker armed the connection under the lock: so what it wrote is seen after taking it. */
static void take_from_worker(struct control *control)
{
	pthread_mutex_lock(&control->lock);
	pthread_mutex_unlock(&control->lock);
}

static void connection_ready(struct connection *connection)
{
	take_from_worker(connection->control);
	connection->status = varlink_read(connection->reader, &connection->message);
	if (connection->status != -EAGAIN)
		start_worker(connection);
	else if (connection_arm(connection, EPOLL_CTL_MOD) < 0)
		connection_forget(connection);
}

/* ---- accepting ---- */

/* NULL if there is room for such a client, else what to tell it. */
static const char *why_no_room_locked(
	const struct control *control, const struct connection *new, size_t *slot)
{
	unsigned unprivileged = 0, of_user = 0;

	*slot = CONTROL_CLIENTS_MAX;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		const struct connection *other = control->connections[i];

		if (!other) {
			*slot = i;
		} else if (!other->privileged) {
			unprivileged++;
			of_user += other->caller.uid == new->caller.uid;
		}
	}
	if (*slot == CONTROL_CLIENTS_MAX)
		return "too many clients are connected; try again later";
	if (new->privileged)
		return NULL;
	if (of_user >= CONTROL_CLIENTS_PER_USER)
		return "too many clients of this user are connected; close some";
	if (unprivileged >= CONTROL_CLIENTS_UNPRIVILEGED)
		return "too many unprivileged clients are connected; try again later";
	return NULL;
}

/* Takes @fd. */
static struct connection *connection_new(struct control *control, int fd)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection) {
		close(fd);
		return NULL;
	}
	connection->control = control;
	connection->fd = fd;
	connection->reader = varlink_reader_new(fd, VARLINK_REQUEST_MAX);
	if (!connection->reader || caller_from_socket(fd, &connection->caller) < 0) {
		connection_free(connection);
		return NULL;
	}
	connection->privileged = caller_may_relink(&connection->caller, NULL) == 0;
	return connection;
}

static void admit(struct control *control, int fd)
{
	struct connection *connection = connection_new(control, fd);
	const char *why;
	size_t slot;

	if (!connection)
		return;
	pthread_mutex_lock(&control->lock);
	why = why_no_room_locked(control, connection, &slot);
	if (!why)
		control->connections[slot] = connection;
	pthread_mutex_unlock(&control->lock);
	if (why) {
		request_refuse(connection->fd, -EBUSY, why);
		connection_free(connection);
	} else if (connection_arm(connection, EPOLL_CTL_ADD) < 0) {
		connection_forget(connection);
	}
}

/*
 * With no descriptor left the client would stay in the queue, and the listener ready
 * for ever: so the spare one is used to take it and hang up.
 */
static void hang_up_one(struct control *control)
{
	log_warn("control: too many open files; a client is sent away");
	if (control->spare >= 0)
		close(control->spare);
	control->spare = accept(control->listener, NULL, NULL);
	if (control->spare >= 0) {
		request_refuse(control->spare, -ENFILE, "the daemon has no file descriptor left");
		close(control->spare);
	}
	control->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void accept_clients(struct control *control)
{
	int fd;

	for (;;) {
		/* cppcheck-suppress nullPointer */
		fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			admit(control, fd);
		} else if (errno == EMFILE || errno == ENFILE) {
			hang_up_one(control);
			return;
		} else if (errno != EINTR && errno != ECONNABORTED) {
			return;
		}
	}
}

/* ---- the polling thread ---- */

static void *poller_main(void *arg)
{
	struct control *control = arg;
	struct epoll_event events[32];
	int count;

	for (;;) {
		count = epoll_wait(control->epoll, events, ARRAY_SIZE(events), -1);
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr == &control->wake)
				return NULL;
			if (events[i].data.ptr == &control->listener)
				accept_clients(control);
			else
				connection_ready(events[i].data.ptr);
		}
	}
}

/* ---- start and stop ---- */

/* The folder of the socket must be one in which nobody else can put a socket of theirs. */
static int prepare_folder(const char *socket_path, char **why)
{
	autofree char *copy = strdup(socket_path);
	const char *folder;
	struct stat st;

	if (!copy)
		return util_why(why, -ENOMEM, "out of memory");
	folder = dirname(copy);
	if (mkdir(folder, 0755) == 0 && chmod(folder, 0755) < 0)
		return util_why(why, -errno, "%s: chmod: %s", folder, strerror(errno));
	if (lstat(folder, &st) < 0)
		return util_why(
			why, -errno, "%s: cannot make this directory: %s", folder, strerror(errno));
	if (!S_ISDIR(st.st_mode) || (st.st_uid != 0 && st.st_uid != geteuid()) ||
		(st.st_mode & (S_IWGRP | S_IWOTH)))
		return util_why(why, -EPERM,
			"%s: the control socket needs a directory that is root's or the daemon's "
			"and "
			"that nobody else can write to",
			folder);
	return 0;
}

static int remove_stale(const char *socket_path, char **why)
{
	struct stat st;

	if (lstat(socket_path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return util_why(
			why, -EEXIST, "%s: is in the way and no socket; remove it", socket_path);
	if (unlink(socket_path) < 0)
		return util_why(why, -errno, "%s: cannot remove the old socket: %s", socket_path,
			strerror(errno));
	return 0;
}

static int bind_socket(struct control *control)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t size = strlen(control->socket_path) + 1;
	struct stat st;

	if (size > sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, control->socket_path, size);
	control->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (control->listener < 0 ||
		bind(control->listener, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	if (chmod(control->socket_path, 0666) < 0 || lstat(control->socket_path, &st) < 0 ||
		listen(control->listener, 128) < 0) {
		int error = errno;

		unlink(control->socket_path);
		return -error;
	}
	control->socket_dev = st.st_dev;
	control->socket_ino = st.st_ino;
	return 0;
}

static int open_socket(struct control *control, char **why)
{
	int ret = prepare_folder(control->socket_path, why);

	if (ret == 0)
		ret = remove_stale(control->socket_path, why);
	if (ret < 0)
		return ret;
	ret = bind_socket(control);
	if (ret < 0)
		util_why(why, ret, "%s: cannot listen: %s", control->socket_path, strerror(-ret));
	return ret;
}

/* The device number, and with it the path, may have passed to a newer mount. */
static void remove_socket(const struct control *control)
{
	struct stat st;

	if (control->socket_path && control->socket_ino && lstat(control->socket_path, &st) == 0 &&
		st.st_dev == control->socket_dev && st.st_ino == control->socket_ino)
		unlink(control->socket_path);
}

static int watch(const struct control *control, const int *fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = (void *)fd };

	return epoll_ctl(control->epoll, EPOLL_CTL_ADD, *fd, &event) < 0 ? -errno : 0;
}

static int start_poller(struct control *control)
{
	sigset_t all, before;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = pthread_create(&control->poller, NULL, poller_main, control);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -ret;
}

static int open_polling(struct control *control)
{
	int ret;

	control->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	control->epoll = epoll_create1(EPOLL_CLOEXEC);
	control->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (control->epoll < 0 || control->wake < 0)
		return -errno;
	ret = watch(control, &control->wake);
	if (ret == 0)
		ret = watch(control, &control->listener);
	return ret == 0 ? start_poller(control) : ret;
}

static struct control *control_new(const struct control_host *host, const char *socket_path)
{
	struct control *control = calloc(1, sizeof(*control));
	pthread_condattr_t attr;

	if (!control)
		return NULL;
	control->host = host;
	control->listener = control->epoll = control->wake = control->spare = -1;
	pthread_mutex_init(&control->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&control->idle, &attr);
	pthread_condattr_destroy(&attr);
	control->socket_path = strdup(socket_path);
	return control;
}

static void control_free(struct control *control)
{
	const int fds[] = { control->listener, control->epoll, control->wake, control->spare };

	remove_socket(control);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		util_close(&fds[i]);
	pthread_cond_destroy(&control->idle);
	pthread_mutex_destroy(&control->lock);
	free(control->socket_path);
	free(control);
}

int control_start(
	const struct control_host *host, const char *socket_path, struct control **out, char **why)
{
	struct control *control = control_new(host, socket_path);
	int ret;

	if (!control || !control->socket_path) {
		if (control)
			control_free(control);
		return util_why(why, -ENOMEM, "out of memory");
	}
	ret = open_socket(control, why);
	if (ret == 0) {
		ret = open_polling(control);
		if (ret < 0)
			util_why(why, ret, "cannot start the control server: %s", strerror(-ret));
	}
	if (ret < 0) {
		control_free(control);
		return ret;
	}
	*out = control;
	return 0;
}

/* No more requests are read; @how == SHUT_RDWR: and no more answers taken. */
static void shut_busy_locked(struct control *control, int how)
{
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (control->connections[i] && control->connections[i]->busy)
			shutdown(control->connections[i]->fd, how);
}

static void wait_for_workers(struct control *control)
{
	int64_t until = monotonic_ns() + STOP_GRACE_NS;
	struct timespec deadline = { .tv_sec = until / NSEC_PER_SEC,
		.tv_nsec = until % NSEC_PER_SEC };

	pthread_mutex_lock(&control->lock);
	control->stopping = true;
	shut_busy_locked(control, SHUT_RD);
	while (control->nbusy > 0)
		if (pthread_cond_timedwait(&control->idle, &control->lock, &deadline) == ETIMEDOUT)
			break;
	shut_busy_locked(control, SHUT_RDWR);
	while (control->nbusy > 0)
		pthread_cond_wait(&control->idle, &control->lock);
	pthread_mutex_unlock(&control->lock);
}

void control_stop(struct control *control)
{
	const uint64_t one = 1;

	if (!control)
		return;
	remove_socket(control);
	if (write(control->wake, &one, sizeof(one)) < 0)
		log_error("control: cannot wake the polling thread: %m");
	pthread_join(control->poller, NULL);
	wait_for_workers(control);
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct connection *connection = control->connections[i];

		if (!connection)
			continue;
		request_settle(connection, control->host);
		connection_free(connection);
	}
	control_free(control);
}
