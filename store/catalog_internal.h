/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the catalog share. */
#ifndef RELINKFS_STORE_CATALOG_INTERNAL_H
#define RELINKFS_STORE_CATALOG_INTERNAL_H

#include "store/catalog.h"
#include "store/db.h"

/*
 * Has the writer thread call @run and waits for what it returns.  Notes that were queued
 * before are written first.  With @durable in a transaction that is on disk at the end,
 * or, after an error, did not happen.
 */
int catalog_call(
	struct catalog *catalog, bool durable, int (*run)(struct db *db, void *arg), void *arg);

#endif
