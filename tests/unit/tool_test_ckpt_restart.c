/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The program ckpt-restart, run on checkpoints of a plain directory. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/libcheckpoint.h"
#include "tools/handover.h"
#include "tools/listen_fds.h"

#define ID "1234abcd5678"

static char output[65536];

/* Runs a shell command in the root; *output is what it printed.  Its exit status. */
static int run(const char *command)
{
	autofree char *whole = util_printf("cd '%s' && exec 2>&1; %s", checkpoint_folder(), command);
	FILE *pipe = popen(whole, "r");
	size_t length;
	int status;

	ck_assert_ptr_nonnull(pipe);
	length = fread(output, 1, sizeof(output) - 1, pipe);
	output[length] = '\0';
	status = pclose(pipe);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define ck_runs(status, command)                                                                   \
	do {                                                                                       \
		int status_ = run(command);                                                        \
		ck_assert_msg(status_ == (status), "status %d: %s", status_, output);              \
	} while (0)

#define ck_prints(text) ck_assert_msg(strstr(output, text), "no '%s' in: %s", text, output)

static void save(void)
{
	static char path[] = MANIFEST, template[] = MANIFEST_LINK_DEFAULT;
	static char scope[] = "all", mount[] = "/old/mount";

	strcpy(manifest.id, ID);
	manifest.path = path;
	manifest.link_template = template;
	manifest.scope = scope;
	manifest.mount_path = mount;
	ck_assert_int_eq(unlinkat(root, MANIFEST, 0), 0);
	ck_assert_int_eq(manifest_save(root, &manifest), 0);
}

/* Two entries, of one process. */
static void two_files(void)
{
	add_file("dir/a", "first");
	opened(10, 8, O_RDWR, 2);
	add_file("dir/b: c", "second");
	opened(10, 5, O_RDONLY, 0);
	save();
}

/* The command ends with @status and leaves everything as it was. */
static void changes_nothing(int status, const char *command)
{
	autofree char *before = listing(), *after = NULL;

	ck_runs(status, command);
	after = listing();
	ck_assert_str_eq(before, after);
}

START_TEST(test_command)
{
	two_files();
	ck_runs(7, "ckpt-restart " MANIFEST " -- sh -c '"
		"cat <&3; echo; cat <&4; echo;"
		"echo $LISTEN_FDS $(($$ - LISTEN_PID)) $LISTEN_FDNAMES; echo \"$RELINKFS_FDS\";"
		"readlink /proc/$$/fd/3 /proc/$$/fd/4; ls " CKPT "; exit 7'");
	ck_prints("is not a relinkfs mount");
	ck_prints("2 entries reopened as 2 descriptors");
	ck_prints("\nrst\nsecond\n2 0 a:b%3A c\n3=dir/a\n4=dir/b: c\n");
	ck_prints("/dir/a (deleted)\n");
	ck_prints("/dir/b: c (deleted)\n");
	/* Nothing was left when the command began. */
	ck_assert_ptr_null(strstr(output, "unlink-at-restart"));
}
END_TEST

START_TEST(test_keep)
{
	two_files();
	changes_nothing(0, "ckpt-restart --keep " MANIFEST " -- cat /dev/fd/4");
	ck_prints("second");
	ck_runs(0, "ckpt-restart -q " MANIFEST " -- cat /dev/fd/4");
	ck_assert_str_eq(output, "second");
	ck_assert(!in_root(MANIFEST));
}
END_TEST

START_TEST(test_recorded_numbers)
{
	two_files();
	ck_runs(0, "ckpt-restart -q --fds " MANIFEST
		" -- sh -c 'cat <&5; cat <&8; echo \"${LISTEN_FDS-none}\"'");
	ck_assert_str_eq(output, "secondrstnone\n");
}
END_TEST

START_TEST(test_command_cannot_run)
{
	two_files();
	put("text", "no program");
	changes_nothing(127, "ckpt-restart " MANIFEST " -- /no/such/program");
	changes_nothing(127, "ckpt-restart " MANIFEST " -- no-such-program-anywhere");
	changes_nothing(126, "ckpt-restart " MANIFEST " -- ./text");
	changes_nothing(126, "ckpt-restart " MANIFEST " -- ./dir");
	/* Only execve() itself finds out about these. */
	ck_assert_int_eq(fchmodat(root, "text", 0755, 0), 0);
	changes_nothing(126, "ckpt-restart " MANIFEST " -- ./text");
	ck_prints("nothing was dropped");
	put("script", "#!/no/such/interpreter\n");
	ck_assert_int_eq(fchmodat(root, "script", 0755, 0), 0);
	changes_nothing(127, "ckpt-restart " MANIFEST " -- ./script");
}
END_TEST

/* Runs a program that is traced already, so that nobody else can trace it. */
static int run_traced(const char *const *argv)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		/* The leak check needs to trace, too. */
		setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
		if (chdir(checkpoint_folder()) == 0 && ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0)
			execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(99);
	}
	for (;;) {
		int sig;

		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		if (!WIFSTOPPED(status))
			return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		sig = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
		ptrace(PTRACE_CONT, pid, NULL, (void *)(uintptr_t)sig);
	}
}

