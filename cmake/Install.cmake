# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What "cmake --install" puts in place: programs, manual pages, documents, and
# the helper by which "mount -t fuse.relinkfs" finds the filesystem.

include(GNUInstallDirs)

foreach(program relinkfs ckpt-trigger ckpt-restart relinkctl)
	if(TARGET ${program})
		install(TARGETS ${program} RUNTIME)
	endif()
endforeach()

# For CRIU: its action script, and the lines for its configuration file.
install(PROGRAMS ${PROJECT_SOURCE_DIR}/tools/criu/relinkfs-criu TYPE BIN)
set(criu_action_script ${CMAKE_INSTALL_FULL_BINDIR}/relinkfs-criu)
configure_file(${PROJECT_SOURCE_DIR}/tools/criu/criu.conf.in ${PROJECT_BINARY_DIR}/criu.conf @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/criu.conf DESTINATION ${CMAKE_INSTALL_DATADIR}/relinkfs)

file(RELATIVE_PATH program_from_sbin
	${CMAKE_INSTALL_FULL_SBINDIR} ${CMAKE_INSTALL_FULL_BINDIR}/relinkfs)
set(mount_helper ${PROJECT_BINARY_DIR}/mount.fuse.relinkfs)
file(CREATE_LINK ${program_from_sbin} ${mount_helper} SYMBOLIC)
install(FILES ${mount_helper} DESTINATION ${CMAKE_INSTALL_SBINDIR})

# Where systemd looks, below /usr and below /usr/local.
install(FILES ${PROJECT_SOURCE_DIR}/fuse/relinkfs@.service DESTINATION lib/systemd/system)

foreach(section RANGE 1 8)
	file(GLOB pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/man/*.${section})
	install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()

file(GLOB documents CONFIGURE_DEPENDS
	${PROJECT_SOURCE_DIR}/*.md ${PROJECT_SOURCE_DIR}/docs/*.md)
install(FILES ${documents} ${PROJECT_SOURCE_DIR}/LICENSE
	DESTINATION ${CMAKE_INSTALL_DOCDIR})

file(GLOB completions CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tools/completions/*)
install(FILES ${completions} DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
