/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define FUSE_USE_VERSION 317

#include "fuse/loop.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "store/log.h"
#include "store/util.h"

#define WAKE_SIGNAL SIGUSR1
#define NUDGE_MS 10

#define SETTLE_LOOKS 2
#define SETTLE_PAUSE_NS 500000

/*
 * A worker's requests can block in the backing filesystem, so there are more workers
 * than processors; beyond that they gain nothing.
 */
#define THREADS_AUTO_MIN 4
#define THREADS_AUTO_MAX 16

enum loop_phase { PHASE_RUN, PHASE_DRAIN, PHASE_CUT };

enum worker_state { WORKER_STARTING, WORKER_RECEIVING, WORKER_BUSY, WORKER_ENDED };

struct worker {
	struct loop *loop;
	pthread_t thread;
	unsigned number;
	atomic_int state; /* enum worker_state; written by the worker alone */
};

struct loop {
	struct loop_config config;
	int event_fd; /* one count for each thread that has ended */
	atomic_int phase;
	atomic_int error;      /* the first one */
	pthread_mutex_t mutex; /* guards @initialized */
	pthread_cond_t changed;
	unsigned initialized; /* workers past thread_init, with or without success */
	unsigned count;
	struct worker worker[];
};

unsigned loop_thread_count(unsigned asked)
{
	unsigned processors = 1;
	cpu_set_t set;

	if (asked)
		return asked;
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		processors = (unsigned)CPU_COUNT(&set);
	if (2 * processors < THREADS_AUTO_MIN)
		return THREADS_AUTO_MIN;
	return 2 * processors > THREADS_AUTO_MAX ? THREADS_AUTO_MAX : 2 * processors;
}

int loop_handshake(struct fuse_session *se)
{
	struct fuse_buf buffer = { 0 };
	int r;

	do
		r = fuse_session_receive_buf(se, &buffer);
	while (r == -EINTR);
	if (r > 0)
		fuse_session_process_buf(se, &buffer);
	free(buffer.mem);
	if (r < 0)
		return r;
	return fuse_session_exited(se) ? -EPROTO : 0;
}

static void fail(struct loop *loop, int error)
{
	int none = 0;

	atomic_compare_exchange_strong(&loop->error, &none, error);
}

/*
 * One request.  False: this worker is done.
 *
 * While the loop drains, the device does not block: EAGAIN then says that the queue is
 * empty.  ENOENT: the request was interrupted before it could be read.
 */
static bool serve_one(struct worker *worker, struct fuse_buf *buffer)
{
	struct loop *loop = worker->loop;
	struct fuse_session *se = loop->config.se;
	int phase, r;

	atomic_store(&worker->state, WORKER_RECEIVING);
	phase = atomic_load(&loop->phase);
	if (phase == PHASE_CUT || fuse_session_exited(se))
		return false;
	/* A spliced request before this one left its mark. */
	buffer->flags = 0;
	r = fuse_session_receive_buf(se, buffer);
	atomic_store(&worker->state, WORKER_BUSY);
	if (r == -EINTR || r == -ENOENT)
		return true;
	if (r == -EAGAIN)
		return phase == PHASE_RUN;
	if (r <= 0) {
		if (r < 0 && r != -ECONNABORTED) {
			log_error("cannot read requests from the kernel: %s", strerror(-r));
			fail(loop, r);
		}
		return false;
	}
	fuse_session_process_buf(se, buffer);
	return true;
}

static int initialize(struct worker *worker)
{
	struct loop *loop = worker->loop;
	char name[16];
	int r = 0;

	snprintf(name, sizeof(name), "relinkfs-%u", worker->number);
	pthread_setname_np(pthread_self(), name);
	if (loop->config.thread_init)
		r = loop->config.thread_init(loop->config.ctx);
	if (r < 0)
		fail(loop, r);
	pthread_mutex_lock(&loop->mutex);
	loop->initialized++;
	pthread_cond_signal(&loop->changed);
	pthread_mutex_unlock(&loop->mutex);
	return r;
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct fuse_buf buffer = { 0 };

	if (initialize(worker) == 0)
		while (serve_one(worker, &buffer))
			;
	free(buffer.mem);
	atomic_store(&worker->state, WORKER_ENDED);
	eventfd_write(worker->loop->event_fd, 1);
	return NULL;
}

/* Its only use is to make a blocking read return EINTR. */
static void on_wake(int number)
{
}

static int prepare_wake(int device)
{
	struct sigaction action = { .sa_handler = on_wake };
	int flags = fcntl(device, F_GETFL);

	sigemptyset(&action.sa_mask);
	if (flags < 0 || fcntl(device, F_SETFL, flags & ~O_NONBLOCK) < 0 ||
		sigaction(WAKE_SIGNAL, &action, NULL) < 0)
		return -errno;
	return 0;
}

