/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/settle.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>

#include "fuse/ops.h"
#include "store/util.h"

#define WAITING_MAX 65536

/* How long after the close, or after the last try, it is tried again. */
static const int64_t distances[] = { NSEC_PER_SEC / 500, NSEC_PER_SEC / 20, NSEC_PER_SEC };

/* Inodes at the same try, first come, first served. */
struct waiting {
	struct waiting *next;
	struct node_key key; /* finds it, if it is still there */
	uint64_t node_id;
	int64_t due; /* CLOCK_MONOTONIC */
};

struct settler {
	struct session *session;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	/* Guarded by lock. */
	struct waiting *first[ARRAY_SIZE(distances)], **last[ARRAY_SIZE(distances)];
	unsigned count;
	bool stop;
};

/*
 * Hidden, and not open: is there still something to wait for?  The node may have ended
 * meanwhile: found by its key, and still of that key under its lock, it cannot any more.
 */
static bool unsettled(struct session *session, const struct waiting *item)
{
	uint32_t slot = node_find(session->nodes, &item->key);
	const struct node_record *node = node_at(session->nodes, slot);
	bool result;

	if (!slot)
		return false;
	node_lock(session->nodes, slot);
	result = node_is(session->nodes, slot, &item->key) && node->id == item->node_id &&
		 node->entry && !node->nopen;
	node_unlock(session->nodes, slot);
	return result;
}

static void put_locked(struct settler *settler, size_t try, struct waiting *item)
{
	item->next = NULL;
	item->due = monotonic_ns() + distances[try];
	*settler->last[try] = item;
	settler->last[try] = &item->next;
}

/* The try whose first item is due first; ARRAY_SIZE(distances) if nothing waits. */
static size_t earliest_locked(const struct settler *settler)
{
	size_t try, found = ARRAY_SIZE(distances);

	for (try = 0; try < ARRAY_SIZE(distances); try++)
		if (settler->first[try] && (found == ARRAY_SIZE(distances) ||
					    settler->first[try]->due < settler->first[found]->due))
			found = try;
	return found;
}

static struct waiting *take_locked(struct settler *settler, size_t try)
{
	struct waiting *item = settler->first[try];

	settler->first[try] = item->next;
	if (!item->next)
		settler->last[try] = &settler->first[try];
	return item;
}

/* With the lock held, which is let go meanwhile. */
static void try_one(struct settler *settler, size_t try)
{
	struct waiting *item = take_locked(settler, try);
	bool again;

	pthread_mutex_unlock(&settler->lock);
	again = unsettled(settler->session, item) &&
		session_prune(settler->session, item->node_id);
	pthread_mutex_lock(&settler->lock);
	if (again && try + 1 < ARRAY_SIZE(distances)) {
		put_locked(settler, try + 1, item);
		return;
	}
	settler->count--;
	free(item);
}

static void wait_locked(struct settler *settler, size_t try)
{
	struct timespec due;

	if (try == ARRAY_SIZE(distances)) {
		pthread_cond_wait(&settler->wake, &settler->lock);
		return;
	}
	due.tv_sec = settler->first[try]->due / NSEC_PER_SEC;
	due.tv_nsec = settler->first[try]->due % NSEC_PER_SEC;
	pthread_cond_timedwait(&settler->wake, &settler->lock, &due);
}

static void *run(void *arg)
{
	struct settler *settler = arg;
	size_t try;

	pthread_setname_np(pthread_self(), "relinkfs-settle");
	pthread_mutex_lock(&settler->lock);
	while (!settler->stop) {
		try = earliest_locked(settler);
		if (try < ARRAY_SIZE(distances) && settler->first[try]->due <= monotonic_ns())
			try_one(settler, try);
		else
			wait_locked(settler, try);
	}
	pthread_mutex_unlock(&settler->lock);
	return NULL;
}

void settler_add(struct settler *settler, const struct node_record *node)
{
	struct waiting *item = settler ? malloc(sizeof(*item)) : NULL;

	if (!item)
		return;
	item->key = node->key;
	item->node_id = node->id;
	pthread_mutex_lock(&settler->lock);
	if (settler->count < WAITING_MAX) {
		settler->count++;
		put_locked(settler, 0, item);
		pthread_cond_signal(&settler->wake);
		item = NULL;
	}
	pthread_mutex_unlock(&settler->lock);
	free(item);
}

/* Signals are for the main thread. */
static int start_thread(struct settler *settler)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&settler->thread, NULL, run, settler);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -error;
}

int settler_new(struct session *session, struct settler **out)
{
	struct settler *settler = calloc(1, sizeof(*settler));
	pthread_condattr_t attr;
	size_t try;
	int error;

	if (!settler)
		return -ENOMEM;
	settler->session = session;
	for (try = 0; try < ARRAY_SIZE(distances); try++)
		settler->last[try] = &settler->first[try];
	pthread_mutex_init(&settler->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&settler->wake, &attr);
	pthread_condattr_destroy(&attr);
	error = start_thread(settler);
	if (error) {
		pthread_cond_destroy(&settler->wake);
		pthread_mutex_destroy(&settler->lock);
		free(settler);
		return error;
	}
	*out = settler;
	return 0;
}

void settler_free(struct settler *settler)
{
	size_t try;

	if (!settler)
		return;
	pthread_mutex_lock(&settler->lock);
	settler->stop = true;
	pthread_cond_signal(&settler->wake);
	pthread_mutex_unlock(&settler->lock);
	pthread_join(settler->thread, NULL);
	for (try = 0; try < ARRAY_SIZE(distances); try++)
		while (settler->first[try])
			free(take_locked(settler, try));
	pthread_cond_destroy(&settler->wake);
	pthread_mutex_destroy(&settler->lock);
	free(settler);
}
