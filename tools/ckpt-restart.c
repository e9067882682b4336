/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ckpt-restart: reopen the entries of a checkpoint, hand them to a command, drop the links. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/restart.h"
#include "store/util.h"
#include "store/varlink.h"
#include "tools/checkpoint.h"
#include "tools/client.h"
#include "tools/handover.h"
#include "tools/listen_fds.h"
#include "tools/output.h"
#include "tools/restart_report.h"

/* Beside those of all programs; as the shell has it. */
enum { STATUS_CANNOT_RUN = 126, STATUS_NO_COMMAND = 127 };

static const char help_text[] =
	"Usage: ckpt-restart [OPTION...] CHECKPOINT [-- COMMAND [ARGUMENT...]]\n"
	"\n"
	"Reopen every entry of a checkpoint, as it was open when the checkpoint was made,\n"
	"give the files their names back, remove the checkpoint's links, and become\n"
	"COMMAND, which inherits the descriptors. If anything fails before the links are\n"
	"removed, nothing has changed and the checkpoint can be tried again.\n"
	"\n"
	"CHECKPOINT is the path of a manifest file, or an id.\n"
	"\n"
	"  -m, --mount PATH    the mount, or the copy of one, that CHECKPOINT belongs to\n"
	"                      (default: where the manifest lies; for an id: here)\n"
	"  -k, --keep          do not remove the links: the checkpoint can be used again\n"
	"      --fds[=PID]     descriptors at the numbers that process PID had, and its\n"
	"                      removed working directory (default: from 3 on)\n"
	"      --map OLD=NEW   take original paths below OLD for the same below NEW; may\n"
	"                      be repeated, the first that matches counts\n"
	"      --no-names      do not bring back original names in /proc/PID/fd\n"
	"      --force         take links that are neither the frozen file nor look like\n"
	"                      a true copy of it\n"
	"  -l, --list          only show what would be reopened, and whether it can be\n"
	"      --drop          instead of COMMAND: remove the checkpoint, lose its data\n"
	"  -j, --json          show as JSON\n"
	"  -q, --quiet         only warnings and errors\n"
	"  -h, --help          show this help\n"
	"  -V, --version       show the version\n"
	"\n"
	"COMMAND finds its descriptors by LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES, and\n"
	"by RELINKFS_FDS. Exit status: that of COMMAND; 1 failed, nothing changed;\n"
	"2 usage; 5 no daemon for the mount; 6 not permitted; 126 COMMAND cannot be run;\n"
	"127 COMMAND not found.\n";

struct options {
	const char *checkpoint;
	const char *mount;
	char **command;
	char **maps; /* OLD=NEW, as given */
	size_t nmaps;
	struct restart_options restart;
	bool keep, names, list, drop, json, quiet;
};

/* All that is needed until the command runs. */
struct run {
	struct options options;
	struct checkpoint checkpoint;
	struct restart_map *maps;
	struct restart *restart;
	bool on_mount;                 /* else a plain directory, without a daemon */
	struct varlink_client *daemon; /* NULL: not connected now */
	char *program;
	size_t reported; /* problems that were told */
	int terminal;    /* standard error, also when its number was given away */
};

static int out_of_memory(void)
{
	tool_error("out of memory");
	return TOOL_FAILED;
}

/* For people; unless --quiet. */
static void printf_format(2, 3) say(const struct run *run, const char *format, ...)
{
	autofree char *text = NULL;
	va_list args;

	if (run->options.quiet || run->options.json)
		return;
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	tool_error("%s", text ? text : "out of memory");
}

/* ---- options ---- */

enum { OPT_FDS = 256, OPT_MAP, OPT_NO_NAMES, OPT_FORCE, OPT_DROP };

static const struct option long_options[] = {
	{ "mount", required_argument, NULL, 'm' },
	{ "keep", no_argument, NULL, 'k' },
	{ "fds", optional_argument, NULL, OPT_FDS },
	{ "map", required_argument, NULL, OPT_MAP },
	{ "no-names", no_argument, NULL, OPT_NO_NAMES },
	{ "force", no_argument, NULL, OPT_FORCE },
	{ "list", no_argument, NULL, 'l' },
	{ "drop", no_argument, NULL, OPT_DROP },
	{ "json", no_argument, NULL, 'j' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ 0 }
};

static bool parse_pid(const char *text, pid_t *out)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || end == text || *end || value <= 0 || value > INT_MAX)
		return false;
	*out = (pid_t)value;
	return true;
}

