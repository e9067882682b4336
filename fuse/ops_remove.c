/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Operations that take names away; the work is in fuse/hide.h. */
#include <errno.h>
#include <stdio.h>

#include "fuse/hide.h"
#include "fuse/ops.h"

typedef int remove_fn(struct session *session, const struct node_ref *parent, const char *name);

static void remove_name(fuse_req_t req, fuse_ino_t parent, const char *name, remove_fn *remove)
{
	struct session *session = session_of(req);
	struct node_ref ref;
	int error = name_reserved(parent, name) ? -ENOENT : ref_get(session, parent, &ref);

	if (!error) {
		if (!alias_remove(session, fuse_req_ctx(req)->pid, &ref, name, &error))
			error = remove(session, &ref, name);
		ref_put(session, &ref);
	}
	reply_error(req, error);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_name(req, parent, name, hide_unlink);
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_name(req, parent, name, hide_rmdir);
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	       const char *newname, unsigned flags)
{
	struct session *session = session_of(req);
	struct node_ref from, to;
	int error;

	if (name_reserved(parent, name) || name_reserved(newparent, newname)) {
		reply_error(req, name_reserved(parent, name) ? -ENOENT : -EPERM);
		return;
	}
	error = ref_get(session, parent, &from);
	if (error) {
		reply_error(req, error);
		return;
	}
	error = ref_get(session, newparent, &to);
	if (!error) {
		if (!alias_rename(session, fuse_req_ctx(req)->pid, &from, name, &to, newname, flags,
				  &error))
			error = hide_rename(session, &from, name, &to, newname, flags);
		ref_put(session, &to);
	}
	ref_put(session, &from);
	reply_error(req, error);
}
