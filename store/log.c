/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

static const struct {
	const char *name;
	int priority;
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", LOG_ERR },
	[LOG_LEVEL_WARN] = { "warning", LOG_WARNING },
	[LOG_LEVEL_INFO] = { "info", LOG_INFO },
	[LOG_LEVEL_DEBUG] = { "debug", LOG_DEBUG },
};

/* A process has one log: the exception to the rule of no global state. */
static atomic_int max_level = LOG_LEVEL_INFO;
static struct {
	pthread_mutex_t mutex; /* guards all below; held while a line is written */
	enum log_sink sink;
	int fd;
	char ident[64];
} logger = { PTHREAD_MUTEX_INITIALIZER, LOG_SINK_STDERR, STDERR_FILENO, "relinkfs" };

int log_open(enum log_sink sink, const char *ident, const char *path)
{
	int fd = STDERR_FILENO;

	if (sink == LOG_SINK_FILE) {
		fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
		if (fd < 0)
			return -errno;
	}
	pthread_mutex_lock(&logger.mutex);
	if (logger.sink == LOG_SINK_SYSLOG)
		closelog();
	else if (logger.sink == LOG_SINK_FILE)
		close(logger.fd);
	logger.sink = sink;
	logger.fd = fd;
	snprintf(logger.ident, sizeof(logger.ident), "%s", ident);
	if (sink == LOG_SINK_SYSLOG)
		openlog(logger.ident, LOG_PID | LOG_NDELAY, LOG_DAEMON);
	pthread_mutex_unlock(&logger.mutex);
	return 0;
}

void log_set_level(enum log_level level)
{
	atomic_store(&max_level, (int)level);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load(&max_level);
}

/* @text with control characters escaped, so that a message is one line.  malloc'd. */
static char *one_line(const char *text)
{
	char *line = malloc(4 * strlen(text) + 1);
	char *at = line;

	if (!line)
		return NULL;
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x20 || c == 0x7f)
			at += sprintf(at, "\\x%02x", c);
		else
			*at++ = (char)c;
	}
	*at = '\0';
	return line;
}

/* Nobody could be told of a failure to write a message: it is dropped. */
static void write_line_locked(enum log_level level, const char *text)
{
	char when[RFC3339_SIZE];
	autofree char *line = NULL;

	if (logger.sink == LOG_SINK_FILE)
		line = util_printf("%s %s[%d]: %s: %s\n", format_rfc3339(realtime_ns(), when),
			logger.ident, (int)getpid(), levels[level].name, text);
	else if (level == LOG_LEVEL_INFO)
		line = util_printf("%s: %s\n", logger.ident, text);
	else
		line = util_printf("%s: %s: %s\n", logger.ident, levels[level].name, text);
	if (line)
		(void)util_write_all(logger.fd, line, strlen(line));
}

static void log_message(enum log_level level, const char *format, va_list args)
{
	int saved = errno;
	autofree char *text = NULL;
	autofree char *line = NULL;

	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	line = one_line(text ? text : "out of memory for a message");
	pthread_mutex_lock(&logger.mutex);
	if (logger.sink == LOG_SINK_SYSLOG)
		syslog(levels[level].priority, "%s", line ? line : "out of memory for a message");
	else
		write_line_locked(level, line ? line : "out of memory for a message");
	pthread_mutex_unlock(&logger.mutex);
	errno = saved;
}

#define define_log(function, level)                                                                \
	void function(const char *format, ...)                                                     \
	{                                                                                          \
		va_list args;                                                                      \
                                                                                                   \
		if (!log_enabled(level))                                                           \
			return;                                                                    \
		va_start(args, format);                                                            \
		log_message(level, format, args);                                                  \
		va_end(args);                                                                      \
	}

define_log(log_error, LOG_LEVEL_ERROR) define_log(log_warn, LOG_LEVEL_WARN)
	define_log(log_info, LOG_LEVEL_INFO) define_log(log_debug, LOG_LEVEL_DEBUG)