static int add_map(struct options *options, char *text)
{
	char **larger = reallocarray(options->maps, options->nmaps + 1, sizeof(char *));

	if (!larger)
		return out_of_memory();
	options->maps = larger;
	options->maps[options->nmaps++] = text;
	return strchr(text, '=') ? -1 : tool_usage("--map: '%s' is not OLD=NEW", text);
}

/* -1: go on; else the exit status. */
static int parse_option(struct options *options, int option)
{
	switch (option) {
	case 'm':
		options->mount = optarg;
		return -1;
	case 'k':
		options->keep = true;
		return -1;
	case OPT_FDS:
		options->restart.by_number = true;
		if (optarg && !parse_pid(optarg, &options->restart.pid))
			return tool_usage("--fds: '%s' is no process id", optarg);
		return -1;
	case OPT_MAP:
		return add_map(options, optarg);
	case OPT_NO_NAMES:
		options->names = false;
		return -1;
	case OPT_FORCE:
		options->restart.force = true;
		return -1;
	case 'l':
		options->list = true;
		return -1;
	case OPT_DROP:
		options->drop = true;
		return -1;
	case 'j':
		options->json = true;
		return -1;
	case 'q':
		options->quiet = true;
		return -1;
	case 'h':
		fputs(help_text, stdout);
		return TOOL_OK;
	case 'V':
		puts("ckpt-restart " RELINKFS_VERSION);
		return TOOL_OK;
	default:
		return TOOL_USAGE;
	}
}

static int check_options(const struct options *options)
{
	if (!options->checkpoint)
		return tool_usage("no checkpoint given");
	if (options->drop && (options->command || options->keep || options->list))
		return tool_usage("--drop goes with neither a command nor --keep nor --list");
	if (options->list && options->command)
		return tool_usage("--list runs no command");
	return -1;
}

static int parse_options(struct options *options, int argc, char **argv)
{
	int option, status;

	options->names = true;
	while ((option = getopt_long(argc, argv, "m:kljqhV", long_options, NULL)) >= 0) {
		status = parse_option(options, option);
		if (status >= 0)
			return status;
	}
	if (optind < argc)
		options->checkpoint = argv[optind++];
	if (optind < argc)
		options->command = &argv[optind];
	return check_options(options);
}

/* ---- paths of --map ---- */

static void cut_slashes(char *path)
{
	size_t length = strlen(path);

	while (length > 1 && path[length - 1] == '/')
		path[--length] = '\0';
}

/* @path relative to the directory @root; NULL: an absolute path that lies elsewhere. */
static const char *relative_to(char *path, const char *root)
{
	size_t length = root ? strlen(root) : 0;

	cut_slashes(path);
	if (path[0] != '/')
		return strcmp(path, ".") == 0 ? "" : path;
	if (length == 1)
		return path + 1;
	if (length == 0 || strncmp(path, root, length) != 0)
		return NULL;
	if (path[length] == '\0')
		return "";
	return path[length] == '/' ? path + length + 1 : NULL;
}

static int prepare_maps(struct run *run)
{
	const char *recorded = run->checkpoint.manifest->mount_path;

	run->maps = calloc(run->options.nmaps + 1, sizeof(*run->maps));
	if (!run->maps)
		return out_of_memory();
	for (size_t i = 0; i < run->options.nmaps; i++) {
		char *from = run->options.maps[i];
		char *to = strchr(from, '=');

		*to++ = '\0';
		run->maps[i].from = relative_to(from, recorded);
		run->maps[i].to = relative_to(to, run->checkpoint.root);
		if (!run->maps[i].from) {
			tool_error("--map: %s is not below %s, where the mount was", from,
				recorded ? recorded : "(not recorded)");
			return TOOL_USAGE;
		}
		if (!run->maps[i].to) {
			tool_error("--map: %s is not below %s", to, run->checkpoint.root);
			return TOOL_USAGE;
		}
	}
	run->options.restart.maps = run->maps;
	run->options.restart.nmaps = run->options.nmaps;
	return -1;
}

/* ---- steps: -1: go on; else the exit status ---- */

/* A mount without its daemon gives ENOTCONN; the source of a mount EBUSY. */
static int status_of(int error)
{
	return error == -ENOTCONN || error == -EBUSY ? TOOL_NO_MOUNT : (int)tool_exit_of(error);
}

static void report_problems(struct run *run)
{
	run->reported = restart_report_problems(run->restart, run->reported);
}

static int find(struct run *run)
{
	autofree char *why = NULL;
	int r = checkpoint_find(run->options.checkpoint, run->options.mount, &run->checkpoint,
		&why);

	if (r == 0)
		r = checkpoint_connect(&run->checkpoint, &run->daemon, &why);
	if (r < 0) {
		tool_error("%s", why ? why : strerror(-r));
		return status_of(r);
	}
	/* It answers; the connection that is used comes when the plan's numbers are taken. */
	run->on_mount = run->daemon != NULL;
	if (run->on_mount)
		varlink_disconnect(run->daemon);
	else
		say(run, "%s is not a relinkfs mount: its files are handled directly",
			run->checkpoint.root);
	run->daemon = NULL;
	return -1;
}

