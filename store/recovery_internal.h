/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the recovery share. */
#ifndef RELINKFS_STORE_RECOVERY_INTERNAL_H
#define RELINKFS_STORE_RECOVERY_INTERNAL_H

#include "store/freeze_internal.h"
#include "store/recovery.h"

struct recovery {
	struct store *store;
	unsigned undone, committed, dropped, adopted, lost, strays;
};

/*
 * Goes through the folder of checkpoints: adopts manifests that the catalog does not
 * know, and warns of links that belong to nothing.  0 or -ENOMEM.
 */
int recovery_read_folder(struct recovery *recovery);

#endif
