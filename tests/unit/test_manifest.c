/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/manifest.h"
#include "store/util.h"

/* A literal that may stand where the struct has char *. */
#define NAME(text) ((char[]){ text })
#define NOT_UTF8 "dir/\xff\xfe\n\x80name"

static char folder[] = "/tmp/test_manifest.XXXXXX";
static int root = -1;

static void setup(void)
{
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(root, 0);
	ck_assert_int_eq(mkdirat(root, "c", 0700), 0);
}

static void teardown(void)
{
	autofree char *command = util_printf("rm -rf '%s'", folder);

	close(root);
	ck_assert_int_eq(system(command), 0);
}

static struct opener openers[] = {
	{ .pid = 12, .comm = "cat", .kind = OPENER_FD, .fd = 3, .flags = 02100002, .offset = 77 },
	{ .pid = 13, .comm = "\xff", .kind = OPENER_MMAP, .fd = -1 },
	{ .pid = INT_MAX, .comm = "123456789012345", .kind = OPENER_EXE, .fd = -1 },
};

static struct manifest_entry entries[] = {
	{ .n = 1,
		.link = NAME("c/l-1"),
		.path = NAME("a b/\"c\"\\"),
		.mode = S_IFREG | 04755,
		.uid = 1000,
		.gid = 4294967294,
		.size = INT64_MAX,
		.blocks = 8,
		.ino = UINT64_MAX,
		.nlink = 2,
		.mtime = { 1700000000, 999999999 },
		.atime = { -1, 1 },
		.btime = { 1600000000, 5 },
		.handle = "\x01\x00\xff\x7f",
		.handle_len = 4,
		.handle_type = -2,
		.openers = openers,
		.nopeners = 3 },
	{ .n = 2,
		.link = NAME(NOT_UTF8 "2"),
		.path = NAME(NOT_UTF8),
		.mode = S_IFDIR | 0700,
		.ino = 5 },
	{ .n = 9,
		.link = NAME("c/l-9"),
		.path = NAME("\xc3\xa4"),
		.mode = S_IFCHR | 0600,
		.rdev_major = 1,
		.rdev_minor = 4294967295,
		.tmpfile = true },
};

static char *folders[] = { NAME("c/x"), NAME("c/\xff") };

static const struct manifest sample = {
	.ktime = 0x18123456789abcde,
	.id = "18123456789abcde",
	.path = NAME("c/m.json"),
	.link_template = NAME("c/l-%n-%t"),
	.mount_path = NAME("/mnt/\xff"),
	.scope = NAME("pid 12"),
	.creator_pid = 99,
	.creator_uid = 4294967295,
	.creator_comm = "ckpt",
	.entries = entries,
	.nentries = 3,
	.folders = folders,
	.nfolders = 2,
};

static void expect_same_entry(const struct manifest_entry *a, const struct manifest_entry *b)
{
	ck_assert_uint_eq(a->n, b->n);
	ck_assert_str_eq(a->link, b->link);
	ck_assert_str_eq(a->path, b->path);
	ck_assert_uint_eq(a->mode, b->mode);
	ck_assert_uint_eq(a->uid, b->uid);
	ck_assert_uint_eq(a->gid, b->gid);
	ck_assert_uint_eq(a->size, b->size);
	ck_assert_uint_eq(a->blocks, b->blocks);
	ck_assert_uint_eq(a->ino, b->ino);
	ck_assert_uint_eq(a->nlink, b->nlink);
	ck_assert_uint_eq(a->rdev_major, b->rdev_major);
	ck_assert_uint_eq(a->rdev_minor, b->rdev_minor);
	ck_assert_mem_eq(&a->atime, &b->atime, sizeof(int64_t) + sizeof(uint32_t));
	ck_assert_mem_eq(&a->mtime, &b->mtime, sizeof(int64_t) + sizeof(uint32_t));
	ck_assert_mem_eq(&a->btime, &b->btime, sizeof(int64_t) + sizeof(uint32_t));
	ck_assert_uint_eq(a->handle_len, b->handle_len);
	ck_assert_mem_eq(a->handle, b->handle, a->handle_len);
	ck_assert_int_eq(a->handle_type, b->handle_type);
	ck_assert_int_eq(a->tmpfile, b->tmpfile);
	ck_assert_uint_eq(a->nopeners, b->nopeners);
	for (size_t i = 0; i < a->nopeners; i++) {
		ck_assert_int_eq(a->openers[i].pid, b->openers[i].pid);
		ck_assert_str_eq(a->openers[i].comm, b->openers[i].comm);
		ck_assert_int_eq(a->openers[i].kind, b->openers[i].kind);
		ck_assert_int_eq(a->openers[i].fd, b->openers[i].fd);
		ck_assert_uint_eq(a->openers[i].flags, b->openers[i].flags);
		ck_assert_int_eq(a->openers[i].offset, b->openers[i].offset);
	}
}

