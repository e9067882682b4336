/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/procscan_internal.h"
#include "store/util.h"

#define CGROUP_ROOT "/sys/fs/cgroup"
#define CGROUP_FILE_MAX 65536

int pid_list_add(struct pid_list *list, pid_t pid)
{
	if (list->count == list->size) {
		size_t size = list->size ? list->size * 2 : 256;
		pid_t *pids = reallocarray(list->pids, size, sizeof(*pids));

		if (!pids)
			return -ENOMEM;
		list->pids = pids;
		list->size = size;
	}
	list->pids[list->count++] = pid;
	return 0;
}

static int compare_pids(const void *a, const void *b)
{
	const pid_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int list_processes(int proc_fd, struct pid_list *out)
{
	autofd int fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autodir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *item;
	int ret = 0;

	if (!dir)
		return -EACCES;
	steal_fd(&fd);
	while (!ret && (item = readdir(dir)))
		if (isdigit((unsigned char)item->d_name[0]))
			ret = pid_list_add(out, atoi(item->d_name));
	if (!ret && out->count == 0)
		ret = -EACCES; /* not even ourselves: this is no /proc */
	if (out->count)
		qsort(out->pids, out->count, sizeof(*out->pids), compare_pids);
	return ret;
}

/* The parent of @pid, or 0. */
static pid_t parent_of(int proc_fd, pid_t pid)
{
	char path[32], text[512];
	const char *end;
	ssize_t size;
	autofd int fd = -1;

	snprintf(path, sizeof(path), "%d/stat", pid);
	fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	size = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	text[size > 0 ? size : 0] = '\0';
	/* "PID (COMM) STATE PPID ...": COMM may hold anything. */
	end = strrchr(text, ')');
	return end && end[1] && end[2] && end[3] ? atoi(end + 4) : 0;
}

static size_t index_of(const struct pid_list *list, pid_t pid)
{
	const pid_t *found =
		list->count ? bsearch(&pid, list->pids, list->count, sizeof(pid), compare_pids)
			    : NULL;

	return found ? (size_t)(found - list->pids) : SIZE_MAX;
}

/* Keeps of @list the process @pid and its descendants: a child is known by its parent. */
static int select_tree(int proc_fd, struct pid_list *list, pid_t pid)
{
	autofree size_t *parents = calloc(list->count + 1, sizeof(*parents));
	autofree bool *chosen = calloc(list->count + 1, sizeof(*chosen));
	size_t root = index_of(list, pid), kept = 0;
	bool more = true;

	if (!parents || !chosen)
		return -ENOMEM;
	if (root == SIZE_MAX)
		return -ESRCH;
	for (size_t i = 0; i < list->count; i++)
		parents[i] = index_of(list, parent_of(proc_fd, list->pids[i]));
	chosen[root] = true;
	while (more) {
		more = false;
		for (size_t i = 0; i < list->count; i++) {
			if (chosen[i] || parents[i] == SIZE_MAX || !chosen[parents[i]])
				continue;
			chosen[i] = more = true;
		}
	}
	for (size_t i = 0; i < list->count; i++)
		if (chosen[i])
			list->pids[kept++] = list->pids[i];
	list->count = kept;
	return 0;
}

/* True if the cgroup @path is @wanted or below it. */
static bool path_within(const char *path, const char *wanted)
{
	size_t length = strlen(wanted);

	while (length && wanted[length - 1] == '/')
		length--;
	return strncmp(path, wanted, length) == 0 && (!path[length] || path[length] == '/');
}

/*
 * One line "ID:CONTROLLERS:PATH" against @wanted.  The hierarchy of version 2 has no
 * controllers there.  Those of version 1 are looked at only with @any_hierarchy: the same
 * path may be something else in each of them, so @wanted may begin with the name of the
 * hierarchy, as it does below /sys/fs/cgroup.
 */
static bool line_within(char *line, const char *wanted, bool any_hierarchy)
{
	char *name = strchr(line, ':'), *path = name ? strchr(name + 1, ':') : NULL;
	size_t length;

	if (!path)
		return false;
	name++;
	*path++ = '\0';
	if (!any_hierarchy)
		return !*name && path_within(path, wanted);
	if (path_within(path, wanted))
		return true;
	if (strncmp(name, "name=", 5) == 0)
		name += 5;
	length = strlen(*name ? name : "unified");
	if (strncmp(wanted + 1, *name ? name : "unified", length) != 0)
		return false;
	wanted += 1 + length;
	return (!*wanted || *wanted == '/') && path_within(path, wanted);
}

static bool process_within(int proc_fd, pid_t pid, const char *wanted, bool any_hierarchy)
{
	char path[32];
	autofree char *text = NULL;
	char *rest, *line;

	snprintf(path, sizeof(path), "%d/cgroup", pid);
	if (util_read_file(proc_fd, path, CGROUP_FILE_MAX, &text, NULL))
		return false;
	rest = text;
	while ((line = strsep(&rest, "\n")))
		if (line_within(line, wanted, any_hierarchy))
			return true;
	return false;
}

static int select_cgroup(int proc_fd, struct pid_list *list, const char *cgroup)
{
	autofree char *wanted = NULL;
	size_t kept = 0;

	if (strncmp(cgroup, CGROUP_ROOT, strlen(CGROUP_ROOT)) == 0)
		cgroup += strlen(CGROUP_ROOT);
	wanted = util_printf("/%s", cgroup + strspn(cgroup, "/"));
	if (!wanted)
		return -ENOMEM;
	for (int any = 0; any <= 1 && kept == 0; any++)
		for (size_t i = 0; i < list->count; i++)
			if (process_within(proc_fd, list->pids[i], wanted, any))
				list->pids[kept++] = list->pids[i];
	list->count = kept;
	return kept ? 0 : -ENOENT;
}

int procscan_select(int proc_fd, const struct procscan_request *request, struct pid_list *out)
{
	int ret = list_processes(proc_fd, out);

	if (ret)
		return ret;
	switch (request->scope) {
	case PROCSCAN_TREE:
		return select_tree(proc_fd, out, request->pid);
	case PROCSCAN_CGROUP:
		return select_cgroup(proc_fd, out, request->cgroup);
	default:
		return 0;
	}
}
