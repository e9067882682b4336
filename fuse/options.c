/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <sys/mount.h>

#include "store/template.h"
#include "store/util.h"

#define OWNED_NAME_TIMEOUT 86400.0
#define OWNED_ATTR_TIMEOUT 1.0
#define TIMEOUT_MAX 1e9
#define INSTANCE_MAX 64

struct parser {
	struct options *out;
	char **why;
	bool sloppy;      /* mount -s: unknown -o words are passed over */
	bool cache_given; /* a cache mode was named */
};

/* A word of -o: bare (value NULL) or name=value. */
struct word {
	const char *name;
	bool takes_value;
	int (*set)(struct parser *parser, const char *name, const char *value);
};

const char *const options_label_names[LABELS] = {
	[LABEL_CONTEXT] = "context",
	[LABEL_FSCONTEXT] = "fscontext",
	[LABEL_DEFCONTEXT] = "defcontext",
	[LABEL_ROOTCONTEXT] = "rootcontext",
};

static const struct {
	const char *name;
	unsigned long flag;
	bool on;
} flag_words[] = {
	{ "ro", MS_RDONLY, true },
	{ "rw", MS_RDONLY, false },
	{ "nosuid", MS_NOSUID, true },
	{ "suid", MS_NOSUID, false },
	{ "nodev", MS_NODEV, true },
	{ "dev", MS_NODEV, false },
	{ "noexec", MS_NOEXEC, true },
	{ "exec", MS_NOEXEC, false },
	{ "sync", MS_SYNCHRONOUS, true },
	{ "async", MS_SYNCHRONOUS, false },
	{ "dirsync", MS_DIRSYNC, true },
	{ "noatime", MS_NOATIME, true },
	{ "atime", MS_NOATIME, false },
	{ "nodiratime", MS_NODIRATIME, true },
	{ "diratime", MS_NODIRATIME, false },
	{ "strictatime", MS_STRICTATIME, true },
	{ "nostrictatime", MS_STRICTATIME, false },
	{ "nosymfollow", MS_NOSYMFOLLOW, true },
	{ "symfollow", MS_NOSYMFOLLOW, false },
};

/* Words that mount(8) or fstab(5) mean for others, or that FUSE has no use for. */
static const char *const passed_over[] = {
	"defaults",
	"auto",
	"noauto",
	"user",
	"nouser",
	"users",
	"owner",
	"group",
	"nofail",
	"_netdev",
	"relatime",
	"norelatime",
	"lazytime",
	"nolazytime",
	"iversion",
	"noiversion",
	"mand",
	"nomand",
	"silent",
	"loud",
	"default_permissions",
};
static const char *const passed_over_prefixes[] = { "x-", "X-",
	"comment=", "user=", "helper=", "uhelper=" };

const char *options_cache_name(enum options_cache cache)
{
	return cache == CACHE_OWNED ? "owned" : "shared";
}

static int keep(char **target, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*target);
	*target = copy;
	return 0;
}

/* Names as folder names, without surprises in shells, logs and JSON. */
static bool instance_valid(const char *name)
{
	size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789._-");

	return length > 0 && length <= INSTANCE_MAX && !name[length] &&
	       isalnum((unsigned char)name[0]);
}

static int set_instance(struct parser *parser, const char *name, const char *value)
{
	if (!instance_valid(value))
		return util_why(parser->why, -EINVAL,
			"-o %s=%s: must be 1 to %d letters, digits, '.', '_', '-', and begin with "
			"a letter or digit",
			name, value, INSTANCE_MAX);
	return keep(&parser->out->instance, value);
}

static int set_text(struct parser *parser, char **target, const char *name, const char *value)
{
	if (!*value)
		return util_why(parser->why, -EINVAL, "-o %s=: the value is missing", name);
	return keep(target, value);
}

static int set_template(struct parser *parser, const char *name, const char *value)
{
	autofree char *why = NULL;
	struct link_template *template;
	int r = template_parse(value, &template, &why);

	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return util_why(parser->why, -EINVAL, "-o %s=%s: %s", name, value,
			why ? why : strerror(-r));
	template_free(template);
	return keep(&parser->out->link_template, value);
}

