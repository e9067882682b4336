/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/schema.h"

/*
 * Times are nanoseconds since the epoch.  Paths are relative to the root of the mount, and
 * BLOB, since names are bytes.  Inode numbers above 2^63 appear as negative.
 */
const char *const schema_steps[SCHEMA_VERSION] = {
	[0] = "CREATE TABLE meta (\n"
	      "  key   TEXT PRIMARY KEY, -- 'made_by': version of relinkfs; and times:\n"
	      "                          -- 'made_at', 'opened_at'\n"
	      "  value ANY NOT NULL\n"
	      ") STRICT, WITHOUT ROWID;\n"

	      "CREATE TABLE session (\n"
	      "  id       INTEGER PRIMARY KEY,\n"
	      "  started  INTEGER NOT NULL, -- time of the mount\n"
	      "  ended    INTEGER,          -- time of the unmount; NULL: running, or crashed\n"
	      "  pid      INTEGER NOT NULL, -- of the daemon\n"
	      "  boot_id  TEXT NOT NULL,    -- tells whether the machine was started again since\n"
	      "  instance TEXT NOT NULL     -- of the mount\n"
	      ") STRICT;\n"

	      "CREATE TABLE entry (\n"
	      "  id         INTEGER PRIMARY KEY, -- in hexadecimal: its name in the vault\n"
	      "  session    INTEGER NOT NULL REFERENCES session(id), -- that hid it\n"
	      "  path       BLOB NOT NULL,    -- original path\n"
	      "  mode       INTEGER NOT NULL, -- st_mode, type included, when it was hidden\n"
	      "  uid        INTEGER NOT NULL, -- owner, when it was hidden\n"
	      "  gid        INTEGER NOT NULL,\n"
	      "  ino        INTEGER NOT NULL, -- inode number\n"
	      "  tmpfile    INTEGER NOT NULL, -- 1: made by O_TMPFILE, it never had a name\n"
	      "  state      TEXT NOT NULL,    -- hidden, moved, pinned; gone\n"
	      "  hidden_at  INTEGER NOT NULL, -- time\n"
	      "  dropped_at INTEGER           -- time; NULL: it is there, or it went unseen\n"
	      ") STRICT;\n"
	      "CREATE INDEX entry_dropped ON entry(dropped_at) WHERE dropped_at IS NOT NULL;\n"
	      "CREATE INDEX entry_present ON entry(session) WHERE dropped_at IS NULL;\n"

	      "CREATE TABLE checkpoint (\n"
	      "  ktime         INTEGER PRIMARY KEY, -- its time, and its identity\n"
	      "  id            TEXT NOT NULL,    -- the same in hexadecimal, as users see it\n"
	      "  state         TEXT NOT NULL,    -- preparing, durable, committed, dropping,\n"
	      "                                  -- dropped, aborted, lost\n"
	      "  link_template BLOB NOT NULL,    -- template of the names of its links\n"
	      "  manifest      BLOB NOT NULL,    -- path\n"
	      "  scope         BLOB NOT NULL,    -- whose files: 'all', 'pid N', 'cgroup PATH'\n"
	      "  creator_pid   INTEGER NOT NULL, -- who asked for it\n"
	      "  creator_uid   INTEGER NOT NULL,\n"
	      "  creator_comm  BLOB NOT NULL,\n"
	      "  nlinks        INTEGER NOT NULL, -- links made\n"
	      "  created       INTEGER NOT NULL, -- time\n"
	      "  changed       INTEGER NOT NULL  -- time of the last change of state\n"
	      ") STRICT;\n"

	      "CREATE TABLE link (\n"
	      "  checkpoint INTEGER NOT NULL REFERENCES checkpoint(ktime) ON DELETE CASCADE,\n"
	      "  n          INTEGER NOT NULL, -- from 1\n"
	      "  path       BLOB NOT NULL,    -- of the link\n"
	      "  entry      INTEGER NOT NULL, -- its id; 0: of another catalog's time\n"
	      "  ino        INTEGER NOT NULL, -- inode number\n"
	      "  mode       INTEGER NOT NULL, -- st_mode, type included\n"
	      "  state      TEXT NOT NULL,    -- planned, made, left out, lost\n"
	      "  PRIMARY KEY (checkpoint, n)\n"
	      ") STRICT, WITHOUT ROWID;\n"
	      "CREATE INDEX link_path ON link(path);\n"
	      "CREATE INDEX link_ino ON link(ino);\n"

	      "CREATE TABLE folder (\n"
	      "  checkpoint INTEGER NOT NULL REFERENCES checkpoint(ktime) ON DELETE CASCADE,\n"
	      "  position   INTEGER NOT NULL, -- outermost first\n"
	      "  path       BLOB NOT NULL,    -- of a directory made for the links\n"
	      "  PRIMARY KEY (checkpoint, position)\n"
	      ") STRICT, WITHOUT ROWID;\n"
	      "CREATE INDEX folder_path ON folder(path);\n",
};

/* EXCLUSIVE before WAL: then no shared memory is needed, which not every filesystem has. */
const char schema_before_read[] = "PRAGMA locking_mode = EXCLUSIVE;\n"
				  "PRAGMA temp_store = MEMORY;\n"
				  "PRAGMA trusted_schema = OFF;\n"
				  "PRAGMA foreign_keys = ON;\n";