static void expect_same(const struct manifest *a, const struct manifest *b)
{
	ck_assert_uint_eq(a->ktime, b->ktime);
	ck_assert_str_eq(a->id, b->id);
	ck_assert_str_eq(a->path, b->path);
	ck_assert_str_eq(a->link_template, b->link_template);
	ck_assert_pstr_eq(a->mount_path, b->mount_path);
	ck_assert_str_eq(a->scope, b->scope);
	ck_assert_int_eq(a->creator_pid, b->creator_pid);
	ck_assert_uint_eq(a->creator_uid, b->creator_uid);
	ck_assert_str_eq(a->creator_comm, b->creator_comm);
	ck_assert_uint_eq(a->nentries, b->nentries);
	for (size_t i = 0; i < a->nentries; i++)
		expect_same_entry(&a->entries[i], &b->entries[i]);
	ck_assert_uint_eq(a->nfolders, b->nfolders);
	for (size_t i = 0; i < a->nfolders; i++)
		ck_assert_str_eq(a->folders[i], b->folders[i]);
}

START_TEST(test_round_trip)
	{
		json_t *json = manifest_to_json(&sample);
		struct manifest *back = NULL;
		autofree char *why = NULL;

		ck_assert_ptr_nonnull(json);
		ck_assert_msg(manifest_from_json(json, &back, &why) == 0, "%s", why);
		expect_same(&sample, back);
		manifest_free(back);
		json_decref(json);
	}
END_TEST

START_TEST(test_names_in_json)
	{
		json_t *json = manifest_to_json(&sample);
		const json_t *first = json_array_get(json_object_get(json, "entries"), 0);
		const json_t *second = json_array_get(json_object_get(json, "entries"), 1);

		ck_assert_str_eq(json_string_value(json_object_get(first, "path")), "a b/\"c\"\\");
		ck_assert_ptr_null(json_object_get(first, "path_base64"));
		ck_assert_ptr_null(json_object_get(second, "path"));
		ck_assert_str_eq(json_string_value(json_object_get(second, "path_base64")),
			"ZGlyL//+CoBuYW1l");
		ck_assert_str_eq(json_string_value(json_object_get(first, "mode")), "04755");
		ck_assert_str_eq(json_string_value(json_object_get(first, "type")), "regular");
		ck_assert_str_eq(json_string_value(json_object_get(json, "created")),
			"2024-12-18T07:19:12.486300894Z");
		json_decref(json);
	}
END_TEST

START_TEST(test_name_of_every_length)
	{
		char name[64] = "";

		for (size_t length = 1; length < sizeof(name); length++) {
			json_t *object = json_object();
			autofree char *back = NULL;

			name[length - 1] = (char)(0x80 + length * 7);
			ck_assert_int_eq(manifest_json_set_name(object, "k", name), 0);
			ck_assert_ptr_nonnull(json_object_get(object, "k_base64"));
			back = manifest_json_get_name(object, "k", NULL);
			ck_assert_pstr_eq(back, name);
			json_decref(object);
		}
	}
END_TEST

START_TEST(test_save_and_load)
	{
		struct manifest *back = NULL;
		autofree char *why = NULL;
		struct stat st;

		ck_assert_int_eq(manifest_save(root, &sample), 0);
		ck_assert_int_eq(fstatat(root, "c/m.json", &st, 0), 0);
		ck_assert_uint_eq(st.st_mode, S_IFREG | 0600);
		ck_assert_msg(manifest_load(root, "c/m.json", &back, &why) == 0, "%s", why);
		expect_same(&sample, back);
		manifest_free(back);
		ck_assert_int_eq(manifest_save(root, &sample), -EEXIST);
		ck_assert_int_eq(faccessat(root, "c/m.json.tmp", F_OK, 0), -1);
	}
END_TEST

static size_t count_names(const char *path)
{
	autodir DIR *dir = opendir(path);
	size_t count = 0;

	while (readdir(dir))
		count++;
	return count - 2;
}

