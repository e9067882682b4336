/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hidden entries: in-use inodes whose name was removed.  The records live in the
 * session state, so they survive the daemon; what must survive the machine is the
 * vault itself (store/vault.h).
 *
 *            hide                     freeze (links made)
 *   (none) ---------> HIDDEN ------------------------------> HIDDEN, nfrozen > 0
 *      |                 ^  |                                     |
 *      |                 |  | freeze of a directory: it is moved  | drop of the checkpoint
 *      |                 |  v                                     v
 *      |                MOVED  (lives at its frozen link)      HIDDEN, nfrozen == 0
 *      |
 *      +-- O_TMPFILE|O_EXCL --> PINNED (can never have a link; cannot be frozen)
 *
 *   HIDDEN also becomes PINNED when its vault link is found to be gone by somebody
 *   else's hand.
 *
 *   Every state ends with the last reference to the inode (FORGET): the vault link,
 *   where there is one, is removed, and the record goes.  Frozen links stay.
 */
#ifndef RELINKFS_STORE_ENTRY_H
#define RELINKFS_STORE_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

enum entry_state {
	ENTRY_FREE = 0, /* the record is not in use */
	ENTRY_HIDDEN,   /* has its vault link */
	ENTRY_MOVED,    /* a directory that lies at a frozen link, not in the vault */
	ENTRY_PINNED,   /* no link possible: only its open descriptions keep it */
};

/* One hidden entry, as it lies in the session state.  Fixed layout: 96 bytes. */
struct entry_record {
	uint64_t id;        /* vault id, never reused: the name of its vault link */
	uint64_t owner;     /* opaque to store/: the node id of the inode that holds it */
	uint64_t ino;       /* st_ino */
	int64_t hidden_at;  /* CLOCK_REALTIME, nanoseconds */
	uint64_t moved_to;  /* ENTRY_MOVED: id of the checkpoint (its ktime) where it lies */
	uint32_t moved_n;   /* ENTRY_MOVED: N of the frozen link there */
	uint32_t state;     /* enum entry_state */
	uint32_t refs;      /* owners; more than one only for a directory seen again after its removal */
	uint32_t nfrozen;   /* checkpoints that have a frozen link of it now */
	uint32_t path_text; /* store/text.h: original path, relative to the root of the mount, no leading '/' */
	uint32_t mode;      /* st_mode, type included, when it was hidden */
	uint32_t uid;
	uint32_t gid;
	uint16_t fs;        /* backing filesystem, index */
	uint16_t flags;     /* ENTRY_F_* */
	uint32_t reserved[5];
};

#define ENTRY_F_TMPFILE 0x1 /* born by O_TMPFILE: it never had a name */

/* True if a record may go from @from to @to; the table behind the picture above. */
bool entry_transition_allowed(enum entry_state from, enum entry_state to);

/* "hidden", "moved", "pinned", "free". */
const char *entry_state_name(enum entry_state state);

#endif
