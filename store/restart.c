/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/restart.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/restart_internal.h"

/* ---- problems ---- */

/* Takes the message over. */
static void add_problem(struct restart *restart, const struct restart_problem *problem)
{
	struct restart_problem *larger;

	if (restart->nproblems == restart->problems_room) {
		size_t room = restart->problems_room ? 2 * restart->problems_room : 16;

		larger = reallocarray(restart->problems, room, sizeof(*larger));
		if (!larger) {
			free(problem->message);
			return;
		}
		restart->problems = larger;
		restart->problems_room = room;
	}
	restart->problems[restart->nproblems++] = *problem;
}

static void printf_format(6, 0)
	note(struct restart *restart, const struct restart_entry *entry, bool warning,
		const char *step, int error, const char *format, va_list args)
{
	struct restart_problem problem = {
		.warning = warning,
		.n = entry ? entry->record->n : 0,
		.path = entry ? entry->path : "",
		.link = entry ? entry->record->link : "",
		.step = step,
		.error = error,
	};

	if (vasprintf(&problem.message, format, args) >= 0)
		add_problem(restart, &problem);
}

int restart_problem(struct restart *restart, const struct restart_entry *entry, const char *step,
		    int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	note(restart, entry, false, step, error, format, args);
	va_end(args);
	return -error;
}

int restart_warn(struct restart *restart, const struct restart_entry *entry, const char *step,
		 int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	note(restart, entry, true, step, error, format, args);
	va_end(args);
	return -error;
}

/* ---- the plan ---- */

static int add_item(struct restart *restart, struct restart_entry *entry,
		    const struct opener *opener, int number)
{
	struct restart_item *larger;

	if (restart->nitems == restart->items_room) {
		size_t room = restart->items_room ? 2 * restart->items_room : 64;

		larger = reallocarray(restart->items, room, sizeof(*larger));
		if (!larger)
			return -ENOMEM;
		restart->items = larger;
		restart->items_room = room;
	}
	restart->items[restart->nitems++] = (struct restart_item){
		.entry = entry->record,
		.opener = opener,
		.path = entry->path,
		.number = number,
		.fd = -1,
	};
	entry->count++;
	return 0;
}

static int compare(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

struct description {
	const struct opener *opener;
};

/* What forked processes share comes together. */
static int by_state(const void *a, const void *b)
{
	const struct opener *x = ((const struct description *)a)->opener;
	const struct opener *y = ((const struct description *)b)->opener;
	int order = compare(x->fd, y->fd);

	if (!order)
		order = compare(x->flags, y->flags);
	if (!order)
		order = compare(x->offset, y->offset);
	return order ? order : compare(x->pid, y->pid);
}

static int by_process(const void *a, const void *b)
{
	const struct opener *x = ((const struct description *)a)->opener;
	const struct opener *y = ((const struct description *)b)->opener;
	int order = compare(x->pid, y->pid);

	return order ? order : compare(x->fd, y->fd);
}

/*
 * The descriptions of an entry, each once, by process and number.  A manifest knows
 * numbers, not descriptions: those that agree in everything else are one that was
 * inherited, or else one fd serves them as well.
 */
static int descriptions(const struct manifest_entry *record, struct description **out,
			size_t *count)
{
	struct description *list = calloc(record->nopeners + 1, sizeof(*list));
	size_t n = 0, kept = 0;

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < record->nopeners; i++)
		if (record->openers[i].kind == OPENER_FD)
			list[n++].opener = &record->openers[i];
	qsort(list, n, sizeof(*list), by_state);
	for (size_t i = 0; i < n; i++) {
		const struct opener *this = list[i].opener;
		const struct opener *last = kept ? list[kept - 1].opener : NULL;

		if (last && last->fd == this->fd && last->flags == this->flags &&
		    last->offset == this->offset)
			continue;
		list[kept++] = list[i];
	}
	qsort(list, kept, sizeof(*list), by_process);
	*out = list;
	*count = kept;
	return 0;
}

/* Numbers come later: RESTART_SPARE stands for any that is free. */
#define RESTART_SPARE INT_MAX

