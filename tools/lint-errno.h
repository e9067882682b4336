/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What tools/lint tells GCC's analyzer: errno, where it is read, is positive.  Without
 * it the analyzer follows "return -errno" into callers that test for < 0, takes it for
 * success, and reports what was never set.
 */
#ifndef RELINKFS_TOOLS_LINT_ERRNO_H
#define RELINKFS_TOOLS_LINT_ERRNO_H

#include <errno.h>

static inline int *lint_errno(void)
{
	int *location = __errno_location();

	if (*location <= 0)
		__builtin_unreachable();
	return location;
}

#undef errno
#define errno (*lint_errno())

#endif