static int set_log_file(struct parser *parser, const char *name, const char *value)
{
	return set_text(parser, &parser->out->log_file, name, value);
}

static int set_fsname(struct parser *parser, const char *name, const char *value)
{
	return set_text(parser, &parser->out->fsname, name, value);
}

static int set_label(struct parser *parser, const char *name, const char *value)
{
	for (size_t i = 0; i < LABELS; i++)
		if (!strcmp(name, options_label_names[i]))
			return set_text(parser, &parser->out->label[i], name, value);
	return -EINVAL;
}

/* The type of the mount is always fuse.relinkfs: the tools know it by that. */
static int set_subtype(struct parser *parser, const char *name, const char *value)
{
	if (strcmp(value, "relinkfs") != 0)
		return util_why(
			parser->why, -EINVAL, "-o %s=%s: can only be relinkfs", name, value);
	return 0;
}

/* The index of @value in @names (NULL-ended), or -EINVAL. */
static int choose(
	struct parser *parser, const char *name, const char *value, const char *const names[])
{
	autofree char *list = NULL;

	for (int i = 0; names[i]; i++) {
		char *longer;

		if (!strcmp(names[i], value))
			return i;
		longer = util_printf("%s%s%s", list ? list : "", list ? ", " : "", names[i]);
		free(list);
		list = longer;
	}
	return util_why(parser->why, -EINVAL, "-o %s=%s: must be one of: %s", name, value,
		list ? list : "");
}

static int set_cache(struct parser *parser, const char *name, const char *value)
{
	int choice = choose(parser, name, value, (const char *const[]){ "owned", "shared", NULL });

	if (choice < 0)
		return choice;
	parser->out->cache = (enum options_cache)choice;
	parser->cache_given = true;
	return 0;
}

static int set_track(struct parser *parser, const char *name, const char *value)
{
	int choice = choose(parser, name, value, (const char *const[]){ "open", "all", NULL });

	if (choice < 0)
		return choice;
	parser->out->track_all = choice == 1;
	return 0;
}

static int set_passthrough(struct parser *parser, const char *name, const char *value)
{
	int choice =
		choose(parser, name, value, (const char *const[]){ "auto", "on", "off", NULL });

	if (choice < 0)
		return choice;
	parser->out->passthrough = (enum session_passthrough)choice;
	return 0;
}

static int set_log_level(struct parser *parser, const char *name, const char *value)
{
	int choice = choose(parser, name, value,
		(const char *const[]){ "error", "warning", "info", "debug", NULL });

	if (choice < 0)
		return choice;
	parser->out->log_level = (enum log_level)choice;
	return 0;
}

static int set_threads(struct parser *parser, const char *name, const char *value)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (!isdigit((unsigned char)*value) || *end || n > OPTIONS_THREADS_MAX)
		return util_why(parser->why, -EINVAL,
			"-o %s=%s: must be a number from 0 (automatic) to %d", name, value,
			OPTIONS_THREADS_MAX);
	parser->out->threads = (unsigned)n;
	return 0;
}

static int set_timeout(struct parser *parser, double *target, const char *name, const char *value)
{
	size_t length = strspn(value, "0123456789.");
	char *end;
	double seconds = strtod(value, &end);

	if (!length || value[length] || *end || end == value || seconds > TIMEOUT_MAX)
		return util_why(parser->why, -EINVAL,
			"-o %s=%s: must be a number of seconds from 0 to 1000000000", name, value);
	*target = seconds;
	return 0;
}

static int set_attr_timeout(struct parser *parser, const char *name, const char *value)
{
	return set_timeout(parser, &parser->out->attr_timeout, name, value);
}

static int set_entry_timeout(struct parser *parser, const char *name, const char *value)
{
	return set_timeout(parser, &parser->out->entry_timeout, name, value);
}

static int set_negative_timeout(struct parser *parser, const char *name, const char *value)
{
	return set_timeout(parser, &parser->out->negative_timeout, name, value);
}

static int set_allow_other(struct parser *parser, const char *name, const char *value)
{
	parser->out->allow_other = !strcmp(name, "allow_other");
	return 0;
}

static int set_debug(struct parser *parser, const char *name, const char *value)
{
	parser->out->debug = true;
	return 0;
}