START_TEST(test_save_errors)
	{
		struct manifest manifest = sample;

		manifest.path = NAME("missing/m.json");
		ck_assert_int_eq(manifest_save(root, &manifest), -ENOENT);
		ck_assert_int_eq(symlinkat("/tmp", root, "s"), 0);
		manifest.path = NAME("s/m.json");
		ck_assert_int_eq(manifest_save(root, &manifest), -ELOOP);
		manifest.path = NAME("../m.json");
		ck_assert_int_eq(manifest_save(root, &manifest), -EXDEV);
		ck_assert_uint_eq(count_names(folder), 2);
		ck_assert_int_eq(mkdirat(root, "c/m.json", 0700), 0);
		ck_assert_int_eq(manifest_save(root, &sample), -EEXIST);
		ck_assert_uint_eq(count_names(folder), 2);
	}
END_TEST

static void expect_load_error(const char *text, size_t size, int error, const char *part)
{
	struct manifest *back = NULL;
	autofree char *why = NULL;
	autofd int fd = openat(root, "bad", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_eq(util_write_all(fd, text, size), 0);
	ck_assert_int_eq(manifest_load(root, "bad", &back, &why), error);
	ck_assert_ptr_null(back);
	ck_assert_ptr_nonnull(why);
	ck_assert_msg(strstr(why, part) != NULL, "\"%s\" is not in \"%s\"", part, why);
}

START_TEST(test_load_errors)
	{
		struct manifest *back = NULL;
		autofree char *why = NULL;
		autofd int fd = -1;

		expect_load_error("", 0, -EINVAL, "bad: line 1");
		expect_load_error("{\"a\":1", 6, -EINVAL, "bad: line 1");
		expect_load_error("{\"a\":1,\n\"a\":2}", 14, -EINVAL, "line 2");
		expect_load_error("{} x", 4, -EINVAL, "bad: line 1");
		expect_load_error("\0\0", 2, -EINVAL, "bad");
		expect_load_error("[]", 2, -EINVAL, "format");
		expect_load_error("{}", 2, -EINVAL, "format");
		ck_assert_int_eq(manifest_load(root, "none", &back, &why), -ENOENT);
		ck_assert_ptr_nonnull(strstr(why, "none: No such file"));
		ck_assert_int_eq(manifest_load(root, "c", &back, NULL), -EINVAL);
		ck_assert_int_eq(mkfifoat(root, "fifo", 0600), 0);
		ck_assert_int_eq(manifest_load(root, "fifo", &back, NULL), -EINVAL);
		fd = openat(root, "huge", O_WRONLY | O_CREAT, 0600);
		ck_assert_int_eq(ftruncate(fd, (1l << 30) + 1), 0);
		ck_assert_int_eq(manifest_load(root, "huge", &back, NULL), -EFBIG);
		ck_assert_ptr_null(back);
	}
END_TEST

/* Where a change is made: the top, entry 1, its first opener. */
enum place { TOP, ENTRY, OPENER };

struct change {
	enum place place;
	const char *key;
	const char *value; /* JSON; NULL: the member is removed */
	int error;
	const char *part; /* of the message */
};

#define LONG_NAME                                                                                  \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aa"                                                                                       \
	"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" \
	"bb"                                                                                       \
	"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

static const struct change changes[] = {
	{ TOP, "format", "\"other\"", -EINVAL, "format" },
	{ TOP, "format", NULL, -EINVAL, "format" },
	{ TOP, "version", "2", -EPROTO, "newer" },
	{ TOP, "version", "0", -EINVAL, "version" },
	{ TOP, "version", "\"1\"", -EINVAL, "version" },
	{ TOP, "id", "\"18123456788abcde\"", -EINVAL, "\"id\"" },
	{ TOP, "id", "\"018123456789abcde\"", -EINVAL, "\"id\"" },
	{ TOP, "id", "7", -EINVAL, "\"id\"" },
	{ TOP, "ktime", "-1", -EINVAL, "ktime" },
	{ TOP, "ktime", "1.5", -EINVAL, "ktime" },
	{ TOP, "path", "\"/m.json\"", -EINVAL, "absolute" },
	{ TOP, "path", "\".relinkfs/default/catalog.db\"", -EINVAL, "not visible" },
	{ TOP, "link_template", NULL, -EINVAL, "link_template" },
	{ TOP, "scope", "[]", -EINVAL, "scope" },
	{ TOP, "mount", "1", -EINVAL, "mount" },
	{ TOP, "creator", "{}", -EINVAL, "pid" },
	{ TOP, "creator", "[]", -EINVAL, "pid" },
	{ TOP, "folders", "{}", -EINVAL, "folders" },
	{ TOP, "folders", "[\"a\"]", -EINVAL, "path" },
	{ TOP, "folders", "[{\"path\": \"a/..\"}]", -EINVAL, "\"..\"" },
	{ TOP, "entries", NULL, -EINVAL, "entries" },
	{ TOP, "entries", "{}", -EINVAL, "entries" },
	{ TOP, "entries", "[1]", -EINVAL, "entry 1: " },
	{ ENTRY, "n", "0", -EINVAL, "entry 1: \"n\"" },
	{ ENTRY, "n", "4294967296", -EINVAL, "\"n\"" },
	{ ENTRY, "n", "2", -EINVAL, "\"n\" 2 is there twice" },
	{ ENTRY, "link", "\"c/l-9\"", -EINVAL, "\"c/l-9\" is there twice" },
	{ ENTRY, "link", "\"\"", -EINVAL, "empty" },
	{ ENTRY, "link", "\"/etc/passwd\"", -EINVAL, "absolute" },
	{ ENTRY, "link", "\"../x\"", -EINVAL, "\"..\"" },
	{ ENTRY, "link", "\"a/./x\"", -EINVAL, "\".\"" },
	{ ENTRY, "link", "\"a//x\"", -EINVAL, "empty component" },
	{ ENTRY, "link", "\"a/\"", -EINVAL, "empty component" },
	{ ENTRY, "link", "\".relinkfs\"", -EINVAL, "not visible" },
	{ ENTRY, "link", "\".relinkfs/default/vault/1\"", -EINVAL, "not visible" },
	{ ENTRY, "link", "\"" LONG_NAME "\"", -EINVAL, "too long" },
	{ ENTRY, "link", NULL, -EINVAL, "\"link\"" },
	{ ENTRY, "link_base64", "\"YQ==\"", -EINVAL, "exclude" },
	{ ENTRY, "path", "3", -EINVAL, "\"path\"" },
	{ ENTRY, "path", "\"a/..\"", -EINVAL, "\"..\"" },
	{ ENTRY, "type", "\"file\"", -EINVAL, "\"type\"" },
	{ ENTRY, "mode", "\"17777\"", -EINVAL, "\"mode\"" },
	{ ENTRY, "mode", "\"0o7\"", -EINVAL, "\"mode\"" },
	{ ENTRY, "mode", "\"-7\"", -EINVAL, "\"mode\"" },
	{ ENTRY, "mode", "\"\"", -EINVAL, "\"mode\"" },
	{ ENTRY, "mode", "420", -EINVAL, "\"mode\"" },
	{ ENTRY, "uid", "-1", -EINVAL, "\"uid\"" },
	{ ENTRY, "gid", "4294967296", -EINVAL, "\"gid\"" },
	{ ENTRY, "size", "-1", -EINVAL, "\"size\"" },
	{ ENTRY, "size", "1e3", -EINVAL, "\"size\"" },
	{ ENTRY, "ino", "\"18446744073709551616\"", -EINVAL, "\"ino\"" },
	{ ENTRY, "ino", "\" 1\"", -EINVAL, "\"ino\"" },
	{ ENTRY, "ino", "\"1x\"", -EINVAL, "\"ino\"" },
	{ ENTRY, "mtime", "5", -EINVAL, "\"sec\"" },
	{ ENTRY, "mtime", "{\"sec\": 1, \"nsec\": 1000000000}", -EINVAL, "\"nsec\"" },
	{ ENTRY, "handle", "{\"type\": 1, \"bytes\": \"A\"}", -EINVAL, "\"handle\"" },
	{ ENTRY, "handle", "{\"type\": 1, \"bytes\": \"AA=A\"}", -EINVAL, "\"handle\"" },
	{ ENTRY, "handle", "{\"type\": 1, \"bytes\": \"AA==AAAA\"}", -EINVAL, "\"handle\"" },
	{ ENTRY, "handle", "{\"type\": 1, \"bytes\": \"\"}", -EINVAL, "\"handle\"" },
	{ ENTRY, "handle", "{\"type\": 1, \"bytes\": \"" LONG_NAME "\"}", -EINVAL, "\"handle\"" },
	{ ENTRY, "rdev", "{\"major\": 1}", -EINVAL, "\"minor\"" },
	{ ENTRY, "tmpfile", "0", -EINVAL, "\"tmpfile\"" },
	{ ENTRY, "openers", "1", -EINVAL, "\"openers\"" },
	{ ENTRY, "openers", "[1]", -EINVAL, "entry 1, opener 1: " },
	{ OPENER, "pid", "0", -EINVAL, "\"pid\"" },
	{ OPENER, "comm", "\"1234567890123456\"", -EINVAL, "\"comm\"" },
	{ OPENER, "kind", "\"socket\"", -EINVAL, "\"kind\"" },
	{ OPENER, "fd", "-1", -EINVAL, "\"fd\"" },
	{ OPENER, "flags", "\"40000000000\"", -EINVAL, "\"flags\"" },
	{ OPENER, "flags", "\"777777777777777777777777777\"", -EINVAL, "\"flags\"" },
	{ OPENER, "offset", "1.0", -EINVAL, "\"offset\"" },
};

static json_t *json_at(json_t *json, enum place place)
{
	json_t *entry = json_array_get(json_object_get(json, "entries"), 0);

	if (place == TOP)
		return json;
	return place == ENTRY ? entry : json_array_get(json_object_get(entry, "openers"), 0);
}

/* As jq 1.6 writes it. */
START_TEST(test_rounded_time)
	{
		json_t *json = manifest_to_json(&sample);
		struct manifest *back = NULL;

		json_object_set_new(json, "ktime", json_integer(1734506352486300700));
		ck_assert_int_eq(manifest_from_json(json, &back, NULL), 0);
		ck_assert_uint_eq(back->ktime, sample.ktime);
		manifest_free(back);
		json_decref(json);
	}
END_TEST

START_TEST(test_bad_member)
	{
		const struct change *change = &changes[_i];
		json_t *json = manifest_to_json(&sample), *object = json_at(json, change->place);
		struct manifest *back = NULL;
		autofree char *why = NULL;
		int ret;

		if (change->value)
			json_object_set_new(object, change->key,
				json_loads(change->value, JSON_DECODE_ANY, NULL));
		else
			json_object_del(object, change->key);
		ret = manifest_from_json(json, &back, &why);
		ck_assert_msg(ret == change->error, "%s %s: %d %s", change->key,
			change->value ? change->value : "removed", ret, why);
		ck_assert_ptr_null(back);
		ck_assert_ptr_nonnull(why);
		ck_assert_msg(strstr(why, change->part) != NULL, "%s %s: \"%s\" is not in \"%s\"",
			change->key, change->value, change->part, why);
		ck_assert_int_eq(manifest_from_json(json, &back, NULL), change->error);
		json_decref(json);
	}
END_TEST

START_TEST(test_name_with_nul)
	{
		json_t *json = manifest_to_json(&sample), *entry = json_at(json, ENTRY);
		struct manifest *back = NULL;

		json_object_set_new(entry, "link", json_stringn("a\0b", 3));
		ck_assert_int_eq(manifest_from_json(json, &back, NULL), -EINVAL);
		json_object_del(entry, "link");
		json_object_set_new(entry, "link_base64", json_string("YQBi"));
		ck_assert_int_eq(manifest_from_json(json, &back, NULL), -EINVAL);
		json_object_set_new(entry, "link_base64", json_string("YWI="));
		ck_assert_int_eq(manifest_from_json(json, &back, NULL), 0);
		ck_assert_str_eq(back->entries[0].link, "ab");
		manifest_free(back);
		json_decref(json);
	}
END_TEST

START_TEST(test_optional_members)
	{
		json_t *json = manifest_to_json(&sample), *entry = json_at(json, ENTRY);
		struct manifest *back = NULL;

		static const char *const optional[] = { "blocks", "nlink", "atime", "mtime",
			"ctime", "btime", "handle", "tmpfile", "openers" };

		for (size_t i = 0; i < ARRAY_SIZE(optional); i++)
			json_object_del(entry, optional[i]);
		json_object_del(json, "mount_base64");
		json_object_del(json, "creator");
		json_object_del(json, "folders");
		json_object_set_new(json, "later_addition", json_true());
		ck_assert_int_eq(manifest_from_json(json, &back, NULL), 0);
		ck_assert_uint_eq(back->entries[0].nopeners, 0);
		ck_assert_uint_eq(back->entries[0].handle_len, 0);
		ck_assert_ptr_null(back->mount_path);
		manifest_free(back);
		json_decref(json);
	}
END_TEST

int main(void)
{
	Suite *suite = suite_create("manifest");
	TCase *tcase = tcase_create("manifest");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_round_trip);
	tcase_add_test(tcase, test_names_in_json);
	tcase_add_test(tcase, test_name_of_every_length);
	tcase_add_test(tcase, test_save_and_load);
	tcase_add_test(tcase, test_save_errors);
	tcase_add_test(tcase, test_load_errors);
	tcase_add_test(tcase, test_rounded_time);
	tcase_add_loop_test(tcase, test_bad_member, 0, ARRAY_SIZE(changes));
	tcase_add_test(tcase, test_name_with_nul);
	tcase_add_test(tcase, test_optional_members);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
