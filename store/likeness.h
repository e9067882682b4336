/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is what lies at a frozen link what a manifest records?  Asked before it is opened, and
 * before it is removed.
 *
 * Inode numbers are reused, and differ on a copy.  The same number with the same time of
 * birth, which no copy can have, is the inode itself, however it was changed since; also
 * on a snapshot, where handles differ.  Without times of birth the handle decides, and
 * without either the number.  Another inode may be a copy, if size and time of the
 * content say so.
 */
#ifndef RELINKFS_STORE_LIKENESS_H
#define RELINKFS_STORE_LIKENESS_H

#include <sys/stat.h>

#include "store/manifest.h"

enum likeness {
	LIKE_NOTHING, /* another type of file, too */
	LIKE_A_COPY,
	LIKE_ITSELF,        /* as far as one can know here */
	LIKE_ITSELF_SURELY,
};

/* @pin: any fd of it, O_PATH too; @st: of fstat(). */
enum likeness likeness(const struct manifest_entry *record, int pin, const struct stat *st);

#endif