static int refuse_remount(struct parser *parser, const char *name, const char *value)
{
	return util_why(parser->why, -EINVAL,
		"-o %s: not possible; unmount, and mount again with the new options", name);
}

static const struct word words[] = {
	{ "instance", true, set_instance },
	{ "template", true, set_template },
	{ "cache", true, set_cache },
	{ "attr_timeout", true, set_attr_timeout },
	{ "entry_timeout", true, set_entry_timeout },
	{ "negative_timeout", true, set_negative_timeout },
	{ "track", true, set_track },
	{ "passthrough", true, set_passthrough },
	{ "threads", true, set_threads },
	{ "log", true, set_log_file },
	{ "log_level", true, set_log_level },
	{ "allow_other", false, set_allow_other },
	{ "noallow_other", false, set_allow_other },
	{ "debug", false, set_debug },
	{ "fsname", true, set_fsname },
	{ "subtype", true, set_subtype },
	{ "context", true, set_label },
	{ "fscontext", true, set_label },
	{ "defcontext", true, set_label },
	{ "rootcontext", true, set_label },
	{ "remount", false, refuse_remount },
};

static bool set_flag_word(struct options *out, const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(flag_words); i++) {
		if (strcmp(text, flag_words[i].name) != 0)
			continue;
		out->mount_flags_given |= flag_words[i].flag;
		if (flag_words[i].on)
			out->mount_flags |= flag_words[i].flag;
		else
			out->mount_flags &= ~flag_words[i].flag;
		return true;
	}
	return false;
}

static bool is_passed_over(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(passed_over); i++)
		if (!strcmp(text, passed_over[i]))
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(passed_over_prefixes); i++)
		if (!strncmp(text, passed_over_prefixes[i], strlen(passed_over_prefixes[i])))
			return true;
	return false;
}

static int set_word(struct parser *parser, const struct word *word, const char *value)
{
	if (word->takes_value && !value)
		return util_why(parser->why, -EINVAL, "-o %s: needs a value (-o %s=...)",
			word->name, word->name);
	if (!word->takes_value && value)
		return util_why(
			parser->why, -EINVAL, "-o %s=%s: takes no value", word->name, value);
	return word->set(parser, word->name, value);
}

static int read_word(struct parser *parser, char *text)
{
	size_t length = strcspn(text, "=");
	const char *value = text[length] ? text + length + 1 : NULL;

	if (!*text || set_flag_word(parser->out, text) || is_passed_over(text))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!strncmp(text, words[i].name, length) && !words[i].name[length])
			return set_word(parser, &words[i], value);
	if (parser->sloppy)
		return 0;
	return util_why(parser->why, -EINVAL, "-o %s: unknown option (see relinkfs --help)", text);
}

/*
 * Cuts the next word off *@list, in place.  A comma after a backslash, or between double
 * quotes (security labels hold commas), does not end the word; these marks are removed.
 */
static char *next_word(char **list)
{
	char *word = *list, *to = word, *from = word;
	bool quoted = false;

	for (; *from && (quoted || *from != ','); from++) {
		if (*from == '"') {
			quoted = !quoted;
			continue;
		}
		if (*from == '\\' && from[1])
			from++;
		*to++ = *from;
	}
	*list = *from ? from + 1 : NULL;
	*to = '\0';
	return word;
}

static int read_words(struct parser *parser, const char *argument)
{
	autofree char *copy = strdup(argument);
	char *rest = copy;

	if (!copy)
		return -ENOMEM;
	while (rest) {
		int r = read_word(parser, next_word(&rest));

		if (r < 0)
			return r;
	}
	return 0;
}

/* mount(8) calls a helper with flags of its own, of which -f and -s mean other things. */
static int read_flag(struct parser *parser, int flag)
{
	struct options *out = parser->out;

	switch (flag) {
	case 'h':
		out->action = OPTIONS_HELP;
		return 0;
	case 'V':
		out->action = OPTIONS_VERSION;
		return 0;
	case 'd':
		out->debug = true;
		return 0;
	case 'f':
		if (out->helper)
			out->fake = true;
		else
			out->foreground = true;
		return 0;
	case ':':
		return util_why(
			parser->why, -EINVAL, "-%c: needs a value (see relinkfs --help)", optopt);
	case '?':
		return -EINVAL;
	default: /* -n, -s, -v, -N, -t of mount(8) */
		return 0;
	}
}

