/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "fuse/control_internal.h"
#include "store/log.h"

#define SERVICE "org.varlink.service"

/* ---- answers ---- */

static void set_answer(struct request *request, const char *error, json_t *answer)
{
	json_decref(request->answer);
	request->error = error;
	request->answer = answer;
}

void request_reply(struct request *request, json_t *answer)
{
	if (answer)
		set_answer(request, NULL, answer);
	else
		request_fail(request, -ENOMEM, NULL, "the daemon is out of memory");
}

void request_fail(struct request *request, int error, json_t *failures, const char *format, ...)
{
	autofree char *text = NULL;
	va_list args;
	json_t *answer;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	answer = json_pack("{s:i, s:o}", "errno", -error, "message",
		control_text(text ? text : strerror(-error)));
	if (answer && failures)
		json_object_set(answer, "failures", failures);
	json_decref(failures);
	set_answer(request, VARLINK_INTERFACE ".Error", answer);
}

void request_invalid(struct request *request, const char *parameter)
{
	set_answer(
		request, SERVICE ".InvalidParameter", json_pack("{s:s}", "parameter", parameter));
}

/* {"parameters": ...}, with "error" before it if it is one.  Takes @parameters. */
static json_t *reply_message(const char *error, json_t *parameters)
{
	if (!parameters)
		return NULL;
	if (error)
		return json_pack("{s:s, s:o}", "error", error, "parameters", parameters);
	return json_pack("{s:o}", "parameters", parameters);
}

