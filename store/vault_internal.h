/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What vault.c, vault_walk.c and the folder of checkpoints share. */
#ifndef RELINKFS_STORE_VAULT_INTERNAL_H
#define RELINKFS_STORE_VAULT_INTERNAL_H

#include "store/vault.h"

struct vault {
	char instance[VAULT_INSTANCE_MAX + 1];
	char *where;     /* path of .relinkfs/INSTANCE, for messages */
	int instance_fd; /* .relinkfs/INSTANCE */
	int fd;          /* .relinkfs/INSTANCE/vault */
	int lock_fd;     /* flock()ed */
	uint64_t first_id;
	_Atomic uint64_t next_id;
};

#define VAULT_NAME_SIZE 17
const char *vault_name(uint64_t id, char name[VAULT_NAME_SIZE]);

/*
 * Makes or opens the folder @name of @parent: 0700, ours, on the same filesystem.
 * @where: its path for messages.  A new fd or -errno.
 */
int vault_open_folder(int parent, const char *name, const char *where, char **why);

#endif