static int plan_in_order(struct restart *restart, struct restart_entry *entry)
{
	autofree struct description *list = NULL;
	size_t count;
	int r = descriptions(entry->record, &list, &count);

	for (size_t i = 0; r == 0 && i < count; i++)
		r = add_item(restart, entry, list[i].opener, RESTART_SPARE);
	if (r == 0 && count == 0)
		r = add_item(restart, entry, NULL, RESTART_SPARE);
	return r;
}

/* What the process held, where it held it; and else one fd, so that the data stays held. */
static int plan_by_number(struct restart *restart, struct restart_entry *entry)
{
	const struct manifest_entry *record = entry->record;
	const struct opener *cwd = NULL;

	for (size_t i = 0; i < record->nopeners; i++) {
		const struct opener *opener = &record->openers[i];
		int r = 0;

		if (opener->pid != restart->pid)
			continue;
		if (opener->kind == OPENER_FD)
			r = add_item(restart, entry, opener, opener->fd);
		else if (opener->kind == OPENER_CWD && S_ISDIR(record->mode))
			cwd = opener;
		if (r < 0)
			return r;
	}
	if (cwd)
		return add_item(restart, entry, cwd, -1);
	return entry->count ? 0 : add_item(restart, entry, NULL, RESTART_SPARE);
}

static int by_number(const void *a, const void *b)
{
	return compare(*(const int *)a, *(const int *)b);
}

/* The highest number that is fixed (at least the last standard one), or -EINVAL. */
static int highest_number(const struct restart *restart, char **why)
{
	autofree int *numbers = calloc(restart->nitems + 1, sizeof(int));
	size_t n = 0;

	if (!numbers)
		return -ENOMEM;
	for (size_t i = 0; i < restart->nitems; i++)
		if (restart->items[i].number >= 0 && restart->items[i].number != RESTART_SPARE)
			numbers[n++] = restart->items[i].number;
	qsort(numbers, n, sizeof(int), by_number);
	for (size_t i = 1; i < n; i++)
		if (numbers[i] == numbers[i - 1])
			return util_why(why, -EINVAL,
				"descriptor %d of process %d is recorded for two entries",
				numbers[i], (int)restart->pid);
	return n && numbers[n - 1] >= RESTART_FIRST_FD ? numbers[n - 1] : RESTART_FIRST_FD - 1;
}

static int assign_numbers(struct restart *restart, char **why)
{
	int next = highest_number(restart, why);

	if (next < 0)
		return next;
	if ((size_t)next > (size_t)(INT_MAX / 2) || restart->nitems > (size_t)(INT_MAX / 2))
		return util_why(why, -EINVAL, "descriptor numbers up to %d are too high", next);
	for (size_t i = 0; i < restart->nitems; i++)
		if (restart->items[i].number == RESTART_SPARE)
			restart->items[i].number = ++next;
	restart->free_number = next + 1;
	return 0;
}

/* ---- paths and processes ---- */

/* Does @path lie at or below @prefix?  *rest is then what follows, without the '/'. */
static bool below(const char *path, const char *prefix, const char **rest)
{
	size_t length = strlen(prefix);

	*rest = path;
	if (length == 0)
		return true;
	if (strncmp(path, prefix, length) != 0 || (path[length] && path[length] != '/'))
		return false;
	*rest = path[length] ? path + length + 1 : "";
	return true;
}

static char *map_path(const struct restart_options *options, const char *path)
{
	const char *rest;

	for (size_t i = 0; i < options->nmaps; i++) {
		const struct restart_map *map = &options->maps[i];

		if (below(path, map->from, &rest))
			return util_printf("%s%s%s", map->to, *map->to && *rest ? "/" : "", rest);
	}
	return strdup(path);
}

/*
 * All processes with something to restore; more than one only if the caller chose.
 * The list in the message is cut short: it is for choosing by eye.
 */
