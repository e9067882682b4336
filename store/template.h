/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Templates of the names of frozen links:
 *
 *	%t  time of the checkpoint, as %08llx       %u  owner of the inode, decimal
 *	%n  N in the checkpoint, decimal, from 1    %i  inode number, decimal
 *	%c  id of the checkpoint                    %%  a percent sign
 *
 * A template is a path relative to the root of the mount; it may name folders.  It has
 * %n, which tells the links of a checkpoint apart, and %t or %c, which tell checkpoints
 * apart.
 */
#ifndef RELINKFS_STORE_TEMPLATE_H
#define RELINKFS_STORE_TEMPLATE_H

#include <stdint.h>
#include <sys/types.h>

struct link_template;

struct template_values {
	uint64_t ktime;
	uint32_t n;
	const char *id;
	uid_t uid;
	uint64_t ino;
};

/*
 * -EINVAL: not a template; -ENAMETOOLONG: with the largest values a component would be
 * longer than NAME_MAX, or the path PATH_MAX or more; -ENOMEM.  *why, malloc'd, says
 * what is wrong and where.  Free with template_free().
 */
int template_parse(const char *text, struct link_template **out, char **why);
void template_free(struct link_template *template);

/* As it was given. */
const char *template_text(const struct link_template *template);

/* The name for @values: malloc'd, never too long; NULL when out of memory. */
char *template_expand(const struct link_template *template, const struct template_values *values);

#endif
