/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/template.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/util.h"

#define KNOWN "%t %n %c %u %i %%"

struct link_template {
	char *text;
};

/* Lengths of the largest values: 16 hexadecimal or 20 and 10 decimal digits. */
static size_t longest(char placeholder)
{
	switch (placeholder) {
	case 't':
	case 'c':
		return 16;
	case 'i':
		return 20;
	case 'n':
	case 'u':
		return 10;
	default:
		return 1;
	}
}

static int check_placeholders(const char *text, char **why)
{
	bool has_n = false, has_time = false;

	for (const char *p = strchr(text, '%'); p; p = strchr(p + 2, '%')) {
		if (!p[1] || !strchr("tncui%", p[1]))
			return util_why(why, -EINVAL,
				"template \"%s\": unknown placeholder \"%.2s\" at position %td "
				"(known: %s)",
				text, p, p - text + 1, KNOWN);
		has_n |= p[1] == 'n';
		has_time |= p[1] == 't' || p[1] == 'c';
	}
	if (!has_n)
		return util_why(why, -EINVAL,
			"template \"%s\": %%n is missing: it tells the links of a "
			"checkpoint apart",
			text);
	if (!has_time)
		return util_why(why, -EINVAL,
			"template \"%s\": %%t or %%c is missing: it tells checkpoints apart", text);
	return 0;
}

/*
 * Checks the component [start, end) of @text and adds its largest length to *total.  A
 * placeholder is never empty, a '.' or a '/', so what the component is can be seen
 * before it is expanded.
 */
static int check_component(
	const char *text, const char *start, const char *end, size_t *total, char **why)
{
	size_t length = 0, size = (size_t)(end - start);

	if (size == 0)
		return util_why(why, -EINVAL, "template \"%s\": empty component at position %td%s",
			text, start - text + 1,
			start == text ? " (it must be relative to the root of the mount)" : "");
	if (start[0] == '.' && (size == 1 || (size == 2 && start[1] == '.')))
		return util_why(why, -EINVAL, "template \"%s\": \"%.*s\" at position %td", text,
			(int)size, start, start - text + 1);
	for (const char *p = start; p < end; p += *p == '%' ? 2 : 1)
		length += *p == '%' ? longest(p[1]) : 1;
	if (length > NAME_MAX)
		return util_why(why, -ENAMETOOLONG,
			"template \"%s\": the component at position %td is too long: it can "
			"become %zu bytes (at most %d)",
			text, start - text + 1, length, NAME_MAX);
	*total += length;
	return 0;
}

static int check_components(const char *text, char **why)
{
	const char *start = text, *end;
	size_t total = 0;
	int ret;

	for (;; start = end + 1) {
		end = strchrnul(start, '/');
		ret = check_component(text, start, end, &total, why);
		if (ret)
			return ret;
		if (!*end)
			break;
		total++;
	}
	if (total >= PATH_MAX)
		return util_why(why, -ENAMETOOLONG,
			"template: the name is too long: it can become %zu bytes (less than %d)",
			total, PATH_MAX);
	return 0;
}

int template_parse(const char *text, struct link_template **out, char **why)
{
	struct link_template *template;
	int ret;

	ret = check_placeholders(text, why);
	if (!ret)
		ret = check_components(text, why);
	if (!ret && strncmp(text, ".relinkfs/", strlen(".relinkfs/")) == 0)
		ret = util_why(why, -EINVAL,
			"template \"%s\": .relinkfs is not visible in the mount", text);
	if (ret)
		return ret;
	template = calloc(1, sizeof(*template));
	if (!template)
		return -ENOMEM;
	template->text = strdup(text);
	if (!template->text) {
		free(template);
		return -ENOMEM;
	}
	*out = template;
	return 0;
}

void template_free(struct link_template *template)
{
	if (!template)
		return;
	free(template->text);
	free(template);
}

const char *template_text(const struct link_template *template)
{
	return template->text;
}

/* Puts the value of one placeholder to @to, which has room for it; its length. */
static int put_value(char *to, size_t room, char placeholder, const struct template_values *values)
{
	switch (placeholder) {
	case 't':
		return snprintf(to, room, "%08" PRIx64, values->ktime);
	case 'c':
		return snprintf(to, room, "%.16s", values->id);
	case 'n':
		return snprintf(to, room, "%" PRIu32, values->n);
	case 'u':
		return snprintf(to, room, "%u", values->uid);
	case 'i':
		return snprintf(to, room, "%" PRIu64, values->ino);
	default:
		return snprintf(to, room, "%%");
	}
}

char *template_expand(const struct link_template *template, const struct template_values *values)
{
	char name[PATH_MAX];
	size_t length = 0;

	for (const char *p = template->text; *p; p++) {
		if (*p != '%')
			name[length++] = *p;
		else
			length += (size_t)put_value(
				name + length, sizeof(name) - length, *++p, values);
	}
	name[length] = '\0';
	return strdup(name);
}
