/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Letting go of the links of a plain directory, which has no daemon to do it. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/restart_internal.h"

/*
 * A directory has one name only, so it takes the original one on its way out.  True if
 * it is gone.  A name that is taken stays untouched: to exchange it would show others,
 * and after a kill leave them, the wrong directory.
 */
static bool drop_by_name(struct restart *restart, const struct restart_entry *entry,
			 const struct restart_place *link)
{
	struct restart_place at;
	bool gone = false;
	int r = restart_place_open(restart, entry->path, true, &at);

	if (r == 0 && renameat2(link->dirfd, link->base, at.dirfd, at.base, RENAME_NOREPLACE) < 0)
		r = -errno;
	else if (r == 0) {
		gone = unlinkat(at.dirfd, at.base, AT_REMOVEDIR) == 0;
		r = gone ? 0 : -errno;
		if (!gone)
			renameat2(at.dirfd, at.base, link->dirfd, link->base, RENAME_NOREPLACE);
	}
	if (r < 0)
		restart_warn(restart, entry, "name", -r, "keeps the name of its link: %s",
			strerror(-r));
	restart_place_close(&at);
	return gone;
}

static int drop_link(struct restart *restart, const struct restart_entry *entry)
{
	bool dir = S_ISDIR(entry->record->mode);
	struct restart_place link;
	int r = restart_place_open(restart, entry->record->link, false, &link);

	if (r == 0) {
		r = restart_is_entry(entry, link.dirfd, link.base);
		if (r == 0)
			r = restart_warn(restart, entry, "drop", ESTALE,
				"is not what was opened any more, and was left alone");
		else if (r == 1 && entry->name_at_drop && drop_by_name(restart, entry, &link))
			r = 0;
		else if (r == 1)
			r = unlinkat(link.dirfd, link.base, dir ? AT_REMOVEDIR : 0) < 0 ? -errno : 0;
		restart_place_close(&link);
	}
	if (r < 0 && r != -ESTALE)
		restart_warn(restart, entry, "drop", -r, "could not be removed: %s", strerror(-r));
	return r;
}

static int drop_manifest(struct restart *restart, const char *path)
{
	struct restart_place at;
	int r = restart_place_open(restart, path, false, &at);

	if (r == 0) {
		r = unlinkat(at.dirfd, at.base, 0) < 0 ? -errno : 0;
		restart_place_close(&at);
	}
	if (r < 0)
		restart_warn(restart, NULL, "drop", -r, "%s could not be removed: %s", path,
			strerror(-r));
	return r;
}

/* Those that were made for the links, as far as they are empty: others may use them now. */
static void drop_folders(struct restart *restart)
{
	for (size_t i = restart->manifest->nfolders; i-- > 0;) {
		struct restart_place at;

		if (restart_place_open(restart, restart->manifest->folders[i], false, &at) < 0)
			continue;
		unlinkat(at.dirfd, at.base, AT_REMOVEDIR);
		restart_place_close(&at);
	}
}

int restart_drop(struct restart *restart, const char *manifest_path)
{
	const struct manifest *manifest = restart->manifest;
	int first = 0, r;

	for (size_t i = 0; i < manifest->nentries; i++) {
		r = drop_link(restart, &restart->entries[i]);
		if (r < 0 && first == 0)
			first = r;
	}
	/* While links are left the manifest stays, so that they can be dropped later. */
	if (manifest_path && first == 0)
		first = drop_manifest(restart, manifest_path);
	drop_folders(restart);
	return first;
}
