/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stands in for the control server until it is there. */
#include "fuse/control.h"

#define stand_in __attribute__((weak))

stand_in void control_status_warn(struct control_status *status, const char *fmt, ...)
{
}

stand_in void control_status_backing(
	struct control_status *status, const char *path, bool durable, const char *why)
{
}

stand_in int control_start(const struct control_host *host, const char *socket_path,
	struct control **out, char **why)
{
	*out = NULL;
	return 0;
}

stand_in void control_stop(struct control *control)
{
}
