/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * iocheck: random I/O on a few files, compared with a model of them in memory.
 *
 * The same seed does the same operations, on whatever filesystem; each process has files
 * and a model of its own.  Status: 0 no difference, 1 a difference (told on stderr with the
 * last operations), 2 usage.  What the filesystem cannot do is left out, see --probe.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/fs/helpers/iocheck/iocheck.h"

const char *dir;
unsigned long seed = 1, total = 10000;
unsigned nfiles = 3, nprocesses = 1;
off_t capacity = 256 << 10;
bool frozen_links, refused_reads;
const char *only, *without, *forget;

unsigned process;
unsigned long number;
struct file files[FILES_MAX];
char *buffer;

static const struct class *choose(void)
{
	unsigned sum = 0, at;
	size_t i;

	for (i = 0; i < nclasses; i++)
		sum += classes[i].off ? 0 : classes[i].weight;
	at = pick(sum);
	for (i = 0; classes[i].off || at >= classes[i].weight; i++)
		at -= classes[i].off ? 0 : classes[i].weight;
	return &classes[i];
}

/* What the operation did to the models is undone in them: it must be found out. */
static void run_and_forget(const struct class *class, struct file *f)
{
	struct file before[FILES_MAX];

	for (unsigned i = 0; i < nfiles; i++) {
		before[i] = files[i];
		before[i].want = malloc((size_t)capacity);
		memcpy(before[i].want, files[i].want, (size_t)capacity);
	}
	class->run(f);
	for (unsigned i = 0; i < nfiles; i++) {
		files[i].size = before[i].size;
		files[i].mode = before[i].mode;
		memcpy(files[i].want, before[i].want, (size_t)capacity);
		free(before[i].want);
	}
}

static void operate(void)
{
	struct file *f = &files[pick(nfiles)];
	const struct class *class = choose();

	if (forget && !strcmp(class->name, forget))
		run_and_forget(class, f);
	else
		class->run(f);
	if (!pick(4))
		look_at_attributes(f);
	if (!pick(64))
		look(f, 0, capacity);
}

/* It comes from an access of our own, in do_map() or look(): nothing else is under way. */
static void on_sigbus(int signal)
{
	/* NOLINTNEXTLINE(bugprone-signal-handler) */
	fail(&files[0], "SIGBUS: a mapped page within the size of its file is not there");
}

static int run(void)
{
	chance_begin();
	signal(SIGBUS, on_sigbus);
	buffer = aligned_alloc(PAGE, (size_t)capacity);
	for (unsigned i = 0; i < nfiles; i++) {
		files[i] = (struct file){ .index = i, .want = malloc((size_t)capacity) };
		for (int d = 0; d < DESCRIPTIONS; d++)
			files[i].fd[d] = -1;
		if (!files[i].want || !buffer)
			fail(&files[i], "out of memory");
		create(&files[i]);
	}
	for (number = 1; number <= total; number++)
		operate();
	number--;
	for (unsigned i = 0; i < nfiles; i++) {
		remove_file(&files[i]);
		free(files[i].want);
	}
	free(buffer);
	return 0;
}

static int run_all(void)
{
	int status, worst = 0;

	for (process = 0; process < nprocesses; process++) {
		pid_t pid = fork();

		if (pid == 0)
			exit(run());
		if (pid < 0) {
			perror("iocheck: fork");
			return 2;
		}
	}
	while (wait(&status) > 0) {
		if (status)
			worst = 1;
	}
	if (!worst)
		printf("iocheck: %u x %lu operations, seed %lu: no difference\n", nprocesses, total,
			seed);
	return worst;
}

/* ---- the command line ---- */

static const char help[] =
	"Usage: iocheck [OPTION...] DIR\n"
	"Random I/O on files of DIR, compared with a model of them.\n\n"
	"  -s, --seed=N         of the random numbers (1)\n"
	"  -n, --number=N       of operations of each process (10000)\n"
	"  -f, --files=N        of each process (3)\n"
	"  -p, --processes=N    at one time (1)\n"
	"  -l, --length=N       greatest size of a file, in bytes (262144)\n"
	"  -c, --class=LIST     only these operations, with commas between\n"
	"  -x, --without=LIST   not these\n"
	"  -k, --checkpoints    others make checkpoints: a link count may be higher\n"
	"  -e, --refused-reads  direct reads may fail with EIO (XFS: where blocks that were\n"
	"                       written through a mapping are not allocated yet)\n"
	"  -F, --forget=CLASS   break the model: it does not learn of these operations\n"
	"  -P, --probe          print the classes that can be done in DIR, and end\n";

static _Noreturn void usage(const char *what)
{
	fprintf(stderr, "iocheck: %s; see iocheck --help\n", what);
	exit(2);
}

static void mark(const char *list, bool off)
{
	while (list && *list) {
		size_t length = strcspn(list, ",");
		struct class *class = class_by_name(list, length);

		if (!class)
			usage("no such class");
		class->off = off;
		list += length + (list[length] == ',');
	}
}

static void select_classes(void)
{
	for (size_t i = 0; only && i < nclasses; i++)
		classes[i].off = true;
	mark(only, false);
	mark(without, true);
	if (forget) {
		struct class *class = class_by_name(forget, strlen(forget));

		if (!class || !class->changes)
			usage("--forget: no class that changes anything");
	}
}

static int tell_classes(void)
{
	for (size_t i = 0; i < nclasses; i++) {
		if (!classes[i].off)
			puts(classes[i].name);
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "number", required_argument, NULL, 'n' },
		{ "files", required_argument, NULL, 'f' },
		{ "processes", required_argument, NULL, 'p' },
		{ "length", required_argument, NULL, 'l' },
		{ "class", required_argument, NULL, 'c' },
		{ "without", required_argument, NULL, 'x' },
		{ "checkpoints", no_argument, NULL, 'k' },
		{ "refused-reads", no_argument, NULL, 'e' },
		{ "forget", required_argument, NULL, 'F' },
		{ "probe", no_argument, NULL, 'P' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool only_probe = false;
	int option;

	while ((option = getopt_long(argc, argv, "s:n:f:p:l:c:x:keF:Ph", options, NULL)) != -1) {
		switch (option) {
		case 's':
			seed = strtoul(optarg, NULL, 0);
			break;
		case 'n':
			total = strtoul(optarg, NULL, 0);
			break;
		case 'f':
			nfiles = (unsigned)strtoul(optarg, NULL, 0);
			break;
		case 'p':
			nprocesses = (unsigned)strtoul(optarg, NULL, 0);
			break;
		case 'l':
			capacity = strtol(optarg, NULL, 0) / PAGE * PAGE;
			break;
		case 'c':
			only = optarg;
			break;
		case 'x':
			without = optarg;
			break;
		case 'k':
			frozen_links = true;
			break;
		case 'e':
			refused_reads = true;
			break;
		case 'F':
			forget = optarg;
			break;
		case 'P':
			only_probe = true;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			return 2;
		}
	}
	if (optind + 1 != argc || nfiles < 1 || nfiles > FILES_MAX || capacity < 16 * PAGE ||
		!nprocesses || !seed)
		usage("wrong arguments");
	dir = argv[optind];
	select_classes();
	probe();
	return only_probe ? tell_classes() : run_all();
}
