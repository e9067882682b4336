/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owners and rights: groups, ACLs, set-id bits and file capabilities. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/fs/helpers/same/same.h"

static void in_setgid(void)
{
	umask(0);
	for (int i = 0; i < 2; i++) {
		const char *dir = i ? "of-other" : "of-group";
		char path[64];

		snprintf(path, sizeof(path), "%s/file", dir);
		ok(path, open(path, O_CREAT | O_WRONLY, 02775));
		show(path, path);
		snprintf(path, sizeof(path), "%s/folder", dir);
		ok(path, mkdir(path, 0775));
		show(path, path);
		snprintf(path, sizeof(path), "%s/fifo", dir);
		ok(path, mkfifo(path, 02771));
		show(path, path);
		snprintf(path, sizeof(path), "%s/link", dir);
		ok(path, symlink("x", path));
		show(path, path);
		ok("tmpfile", open(dir, O_TMPFILE | O_RDWR, 02775));
	}
	ok("chmod in the group", chmod("in-group", 02755));
	show("chmod in the group", "in-group");
	ok("chmod out of the group", chmod("out-group", 02755));
	show("chmod out of the group", "out-group");
	ok("chgrp to the last group", chown("mine", (uid_t)-1, GROUP));
	ok("chgrp to a foreign group", chown("mine", (uid_t)-1, OTHER));
	ok("chown", chown("mine", 0, (gid_t)-1));
	show("mine", "mine");
	ok("read by the last group", open("group-only", O_RDONLY));
	ok("unlink of others in a sticky folder", unlink("sticky/foreign"));
	ok("rename of others in a sticky folder", rename("sticky/foreign", "sticky/f"));
}

void test_groups(void)
{
	mkdir("of-group", 0);
	mkdir("of-other", 0);
	ok("chown", chown("of-group", 0, GROUP));
	ok("chown", chown("of-other", 0, OTHER));
	chmod("of-group", 02777);
	chmod("of-other", 02777);
	mkdir("sticky", 0);
	chmod("sticky", 01777);
	close(make("sticky/foreign", 0, 0, 0666));
	close(make("in-group", USER, GROUP, 0644));
	close(make("out-group", USER, OTHER, 0644));
	close(make("mine", USER, USER, 0644));
	close(make("group-only", 0, GROUP, 0040));
	as_user(in_setgid);
}

/* ---- ACLs ---- */

struct acl {
	uint32_t version;
	struct {
		uint16_t tag, perm;
		uint32_t id;
	} entry[5];
};

static const struct acl acl = { 2,
	{ { 1, 7, -1u }, { 2, 7, 4002 }, { 4, 5, -1u }, { 16, 7, -1u }, { 32, 4, -1u } } };

static void show_acl(const char *path, const char *name)
{
	struct acl seen = { 0 };
	ssize_t n = getxattr(path, name, &seen, sizeof(seen));

	tell(path, n);
	for (size_t i = 0; n > 4 && i < ((size_t)n - 4) / 8; i++)
		printf("%s: %s: tag %d perm %d id %d\n", section, name, seen.entry[i].tag,
			seen.entry[i].perm, (int)seen.entry[i].id);
}

static void acl_user(void)
{
	umask(077);
	ok("create", open("acl/file", O_CREAT | O_WRONLY, 0666));
	show("file", "acl/file");
	show_acl("acl/file", "system.posix_acl_access");
	ok("mkdir", mkdir("acl/folder", 0777));
	show("folder", "acl/folder");
	show_acl("acl/folder", "system.posix_acl_default");
	ok("mkfifo", mkfifo("acl/fifo", 0666));
	show("fifo", "acl/fifo");
	show_acl("acl/fifo", "system.posix_acl_access");
	ok("set out of the group",
		setxattr("sgid-out", "system.posix_acl_access", &acl, sizeof(acl), 0));
	show("set out of the group", "sgid-out");
	ok("set in the group",
		setxattr("sgid-in", "system.posix_acl_access", &acl, sizeof(acl), 0));
	show("set in the group", "sgid-in");
	ok("set on another's",
		setxattr("foreign", "system.posix_acl_access", &acl, sizeof(acl), 0));
	ok("remove", removexattr("sgid-in", "system.posix_acl_access"));
	show("removed", "sgid-in");
}

void test_acl(void)
{
	struct acl bad = acl;

	mkdir("acl", 0777);
	chmod("acl", 0777);
	close(make("sgid-out", USER, OTHER, 02755));
	close(make("sgid-in", USER, GROUP, 02755));
	close(make("foreign", 0, 0, 0666));
	ok("set default", setxattr("acl", "system.posix_acl_default", &acl, sizeof(acl), 0));
	ok("set default on a file",
		setxattr("foreign", "system.posix_acl_default", &acl, sizeof(acl), 0));
	bad.entry[0].tag = 3;
	ok("bad", setxattr("acl", "system.posix_acl_default", &bad, sizeof(bad), 0));
	as_user(acl_user);
	ok("chmod", chmod("sgid-out", 0640));
	show_acl("sgid-out", "system.posix_acl_access");
}

/* ---- set-id bits, file capabilities ---- */

static const char *const touches[] = { "write", "pwrite", "truncate", "ftruncate", "O_TRUNC",
	"fallocate", "punch", "append", "mmap", "copy", "writev", "direct" };
