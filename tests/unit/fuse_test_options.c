/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/options.h"
#include "store/util.h"

#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/mount.h>

#define ARGS_MAX 16

static struct options options;
static char *why;

static void setup(void)
{
	options = (struct options){ 0 };
	why = NULL;
}

static void teardown(void)
{
	options_clear(&options);
	free(why);
}

/* Parses the words of @line, split at single spaces, as a command of root. */
static int parse_as(bool root, const char *line)
{
	autofree char *copy = strdup(line);
	char *argv[ARGS_MAX + 1] = { 0 };
	char *rest = copy;
	int argc = 0;

	teardown();
	setup();
	while (rest && argc < ARGS_MAX)
		argv[argc++] = strsep(&rest, " ");
	return options_parse(argc, argv, root, &options, &why);
}

static int parse(const char *line)
{
	return parse_as(true, line);
}

/* "-o @words" must be refused with one line that has @part in it. */
static void assert_refused(const char *words, const char *part)
{
	autofree char *line = util_printf("relinkfs /s /m -o %s", words);

	ck_assert_int_eq(parse(line), -EINVAL);
	ck_assert_msg(why && strstr(why, part), "%s: '%s' is not in '%s'", words, part, why);
	ck_assert_ptr_null(strchr(why, '\n'));
}

static void accept_words(const char *words)
{
	autofree char *line = util_printf("relinkfs /s /m -o %s", words);

	ck_assert_msg(parse(line) == 0, "%s: %s", words, why);
}

START_TEST(defaults_of_root)
{
	ck_assert_int_eq(parse("relinkfs /s /m"), 0);
	ck_assert_int_eq(options.action, OPTIONS_RUN);
	ck_assert_str_eq(options.source, "/s");
	ck_assert_str_eq(options.mountpoint, "/m");
	ck_assert(!options.foreground && !options.debug && !options.helper && !options.fake);
	ck_assert_ptr_null(options.log_file);
	ck_assert_int_eq(options.log_level, LOG_LEVEL_INFO);
	ck_assert_str_eq(options.instance, "default");
	ck_assert_ptr_null(options.link_template);
	ck_assert_int_eq(options.cache, CACHE_OWNED);
	ck_assert_double_eq(options.attr_timeout, 1);
	ck_assert_double_eq(options.entry_timeout, 86400);
	ck_assert_double_eq(options.negative_timeout, 86400);
	ck_assert(!options.track_all);
	ck_assert_int_eq(options.passthrough, PASSTHROUGH_AUTO);
	ck_assert_uint_eq(options.threads, 0);
	ck_assert(options.allow_other);
	ck_assert_uint_eq(options.mount_flags, 0);
	ck_assert_uint_eq(options.mount_flags_given, 0);
	ck_assert_ptr_null(options.fsname);
}
END_TEST

START_TEST(others_are_kept_out_unless_asked_for)
{
	ck_assert_int_eq(parse_as(false, "relinkfs /s /m"), 0);
	ck_assert(!options.allow_other);
	ck_assert_int_eq(parse_as(false, "relinkfs /s /m -o allow_other"), 0);
	ck_assert(options.allow_other);
	accept_words("noallow_other");
	ck_assert(!options.allow_other);
}
END_TEST

START_TEST(flags_stand_anywhere)
{
	ck_assert_int_eq(parse("relinkfs -f /s -o threads=3 /m -o ro"), 0);
	ck_assert(options.foreground);
	ck_assert_uint_eq(options.threads, 3);
	ck_assert_uint_eq(options.mount_flags, MS_RDONLY);
	ck_assert_str_eq(options.mountpoint, "/m");
	ck_assert_int_eq(parse("relinkfs --foreground --options threads=2 /s /m"), 0);
	ck_assert(options.foreground);
	ck_assert_uint_eq(options.threads, 2);
	ck_assert_int_eq(parse("relinkfs -f -- -s -m"), 0);
	ck_assert_str_eq(options.source, "-s");
}
END_TEST

START_TEST(debug_stays_in_the_foreground)
{
	ck_assert_int_eq(parse("relinkfs -d /s /m"), 0);
	ck_assert(options.foreground && options.debug);
	ck_assert_int_eq(options.log_level, LOG_LEVEL_DEBUG);
	accept_words("debug");
	ck_assert(options.foreground && options.debug);
}
END_TEST