static int choose_process(struct restart *restart, pid_t wanted, char **why)
{
	const struct manifest *manifest = restart->manifest;
	autofree char *seen = NULL;
	pid_t found = 0;
	unsigned others = 0;

	for (size_t i = 0; i < manifest->nentries; i++) {
		for (size_t j = 0; j < manifest->entries[i].nopeners; j++) {
			const struct opener *opener = &manifest->entries[i].openers[j];
			char *longer;

			if (opener->kind != OPENER_FD && opener->kind != OPENER_CWD)
				continue;
			if (wanted && opener->pid == wanted) {
				restart->pid = wanted;
				return 0;
			}
			if (opener->pid == found || others > 16)
				continue;
			others += found != 0;
			found = opener->pid;
			longer = util_printf("%s%s%d (%.15s)", seen ? seen : "", seen ? ", " : "",
				(int)opener->pid, opener->comm);
			free(seen);
			seen = longer;
		}
	}
	if (wanted)
		return util_why(why, -EINVAL, "process %d is not recorded; there are: %s",
			(int)wanted, seen ? seen : "none");
	if (!found)
		return util_why(why, -EINVAL, "no process is recorded in this checkpoint");
	if (others)
		return util_why(why, -EINVAL, "more than one process is recorded, name one: %s",
			seen ? seen : "");
	restart->pid = found;
	return 0;
}

static int plan_entry(struct restart *restart, struct restart_entry *entry,
		      const struct restart_options *options, char **why)
{
	const char *wrong;

	entry->path = map_path(options, entry->record->path);
	if (!entry->path)
		return -ENOMEM;
	wrong = manifest_name_error(entry->path);
	if (wrong)
		return util_why(why, -EINVAL, "entry %u: its path, mapped to '%s', %s",
			entry->record->n, entry->path, wrong);
	entry->first = restart->nitems;
	return restart->by_number ? plan_by_number(restart, entry) : plan_in_order(restart, entry);
}

int restart_new(const struct manifest *manifest, const struct restart_options *options,
		struct restart **out, char **why)
{
	struct restart *restart = calloc(1, sizeof(*restart));
	int r = 0;

	if (!restart)
		return -ENOMEM;
	restart->manifest = manifest;
	restart->by_number = options->by_number;
	restart->force = options->force;
	restart->root_fd = -1;
	restart->entries = calloc(manifest->nentries + 1, sizeof(*restart->entries));
	if (!restart->entries)
		r = -ENOMEM;
	if (r == 0 && options->by_number)
		r = choose_process(restart, options->pid, why);
	for (size_t i = 0; r == 0 && i < manifest->nentries; i++) {
		restart->entries[i].record = &manifest->entries[i];
		r = plan_entry(restart, &restart->entries[i], options, why);
	}
	if (r == 0)
		r = assign_numbers(restart, why);
	if (r < 0) {
		restart_free(restart);
		return r;
	}
	*out = restart;
	return 0;
}

void restart_free(struct restart *restart)
{
	if (!restart)
		return;
	for (size_t i = 0; i < restart->nitems; i++)
		util_close(&restart->items[i].fd);
	util_close(&restart->root_fd);
	for (size_t i = 0; restart->entries && i < restart->manifest->nentries; i++)
		free(restart->entries[i].path);
	for (size_t i = 0; i < restart->nproblems; i++)
		free(restart->problems[i].message);
	free(restart->entries);
	free(restart->items);
	free(restart->problems);
	free(restart);
}

const struct restart_item *restart_items(const struct restart *restart, size_t *count)
{
	*count = restart->nitems;
	return restart->items;
}

const struct restart_problem *restart_problems(const struct restart *restart, size_t *count)
{
	*count = restart->nproblems;
	return restart->problems;
}

int restart_free_number(const struct restart *restart)
{
	return restart->free_number;
}

pid_t restart_pid(const struct restart *restart)
{
	return restart->pid;
}

/* ---- the end ---- */

static int hand_over_item(const struct restart_item *item)
{
	if (item->number < 0)
		return item->opener && item->opener->kind == OPENER_CWD && fchdir(item->fd) < 0
			? -errno : 0;
	if (item->fd != item->number)
		return dup2(item->fd, item->number) < 0 ? -errno : 0;
	return fcntl(item->fd, F_SETFD, 0) < 0 ? -errno : 0;
}

int restart_hand_over(struct restart *restart)
{
	for (size_t i = 0; i < restart->nitems; i++) {
		int r = hand_over_item(&restart->items[i]);

		if (r < 0)
			return r;
	}
	return 0;
}
