/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/entry.h"

#include <assert.h>

#include "store/util.h"

static_assert(sizeof(struct entry_record) == 96, "the layout of the session state");

/* The states that each state may be left for. */
#define TO(state) (1u << (state))
static const unsigned allowed[] = {
	[ENTRY_FREE] = TO(ENTRY_HIDDEN) | TO(ENTRY_MOVED) | TO(ENTRY_PINNED),
	[ENTRY_HIDDEN] = TO(ENTRY_MOVED) | TO(ENTRY_PINNED) | TO(ENTRY_FREE),
	[ENTRY_MOVED] = TO(ENTRY_HIDDEN) | TO(ENTRY_FREE),
	[ENTRY_PINNED] = TO(ENTRY_FREE),
};

static const char *const names[] = {
	[ENTRY_FREE] = "free",
	[ENTRY_HIDDEN] = "hidden",
	[ENTRY_MOVED] = "moved",
	[ENTRY_PINNED] = "pinned",
};

bool entry_transition_allowed(enum entry_state from, enum entry_state to)
{
	if ((unsigned)from >= ARRAY_SIZE(allowed) || (unsigned)to >= ARRAY_SIZE(allowed))
		return false;
	return allowed[from] & TO(to);
}

const char *entry_state_name(enum entry_state state)
{
	return (unsigned)state < ARRAY_SIZE(names) ? names[state] : "unknown";
}
