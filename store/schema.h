/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All the SQL of the catalog.  schema_steps[] is its format: step N leads from version N
 * to N + 1, in one transaction with the change of user_version, and is never edited
 * once it was released.
 */
#ifndef RELINKFS_STORE_SCHEMA_H
#define RELINKFS_STORE_SCHEMA_H

#define SCHEMA_APPLICATION_ID 0x524c4b46 /* "RLKF" */
#define SCHEMA_VERSION 1
extern const char *const schema_steps[SCHEMA_VERSION];

/* Run when a catalog is opened: before anything is read, and once it is known to be ours. */
extern const char schema_before_read[];
extern const char schema_before_write[];

enum statement {
	SQL_BEGIN,
	SQL_COMMIT,
	SQL_ROLLBACK,
	SQL_META_SET,
	SQL_SESSION_LAST,
	SQL_SESSION_BEGIN,
	SQL_SESSION_END,
	SQL_SESSION_PRUNE,
	SQL_ENTRY_HIDDEN,
	SQL_ENTRY_GONE,
	SQL_ENTRY_REAP,
	SQL_ENTRY_PRUNE,
	SQL_ENTRY_COUNT,
	SQL_CHECKPOINT_FORGET,
	SQL_CHECKPOINT_ADD,
	SQL_CHECKPOINT_STATE,
	SQL_CHECKPOINT_SET,
	SQL_CHECKPOINT_COUNT_LINKS,
	SQL_CHECKPOINT_PRUNE,
	SQL_CHECKPOINT_LIST,
	SQL_CHECKPOINT_GET,
	SQL_LINK_ADD,
	SQL_LINK_SET,
	SQL_LINK_SET_PLANNED,
	SQL_LINK_DELETE,
	SQL_LINK_LIST,
	SQL_FOLDER_ADD,
	SQL_FOLDER_DELETE,
	SQL_FOLDER_LIST,
	SQL_PATH_USERS,
	SQL_LINKS_OF,
	SQL_COUNT
};
extern const char *const schema_statements[SQL_COUNT];

#endif
