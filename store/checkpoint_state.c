/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The states of a checkpoint: the table behind the picture in freeze.h. */
#include "store/freeze.h"
#include "store/util.h"

#define TO(state) (1u << (state))

static const struct {
	const char *name;
	unsigned to; /* the states that this one may be left for */
} states[] = {
	[CHECKPOINT_PREPARING] = { "preparing", TO(CHECKPOINT_DURABLE) | TO(CHECKPOINT_ABORTED) },
	[CHECKPOINT_DURABLE] = { "durable", TO(CHECKPOINT_COMMITTED) | TO(CHECKPOINT_ABORTED) },
	[CHECKPOINT_COMMITTED] = { "committed", TO(CHECKPOINT_DROPPING) | TO(CHECKPOINT_LOST) },
	[CHECKPOINT_DROPPING] = { "dropping", TO(CHECKPOINT_DROPPED) },
	[CHECKPOINT_DROPPED] = { "dropped", 0 },
	[CHECKPOINT_ABORTED] = { "aborted", 0 },
	[CHECKPOINT_LOST] = { "lost", TO(CHECKPOINT_DROPPING) },
};

const char *checkpoint_state_name(enum checkpoint_state state)
{
	size_t index = (size_t)state;

	return index < ARRAY_SIZE(states) && states[index].name ? states[index].name : "unknown";
}

bool checkpoint_transition_allowed(enum checkpoint_state from, enum checkpoint_state to)
{
	if ((size_t)from >= ARRAY_SIZE(states) || (size_t)to >= ARRAY_SIZE(states))
		return false;
	return states[from].to & TO(to);
}
