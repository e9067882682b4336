/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/client.h"

#include <errno.h>
#include <string.h>

#include "store/manifest.h"
#include "tools/output.h"

static void print_error(const char *format, va_list args)
{
	autofree char *text = NULL, *escaped = NULL;

	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	escaped = output_escape(text ? text : format);
	fprintf(stderr, "%s: %s\n", program_invocation_short_name,
		escaped ? escaped : "out of memory");
}

void tool_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_error(format, args);
	va_end(args);
}

int tool_usage(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_error(format, args);
	va_end(args);
	fprintf(stderr, "Try '%s --help'.\n", program_invocation_short_name);
	return TOOL_USAGE;
}

enum tool_exit tool_exit_of(int error)
{
	switch (error) {
	case -ENXIO:
	case -ECONNREFUSED:
		return TOOL_NO_MOUNT;
	case -EPERM:
	case -EACCES:
		return TOOL_PERMISSION;
	default:
		return TOOL_FAILED;
	}
}

int tool_connect(const char *path, struct varlink_client **out)
{
	autofree char *why = NULL;
	int ret = varlink_connect(path, out, &why);

	if (ret == 0)
		return 0;
	tool_error("%s", why ? why : strerror(-ret));
	return tool_exit_of(ret);
}

static void print_failure(const json_t *failure)
{
	autofree char *path = tool_name(failure, "path"), *link = tool_name(failure, "link");

	tool_error("%s%s%s%s%s: %s", path && *path ? path : "", path && *path ? ": " : "",
		tool_string(failure, "step"), link && *link ? " " : "", link ? link : "",
		tool_string(failure, "message"));
}

void tool_print_failures(const json_t *failures)
{
	const json_t *failure;
	size_t i;

	json_array_foreach (failures, i, failure)
		print_failure(failure);
}

int tool_call(struct varlink_client *client, const char *method, json_t *parameters, json_t **out)
{
	autofree char *why = NULL;
	const json_t *failures;
	int ret = varlink_call(client, method, parameters, out, &why);

	if (ret == 0)
		return 0;
	tool_error("%s", why ? why : strerror(-ret));
	failures = json_object_get(*out, "failures");
	/* One alone is what the message is about. */
	if (json_array_size(failures) > 1)
		tool_print_failures(failures);
	/* EPERM of an entry (an immutable file) is not a lack of rights of the caller. */
	ret = json_array_size(failures) > 0 ? TOOL_FAILED : tool_exit_of(ret);
	json_decref(*out);
	*out = NULL;
	return ret;
}

const char *tool_string(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

json_int_t tool_integer(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (json_is_string(value))
		return strtoll(json_string_value(value), NULL, 0);
	return json_integer_value(value);
}

char *tool_name(const json_t *object, const char *key)
{
	char *name = manifest_json_get_name(object, key, NULL);

	return name ? name : strdup("");
}
