/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The threads that receive requests from the kernel and answer them.
 *
 * How it ends.  By itself: the last mount is gone and the last file closed, or the
 * connection was aborted (the kernel says ENODEV to every thread), fuse_session_exit()
 * was called, or a thread met an error.  From outside: loop_drain() answers what the
 * kernel has queued and stops when the queue is empty; loop_cut() stops after the
 * requests in hand and interrupts what blocks.  Either way loop_wait() says when all
 * threads have ended, and loop_free() joins them.
 *
 * All functions but loop_settle() are for the one thread that called loop_start().
 */
#ifndef RELINKFS_FUSE_LOOP_H
#define RELINKFS_FUSE_LOOP_H

#include <stdint.h>

struct fuse_session;
struct loop;

struct loop_config {
	struct fuse_session *se;
	unsigned threads;              /* 0: automatic */
	int (*thread_init)(void *ctx); /* first thing in each thread: 0 or -errno */
	void *ctx;
};

/* How many threads @asked means on this machine. */
unsigned loop_thread_count(unsigned asked);

/*
 * Receives and answers the first request, which is INIT, in the calling thread.  After
 * that the size of requests is settled.  0, or -errno when the kernel and libfuse cannot
 * agree or the connection is gone.
 */
int loop_handshake(struct fuse_session *se);

/*
 * Starts the threads and returns when each has run its thread_init; then 0 or the first
 * error, with no thread left.  @config is copied.  SIGUSR1 is taken for waking them.
 */
int loop_start(const struct loop_config *config, struct loop **out);

/* Readable from when a thread has ended: time to stop the others. */
int loop_event_fd(const struct loop *loop);

void loop_drain(struct loop *loop);
void loop_cut(struct loop *loop);

/*
 * Waits until all threads have ended.  0; -ETIMEDOUT after @timeout_ns; -EINTR as soon
 * as @wake_fd (-1: none) is readable.  Needs loop_drain() or loop_cut() before, or an end
 * by itself.
 */
int loop_wait(struct loop *loop, int64_t timeout_ns, int wake_fd);

/*
 * Waits until the kernel has nothing queued and no thread is in a request, or until
 * @timeout_ns is over: then what was closed before has been seen.  Best effort: a request
 * that was just read may be missed.  From any thread but the loop's own.
 */
void loop_settle(const struct loop *loop, int64_t timeout_ns);

/* The error that ended the loop: -errno, or 0 if it ended as it should. */
int loop_error(const struct loop *loop);

/* Only after loop_wait() has returned 0. */
void loop_free(struct loop *loop);

#endif