const char schema_before_write[] = "PRAGMA journal_mode = WAL;\n"
				   "PRAGMA synchronous = NORMAL;\n";

#define CHECKPOINT_COLUMNS                                                                         \
	"ktime, state, link_template, manifest, scope, creator_pid, creator_uid, creator_comm, "   \
	"nlinks, created, changed"
/* The states in which nothing of a checkpoint is left on disk. */
#define PAST "('dropped', 'aborted')"

const char *const schema_statements[SQL_COUNT] = {
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
	[SQL_META_SET] = "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)",
	[SQL_SESSION_LAST] = "SELECT max(id) FROM session WHERE ended IS NULL AND instance = ?",
	[SQL_SESSION_BEGIN] = "INSERT INTO session (started, pid, boot_id, instance) "
			      "VALUES (?, ?, ?, ?) RETURNING id",
	[SQL_SESSION_END] = "UPDATE session SET ended = ? WHERE id = ?",
	[SQL_SESSION_PRUNE] = "DELETE FROM session WHERE id < ? "
			      "AND id NOT IN (SELECT session FROM entry)",
	[SQL_ENTRY_HIDDEN] = "INSERT OR REPLACE INTO entry "
			     "(id, session, path, mode, uid, gid, ino, tmpfile, state, hidden_at) "
			     "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[SQL_ENTRY_GONE] = "UPDATE entry SET state = 'gone', dropped_at = ? WHERE id = ?",
	[SQL_ENTRY_REAP] = "UPDATE entry SET state = 'gone', dropped_at = ? "
			   "WHERE dropped_at IS NULL AND session <> ?",
	[SQL_ENTRY_PRUNE] = "DELETE FROM entry WHERE id IN (SELECT id FROM entry "
			    "WHERE dropped_at IS NOT NULL ORDER BY dropped_at DESC "
			    "LIMIT -1 OFFSET ?)",
	[SQL_ENTRY_COUNT] = "SELECT count(*) FROM entry",
	[SQL_CHECKPOINT_FORGET] = "DELETE FROM checkpoint WHERE ktime = ? AND state IN " PAST,
	[SQL_CHECKPOINT_ADD] =
		"INSERT INTO checkpoint (" CHECKPOINT_COLUMNS ", id) "
		"VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, format('%08llx', ?1))",
	[SQL_CHECKPOINT_STATE] = "SELECT state FROM checkpoint WHERE ktime = ?",
	[SQL_CHECKPOINT_SET] = "UPDATE checkpoint SET state = ?, changed = ? WHERE ktime = ?",
	[SQL_CHECKPOINT_COUNT_LINKS] =
		"UPDATE checkpoint SET nlinks = (SELECT count(*) FROM link "
		"WHERE checkpoint = ?1 AND link.state = 'made') WHERE ktime = ?1",
	[SQL_CHECKPOINT_PRUNE] =
		"DELETE FROM checkpoint WHERE ktime IN (SELECT ktime "
		"FROM checkpoint WHERE state IN " PAST " ORDER BY ktime DESC LIMIT -1 OFFSET ?)",
	[SQL_CHECKPOINT_LIST] = "SELECT " CHECKPOINT_COLUMNS " FROM checkpoint "
				"WHERE ?1 OR state NOT IN " PAST " ORDER BY ktime",
	[SQL_CHECKPOINT_GET] = "SELECT " CHECKPOINT_COLUMNS " FROM checkpoint WHERE ktime = ?",
	[SQL_LINK_ADD] = "INSERT INTO link (checkpoint, n, path, entry, ino, mode, state) "
			 "VALUES (?, ?, ?, ?, ?, ?, ?)",
	[SQL_LINK_SET] = "UPDATE link SET state = ? WHERE checkpoint = ? AND n = ?",
	[SQL_LINK_SET_PLANNED] =
		"UPDATE link SET state = 'made' WHERE checkpoint = ? AND state = 'planned'",
	[SQL_LINK_DELETE] = "DELETE FROM link WHERE checkpoint = ?",
	[SQL_LINK_LIST] = "SELECT n, path, entry, ino, mode, state FROM link "
			  "WHERE checkpoint = ? ORDER BY n",
	[SQL_FOLDER_ADD] = "INSERT INTO folder (checkpoint, position, path) VALUES (?, ?, ?)",
	[SQL_FOLDER_DELETE] = "DELETE FROM folder WHERE checkpoint = ?",
	[SQL_FOLDER_LIST] = "SELECT path FROM folder WHERE checkpoint = ? ORDER BY position",
	[SQL_PATH_USERS] =
		"SELECT count(*) FROM checkpoint WHERE ktime <> ?1 "
		"AND state IN ('preparing', 'durable', 'committed') AND ktime IN ("
		"SELECT checkpoint FROM link WHERE path = ?2 AND state IN ('planned', 'made') "
		"UNION SELECT checkpoint FROM folder WHERE path = ?2)",
	[SQL_LINKS_OF] = "SELECT DISTINCT path FROM link JOIN checkpoint ON ktime = checkpoint "
			 "WHERE ino = ? AND link.state = 'made' "
			 "AND checkpoint.state IN ('durable', 'committed', 'lost')",
};
