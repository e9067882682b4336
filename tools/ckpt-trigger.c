/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include "store/manifest.h"
#include "tools/client.h"
#include "tools/hook.h"
#include "tools/output.h"
#include "tools/trigger_options.h"

/* One run: what was asked for, and what came of it. */
struct trigger {
	struct trigger_options options;
	struct varlink_client *client;
	json_t *made;      /* the reply of Freeze */
	char *manifest;    /* absolute */
	const char *state; /* "committed", "undone", or "unknown": Commit or Undo failed */
	int hook_status;   /* as of waitpid() */
};

static int make_checkpoint(struct trigger *trigger)
{
	json_t *request = trigger_options_request(&trigger->options);
	autofree char *manifest = NULL;
	int ret;

	if (!request)
		return tool_usage("the cgroup and the template must be UTF-8");
	ret = tool_call(trigger->client, "Freeze", request, &trigger->made);
	if (ret)
		return ret;
	manifest = tool_name(trigger->made, "manifest");
	trigger->manifest = util_printf("%s/%s", tool_string(trigger->made, "mount"), manifest);
	if (json_array_size(json_object_get(trigger->made, "left_out")) > 0)
		tool_error("left out:");
	tool_print_failures(json_object_get(trigger->made, "left_out"));
	return 0;
}

/* ---- the hook ---- */

static bool hook_succeeded(const struct trigger *trigger)
{
	return WIFEXITED(trigger->hook_status) && WEXITSTATUS(trigger->hook_status) == 0;
}

static int run_hook(struct trigger *trigger)
{
	const char *mount = tool_string(trigger->made, "mount");
	autofree char *folder = util_printf("%s/%s", mount, MANIFEST_DIR);
	autofree char *entries =
		util_printf("%lld", (long long)tool_integer(trigger->made, "entries"));
	autofree char *ktime = util_printf("%lld", (long long)tool_integer(trigger->made, "ktime"));
	const struct hook_variable variables[] = {
		{ "RELINKFS_CHECKPOINT_ID", tool_string(trigger->made, "id") },
		{ "RELINKFS_CHECKPOINT_MANIFEST", trigger->manifest },
		{ "RELINKFS_CHECKPOINT_DIR", folder },
		{ "RELINKFS_CHECKPOINT_ENTRIES", entries },
		{ "RELINKFS_CHECKPOINT_KTIME", ktime },
		{ "RELINKFS_MOUNT", mount },
		{ "RELINKFS_SOURCE", tool_string(trigger->made, "source") },
	};

	for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
		if (!variables[i].value)
			return -ENOMEM;
	return hook_run(trigger->options.run, variables, ARRAY_SIZE(variables),
		trigger->options.json, &trigger->hook_status);
}

static void report_hook(const struct trigger *trigger, int ret)
{
	int status = trigger->hook_status;

	if (ret < 0)
		tool_error("cannot run the command: %s", strerror(-ret));
	else if (WIFSIGNALED(status))
		tool_error("the command was ended by signal %d (%s)", WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	else if (!hook_succeeded(trigger))
		tool_error("the command failed with status %d", WEXITSTATUS(status));
}

/* Commit or Undo; says what to do when that does not work. */
static int settle(struct trigger *trigger, bool undo)
{
	const char *id = tool_string(trigger->made, "id");
	json_t *reply = NULL;
	int ret = tool_call(
		trigger->client, undo ? "Undo" : "Commit", json_pack("{s:s}", "id", id), &reply);

	json_decref(reply);
	trigger->state = ret ? "unknown" : undo ? "undone" : "committed";
	if (ret)
		tool_error("checkpoint %s could not be %s; 'relinkctl checkpoints' tells its state",
			id, undo ? "undone" : "committed");
	return ret;
}

/* The hook, then the end of the held checkpoint: an exit code. */
static int run_and_settle(struct trigger *trigger)
{
	int ret = run_hook(trigger);
	bool fine = ret == 0 && hook_succeeded(trigger);
	bool undo = !fine && trigger->options.undo_on_failure;

	report_hook(trigger, ret);
	if (ret < 0)
		trigger->hook_status = 127 << 8;
	ret = settle(trigger, undo);
	if (fine)
		return ret;
	return undo && ret == 0 ? TOOL_UNDONE : TOOL_HOOK_FAILED;
}

/* ---- output ---- */

static void print_json(const struct trigger *trigger)
{
	int status = trigger->hook_status;

	json_object_set_new(trigger->made, "state", json_string(trigger->state));
	if (trigger->options.run)
		json_object_set_new(trigger->made, "hook",
			WIFSIGNALED(status) ? json_pack("{s:i}", "signal", WTERMSIG(status))
					    : json_pack("{s:i}", "status", WEXITSTATUS(status)));
	output_json(trigger->made);
}

static void print_text(const struct trigger *trigger)
{
	char total[OUTPUT_TEXT_SIZE], barrier[OUTPUT_TEXT_SIZE];
	autofree char *manifest = output_escape(trigger->manifest);

	printf("checkpoint  %s%s%s\n", tool_string(trigger->made, "id"),
		strcmp(trigger->state, "committed") == 0 ? "" : ", ",
		strcmp(trigger->state, "committed") == 0 ? "" : trigger->state);
	printf("entries     %lld\n", (long long)tool_integer(trigger->made, "entries"));
	if (strcmp(trigger->state, "undone") != 0)
		printf("manifest    %s\n", manifest ? manifest : "");
	printf("time        %s, changes held back for %s\n",
		output_duration(tool_integer(trigger->made, "total_ns"), total),
		output_duration(tool_integer(trigger->made, "barrier_ns"), barrier));
}

static int run(struct trigger *trigger)
{
	int ret = tool_connect(trigger->options.path, &trigger->client);

	if (ret == 0)
		ret = make_checkpoint(trigger);
	if (ret)
		return ret;
	trigger->state = "committed";
	if (trigger->options.run)
		ret = run_and_settle(trigger);
	if (trigger->options.json)
		print_json(trigger);
	else if (!trigger->options.quiet)
		print_text(trigger);
	return output_finish() && ret == 0 ? TOOL_FAILED : ret;
}

int main(int argc, char **argv)
{
	struct trigger trigger = { 0 };
	int ret = trigger_options_parse(argc, argv, &trigger.options);

	if (ret >= 0)
		return output_finish() ? TOOL_FAILED : ret;
	ret = run(&trigger);
	varlink_disconnect(trigger.client);
	json_decref(trigger.made);
	free(trigger.manifest);
	return ret;
}
