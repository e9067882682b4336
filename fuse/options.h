/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line of the daemon, also in the form in which mount(8) calls a mount
 * helper ("mount.fuse.relinkfs SOURCE MOUNT [-sfnv] [-N NAMESPACE] [-o ...]").
 * Parsing looks at words only: no file is touched.
 */
#ifndef RELINKFS_FUSE_OPTIONS_H
#define RELINKFS_FUSE_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/mount.h>

#include "fuse/session.h"
#include "store/log.h"

enum options_action { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION };

/*
 * Who else may change the source.  Owned: nobody, so the kernel may keep names for a day
 * (every change passes through the kernel, which knows what it makes stale), and
 * attributes for a second (stores into passthrough mappings move mtime unseen).  Shared:
 * others may (another mount, another machine, a local program): nothing is kept.
 */
enum options_cache { CACHE_OWNED, CACHE_SHARED };
const char *options_cache_name(enum options_cache cache); /* "owned", "shared" */

/* The four security labels that the kernel takes for a whole mount. */
enum options_label { LABEL_CONTEXT, LABEL_FSCONTEXT, LABEL_DEFCONTEXT, LABEL_ROOTCONTEXT, LABELS };
extern const char *const options_label_names[LABELS];

/* Not in every C library. */
#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

/* Strings are malloc'd. */
struct options {
	enum options_action action;
	char *source;        /* as given; absolute after mount_prepare() */
	char *mountpoint;    /* likewise */
	bool foreground;     /* -f, -d */
	bool debug;          /* -d: every request is logged */
	bool helper;         /* called as mount.* */
	bool fake;           /* mount(8)'s -f: check all, mount nothing */
	char *log_file;      /* NULL: stderr, or syslog in the background */
	enum log_level log_level;

	char *instance;      /* never NULL */
	char *link_template; /* NULL: built-in */
	enum options_cache cache;
	double attr_timeout, entry_timeout, negative_timeout; /* seconds */
	bool track_all;
	enum session_passthrough passthrough;
	unsigned threads;    /* 0: automatic */

	bool allow_other;
	unsigned long mount_flags;     /* MS_*: what is to be set */
	unsigned long mount_flags_given; /* MS_*: what was asked for, either way */
	char *fsname;        /* NULL: the source's path */
	char *label[LABELS];
};

#define OPTIONS_THREADS_MAX 64
#define OPTIONS_INSTANCE_DEFAULT "default"

/*
 * Reads the command line.  @root: defaults for root, which are open to other users.
 * 0, or -EINVAL or -ENOMEM with *why (malloc'd, one line that names the option).  *out is
 * to be given to options_clear() in both cases.
 */
int options_parse(int argc, char *const argv[], bool root, struct options *out, char **why);
void options_clear(struct options *options);

/* The text of --help. */
void options_help(FILE *out);

/*
 * The mount flags as words of an option list ("ro,nosuid,noatime"); malloc'd, may be
 * empty; NULL when out of memory.
 */
char *options_flag_words(unsigned long mount_flags);

#endif