START_TEST(help_and_version_need_nothing_else)
{
	ck_assert_int_eq(parse("relinkfs --help"), 0);
	ck_assert_int_eq(options.action, OPTIONS_HELP);
	ck_assert_int_eq(parse("relinkfs -h /s"), 0);
	ck_assert_int_eq(options.action, OPTIONS_HELP);
	ck_assert_int_eq(parse("relinkfs -V"), 0);
	ck_assert_int_eq(options.action, OPTIONS_VERSION);
}
END_TEST

START_TEST(operands_are_two)
{
	ck_assert_int_eq(parse("relinkfs"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "SOURCE and MOUNT are missing"));
	ck_assert_int_eq(parse("relinkfs /s"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "MOUNT is missing"));
	ck_assert_int_eq(parse("relinkfs /s /m /n"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "/n: one argument too many"));
	ck_assert_int_eq(parse("relinkfs /s "), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "MOUNT is an empty name"));
	ck_assert_int_eq(parse("relinkfs  /m"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "SOURCE is an empty name"));
}
END_TEST

START_TEST(unknown_flags_are_named)
{
	ck_assert_int_eq(parse("relinkfs /s /m -x"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "-x: unknown"));
	ck_assert_int_eq(parse("relinkfs /s /m --bogus"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "--bogus: unknown"));
	ck_assert_int_eq(parse("relinkfs /s /m -o"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "-o: needs a value"));
	/* Those of mount(8) mean nothing here. */
	ck_assert_int_eq(parse("relinkfs /s /m -n"), -EINVAL);
	ck_assert_int_eq(parse("relinkfs /s /m -s"), -EINVAL);
}
END_TEST

START_TEST(unknown_words_are_named)
{
	assert_refused("bogus", "-o bogus: unknown option");
	assert_refused("bogus=1", "-o bogus=1: unknown option");
	assert_refused("thread=1", "-o thread=1: unknown");
	assert_refused("threadsx=1", "-o threadsx=1: unknown");
	assert_refused("ro,bogus", "-o bogus: unknown");
	assert_refused("remount", "-o remount: not possible");
}
END_TEST

START_TEST(values_must_be_there_or_not)
{
	assert_refused("threads", "-o threads: needs a value");
	assert_refused("log=", "-o log=: the value is missing");
	assert_refused("fsname=", "-o fsname=");
	assert_refused("allow_other=1", "-o allow_other=1: takes no value");
	assert_refused("ro=1", "-o ro=1: unknown");
}
END_TEST

