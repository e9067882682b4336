# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Finds the libraries, by pkg-config, as targets PkgConfig::NAME. The folder
# where tools/setup puts a newer libfuse is looked into before the system.
# Nothing is ever downloaded here: what is missing is named in one line.

set(ENV{PKG_CONFIG_PATH}
	"${PROJECT_SOURCE_DIR}/.deps/prefix/lib/pkgconfig:$ENV{PKG_CONFIG_PATH}")
set(missing "")
find_package(PkgConfig QUIET)
find_package(Threads QUIET)

# relinkfs_find(NAME MODULE PACKAGE): PACKAGE is Debian's, for the message.
macro(relinkfs_find name module package)
	if(PkgConfig_FOUND)
		pkg_check_modules(${name} QUIET IMPORTED_TARGET "${module}")
	endif()
	if(NOT ${name}_FOUND)
		list(APPEND missing "${module} (${package})")
	endif()
endmacro()

if(NOT PkgConfig_FOUND)
	list(APPEND missing "pkg-config (pkg-config)")
endif()
relinkfs_find(FUSE fuse3>=3.17 libfuse3-dev)
relinkfs_find(CAP libcap libcap-dev)
relinkfs_find(SQLITE sqlite3 libsqlite3-dev)
relinkfs_find(JANSSON jansson libjansson-dev)
if(BUILD_TESTING)
	relinkfs_find(CHECK check check)
endif()

if(missing)
	list(JOIN missing ", " missing)
	message(FATAL_ERROR " missing: ${missing}; to install, run as root: tools/setup")
endif()

# libfuse 3.17 does not hand on that the kernel wants set-id bits dropped; 3.18 does.
include(CheckSourceCompiles)
set(CMAKE_REQUIRED_INCLUDES ${FUSE_INCLUDE_DIRS})
set(CMAKE_REQUIRED_DEFINITIONS -D_FILE_OFFSET_BITS=64)
check_source_compiles(C "
	#define FUSE_USE_VERSION 317
	#include <fuse_lowlevel.h>
	int main(void) { return ((struct fuse_file_info){ 0 }).kill_suidgid; }"
	HAVE_FUSE_KILL_SUIDGID)
unset(CMAKE_REQUIRED_INCLUDES)
unset(CMAKE_REQUIRED_DEFINITIONS)
