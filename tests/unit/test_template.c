/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "store/manifest.h"
#include "store/template.h"
#include "store/util.h"

static const struct template_values values = {
	.ktime = 0xabc, .n = 7, .id = "00000abc", .uid = 1000, .ino = 18446744073709551615u
};

static struct link_template *parsed(const char *text)
{
	struct link_template *template = NULL;
	autofree char *why = NULL;

	ck_assert_msg(template_parse(text, &template, &why) == 0, "%s: %s", text, why);
	return template;
}

static void expect_name(const char *text, const char *name)
{
	struct link_template *template = parsed(text);
	autofree char *expanded = template_expand(template, &values);

	ck_assert_str_eq(expanded, name);
	ck_assert_str_eq(template_text(template), text);
	template_free(template);
}

static void expect_error(const char *text, int error, const char *part)
{
	struct link_template *template = NULL;
	autofree char *why = NULL;

	ck_assert_msg(template_parse(text, &template, &why) == error, "%s", text);
	ck_assert_ptr_null(template);
	ck_assert_ptr_nonnull(why);
	ck_assert_msg(strstr(why, part) != NULL, "\"%s\" is not in \"%s\"", part, why);
}

START_TEST(test_default)
	{
		struct link_template *template = parsed(MANIFEST_LINK_DEFAULT);
		struct template_values now = {
			.ktime = 0x18123456789abcde, .n = 4294967295, .id = "x"
		};
		autofree char *small = template_expand(template, &values);
		autofree char *large = template_expand(template, &now);

		ck_assert_str_eq(small, "lost+found/checkpoint/unlink-at-restart-00000abc-7");
		ck_assert_str_eq(large,
			"lost+found/checkpoint/unlink-at-restart-18123456789abcde-4294967295");
		template_free(template);
	}
END_TEST

START_TEST(test_placeholders)
	{
		expect_name("%t-%n", "00000abc-7");
		expect_name("a/%c/%u/%n", "a/00000abc/1000/7");
		expect_name("%i.%n.%t", "18446744073709551615.7.00000abc");
		expect_name("100%%/%%n%n%t%%", "100%/%n700000abc%");
		expect_name("\xff\n%t%n", "\xff\n00000abc7");
		expect_name("...%n/.%t", "...7/.00000abc");
	}
END_TEST

START_TEST(test_invalid)
	{
		expect_error("", -EINVAL, "%n is missing");
		expect_error("a-%t", -EINVAL, "%n is missing");
		expect_error("a-%n", -EINVAL, "%t or %c is missing");
		expect_error("a-%%t-%%n", -EINVAL, "%n is missing");
		expect_error("/%t-%n", -EINVAL, "position 1 (it must be relative");
		expect_error("a//%t-%n", -EINVAL, "empty component at position 3");
		expect_error("a/%t-%n/", -EINVAL, "empty component at position 9");
		expect_error("./%t-%n", -EINVAL, "\".\" at position 1");
		expect_error("a/../%t-%n", -EINVAL, "\"..\" at position 3");
		expect_error("%t/%n/..", -EINVAL, "\"..\" at position 7");
		expect_error("ab%t%x%n", -EINVAL, "\"%x\" at position 5");
		expect_error("%t-%n-%", -EINVAL, "\"%\" at position 7");
		expect_error("%t-%n-%/", -EINVAL, "\"%/\" at position 7");
		expect_error(".relinkfs/%t-%n", -EINVAL, ".relinkfs");
	}
END_TEST

/* A text of @length bytes 'a' before @rest. */
static char *padded(size_t length, const char *rest)
{
	char *text = calloc(1, length + strlen(rest) + 1);

	memset(text, 'a', length);
	strcpy(text + length, rest);
	return text;
}

START_TEST(test_component_limit)
	{
		/* %t and %n can become 26 bytes. */
		autofree char *fits = padded(NAME_MAX - 26, "%t%n");
		autofree char *over = padded(NAME_MAX - 25, "%t%n");
		autofree char *inode = padded(NAME_MAX - 45, "%i%t%n");
		autofree char *folder = padded(NAME_MAX + 1, "/%t%n");

		template_free(parsed(fits));
		expect_error(over, -ENAMETOOLONG, "256 bytes");
		expect_error(inode, -ENAMETOOLONG, "256 bytes");
		expect_error(folder, -ENAMETOOLONG, "position 1");
	}
END_TEST

START_TEST(test_path_limit)
	{
		char text[PATH_MAX + 8] = "";
		size_t total = 0;

		while (total < PATH_MAX - 28) {
			strcat(text, "a/");
			total += 2;
		}
		ck_assert_uint_eq(total, PATH_MAX - 28);
		strcat(text, "b%t%n");
		template_free(parsed(text));
		strcpy(text + total, "bb%t%n");
		expect_error(text, -ENAMETOOLONG, "4096 bytes");
	}
END_TEST

int main(void)
{
	Suite *suite = suite_create("template");
	TCase *tcase = tcase_create("template");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, test_default);
	tcase_add_test(tcase, test_placeholders);
	tcase_add_test(tcase, test_invalid);
	tcase_add_test(tcase, test_component_limit);
	tcase_add_test(tcase, test_path_limit);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