START_TEST(threads_are_a_number)
{
	static const char *const bad[] = { "threads=", "threads=x", "threads=-1", "threads=+1",
		"threads=65", "threads=1x", "threads=1.5", "threads=99999999999999999999" };

	accept_words("threads=64");
	ck_assert_uint_eq(options.threads, 64);
	accept_words("threads=0");
	ck_assert_uint_eq(options.threads, 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_refused(bad[i], bad[i]);
}
END_TEST

START_TEST(timeouts_are_seconds)
{
	static const char *const bad[] = { "attr_timeout=", "attr_timeout=x", "entry_timeout=-1",
		"entry_timeout=1e3", "negative_timeout=nan", "negative_timeout=inf",
		"attr_timeout=.", "attr_timeout=1.2.3", "attr_timeout=0x10",
		"entry_timeout=1000000001" };

	accept_words("attr_timeout=0.5,entry_timeout=0,negative_timeout=1000000000");
	ck_assert_double_eq(options.attr_timeout, 0.5);
	ck_assert_double_eq(options.entry_timeout, 0);
	ck_assert_double_eq(options.negative_timeout, 1e9);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_refused(bad[i], bad[i]);
}
END_TEST

START_TEST(choices)
{
	accept_words("track=all,passthrough=off,cache=shared,log_level=error");
	ck_assert(options.track_all);
	ck_assert_int_eq(options.passthrough, PASSTHROUGH_OFF);
	ck_assert_int_eq(options.cache, CACHE_SHARED);
	ck_assert_int_eq(options.log_level, LOG_LEVEL_ERROR);
	accept_words("track=all,track=open,passthrough=on,log_level=debug");
	ck_assert(!options.track_all);
	ck_assert_int_eq(options.passthrough, PASSTHROUGH_ON);
	ck_assert_int_eq(options.log_level, LOG_LEVEL_DEBUG);
	ck_assert(!options.debug);
	assert_refused("track=some", "-o track=some: must be one of: open, all");
	assert_refused("passthrough=", "-o passthrough=: must be one of: auto, on, off");
	assert_refused("cache=own", "must be one of: owned, shared");
	assert_refused("log_level=loud", "must be one of: error, warning, info, debug");
}
END_TEST

START_TEST(a_second_instance_shares_the_source)
{
	accept_words("instance=blue");
	ck_assert_str_eq(options.instance, "blue");
	ck_assert_int_eq(options.cache, CACHE_SHARED);
	ck_assert_double_eq(options.attr_timeout, 0);
	ck_assert_double_eq(options.entry_timeout, 0);
	ck_assert_double_eq(options.negative_timeout, 0);
	accept_words("instance=default");
	ck_assert_int_eq(options.cache, CACHE_OWNED);
	accept_words("cache=owned,instance=blue");
	ck_assert_int_eq(options.cache, CACHE_OWNED);
	ck_assert_double_eq(options.entry_timeout, 86400);
	accept_words("instance=blue,entry_timeout=5");
	ck_assert_double_eq(options.entry_timeout, 5);
	ck_assert_double_eq(options.negative_timeout, 0);
}
END_TEST

START_TEST(instances_are_plain_names)
{
	static const char too_long[] =
		"instance=0123456789012345678901234567890123456789012345678901234567890"
		"1234";
	static const char *const bad[] = { "instance=", "instance=.", "instance=..", "instance=.x",
		"instance=a/b", "instance=-a", "instance=a%", too_long };

	accept_words("instance=A-b_c.9");
	ck_assert_str_eq(options.instance, "A-b_c.9");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_refused(bad[i], "letters, digits");
}
END_TEST

START_TEST(templates_are_checked)
{
	accept_words("template=frozen/%u/%c-%n");
	ck_assert_str_eq(options.link_template, "frozen/%u/%c-%n");
	assert_refused("template=frozen/%t", "-o template=frozen/%t: ");
	assert_refused("template=../%t-%n", "-o template=../%t-%n: ");
}
END_TEST

START_TEST(mount_flags_as_given)
{
	accept_words("ro,nosuid,nodev,noexec,sync,dirsync,noatime,nodiratime,strictatime");
	ck_assert_uint_eq(options.mount_flags, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC |
						       MS_SYNCHRONOUS | MS_DIRSYNC | MS_NOATIME |
						       MS_NODIRATIME | MS_STRICTATIME);
	accept_words("ro,rw,dev,suid");
	ck_assert_uint_eq(options.mount_flags, 0);
	ck_assert_uint_eq(options.mount_flags_given, MS_RDONLY | MS_NODEV | MS_NOSUID);
}
END_TEST

START_TEST(flag_words_say_what_is_set)
{
	autofree char *none = options_flag_words(0);
	autofree char *some = options_flag_words(MS_NODEV | MS_RDONLY | MS_NOATIME);

	ck_assert_str_eq(none, "");
	ck_assert_str_eq(some, "ro,nodev,noatime");
}
END_TEST

START_TEST(words_for_others_are_passed_over)
{
	accept_words("defaults,auto,noauto,user,user=joe,nouser,users,owner,group,nofail,"
		     "_netdev,x-systemd.automount,X-mount.mkdir,comment=x,helper=y,uhelper=z,"
		     "relatime,lazytime,default_permissions,subtype=relinkfs,,");
	ck_assert_uint_eq(options.mount_flags_given, 0);
	assert_refused("subtype=other", "-o subtype=other");
}
END_TEST

START_TEST(commas_in_values)
{
	accept_words("fsname=a\\,b\\\\c,ro");
	ck_assert_str_eq(options.fsname, "a,b\\c");
	ck_assert_uint_eq(options.mount_flags, MS_RDONLY);
	accept_words("context=\"system_u:object_r:x:s0:c1,c2\",rootcontext=y");
	ck_assert_str_eq(options.label[LABEL_CONTEXT], "system_u:object_r:x:s0:c1,c2");
	ck_assert_str_eq(options.label[LABEL_ROOTCONTEXT], "y");
	ck_assert_ptr_null(options.label[LABEL_FSCONTEXT]);
	accept_words("fsname=trailing\\");
	ck_assert_str_eq(options.fsname, "trailing\\");
}
END_TEST

START_TEST(the_last_of_a_kind_counts)
{
	accept_words("log=/a,log=/b,instance=x,instance=default");
	ck_assert_str_eq(options.log_file, "/b");
	ck_assert_str_eq(options.instance, "default");
	ck_assert_int_eq(options.cache, CACHE_OWNED);
}
END_TEST

START_TEST(as_a_mount_helper)
{
	ck_assert_int_eq(parse("/sbin/mount.fuse.relinkfs /s /m -n -v -N 5 -t x -o "
			       "rw,dev,suid"),
		0);
	ck_assert(options.helper && !options.fake && !options.foreground);
	ck_assert_int_eq(parse("mount.fuse.relinkfs /s /m -f"), 0);
	ck_assert(options.fake && !options.foreground);
	ck_assert_int_eq(parse("mount.fuse.relinkfs /s /m -o bogus"), -EINVAL);
	/* Sloppy: -s may stand on either side of what it is about. */
	ck_assert_int_eq(parse("mount.fuse.relinkfs -s /s /m -o bogus,threads=2"), 0);
	ck_assert_uint_eq(options.threads, 2);
	ck_assert_int_eq(parse("mount.fuse.relinkfs /s /m -o bogus -s"), 0);
	ck_assert_int_eq(parse("mount.fuse.relinkfs /s /m -s -o threads=x"), -EINVAL);
}
END_TEST

START_TEST(help_fits_and_names_every_word)
{
	static const char *const names[] = { "instance=", "template=", "cache=owned",
		"cache=shared",
		"attr_timeout=", "entry_timeout=", "negative_timeout=", "track=open", "track=all",
		"passthrough=auto", "passthrough=on", "passthrough=off",
		"threads=", "log=", "log_level=", "allow_other", "noallow_other", "ro,",
		"fsname=", "context=", "--foreground", "--debug", "--help", "--version",
		"--options" };
	autofree char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);
	char *rest, *line;

	options_help(file);
	ck_assert_int_eq(fclose(file), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		ck_assert_msg(strstr(text, names[i]), "%s is not in the help", names[i]);
	rest = text;
	while ((line = strsep(&rest, "\n")))
		ck_assert_msg(strlen(line) <= 80, "longer than 80: %s", line);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("options");
	TCase *tcase = tcase_create("options");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, defaults_of_root);
	tcase_add_test(tcase, others_are_kept_out_unless_asked_for);
	tcase_add_test(tcase, flags_stand_anywhere);
	tcase_add_test(tcase, debug_stays_in_the_foreground);
	tcase_add_test(tcase, help_and_version_need_nothing_else);
	tcase_add_test(tcase, operands_are_two);
	tcase_add_test(tcase, unknown_flags_are_named);
	tcase_add_test(tcase, unknown_words_are_named);
	tcase_add_test(tcase, values_must_be_there_or_not);
	tcase_add_test(tcase, threads_are_a_number);
	tcase_add_test(tcase, timeouts_are_seconds);
	tcase_add_test(tcase, choices);
	tcase_add_test(tcase, a_second_instance_shares_the_source);
	tcase_add_test(tcase, instances_are_plain_names);
	tcase_add_test(tcase, templates_are_checked);
	tcase_add_test(tcase, mount_flags_as_given);
	tcase_add_test(tcase, flag_words_say_what_is_set);
	tcase_add_test(tcase, words_for_others_are_passed_over);
	tcase_add_test(tcase, commas_in_values);
	tcase_add_test(tcase, the_last_of_a_kind_counts);
	tcase_add_test(tcase, as_a_mount_helper);
	tcase_add_test(tcase, help_fits_and_names_every_word);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
