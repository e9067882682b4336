# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The language, the warnings, the hardening and the sanitizers, all carried by
# one interface target that every target of the project links.

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)

# Assertions stay in every build: a broken invariant must not reach the vault.
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")
set(CMAKE_C_FLAGS_RELEASE "-O2")

set(RELINKFS_SANITIZE "" CACHE STRING
	"Sanitizers to build with: empty, address,undefined or thread")
option(RELINKFS_WERROR "Treat warnings as errors" OFF)

add_library(relinkfs-compiler INTERFACE)

target_include_directories(relinkfs-compiler INTERFACE ${PROJECT_SOURCE_DIR})

# _GNU_SOURCE is empty, as "#define _GNU_SOURCE" leaves it, so that a file may
# still say so itself.
target_compile_definitions(relinkfs-compiler INTERFACE
	_GNU_SOURCE=
	_FILE_OFFSET_BITS=64
	RELINKFS_VERSION="${PROJECT_VERSION}")

# Unused parameters are not warned about: callbacks have fixed signatures.
target_compile_options(relinkfs-compiler INTERFACE
	-Wall -Wextra -Wno-unused-parameter
	-Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
	-Wformat=2 -Wvla -Wundef -Wpointer-arith -Wwrite-strings -Wdate-time
	-Wdouble-promotion -Wduplicated-cond -Wduplicated-branches -Wlogical-op
	-Wredundant-decls -Wnested-externs -Wimplicit-fallthrough=5
	$<$<BOOL:${RELINKFS_WERROR}>:-Werror>)

if(RELINKFS_SANITIZE)
	target_compile_options(relinkfs-compiler INTERFACE
		-fsanitize=${RELINKFS_SANITIZE} -fno-sanitize-recover=undefined
		-fno-omit-frame-pointer)
	target_link_options(relinkfs-compiler INTERFACE -fsanitize=${RELINKFS_SANITIZE})
else()
	target_compile_options(relinkfs-compiler INTERFACE -fstack-protector-strong
		$<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE$<SEMICOLON>-D_FORTIFY_SOURCE=2>)
	target_link_options(relinkfs-compiler INTERFACE -Wl,-z,relro,-z,now)
endif()

include(CheckPIESupported)
check_pie_supported(LANGUAGES C)