void request_refuse(int fd, int error, const char *message)
{
	json_t *reply = reply_message(VARLINK_INTERFACE ".Error",
		json_pack("{s:i, s:s}", "errno", -error, "message", message));
	autofree char *text = json_dumps(reply, JSON_COMPACT);

	json_decref(reply);
	if (text && send(fd, text, strlen(text) + 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("control: a refused client was not told why: %m");
}

/* ---- parameters ---- */

static bool type_fits(json_type wanted, const json_t *value)
{
	if (wanted == JSON_TRUE)
		return json_is_boolean(value);
	return wanted == JSON_NULL || json_typeof(value) == wanted;
}

static void store_parameter(const struct request_parameter *parameter, const json_t *value)
{
	switch (parameter->type) {
	case JSON_TRUE:
		*(bool *)parameter->out = json_is_true(value);
		break;
	case JSON_STRING:
		*(const char **)parameter->out = json_string_value(value);
		break;
	case JSON_INTEGER:
		*(json_int_t *)parameter->out = json_integer_value(value);
		break;
	default:
		break;
	}
}

bool request_parameters(
	struct request *request, const struct request_parameter *table, size_t count)
{
	const struct request_parameter *found;
	const char *name;
	json_t *value;

	json_object_foreach ((json_t *)request->parameters, name, value) {
		found = NULL;
		for (size_t i = 0; i < count; i++)
			if (strcmp(table[i].name, name) == 0)
				found = &table[i];
		if (!found || (!json_is_null(value) && !type_fits(found->type, value))) {
			request_invalid(request, name);
			return false;
		}
		if (!json_is_null(value))
			store_parameter(found, value);
	}
	return true;
}

/* ---- org.varlink.service ---- */

static void get_info(struct request *request)
{
	if (!request_parameters(request, NULL, 0))
		return;
	request_reply(request, json_pack("{s:s, s:s, s:s, s:s, s:[s, s]}", "vendor", "relinkfs",
				       "product", "relinkfs", "version", request->host->version,
				       "url", "", "interfaces", SERVICE, VARLINK_INTERFACE));
}

static void get_interface_description(struct request *request)
{
	const char *interface = NULL;
	const struct request_parameter table[] = { { "interface", JSON_STRING, &interface } };

	if (!request_parameters(request, table, ARRAY_SIZE(table)))
		return;
	if (!interface)
		request_invalid(request, "interface");
	else if (strcmp(interface, SERVICE) == 0)
		request_reply(request, json_pack("{s:s}", "description", control_idl_service));
	else if (strcmp(interface, VARLINK_INTERFACE) == 0)
		request_reply(request, json_pack("{s:s}", "description", control_idl));
	else
		set_answer(request, SERVICE ".InterfaceNotFound",
			json_pack("{s:s}", "interface", interface));
}

static const struct control_method service_methods[] = {
	{ "GetInfo", false, get_info },
	{ "GetInterfaceDescription", false, get_interface_description },
	{ NULL, false, NULL },
};

/* ---- dispatch ---- */

static const struct {
	const char *name;
	const struct control_method *methods;
} interfaces[] = {
	{ SERVICE, service_methods },
	{ VARLINK_INTERFACE, control_methods },
};

/* NULL: the answer is given. */
static const struct control_method *find_method(struct request *request, const char *name)
{
	const char *dot = strrchr(name, '.');
	size_t length = dot ? (size_t)(dot - name) : strlen(name);
	const struct control_method *method;

	for (size_t i = 0; i < ARRAY_SIZE(interfaces); i++) {
		if (strlen(interfaces[i].name) != length ||
			memcmp(interfaces[i].name, name, length) != 0)
			continue;
		for (method = interfaces[i].methods; dot && method->name; method++)
			if (strcmp(method->name, dot + 1) == 0)
				return method;
		set_answer(request, SERVICE ".MethodNotFound", json_pack("{s:s}", "method", name));
		return NULL;
	}
	set_answer(request, SERVICE ".InterfaceNotFound",
		json_pack("{s:s%}", "interface", name, length));
	return NULL;
}

/*
 * What a caller may is what it could when it connected and can now: rights given up
 * since then do not count, and neither do those gained.
 */
static bool check_caller(struct request *request, const struct control_method *method)
{
	const struct connection *connection = request->connection;
	autofree char *why = NULL;
	int ret = caller_from_socket(connection->fd, &request->caller);

	if (ret < 0) {
		request_fail(request, ret, NULL, "cannot tell who is calling: %s", strerror(-ret));
		return false;
	}
	ret = caller_may_relink(&request->caller, &why);
	if (ret == 0 && !connection->privileged)
		ret = util_why(&why, -EPERM,
			"the caller had not the capabilities when it connected; connect again");
	request->privileged = ret == 0;
	if (ret == 0 || !method->privileged)
		return true;
	request_fail(request, ret, NULL, "%s is not permitted: %s", method->name,
		why ? why : "a capability is missing");
	return false;
}

/*
 * What the unprivileged ask for is work for the daemon (walks of /proc, reading of
 * manifests) that they can ask for at will: so it is done for one of them at a time.
 */
static pthread_mutex_t unprivileged_turn = PTHREAD_MUTEX_INITIALIZER;

static void take_turn(struct request *request, const struct control_method *method)
{
	if (!request->privileged)
		pthread_mutex_lock(&unprivileged_turn);
	method->run(request);
	if (!request->privileged)
		pthread_mutex_unlock(&unprivileged_turn);
}

static void run_method(struct request *request, const json_t *message)
{
	const char *name = json_string_value(json_object_get(message, "method"));
	const json_t *parameters = json_object_get(message, "parameters");
	const struct control_method *method;

	if (!name) {
		request_invalid(request, "method");
		return;
	}
	if (parameters && !json_is_object(parameters) && !json_is_null(parameters)) {
		request_invalid(request, "parameters");
		return;
	}
	request->parameters = json_is_object(parameters) ? parameters : NULL;
	method = find_method(request, name);
	if (!method || !check_caller(request, method))
		return;
	take_turn(request, method);
	if (!request->answer)
		request_reply(request, NULL);
}

static bool send_answer(struct request *request)
{
	json_t *reply = reply_message(request->error, steal_ptr(&request->answer));
	int ret = reply ? varlink_write(request->connection->fd, reply) : -ENOMEM;

	json_decref(reply);
	if (ret < 0)
		log_debug("control: pid %d was not answered: %s", request->connection->caller.pid,
			strerror(-ret));
	return ret == 0;
}

bool request_run(
	struct connection *connection, const struct control_host *host, const json_t *message)
{
	struct request request = { .connection = connection, .host = host };

	run_method(&request, message);
	if (json_is_true(json_object_get(message, "oneway"))) {
		json_decref(request.answer);
		return true;
	}
	return send_answer(&request);
}

/* ---- the end of a connection ---- */

static void settle_hold(const struct control_host *host, const struct control_hold *hold,
	const struct caller *caller)
{
	int ret = hold->undo ? freeze_undo(host->store, hold->ktime)
			     : freeze_commit(host->store, hold->ktime);

	/* Somebody else settled it. */
	if (ret == -EINVAL || ret == -ENOENT)
		return;
	if (ret < 0)
		log_error("checkpoint %08llx: its holder is gone, but it could not be %s: %s",
			(unsigned long long)hold->ktime, hold->undo ? "undone" : "committed",
			strerror(-ret));
	else
		log_warn("checkpoint %08llx was %s: its holder, pid %d (%s), is gone",
			(unsigned long long)hold->ktime, hold->undo ? "undone" : "committed",
			caller->pid, caller->comm);
}

void request_settle(struct connection *connection, const struct control_host *host)
{
	for (size_t i = 0; i < connection->nholds; i++)
		settle_hold(host, &connection->holds[i], &connection->caller);
	connection->nholds = 0;
	if (connection->aliased)
		host->alias_clear(host->ctx, connection->caller.pid);
	connection->aliased = false;
}

/* ---- JSON of this and that ---- */

json_t *control_text(const char *bytes)
{
	autofree char *escaped = NULL;
	json_t *text;
	char *end;

	if (!bytes)
		bytes = "";
	text = json_string(bytes);
	if (text)
		return text;
	escaped = calloc(strlen(bytes) + 1, 4);
	if (!escaped)
		return NULL;
	end = escaped;
	for (; *bytes; bytes++) {
		if ((unsigned char)*bytes < 0x80)
			*end++ = *bytes;
		else
			end += sprintf(end, "\\x%02x", (unsigned char)*bytes);
	}
	return json_string(escaped);
}

json_t *control_time(int64_t realtime)
{
	char text[RFC3339_SIZE];

	return json_string(format_rfc3339(realtime, text));
}

json_t *control_id(uint64_t id)
{
	return json_sprintf("%016llx", (unsigned long long)id);
}

bool control_parse_id(const char *text, uint64_t *id)
{
	size_t length = strspn(text, "0123456789abcdefABCDEF");

	if (length == 0 || length > 16 || text[length] != '\0')
		return false;
	*id = strtoull(text, NULL, 16);
	return *id != 0;
}

const char *control_failure_text(const struct freeze_failure *failure)
{
	return failure->message ? failure->message : strerror(failure->error);
}

static json_t *failure_json(const struct freeze_failure *failure)
{
	json_t *object = json_pack("{s:o, s:i, s:o}", "step", control_text(failure->step), "errno",
		failure->error, "message", control_text(control_failure_text(failure)));

	if (object && failure->path)
		manifest_json_set_name(object, "path", failure->path);
	if (object && failure->link)
		manifest_json_set_name(object, "link", failure->link);
	return object;
}

json_t *control_failures(const struct freeze_failure *failures, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, failure_json(&failures[i]));
	return array;
}
