/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the manifest share. */
#ifndef RELINKFS_STORE_MANIFEST_INTERNAL_H
#define RELINKFS_STORE_MANIFEST_INTERNAL_H

#include "store/manifest.h"

/* @bytes in base64 under @key.  0 or -ENOMEM. */
int manifest_json_set_bytes(json_t *object, const char *key, const void *bytes, size_t size);
/* The bytes of the base64 text @value: their count, or -EINVAL (also over @max). */
ssize_t manifest_json_get_bytes(const json_t *value, void *bytes, size_t max);

/* S_IF* for a name of manifest_type_name(), or 0. */
uint32_t manifest_type_from_name(const char *name);

#endif
