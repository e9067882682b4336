/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages for whoever runs the daemon or a tool: one line each, written whole, so
 * that lines of several threads never mix.  Log once, where the facts are.
 *
 * A name in a message may hold any bytes: control characters come out as \xNN.
 */
#ifndef RELINKFS_STORE_LOG_H
#define RELINKFS_STORE_LOG_H

#include <stdbool.h>

#include "store/util.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

enum log_sink {
	LOG_SINK_STDERR, /* "IDENT: error: TEXT" */
	LOG_SINK_SYSLOG, /* facility daemon; the priority says the level */
	LOG_SINK_FILE,   /* "2025-01-31T23:59:59.123456789Z IDENT[PID]: error: TEXT" */
};

/*
 * Where messages go from now on; before the first call: stderr, as "relinkfs", up to
 * level info.  @ident is copied.  @path: only for LOG_SINK_FILE; made 0600 or appended
 * to.  0 or -errno, and then everything stays as it was.  May be called again, also
 * while other threads log.
 */
int log_open(enum log_sink sink, const char *ident, const char *path);

/* Messages above @level are dropped.  Default: LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/*
 * printf-style, "%m" included, no newline at the end.  errno is kept.  From any thread;
 * not from a signal handler.
 */
void log_error(const char *format, ...) printf_format(1, 2);
void log_warn(const char *format, ...) printf_format(1, 2);
void log_info(const char *format, ...) printf_format(1, 2);
void log_debug(const char *format, ...) printf_format(1, 2);

#endif
