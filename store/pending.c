/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stands in for the catalog and the recovery until they are there. */
#include "store/recovery.h"
#include "store/store_internal.h"

#define stand_in __attribute__((weak))

stand_in int catalog_open(int dirfd, const struct catalog_options *options, struct catalog **out,
	enum catalog_origin *origin, char **why)
{
	*out = NULL;
	*origin = CATALOG_MADE;
	return 0;
}

stand_in void catalog_close(struct catalog *catalog)
{
}

stand_in void catalog_entry_hidden(
	struct catalog *catalog, const struct entry_record *record, const char *path)
{
}

stand_in void catalog_entry_gone(struct catalog *catalog, uint64_t id)
{
}

stand_in int recovery_run(struct store *store, enum catalog_origin origin, bool resumed)
{
	struct vault_reaped reaped;

	return resumed ? 0 : vault_reap(store->vault, NULL, NULL, &reaped);
}