static int start_worker(struct loop *loop, unsigned number)
{
	struct worker *worker = &loop->worker[number];
	int r;

	worker->loop = loop;
	worker->number = number;
	r = pthread_create(&worker->thread, NULL, work, worker);
	if (r == 0)
		loop->count++;
	return -r;
}

static void await_initialized(struct loop *loop)
{
	pthread_mutex_lock(&loop->mutex);
	while (loop->initialized < loop->count)
		pthread_cond_wait(&loop->changed, &loop->mutex);
	pthread_mutex_unlock(&loop->mutex);
}

static void stop_all(struct loop *loop)
{
	loop_cut(loop);
	while (loop_wait(loop, NSEC_PER_SEC, -1) < 0)
		;
}

int loop_start(const struct loop_config *config, struct loop **out)
{
	unsigned threads = loop_thread_count(config->threads);
	struct loop *loop = calloc(1, sizeof(*loop) + threads * sizeof(loop->worker[0]));
	int r;

	if (!loop)
		return -ENOMEM;
	loop->config = *config;
	pthread_mutex_init(&loop->mutex, NULL);
	pthread_cond_init(&loop->changed, NULL);
	loop->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = loop->event_fd < 0 ? -errno : prepare_wake(fuse_session_fd(config->se));
	while (r == 0 && loop->count < threads)
		r = start_worker(loop, loop->count);
	await_initialized(loop);
	if (r == 0)
		r = atomic_load(&loop->error);
	if (r < 0) {
		stop_all(loop);
		loop_free(loop);
		return r;
	}
	*out = loop;
	return 0;
}

int loop_event_fd(const struct loop *loop)
{
	return loop->event_fd;
}

/*
 * Wakes the workers that wait for a request; after loop_cut() also those whose request
 * blocks.  A signal that comes just before the worker blocks is lost, so this is done
 * again until all have ended.
 */
static void nudge(struct loop *loop)
{
	bool cut = atomic_load(&loop->phase) == PHASE_CUT;

	for (unsigned i = 0; i < loop->count; i++) {
		int state = atomic_load(&loop->worker[i].state);

		if (state == WORKER_RECEIVING || (cut && state == WORKER_BUSY))
			pthread_kill(loop->worker[i].thread, WAKE_SIGNAL);
	}
}

void loop_drain(struct loop *loop)
{
	int device = fuse_session_fd(loop->config.se);
	int flags = fcntl(device, F_GETFL);

	if (flags < 0 || fcntl(device, F_SETFL, flags | O_NONBLOCK) < 0) {
		loop_cut(loop);
		return;
	}
	atomic_store(&loop->phase, PHASE_DRAIN);
}

void loop_cut(struct loop *loop)
{
	atomic_store(&loop->phase, PHASE_CUT);
}

static bool all_ended(const struct loop *loop)
{
	for (unsigned i = 0; i < loop->count; i++)
		if (atomic_load(&loop->worker[i].state) != WORKER_ENDED)
			return false;
	return true;
}

int loop_wait(struct loop *loop, int64_t timeout_ns, int wake_fd)
{
	int64_t deadline = monotonic_ns() + timeout_ns;
	eventfd_t count;

	while (!all_ended(loop)) {
		struct pollfd fds[] = { { .fd = loop->event_fd, .events = POLLIN },
			{ .fd = wake_fd, .events = POLLIN } };

		if (monotonic_ns() >= deadline)
			return -ETIMEDOUT;
		nudge(loop);
		if (poll(fds, ARRAY_SIZE(fds), NUDGE_MS) > 0 && fds[1].revents)
			return -EINTR;
		eventfd_read(loop->event_fd, &count);
	}
	return 0;
}

static bool is_idle(const struct loop *loop)
{
	struct pollfd device = { .fd = fuse_session_fd(loop->config.se), .events = POLLIN };

	for (unsigned i = 0; i < loop->count; i++)
		if (atomic_load(&loop->worker[i].state) == WORKER_BUSY)
			return false;
	return poll(&device, 1, 0) == 0;
}

/*
 * The answer to a RELEASE lets the kernel queue the FORGET, within the same write; so the
 * queue is looked at after the workers, and twice, because a worker that has read a
 * request needs a moment to say that it is busy.
 */
void loop_settle(const struct loop *loop, int64_t timeout_ns)
{
	int64_t deadline = monotonic_ns() + timeout_ns;
	int idle = 0;

	while (idle < SETTLE_LOOKS && monotonic_ns() < deadline) {
		const struct timespec pause = { .tv_nsec = SETTLE_PAUSE_NS };

		idle = is_idle(loop) ? idle + 1 : 0;
		nanosleep(&pause, NULL);
	}
}

int loop_error(const struct loop *loop)
{
	return atomic_load(&loop->error);
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	for (unsigned i = 0; i < loop->count; i++)
		pthread_join(loop->worker[i].thread, NULL);
	if (loop->event_fd >= 0)
		close(loop->event_fd);
	pthread_cond_destroy(&loop->changed);
	pthread_mutex_destroy(&loop->mutex);
	free(loop);
}