static int find_program(struct run *run)
{
	const char *name = run->options.command[0];
	int r = handover_find(name, &run->program);

	if (r == 0)
		return -1;
	tool_error("%s: %s; nothing has changed", name, strerror(-r));
	return r == -ENOENT ? STATUS_NO_COMMAND : STATUS_CANNOT_RUN;
}

static int open_all(struct run *run)
{
	autofree char *why = NULL;
	int r = restart_new(run->checkpoint.manifest, &run->options.restart, &run->restart, &why);

	if (r < 0) {
		tool_error("%s", why ? why : strerror(-r));
		return r == -EINVAL ? TOOL_USAGE : TOOL_FAILED;
	}
	r = restart_open(run->restart, steal_fd(&run->checkpoint.root_fd));
	if (r < 0 && !run->options.list) {
		report_problems(run);
		tool_error("nothing was restarted, and nothing has changed");
	}
	return r < 0 ? status_of(r) : -1;
}

/* ---- the daemon ---- */

static int alias(void *ctx, const char *link, const char *path, enum restart_alias_mode *mode,
		 char **why)
{
	static const char *const modes[] = { [RESTART_LOOKUP] = "lookup",
		[RESTART_EXCHANGE] = "exchange", [RESTART_REPLACE_TYPE] = "replace-type" };
	struct run *run = ctx;
	json_t *parameters = json_object(), *reply = NULL;
	const char *name;
	int r = -ENOMEM;

	if (manifest_json_set_name(parameters, "link", link) == 0 &&
	    manifest_json_set_name(parameters, "path", path) == 0)
		r = varlink_call(run->daemon, "Alias", json_incref(parameters), &reply, why);
	json_decref(parameters);
	if (r == 0) {
		name = json_string_value(json_object_get(reply, "mode"));
		r = -EPROTO;
		for (size_t i = 0; name && i < ARRAY_SIZE(modes); i++) {
			if (strcmp(name, modes[i]) != 0)
				continue;
			*mode = (enum restart_alias_mode)i;
			r = 0;
		}
	}
	json_decref(reply);
	return r;
}

static void unalias(void *ctx)
{
	struct run *run = ctx;
	json_t *reply = NULL;

	varlink_call(run->daemon, "Unalias", NULL, &reply, NULL);
	json_decref(reply);
}

static int connect_again(struct run *run)
{
	int status = tool_connect(run->checkpoint.root, &run->daemon);

	if (status)
		run->daemon = NULL;
	return status;
}

/* To be told no while nothing has happened.  Unalias asks for the same rights as Drop. */
static int check_rights(struct run *run)
{
	autofree char *why = NULL;
	json_t *reply = NULL;
	int r = run->options.keep ? 0 : varlink_call(run->daemon, "Unalias", NULL, &reply, &why);

	json_decref(reply);
	if (r == 0)
		return 0;
	tool_error("the links could not be removed afterwards: %s", why ? why : strerror(-r));
	tool_error("nothing was restarted, and nothing has changed");
	return tool_exit_of(r);
}

static int give_names(struct run *run)
{
	const struct restart_namer namer = { run, alias, unalias };
	int r;

	if (run->on_mount) {
		r = connect_again(run);
		r = r ? r : check_rights(run);
		if (r)
			return r;
	}
	r = run->options.names ? restart_name(run->restart, run->on_mount ? &namer : NULL) : 0;
	report_problems(run);
	if (r == 0)
		return -1;
	tool_error("%s; nothing has changed", strerror(-r));
	return TOOL_FAILED;
}

static int drop_by_daemon(struct run *run)
{
	json_t *parameters = json_object(), *reply = NULL;
	int status = TOOL_FAILED;

	if (manifest_json_set_name(parameters, "manifest", run->checkpoint.manifest_path) == 0)
		status = tool_call(run->daemon, "Drop", json_incref(parameters), &reply);
	json_decref(parameters);
	if (status == 0 && json_array_size(json_object_get(reply, "failures")) > 0) {
		tool_print_failures(json_object_get(reply, "failures"));
		status = TOOL_FAILED;
	}
	json_decref(reply);
	return status;
}

/*
 * A manifest that lies elsewhere may have been edited: then only what it names is dropped.
 * What was taken by force the daemon would not take for the links of this checkpoint.
 */
