/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/util.h"
#include "tools/client.h"
#include "tools/ctl_print.h"
#include "tools/output.h"

#include <check.h>
#include <errno.h>
#include <string.h>
#include <time.h>

static const struct {
	const char *bytes, *shown;
} names[] = {
	{ "", "" },
	{ "plain name.txt", "plain name.txt" },
	{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
	{ "\xf0\x9f\x90\xa7", "\xf0\x9f\x90\xa7" },
	{ "a\nb\tc\x1b[31m", "a\\x0ab\\x09c\\x1b[31m" },
	{ "\x7f", "\\x7f" },
	{ "\xff\xfe", "\\xff\\xfe" },
	{ "cut \xc3", "cut \\xc3" },
	{ "cut \xe2\x82", "cut \\xe2\\x82" },
	/* Not the shortest form, a surrogate, beyond the last character. */
	{ "\xc0\xaf", "\\xc0\\xaf" },
	{ "\xe0\x80\xaf", "\\xe0\\x80\\xaf" },
	{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },
	{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },
	/* C1 control, override of the direction, line separator. */
	{ "\xc2\x9b", "\\xc2\\x9b" },
	{ "\xe2\x80\xae"
	  "txt.exe",
		"\\xe2\\x80\\xaetxt.exe" },
	{ "\xe2\x80\xa8", "\\xe2\\x80\\xa8" },
	{ "\xe2\x81\xa6", "\\xe2\\x81\\xa6" },
};

START_TEST(odd_names_are_shown_safely)
	{
		autofree char *shown = output_escape(names[_i].bytes);

		ck_assert_str_eq(shown, names[_i].shown);
	}
END_TEST

START_TEST(sizes)
	{
		char text[OUTPUT_TEXT_SIZE];

		ck_assert_str_eq(output_size(0, text), "0 B");
		ck_assert_str_eq(output_size(1023, text), "1023 B");
		ck_assert_str_eq(output_size(1024, text), "1.0 KiB");
		ck_assert_str_eq(output_size(1536, text), "1.5 KiB");
		ck_assert_str_eq(output_size(1048575, text), "1.0 MiB");
		ck_assert_str_eq(output_size(UINT64_C(1) << 30, text), "1.0 GiB");
		ck_assert_str_eq(output_size(UINT64_MAX, text), "16.0 EiB");
	}
END_TEST

START_TEST(ages)
	{
		char text[OUTPUT_TEXT_SIZE];

		ck_assert_str_eq(output_age(-5, text), "0s");
		ck_assert_str_eq(output_age(0, text), "0s");
		ck_assert_str_eq(output_age(59, text), "59s");
		ck_assert_str_eq(output_age(60, text), "1m");
		ck_assert_str_eq(output_age(3599, text), "59m");
		ck_assert_str_eq(output_age(86399, text), "23h");
		ck_assert_str_eq(output_age(86400 * 400, text), "400d");
	}
END_TEST

START_TEST(durations)
	{
		char text[OUTPUT_TEXT_SIZE];

		ck_assert_str_eq(output_duration(0, text), "0 us");
		ck_assert_str_eq(output_duration(850000, text), "850 us");
		ck_assert_str_eq(output_duration(999600, text), "1.0 ms");
		ck_assert_str_eq(output_duration(3210000, text), "3.2 ms");
		ck_assert_str_eq(output_duration(999960000, text), "1.00 s");
		ck_assert_str_eq(output_duration(INT64_C(125000000000), text), "125.00 s");
	}
END_TEST

START_TEST(owners_and_times)
	{
		char text[OUTPUT_TEXT_SIZE];

		setenv("TZ", "XYZ-2", 1);
		tzset();
		ck_assert_str_eq(output_owner(0, text), "root");
		ck_assert_str_eq(output_owner(3999999999u, text), "3999999999");
		ck_assert_str_eq(
			output_time("2025-01-31T23:59:59.123456789Z", text), "2025-02-01 01:59:59");
		ck_assert_str_eq(output_time("yesterday", text), "yesterday");
	}
END_TEST

/* What @print puts out for the JSON @text. */
static char *printed(void (*print)(const json_t *reply, FILE *file), const char *text)
{
	json_t *reply = json_loads(text, 0, NULL);
	char *output = NULL;
	size_t size;
	FILE *file = open_memstream(&output, &size);

	ck_assert_ptr_nonnull(reply);
	print(reply, file);
	fclose(file);
	json_decref(reply);
	return output;
}

START_TEST(entries_as_a_table)
	{
		autofree char *output = printed(ctl_print_entries,
			"{\"entries\":["
			"{\"path\":\"data/log\\n\",\"type\":\"regular\",\"uid\":0,\"size\":1048576,"
			"\"blocks\":2048,\"age_seconds\":125,\"frozen\":1,\"state\":\"hidden\","
			"\"holders\":[{\"pid\":12,\"comm\":\"sh\",\"kind\":\"fd\",\"fd\":3},"
			"{\"pid\":12,\"comm\":\"sh\",\"kind\":\"mmap\"},"
			"{\"pid\":345,\"comm\":\"a b\",\"kind\":\"cwd\"}]},"
			"{\"path_base64\":\"/2E=\",\"type\":\"directory\",\"uid\":3999999999,"
			"\"age_seconds\":5,\"frozen\":0,\"state\":\"pinned\"},"
			"{\"type\":\"regular\",\"uid\":0,\"size\":0,\"blocks\":0,\"age_seconds\":5,"
			"\"frozen\":2,\"state\":\"hidden\",\"tmpfile\":true,\"holders\":[]}]}");

		ck_assert_str_eq(output, "   SIZE  AGE  OWNER       TYPE       ORIGINAL PATH\n"
					 "1.0 MiB   2m  root        regular    data/log\\x0a\n"
					 "    frozen in 1 checkpoint\n"
					 "    held by 12 (sh), fd 3, mmap\n"
					 "    held by 345 (a b), cwd\n"
					 "      ?   5s  3999999999  directory  \\xffa\n"
					 "    cannot be frozen: it can have no link\n"
					 "    0 B   5s  root        regular    (temporary file)\n"
					 "    frozen in 2 checkpoints\n"
					 "\n3 hidden entries, 1.0 MiB on disk\n");
	}
END_TEST

START_TEST(nothing_to_list)
	{
		autofree char *entries = printed(ctl_print_entries, "{\"entries\":[]}");
		autofree char *checkpoints = printed(ctl_print_checkpoints, "{\"checkpoints\":[]}");

		ck_assert_str_eq(entries, "0 hidden entries, 0 B on disk\n");
		ck_assert_str_eq(checkpoints, "no checkpoints\n");
	}
END_TEST

static size_t widest_line(const char *text)
{
	size_t widest = 0;

	while (*text) {
		size_t length = strcspn(text, "\n");

		widest = length > widest ? length : widest;
		text += length + (text[length] == '\n');
	}
	return widest;
}

START_TEST(checkpoints_fit_a_terminal)
	{
		autofree char *output = printed(ctl_print_checkpoints,
			"{\"checkpoints\":[{\"id\":\"18b2c3d4e5f60718\",\"state\":\"committed\","
			"\"created\":\"2025-01-31T23:59:59.123456789Z\",\"entries\":10000,"
			"\"bytes\":1098907648000,\"creator_uid\":0,\"creator_comm\":\"ckpt-"
			"trigger\"}]}");

		ck_assert_ptr_nonnull(strstr(output, "18b2c3d4e5f60718"));
		ck_assert_ptr_nonnull(strstr(output, "1023.4 GiB"));
		ck_assert_uint_le(widest_line(output), 80);
	}
END_TEST

START_TEST(one_checkpoint)
	{
		autofree char *output = printed(ctl_print_checkpoint,
			"{\"state\":\"committed\",\"links\":[{\"n\":1,\"status\":\"present\"},"
			"{\"n\":2,\"status\":\"missing\"}],\"manifest\":{\"id\":\"0a\","
			"\"path\":\"lost+found/checkpoint/x.json\",\"scope\":\"all\","
			"\"created\":\"then\",\"creator\":{\"pid\":7,\"uid\":0,\"comm\":\"ckpt\"},"
			"\"entries\":[{\"n\":1,\"link\":\"l/"
			"1\",\"path\":\"a\",\"type\":\"regular\","
			"\"uid\":0,\"size\":5,\"blocks\":8,\"openers\":[{\"pid\":9,\"comm\":\"x\","
			"\"kind\":\"fd\",\"fd\":4}]},"
			"{\"n\":2,\"link\":\"l/2\",\"path\":\"b\",\"type\":\"fifo\",\"uid\":0,"
			"\"size\":\"18446744073709551615\",\"blocks\":0,\"openers\":[]}]}}");

		ck_assert_str_eq(output, "checkpoint  0a\n"
					 "state       committed\n"
					 "created     then by root, ckpt (pid 7)\n"
					 "scope       all\n"
					 "manifest    lost+found/checkpoint/x.json\n"
					 "entries     2 entries, 4.0 KiB\n"
					 "\n"
					 "N  LINK        SIZE  OWNER  TYPE     ORIGINAL PATH\n"
					 "1  present      5 B  root   regular  a\n"
					 "    l/1\n"
					 "    held by 9 (x), fd 4\n"
					 "2  missing  8.0 EiB  root   fifo     b\n"
					 "    l/2\n");
	}
END_TEST

START_TEST(status_of_a_mount)
	{
		autofree char *output = printed(ctl_print_status,
			"{\"mount\":\"/m\\u0007\",\"source\":\"/s\",\"fstype\":\"ext4\","
			"\"instance\":\"default\",\"pid\":5,\"version\":\"1\",\"started\":\"then\","
			"\"io\":\"splice\",\"io_reason\":\"old kernel\",\"cache\":\"owned\","
			"\"threads\":4,\"hidden\":1,\"hidden_bytes\":512,\"catalog\":\"ok\","
			"\"warnings\":[\"beware\"],\"backings\":[{\"path\":\"/"
			"s\",\"durable\":false,"
			"\"why\":\"tmpfs\"}]}");

		ck_assert_str_eq(output, "mount       /m\\x07\n"
					 "source      /s (ext4)\n"
					 "instance    default\n"
					 "daemon      pid 5, version 1, since then\n"
					 "data        splice (old kernel)\n"
					 "cache       owned\n"
					 "threads     4\n"
					 "hidden      1 entry, 512 B (your own only)\n"
					 "catalog     ok\n"
					 "backing     /s: not durable (tmpfs)\n"
					 "warning     beware\n");
	}
END_TEST

START_TEST(exit_codes)
	{
		ck_assert_int_eq(tool_exit_of(-ENXIO), TOOL_NO_MOUNT);
		ck_assert_int_eq(tool_exit_of(-ECONNREFUSED), TOOL_NO_MOUNT);
		ck_assert_int_eq(tool_exit_of(-EPERM), TOOL_PERMISSION);
		ck_assert_int_eq(tool_exit_of(-EACCES), TOOL_PERMISSION);
		ck_assert_int_eq(tool_exit_of(-EIO), TOOL_FAILED);
	}
END_TEST

int main(void)
{
	Suite *suite = suite_create("output");
	TCase *tcase = tcase_create("output");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tcase, odd_names_are_shown_safely, 0, ARRAY_SIZE(names));
	tcase_add_test(tcase, sizes);
	tcase_add_test(tcase, ages);
	tcase_add_test(tcase, durations);
	tcase_add_test(tcase, owners_and_times);
	tcase_add_test(tcase, entries_as_a_table);
	tcase_add_test(tcase, nothing_to_list);
	tcase_add_test(tcase, checkpoints_fit_a_terminal);
	tcase_add_test(tcase, one_checkpoint);
	tcase_add_test(tcase, status_of_a_mount);
	tcase_add_test(tcase, exit_codes);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
