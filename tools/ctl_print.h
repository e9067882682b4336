/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What relinkctl prints for people: replies of the daemon as text. */
#ifndef RELINKFS_TOOLS_CTL_PRINT_H
#define RELINKFS_TOOLS_CTL_PRINT_H

#include <jansson.h>
#include <stdio.h>

/* Each takes the reply of the method that its name says. */
void ctl_print_status(const json_t *reply, FILE *file);
void ctl_print_entries(const json_t *reply, FILE *file);
void ctl_print_checkpoints(const json_t *reply, FILE *file);
void ctl_print_checkpoint(const json_t *reply, FILE *file);

/* "12 entries, 3.4 MiB", of the reply of ShowCheckpoint. */
char *ctl_summary(const json_t *reply);

#endif
