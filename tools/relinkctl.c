/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <unistd.h>

#include "store/manifest.h"
#include "tools/client.h"
#include "tools/ctl_print.h"
#include "tools/output.h"

static const char help[] =
	"Usage: relinkctl COMMAND [OPTION...] [ARGUMENT...]\n"
	"\n"
	"Look at a relinkfs mount, and remove checkpoints.\n"
	"\n"
	"Commands:\n"
	"  status       the mount and its daemon\n"
	"  list         files that are unlinked but in use, and who holds them\n"
	"  checkpoints  all checkpoints\n"
	"  show         one checkpoint and its links\n"
	"  drop         remove a checkpoint: its links and its manifest\n"
	"  help         this help, or that of a command\n"
	"\n"
	"  -h, --help     show this help; 'relinkctl COMMAND --help': that of a command\n"
	"  -V, --version  show the version\n"
	"\n"
	"Callers without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH see only what belongs\n"
	"to them, and cannot drop.\n"
	"\n"
	"Exit status: 0 done; 1 failed; 2 wrong usage; 5 no relinkfs mount there;\n"
	"6 not permitted.\n";

#define PATH_HELP "PATH is any path in the mount; the default is the current directory.\n\n"
#define CHECKPOINT_HELP                                                                            \
	"CHECKPOINT is an id, or the path of a manifest (then PATH is not needed).\n"
#define COMMON_HELP                                                                                \
	"  -j, --json  print JSON\n"                                                               \
	"  -h, --help  show this help\n"

/* What was asked for. */
struct call {
	const struct command *command;
	bool json, yes, no_holders;
	const char *checkpoint; /* show, drop: as it was given */
	const char *path;
};

struct command {
	const char *name;
	const char *help;
	const char *short_options; /* of those in long_options */
	bool takes_checkpoint;
	int (*run)(const struct call *call, struct varlink_client *client);
};