static int drop(struct run *run)
{
	int r;

	if (run->on_mount && run->checkpoint.manifest_path && !run->options.restart.force)
		return drop_by_daemon(run);
	r = restart_drop(run->restart, run->checkpoint.manifest_path);
	report_problems(run);
	return r < 0 ? status_of(r) : 0;
}

/* ---- the end ---- */

/* In the helper: a connection is bound to the process that made it. */
static void drop_in_between(void *ctx)
{
	struct run *run = ctx;

	if (!run->on_mount || connect_again(run) == 0)
		if (drop(run) == 0)
			return;
	tool_error("warning: the command runs, and links of checkpoint %s are left: see relinkctl drop",
		run->checkpoint.manifest->id);
}

static int prepare_exec(void *ctx)
{
	struct run *run = ctx;

	return restart_hand_over(run->restart);
}

static void say_restored(const struct run *run)
{
	json_t *object;
	size_t count;

	if (run->options.json) {
		object = restart_report_json(&run->checkpoint, run->restart);
		if (object && json_dumpf(object, stderr, JSON_COMPACT | JSON_ENSURE_ASCII) == 0)
			fputc('\n', stderr);
		json_decref(object);
		return;
	}
	restart_items(run->restart, &count);
	say(run, "checkpoint %s: %zu %s reopened as %zu %s", run->checkpoint.manifest->id,
		run->checkpoint.manifest->nentries,
		run->checkpoint.manifest->nentries == 1 ? "entry" : "entries", count,
		count == 1 ? "descriptor" : "descriptors");
}

/* Standard error may be one of the descriptors that were given away. */
static int say_not_run(const struct run *run, int error, int dropped)
{
	dprintf(run->terminal, "ckpt-restart: %s: %s; %s\n", run->options.command[0], strerror(-error),
		dropped ? "the links were dropped before: THE DATA IS LOST"
			: "nothing was dropped");
	return error == -ENOENT ? STATUS_NO_COMMAND : STATUS_CANNOT_RUN;
}

static int run_command(struct run *run)
{
	const struct handover handover = {
		.path = run->program,
		.argv = run->options.command,
		.ctx = run,
		.prepare = prepare_exec,
		.between = run->options.keep ? NULL : drop_in_between,
	};
	size_t count;
	const struct restart_item *items = restart_items(run->restart, &count);
	int r = listen_fds_set(items, count), dropped;

	if (r == -E2BIG)
		tool_error("warning: too many descriptors to name them all in the environment;"
			 " --list --json shows which is which");
	else if (r < 0)
		return status_of(r);
	run->terminal = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, restart_free_number(run->restart));
	say_restored(run);
	r = handover_exec(&handover, &dropped);
	return say_not_run(run, r, dropped);
}

/* Without a command: --list, --drop, or a refusal. */
static int show(struct run *run, int status)
{
	json_t *object;

	if (run->options.json) {
		object = restart_report_json(&run->checkpoint, run->restart);
		if (object)
			json_dumpf(object, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(object);
	} else if (!run->options.quiet) {
		restart_report_list(stdout, &run->checkpoint, run->restart);
	}
	fflush(stdout);
	report_problems(run);
	if (run->options.list)
		return status < 0 ? TOOL_OK : status;
	return tool_usage("no command given, so nothing was restarted and nothing dropped:"
			  " add '-- COMMAND', or --drop to give up the data");
}

static int drop_only(struct run *run)
{
	int status = run->on_mount ? connect_again(run) : 0;

	report_problems(run);
	if (status == 0)
		status = drop(run);
	if (status)
		return status;
	say(run, "checkpoint %s was dropped", run->checkpoint.manifest->id);
	return TOOL_OK;
}

static int restart_main(struct run *run)
{
	int status = find(run);

	if (status < 0)
		status = prepare_maps(run);
	if (status < 0 && run->options.command)
		status = find_program(run);
	if (status < 0) {
		status = open_all(run);
		if (run->restart && (run->options.list || (status < 0 && !run->options.command &&
							  !run->options.drop)))
			return show(run, status);
	}
	if (status < 0 && run->options.drop)
		return drop_only(run);
	if (status < 0)
		status = give_names(run);
	return status < 0 ? run_command(run) : status;
}

int main(int argc, char **argv)
{
	struct run run = { .checkpoint.root_fd = -1 };
	int status;

	status = parse_options(&run.options, argc, argv);
	if (status < 0)
		status = restart_main(&run);
	if (run.daemon)
		varlink_disconnect(run.daemon);
	restart_free(run.restart);
	checkpoint_free(&run.checkpoint);
	free(run.maps);
	free(run.options.maps);
	free(run.program);
	return status;
}
