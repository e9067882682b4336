/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an earlier session left behind, put in order before anything is served:
 *
 *   checkpoint PREPARING            undone by its planned links
 *   checkpoint DURABLE              COMMITTED if its manifest is whole, else undone
 *   checkpoint DROPPING             the drop is completed
 *   checkpoint COMMITTED            LOST if none of its links is left
 *   manifest without a checkpoint   adopted (a copied source, a lost catalog)
 *   link without either             left in place, with a warning
 *   entry in the vault              reaped, unless its session goes on; frozen links stay
 */
#ifndef RELINKFS_STORE_RECOVERY_H
#define RELINKFS_STORE_RECOVERY_H

#include <stdbool.h>

#include "store/catalog.h"
#include "store/store.h"

/*
 * For store_open(), once vault and catalog are open.  @resumed: the session goes on in
 * a new process, so its entries stay, and are noted again if the catalog is new.
 * Can be repeated after a crash at any point.  One line of log says what was done.
 * What cannot be put in order is logged and left alone: only -ENOMEM is an error.
 */
int recovery_run(struct store *store, enum catalog_origin origin, bool resumed);

/*
 * Fills a catalog that had to be made anew while the session runs: checkpoints from their
 * manifests, and the entries there are.  Needs the lock on checkpoints.  0 or -errno.
 */
int recovery_refill(struct store *store);

#endif