#define TOUCHES (sizeof(touches) / sizeof(*touches))

static int touch_file(const char *how, const char *path)
{
	static char page[4096] __attribute__((aligned(4096)));
	int flags = strcmp(how, "append") == 0   ? O_APPEND
		    : strcmp(how, "direct") == 0 ? O_DIRECT
						 : 0;
	int fd, result = 0;
	loff_t in = 0, out = 5000;

	if (!strcmp(how, "truncate"))
		return truncate(path, 100);
	fd = open(path, O_RDWR | flags | (strcmp(how, "O_TRUNC") ? 0 : O_TRUNC));
	if (fd < 0)
		return -1;
	if (!strcmp(how, "write") || !strcmp(how, "append"))
		result = (int)write(fd, "x", 1);
	else if (!strcmp(how, "pwrite"))
		result = (int)pwrite(fd, "x", 1, 20);
	else if (!strcmp(how, "writev"))
		result = (int)writev(fd, &(struct iovec){ page, 10 }, 1);
	else if (!strcmp(how, "direct"))
		result = (int)pwrite(fd, page, sizeof(page), 0);
	else if (!strcmp(how, "ftruncate"))
		result = ftruncate(fd, 100);
	else if (!strcmp(how, "fallocate"))
		result = fallocate(fd, 0, 0, 20000);
	else if (!strcmp(how, "punch"))
		result = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096);
	else if (!strcmp(how, "copy"))
		result = (int)copy_file_range(fd, &in, fd, &out, 1000, 0);
	else if (!strcmp(how, "mmap")) {
		char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		*map = 'x';
		result = msync(map, 4096, MS_SYNC);
		munmap(map, 4096);
	}
	close(fd);
	return result;
}

static void touch_all(void)
{
	char path[64];

	for (size_t i = 0; i < TOUCHES; i++) {
		snprintf(path, sizeof(path), "suid-%s", touches[i]);
		ok(path, touch_file(touches[i], path));
		show(path, path);
		snprintf(path, sizeof(path), "lock-%s", touches[i]);
		ok(path, touch_file(touches[i], path));
		show(path, path);
		snprintf(path, sizeof(path), "cap-%s", touches[i]);
		ok(path, touch_file(touches[i], path));
		tell(path, getxattr(path, "security.capability", NULL, 0));
		show(path, path);
		snprintf(path, sizeof(path), "both-%s", touches[i]);
		ok(path, touch_file(touches[i], path));
		tell(path, getxattr(path, "security.capability", NULL, 0));
		show(path, path);
		snprintf(path, sizeof(path), "own-%s", touches[i]);
		ok(path, touch_file(touches[i], path));
		show(path, path);
	}
}

static void chown_mine(void)
{
	ok("chown by the owner", chown("mine", (uid_t)-1, GROUP));
	show("chown by the owner", "mine");
	ok("chgrp from a foreign group", chown("from-other", (uid_t)-1, GROUP));
	show("chgrp from a foreign group", "from-other");
	ok("chgrp from the group", chown("from-group", (uid_t)-1, USER));
	show("chgrp from the group", "from-group");
	ok("chown to itself", chown("mine-too", USER, (gid_t)-1));
	show("chown to itself", "mine-too");
	ok("chown of nothing", chown("mine-three", (uid_t)-1, (gid_t)-1));
	show("chown of nothing", "mine-three");
}

static void make_touched(void)
{
	static const uint8_t capability[20] = { 1, 0, 0, 2, 0, 4 };
	char path[64];

	for (size_t i = 0; i < TOUCHES; i++) {
		snprintf(path, sizeof(path), "suid-%s", touches[i]);
		close(make(path, 0, 0, 06777));
		snprintf(path, sizeof(path), "lock-%s", touches[i]);
		close(make(path, 0, 0, 02767));
		snprintf(path, sizeof(path), "own-%s", touches[i]);
		close(make(path, 0, GROUP, 06767));
		snprintf(path, sizeof(path), "cap-%s", touches[i]);
		close(make(path, 0, 0, 0777));
		if (setxattr(path, "security.capability", capability, sizeof(capability), 0) < 0)
			tell("setting a capability", -1);
		snprintf(path, sizeof(path), "both-%s", touches[i]);
		close(make(path, 0, 0, 06777));
		if (setxattr(path, "security.capability", capability, sizeof(capability), 0) < 0)
			tell("setting a capability", -1);
	}
}

void test_setid(void)
{
	make_touched();
	as_user(touch_all);
	section = "setid by root";
	make_touched();
	touch_all();
	close(make("mine", USER, USER, 06777));
	close(make("from-other", USER, OTHER, 06767));
	close(make("from-group", USER, GROUP, 06767));
	close(make("mine-too", USER, USER, 06777));
	close(make("mine-three", USER, USER, 06777));
	as_user(chown_mine);
	close(make("root-chown", USER, USER, 06777));
	ok("chown by root", chown("root-chown", 0, GROUP));
	show("chown by root", "root-chown");
	close(make("root-chown", USER, USER, 02767));
	ok("chown by root", chown("root-chown", 0, GROUP));
	show("chown by root, no group execution", "root-chown");
}
