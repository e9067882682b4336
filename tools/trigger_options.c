/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/trigger_options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>

#include "store/template.h"
#include "tools/client.h"

static const char help[] =
	"Usage: ckpt-trigger [OPTION...] PATH\n"
	"\n"
	"Make a checkpoint of the relinkfs mount that PATH is in: every file that is\n"
	"unlinked but still in use gets a name again under lost+found/checkpoint, all or\n"
	"none, and durably. No data is moved.\n"
	"\n"
	"What is frozen (default: everything that is hidden):\n"
	"  -p, --pid PID            only what the process PID and its descendants hold\n"
	"  -g, --cgroup PATH        only what the processes of a cgroup hold\n"
	"  -P, --partial            leave out, with a warning, what cannot be frozen\n"
	"\n"
	"How:\n"
	"  -t, --template TEMPLATE  names of the links, relative to the mount, with %n\n"
	"                           (number) and %t (time) or %c (checkpoint), and if\n"
	"                           wanted %u (owner), %i (inode), %%\n"
	"  -r, --run COMMAND        run COMMAND by sh once the links are durable (to make\n"
	"                           a backup); see ENVIRONMENT in ckpt-trigger(1)\n"
	"  -u, --undo-on-failure    undo the checkpoint if COMMAND fails\n"
	"\n"
	"Output:\n"
	"  -j, --json               print JSON; what COMMAND prints goes to stderr\n"
	"  -q, --quiet              print errors and warnings only\n"
	"  -h, --help               show this help\n"
	"  -V, --version            show the version\n"
	"\n"
	"Exit status: 0 checkpoint made; 1 failed, nothing was left behind; 2 wrong\n"
	"usage; 3 COMMAND failed, checkpoint kept; 4 COMMAND failed, checkpoint undone;\n"
	"5 no relinkfs mount there; 6 not permitted.\n";

static const struct option long_options[] = {
	{ "pid", required_argument, NULL, 'p' },
	{ "cgroup", required_argument, NULL, 'g' },
	{ "partial", no_argument, NULL, 'P' },
	{ "template", required_argument, NULL, 't' },
	{ "run", required_argument, NULL, 'r' },
	{ "undo-on-failure", no_argument, NULL, 'u' },
	{ "json", no_argument, NULL, 'j' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static int parse_pid(const char *text, pid_t *out)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || end == text || *end || value <= 0 || value > INT_MAX)
		return tool_usage("--pid: '%s' is no process id", text);
	*out = (pid_t)value;
	return -1;
}

static int parse_one(int option, struct trigger_options *out)
{
	switch (option) {
	case 'p':
		return parse_pid(optarg, &out->pid);
	case 'g':
		out->cgroup = optarg;
		return -1;
	case 'P':
		out->partial = true;
		return -1;
	case 't':
		out->link_template = optarg;
		return -1;
	case 'r':
		out->run = optarg;
		return -1;
	case 'u':
		out->undo_on_failure = true;
		return -1;
	case 'j':
		out->json = true;
		return -1;
	case 'q':
		out->quiet = true;
		return -1;
	case 'h':
		fputs(help, stdout);
		return TOOL_OK;
	case 'V':
		puts("ckpt-trigger " RELINKFS_VERSION);
		return TOOL_OK;
	default:
		fputs("Try 'ckpt-trigger --help'.\n", stderr);
		return TOOL_USAGE;
	}
}

static int check_template(const char *text)
{
	struct link_template *parsed = NULL;
	autofree char *why = NULL;
	int ret = template_parse(text, &parsed, &why);

	template_free(parsed);
	return ret == 0 ? -1 : tool_usage("--template: %s", why ? why : "is wrong");
}

/* What only the whole command line shows. */
static int check(const struct trigger_options *options)
{
	if (!options->path)
		return tool_usage("PATH is missing: any path in the mount");
	if (options->pid && options->cgroup)
		return tool_usage("--pid and --cgroup exclude each other");
	if (options->cgroup && !*options->cgroup)
		return tool_usage("--cgroup: the path is empty");
	if (options->json && options->quiet)
		return tool_usage("--json and --quiet exclude each other");
	if (options->undo_on_failure && !options->run)
		return tool_usage("--undo-on-failure needs --run");
	return options->link_template ? check_template(options->link_template) : -1;
}

int trigger_options_parse(int argc, char **argv, struct trigger_options *out)
{
	int option, ret;

	*out = (struct trigger_options){ 0 };
	optind = 0;
	while ((option = getopt_long(argc, argv, "p:g:Pt:r:ujqhV", long_options, NULL)) != -1) {
		ret = parse_one(option, out);
		if (ret >= 0)
			return ret;
	}
	if (optind < argc)
		out->path = argv[optind++];
	if (optind < argc)
		return tool_usage("unexpected argument: %s", argv[optind]);
	return check(out);
}

static void set_text(json_t *object, const char *key, const char *text)
{
	if (text)
		json_object_set_new(object, key, json_string(text));
}

json_t *trigger_options_request(const struct trigger_options *options)
{
	size_t texts = 1 + !!options->cgroup + !!options->link_template;
	json_t *request = json_object();

	set_text(request, "scope", options->pid ? "tree" : options->cgroup ? "cgroup" : "all");
	set_text(request, "cgroup", options->cgroup);
	set_text(request, "template", options->link_template);
	if (json_object_size(request) != texts) {
		json_decref(request);
		return NULL;
	}
	if (options->pid)
		json_object_set_new(request, "pid", json_integer(options->pid));
	json_object_set_new(request, "partial", json_boolean(options->partial));
	json_object_set_new(request, "hold", json_boolean(options->run != NULL));
	json_object_set_new(request, "undo_on_disconnect", json_boolean(options->undo_on_failure));
	return request;
}