START_TEST(test_tracing_not_allowed)
{
	const char *path = MANIFEST;
	const char *good[] = { "ckpt-restart", "-q", path, "--", "sh", "-c",
		"cat <&4 >dir/out; ls lost+found/checkpoint >>dir/out; exit 5", NULL };
	const char *bad[] = { "ckpt-restart", "-q", path, "--", "./bad", NULL };
	const char *const contents[] = { "no program", "#! /no/such/interpreter -x\n", "" };

	two_files();
	for (size_t i = 0; i < ARRAY_SIZE(contents); i++) {
		autofree char *before = NULL, *after = NULL;
		int status;

		put("bad", contents[i]);
		ck_assert_int_eq(fchmodat(root, "bad", 0755, 0), 0);
		before = listing();
		status = run_traced(bad);
		ck_assert(status == 126 || status == 127);
		after = listing();
		ck_assert_str_eq(before, after);
		ck_assert_int_eq(unlinkat(root, "bad", 0), 0);
	}
	ck_assert_int_eq(run_traced(good), 5);
	ck_runs(0, "cat dir/out");
	ck_assert_str_eq(output, "second");
}
END_TEST

START_TEST(test_without_command)
{
	two_files();
	changes_nothing(2, "ckpt-restart " MANIFEST);
	ck_prints("dir/a");
	ck_prints("no command given");
	changes_nothing(0, "ckpt-restart --list " MANIFEST);
	changes_nothing(0, "ckpt-restart --list --json " MANIFEST " 2>/dev/null | jq -e '"
		".id == \"" ID "\" and .fds[1].path == \"dir/b: c\" and .fds[1].fd == 4"
		" and .fds[0].recorded_fd == 8 and .problems == []'");
	changes_nothing(0, "ckpt-restart --json --keep " MANIFEST " -- true 2>&1 | jq -e '"
		".id == \"" ID "\" and .root == env.PWD and (.fds | length) == 2'");
	ck_runs(0, "ckpt-restart --drop " MANIFEST);
	ck_assert(!in_root(MANIFEST));
	ck_assert(!in_root(manifest.entries[0].link));
}
END_TEST

START_TEST(test_missing_link)
{
	two_files();
	ck_assert_int_eq(unlinkat(root, manifest.entries[1].link, 0), 0);
	changes_nothing(1, "ckpt-restart " MANIFEST " -- cat");
	ck_prints("dir/b: c (link " CKPT "/unlink-at-restart-1234abcd5678-2)");
	changes_nothing(1, "ckpt-restart --list --json " MANIFEST " 2>/dev/null | jq -e '"
		".problems[0].n == 2 and .problems[0].step == \"open\"' && exit 1");
}
END_TEST

START_TEST(test_by_id)
{
	two_files();
	changes_nothing(0, "ckpt-restart -q -k " ID " -- true");
	changes_nothing(0, "cd dir && ckpt-restart -q -k " ID " -- true");
	changes_nothing(0, "r=$PWD; cd / && ckpt-restart -q -k -m \"$r/dir\" " ID " -- true");
	changes_nothing(1, "ckpt-restart -q -k 4321 -- true");
	ck_prints("there is no lost+found/checkpoint/unlink-at-restart-4321.json");
	ck_prints("--mount");
}
END_TEST

START_TEST(test_manifest_elsewhere)
{
	two_files();
	ck_assert_int_eq(linkat(root, MANIFEST, root, "dir/m.json", 0), 0);
	changes_nothing(1, "ckpt-restart dir/m.json -- true");
	ck_prints("--mount");
	ck_runs(0, "ckpt-restart -m dir dir/m.json -- cat /dev/fd/4");
	ck_prints("second");
	/* What it does not know of must not go. */
	ck_assert(in_root(MANIFEST));
	ck_assert(!in_root(manifest.entries[0].link));
}
END_TEST

START_TEST(test_map)
{
	two_files();
	ck_runs(0, "ckpt-restart -k --map /old/mount/dir=$PWD/x/y " MANIFEST
		" -- sh -c 'readlink /proc/$$/fd/3'");
	ck_prints("/x/y/a (deleted)\n");
	changes_nothing(2, "ckpt-restart --map /other/dir=x " MANIFEST " -- true");
	ck_prints("not below /old/mount");
	changes_nothing(2, "ckpt-restart --map dir=/elsewhere " MANIFEST " -- true");
	changes_nothing(2, "ckpt-restart --map dir=.. " MANIFEST " -- true");
	changes_nothing(2, "ckpt-restart --map dir " MANIFEST " -- true");
}
END_TEST