static int unknown_flag(struct parser *parser, const char *argument)
{
	if (optopt)
		return util_why(
			parser->why, -EINVAL, "-%c: unknown option (see relinkfs --help)", optopt);
	return util_why(parser->why, -EINVAL, "%s: unknown option (see relinkfs --help)", argument);
}

static const struct option long_options[] = {
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ "foreground", no_argument, NULL, 'f' },
	{ "debug", no_argument, NULL, 'd' },
	{ "options", required_argument, NULL, 'o' },
	{ 0 },
};

/* -s can stand behind the -o that it is about, so all flags are read before any word. */
static int read_flags(struct parser *parser, int argc, char *const argv[])
{
	const char *letters = parser->out->helper ? ":o:fdhVnsvN:t:" : ":o:fdhV";
	int flag, r;

	optind = 0;
	opterr = 0;
	while ((flag = getopt_long(argc, argv, letters, long_options, NULL)) != -1) {
		if (flag == '?')
			return unknown_flag(parser, argv[optind - 1]);
		if (flag == 's')
			parser->sloppy = true;
		r = flag == 'o' ? 0 : read_flag(parser, flag);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_option_lists(struct parser *parser, int argc, char *const argv[])
{
	const char *letters = parser->out->helper ? ":o:fdhVnsvN:t:" : ":o:fdhV";
	int flag, r;

	optind = 0;
	while ((flag = getopt_long(argc, argv, letters, long_options, NULL)) != -1) {
		if (flag != 'o')
			continue;
		r = read_words(parser, optarg);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_operands(struct parser *parser, int argc, char *const argv[])
{
	int count = argc - optind;
	int r;

	if (count < 2)
		return util_why(parser->why, -EINVAL,
			"%s: relinkfs SOURCE MOUNT [-o OPTION,...] (see relinkfs --help)",
			count == 0 ? "SOURCE and MOUNT are missing" : "MOUNT is missing");
	if (count > 2)
		return util_why(parser->why, -EINVAL,
			"%s: one argument too many (see relinkfs --help)", argv[optind + 2]);
	if (!*argv[optind] || !*argv[optind + 1])
		return util_why(parser->why, -EINVAL, "%s is an empty name",
			*argv[optind] ? "MOUNT" : "SOURCE");
	r = keep(&parser->out->source, argv[optind]);
	return r < 0 ? r : keep(&parser->out->mountpoint, argv[optind + 1]);
}

/* What was not said follows from what was. */
static void fill_in(struct parser *parser)
{
	struct options *out = parser->out;
	bool shared;

	if (!parser->cache_given && strcmp(out->instance, OPTIONS_INSTANCE_DEFAULT) != 0)
		out->cache = CACHE_SHARED;
	shared = out->cache == CACHE_SHARED;
	if (out->attr_timeout < 0)
		out->attr_timeout = shared ? 0 : OWNED_ATTR_TIMEOUT;
	if (out->entry_timeout < 0)
		out->entry_timeout = shared ? 0 : OWNED_NAME_TIMEOUT;
	if (out->negative_timeout < 0)
		out->negative_timeout = shared ? 0 : OWNED_NAME_TIMEOUT;
	if (out->debug) {
		out->foreground = true;
		out->log_level = LOG_LEVEL_DEBUG;
	}
}

static bool called_as_helper(const char *program)
{
	const char *slash = strrchr(program, '/');

	return !strncmp(slash ? slash + 1 : program, "mount.", strlen("mount."));
}

int options_parse(int argc, char *const argv[], bool root, struct options *out, char **why)
{
	struct parser parser = { .out = out, .why = why };
	int r;

	*out = (struct options){
		.log_level = LOG_LEVEL_INFO,
		.attr_timeout = -1,
		.entry_timeout = -1,
		.negative_timeout = -1,
		.allow_other = root,
		.helper = argc > 0 && called_as_helper(argv[0]),
	};
	r = keep(&out->instance, OPTIONS_INSTANCE_DEFAULT);
	if (r == 0)
		r = read_flags(&parser, argc, argv);
	if (r < 0 || out->action != OPTIONS_RUN)
		return r;
	r = read_option_lists(&parser, argc, argv);
	if (r == 0)
		r = read_operands(&parser, argc, argv);
	if (r == 0)
		fill_in(&parser);
	return r;
}

void options_clear(struct options *options)
{
	free(options->source);
	free(options->mountpoint);
	free(options->log_file);
	free(options->instance);
	free(options->link_template);
	free(options->fsname);
	for (size_t i = 0; i < LABELS; i++)
		free(options->label[i]);
	*options = (struct options){ 0 };
}

char *options_flag_words(unsigned long mount_flags)
{
	char *list = strdup("");

	for (size_t i = 0; list && i < ARRAY_SIZE(flag_words); i++) {
		char *longer;

		if (!flag_words[i].on || !(mount_flags & flag_words[i].flag))
			continue;
		longer = util_printf("%s%s%s", list, *list ? "," : "", flag_words[i].name);
		free(list);
		list = longer;
	}
	return list;
}

void options_help(FILE *out)
{
	fputs("Usage: relinkfs SOURCE MOUNT [-o OPTION,...] [-f] [-d]\n"
	      "\n"
	      "Show the directory SOURCE at MOUNT. A file that is removed there while a program\n"
	      "has it open is kept until it is closed, and a checkpoint can name it again.\n"
	      "\n"
	      "  -o, --options OPTION,...  see below\n"
	      "  -f, --foreground          stay in the foreground, log to standard error\n"
	      "  -d, --debug               like -f, and log every request\n"
	      "  -h, --help                show this help\n"
	      "  -V, --version             show the version\n"
	      "\n"
	      "Options of the filesystem:\n"
	      "  instance=NAME       the part of the vault that this mount uses; two mounts of\n"
	      "                      one SOURCE need two names (default: default)\n"
	      "  template=TEMPLATE   how the links of a checkpoint are named, from the root of\n"
	      "                      MOUNT; see ckpt-trigger(1)\n"
	      "  cache=owned         only this mount changes SOURCE: names are cached\n"
	      "  cache=shared        others change it too: nothing is cached; the default when\n"
	      "                      instance is not \"default\"\n"
	      "  attr_timeout=S      seconds that attributes are cached (owned: 1, shared: 0)\n"
	      "  entry_timeout=S     likewise names (owned: 86400, shared: 0)\n"
	      "  negative_timeout=S  likewise names that do not exist (owned: 86400, shared: 0)\n"
	      "  track=open          keep removed files that may be in use (default)\n"
	      "  track=all           keep every removed file that the kernel still knows\n"
	      "  passthrough=auto    file data bypasses the daemon where that is possible\n"
	      "  passthrough=on      likewise, and refuse to mount where it is not\n"
	      "  passthrough=off     file data goes through the daemon\n"
	      "  threads=N           threads that serve requests, up to 64; 0: automatic\n"
	      "  log=FILE            log to FILE (default: syslog; with -f: standard error)\n"
	      "  log_level=LEVEL     error, warning, info (default) or debug\n"
	      "\n"
	      "Options of the mount:\n"
	      "  allow_other         other users may use the mount (default for root)\n"
	      "  noallow_other       they may not (default for everybody else)\n"
	      "  ro, rw, nosuid, suid, nodev, dev, noexec, exec, sync, async, dirsync, noatime,\n"
	      "  nodiratime, strictatime, nosymfollow\n"
	      "                      as for mount(8); ro, nosuid, nodev and noexec are taken\n"
	      "                      over from the mount that SOURCE is on, unless given\n"
	      "  fsname=NAME         the source that is shown in the mount table (default:\n"
	      "                      SOURCE)\n"
	      "  context=LABEL, fscontext=LABEL, defcontext=LABEL, rootcontext=LABEL\n"
	      "                      security labels, as for mount(8)\n"
	      "  Words that only mount(8) and fstab(5) use are accepted and have no effect.\n"
	      "\n"
	      "Unmount with umount(8), or end the daemon with SIGTERM. As root, one command:\n"
	      "mount -t fuse.relinkfs SOURCE MOUNT -o OPTION,...\n",
		out);
}