static const struct option long_options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "yes", no_argument, NULL, 'y' },
	{ "no-holders", no_argument, NULL, 'n' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/* ---- commands ---- */

/* Calls a method and prints its reply, one way or the other. */
static int call_and_print(const struct call *call, struct varlink_client *client,
	const char *method, json_t *parameters, void (*print)(const json_t *reply, FILE *file))
{
	json_t *reply;
	int ret = tool_call(client, method, parameters, &reply);

	if (ret)
		return ret;
	if (call->json)
		output_json(reply);
	else
		print(reply, stdout);
	json_decref(reply);
	return 0;
}

static int run_status(const struct call *call, struct varlink_client *client)
{
	return call_and_print(call, client, "Status", NULL, ctl_print_status);
}

static int run_list(const struct call *call, struct varlink_client *client)
{
	return call_and_print(call, client, "ListEntries",
		json_pack("{s:b}", "holders", !call->no_holders), ctl_print_entries);
}

static int run_checkpoints(const struct call *call, struct varlink_client *client)
{
	return call_and_print(call, client, "ListCheckpoints", NULL, ctl_print_checkpoints);
}

/* The path of a manifest as the daemon knows it: relative to the mount.  0 or an exit code. */
static int relative_to_mount(struct varlink_client *client, const char *path, char **out)
{
	autofree char *real = realpath(path, NULL);
	const char *mount;
	json_t *status;
	size_t length;
	int ret;

	if (!real) {
		tool_error("%s: %s", path, strerror(errno));
		return TOOL_FAILED;
	}
	ret = tool_call(client, "Status", NULL, &status);
	if (ret)
		return ret;
	mount = tool_string(status, "mount");
	length = strlen(mount);
	*out = strncmp(real, mount, length) == 0 && real[length] == '/' ? strdup(real + length + 1)
									: NULL;
	if (!*out) {
		tool_error("%s: not in the mount %s", path, mount);
		ret = TOOL_FAILED;
	}
	json_decref(status);
	return ret;
}

/* {"id": ...} or {"manifest": ...}: 0 or an exit code. */
static int name_checkpoint(const struct call *call, struct varlink_client *client, json_t **out)
{
	autofree char *manifest = NULL;
	int ret;

	if (!strchr(call->checkpoint, '/')) {
		size_t digits = strspn(call->checkpoint, "0123456789abcdefABCDEF");

		if (!digits || digits > 16 || call->checkpoint[digits])
			return tool_usage("'%s' is no id of a checkpoint, and no path (which has a"
					  " slash)", call->checkpoint);
		*out = json_pack("{s:s}", "id", call->checkpoint);
		if (*out)
			return 0;
		tool_error("out of memory");
		return TOOL_FAILED;
	}
	ret = relative_to_mount(client, call->checkpoint, &manifest);
	if (ret)
		return ret;
	*out = json_object();
	if (manifest_json_set_name(*out, "manifest", manifest) == 0)
		return 0;
	json_decref(*out);
	tool_error("out of memory");
	return TOOL_FAILED;
}

static int run_show(const struct call *call, struct varlink_client *client)
{
	json_t *parameters;
	int ret = name_checkpoint(call, client, &parameters);

	if (ret)
		return ret;
	return call_and_print(call, client, "ShowCheckpoint", parameters, ctl_print_checkpoint);
}

/* On a terminal: is it really meant?  0: yes, else an exit code. */
static int confirm_drop(struct varlink_client *client, json_t *parameters)
{
	autofree char *summary = NULL;
	char answer[8] = "";
	json_t *shown;
	int ret = tool_call(client, "ShowCheckpoint", json_incref(parameters), &shown);

	if (ret)
		return ret;
	summary = ctl_summary(shown);
	fprintf(stderr, "Drop checkpoint %s (%s)? It cannot be restored afterwards. [y/N] ",
		tool_string(json_object_get(shown, "manifest"), "id"), summary ? summary : "");
	json_decref(shown);
	if (fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
		return 0;
	tool_error("nothing was dropped");
	return TOOL_FAILED;
}

static void print_dropped(const json_t *reply, FILE *file)
{
	tool_print_failures(json_object_get(reply, "failures"));
}

static int run_drop(const struct call *call, struct varlink_client *client)
{
	json_t *parameters;
	int ret = name_checkpoint(call, client, &parameters);

	if (ret)
		return ret;
	if (!call->yes && isatty(STDIN_FILENO) && isatty(STDERR_FILENO))
		ret = confirm_drop(client, parameters);
	if (ret) {
		json_decref(parameters);
		return ret;
	}
	return call_and_print(call, client, "Drop", parameters, print_dropped);
}

static const struct command commands[] = {
	{ "status",
		"Usage: relinkctl status [OPTION...] [PATH]\n\n"
		"Show what is mounted there, how it does its work, and what it holds.\n" PATH_HELP
			COMMON_HELP,
		"jh", false, run_status },
	{ "list",
		"Usage: relinkctl list [OPTION...] [PATH]\n\n"
		"List the files that are unlinked but still in use: size, age, owner, original\n"
		"path, and which process holds them.\n" PATH_HELP
		"  -n, --no-holders  do not look for who holds them (faster)\n"
		"  -j, --json        print JSON\n"
		"  -h, --help        show this help\n",
		"njh", false, run_list },
	{ "checkpoints",
		"Usage: relinkctl checkpoints [OPTION...] [PATH]\n\n"
		"List the checkpoints, oldest first.\n" PATH_HELP COMMON_HELP,
		"jh", false, run_checkpoints },
	{ "show",
		"Usage: relinkctl show [OPTION...] CHECKPOINT [PATH]\n\n"
		"Show a checkpoint, and for each of its links whether it is still "
		"there.\n" CHECKPOINT_HELP PATH_HELP COMMON_HELP,
		"jh", true, run_show },
	{ "drop",
		"Usage: relinkctl drop [OPTION...] CHECKPOINT [PATH]\n\n"
		"Remove the links of a checkpoint, then its manifest. Files that are still in\n"
		"use stay usable. Links that are missing or are other files by now are left\n"
		"alone, with a warning. On a terminal it asks first.\n" CHECKPOINT_HELP PATH_HELP
		"  -y, --yes   do not ask\n" COMMON_HELP,
		"yjh", true, run_drop },
};

/* ---- the command line ---- */

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static int unknown_command(const char *name)
{
	return tool_usage("there is no command '%s'", name);
}

/* 'relinkctl help [COMMAND]' */
static int run_help(const char *name)
{
	const struct command *command = name ? find_command(name) : NULL;

	if (name && !command)
		return unknown_command(name);
	fputs(command ? command->help : help, stdout);
	return TOOL_OK;
}

/* -1: go on; else an exit code. */
static int parse_option(int option, struct call *call)
{
	switch (option) {
	case 'j':
		call->json = true;
		return -1;
	case 'y':
		call->yes = true;
		return -1;
	case 'n':
		call->no_holders = true;
		return -1;
	case 'h':
		fputs(call->command->help, stdout);
		return TOOL_OK;
	default:
		fprintf(stderr, "Try 'relinkctl %s --help'.\n", call->command->name);
		return TOOL_USAGE;
	}
}

/* The options and arguments behind the command's name, which is argv[0]. */
static int parse_call(struct call *call, int argc, char **argv)
{
	const struct command *command = call->command;
	int option, ret;

	while ((option = getopt_long(argc, argv, command->short_options, long_options, NULL)) !=
		-1) {
		if (option != '?' && !strchr(command->short_options, option))
			ret = tool_usage("%s: %s does not belong to this command", command->name,
				argv[optind - 1]);
		else
			ret = parse_option(option, call);
		if (ret >= 0)
			return ret;
	}
	if (command->takes_checkpoint && optind < argc)
		call->checkpoint = argv[optind++];
	if (command->takes_checkpoint && !call->checkpoint)
		return tool_usage("%s: CHECKPOINT is missing", command->name);
	if (optind < argc)
		call->path = argv[optind++];
	if (optind < argc)
		return tool_usage("%s: unexpected argument: %s", command->name, argv[optind]);
	return -1;
}

/* Without PATH a manifest says itself which mount is meant. */
static const char *where(const struct call *call)
{
	if (call->path)
		return call->path;
	return call->checkpoint && strchr(call->checkpoint, '/') ? call->checkpoint : ".";
}

static int run_command(const struct command *command, int argc, char **argv)
{
	struct call call = { .command = command };
	struct varlink_client *client;
	int ret = parse_call(&call, argc, argv);

	if (ret >= 0)
		return ret;
	ret = tool_connect(where(&call), &client);
	if (ret)
		return ret;
	ret = command->run(&call, client);
	varlink_disconnect(client);
	return ret;
}

static int run(int argc, char **argv)
{
	const struct command *command;
	const char *name = argc > 1 ? argv[1] : NULL;

	if (!name)
		return tool_usage("a command is missing");
	if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		return run_help(argc > 2 ? argv[2] : NULL);
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
		puts("relinkctl " RELINKFS_VERSION);
		return TOOL_OK;
	}
	if (name[0] == '-')
		return tool_usage("unknown option '%s'", name);
	command = find_command(name);
	if (!command)
		return unknown_command(name);
	/* getopt_long() begins its messages with this. */
	argv[1] = argv[0];
	return run_command(command, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	int ret = run(argc, argv);

	return output_finish() && ret == TOOL_OK ? TOOL_FAILED : ret;
}