START_TEST(test_source_of_mount)
{
	autofd int lock = -1;

	two_files();
	ck_assert_int_eq(mkdirat(root, ".relinkfs", 0700), 0);
	ck_assert_int_eq(mkdirat(root, ".relinkfs/default", 0700), 0);
	put(".relinkfs/default/lock", "pid 1\nids 0000000000000001\nmount /m\n");
	lock = openat(root, ".relinkfs/default/lock", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(flock(lock, LOCK_EX), 0);
	changes_nothing(5, "ckpt-restart " MANIFEST " -- true");
	ck_prints("use the mount instead, /m\n");
	ck_assert_int_eq(flock(lock, LOCK_UN), 0);
	changes_nothing(0, "ckpt-restart -k " MANIFEST " -- true");
}
END_TEST

START_TEST(test_not_permitted)
{
	if (geteuid() != 0)
		return;
	two_files();
	/* The program itself may lie where only its owner looks: it is started by its fd. */
	changes_nothing(6, "chmod 755 .; exec 9<\"$(command -v ckpt-restart)\";"
		"setpriv --reuid 65534 --regid 65534 --clear-groups /proc/self/fd/9 "
		MANIFEST " -- true; s=$?; chmod 700 .; exit $s");
	ck_prints("Permission denied");
}
END_TEST

START_TEST(test_usage)
{
	two_files();
	changes_nothing(2, "ckpt-restart");
	changes_nothing(2, "ckpt-restart --fds=x " MANIFEST " -- true");
	changes_nothing(2, "ckpt-restart --fds=11 " MANIFEST " -- true");
	ck_prints("10 (test)");
	changes_nothing(2, "ckpt-restart --drop " MANIFEST " -- true");
	changes_nothing(2, "ckpt-restart --list " MANIFEST " -- true");
	changes_nothing(1, "ckpt-restart " MANIFEST ".gone -- true");
}
END_TEST

/* ---- the environment ---- */

START_TEST(test_names_are_escaped)
{
	const struct restart_item items[] = {
		{ .number = 3, .path = "x/a:b%c\\d" },
		{ .number = 4, .path = "caf\xc3\xa9\n" },
	};
	const struct restart_item *const list[] = { &items[0], &items[1] };
	autofree char *names = listen_fds_names(list, 2), *table = listen_fds_table(list, 2);

	ck_assert_str_eq(names, "a%3Ab%25c%5Cd:caf%C3%A9%0A");
	ck_assert_str_eq(table, "3=x/a:b%c\\134d\n4=caf\xc3\xa9\\012");
}
END_TEST

START_TEST(test_names_end)
{
	char path[300] = { 0 };
	const struct restart_item item = { .number = 3, .path = path };
	const struct restart_item *const list[] = { &item };
	autofree char *names = NULL;

	memset(path, 'x', sizeof(path) - 1);
	path[254] = ':';
	names = listen_fds_names(list, 1);
	ck_assert_uint_eq(strlen(names), 254);
}
END_TEST

START_TEST(test_environment)
{
	struct restart_item items[] = {
		{ .number = 4, .path = "b" },
		{ .number = 3, .path = "a" },
		{ .number = -1, .path = "cwd" },
	};

	ck_assert_int_eq(listen_fds_set(items, 3), 0);
	ck_assert_str_eq(getenv("LISTEN_FDS"), "2");
	ck_assert_str_eq(getenv("LISTEN_FDNAMES"), "a:b");
	items[0].number = 5;
	ck_assert_int_eq(listen_fds_set(items, 3), 0);
	ck_assert_ptr_null(getenv("LISTEN_FDS"));
	ck_assert_str_eq(getenv("RELINKFS_FDS"), "3=a\n5=b");
}
END_TEST

START_TEST(test_environment_too_long)
{
	struct restart_item *items = calloc(70000, sizeof(*items));

	for (int i = 0; i < 70000; i++)
		items[i] = (struct restart_item){ .number = 3 + i, .path = "aa" };
	ck_assert_int_eq(listen_fds_set(items, 70000), -E2BIG);
	ck_assert_str_eq(getenv("LISTEN_FDS"), "70000");
	ck_assert_ptr_null(getenv("LISTEN_FDNAMES"));
	ck_assert_ptr_null(getenv("RELINKFS_FDS"));
	free(items);
}
END_TEST

static Suite *ckpt_restart_suite(void)
{
	Suite *suite = suite_create("ckpt-restart");
	TCase *tcase = add_case(suite, "program");

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, test_command);
	tcase_add_test(tcase, test_keep);
	tcase_add_test(tcase, test_recorded_numbers);
	tcase_add_test(tcase, test_command_cannot_run);
	tcase_add_test(tcase, test_tracing_not_allowed);
	tcase_add_test(tcase, test_without_command);
	tcase_add_test(tcase, test_missing_link);
	tcase_add_test(tcase, test_by_id);
	tcase_add_test(tcase, test_manifest_elsewhere);
	tcase_add_test(tcase, test_map);
	tcase_add_test(tcase, test_source_of_mount);
	tcase_add_test(tcase, test_not_permitted);
	tcase_add_test(tcase, test_usage);

	tcase = add_case(suite, "environment");
	tcase_add_test(tcase, test_names_are_escaped);
	tcase_add_test(tcase, test_names_end);
	tcase_add_test(tcase, test_environment);
	tcase_add_test(tcase, test_environment_too_long);
	return suite;
}

int main(void)
{
	return run_restart_suite(ckpt_restart_suite());
}
