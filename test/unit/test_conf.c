#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "conf/conf.h"

/* ---- a schema: a zoo with animals ---- */

struct animal {
	char name[32], place[64];
	unsigned colour;
	uint32_t legs;
};

/* What a keeper was told of the animals in his care. */
struct care {
	char names[4][16], words[4][16];
	size_t count;
};

struct zoo {
	bool open;
	struct care food, notes;
	char *motto;
	uint32_t visitors;
	struct animal animals[4];
	size_t count;
};

static int no_swearing(const char *value, char reterr[static CONF_REASON_LEN])
{
	if (!strstr(value, "damn"))
		return 0;
	snprintf(reterr, CONF_REASON_LEN, "not before the children");
	return -EINVAL;
}

static int never(const char *value, char reterr[static CONF_REASON_LEN])
{
	(void)value;
	snprintf(reterr, CONF_REASON_LEN, "not in this zoo");
	return -EINVAL;
}

static const char *const colours[] = { "grey", "yellow", "yellowish", NULL };

static const struct conf_directive zoo_keys[] = {
	{ .name = "open",
	  .type = CONF_BOOL,
	  .offset = offsetof(struct zoo, open) },
	{ .name = "motto",
	  .type = CONF_STR,
	  .offset = offsetof(struct zoo, motto),
	  .check = no_swearing },
	{ .name = "visitors",
	  .type = CONF_UINT,
	  .offset = offsetof(struct zoo, visitors),
	  .min = 1,
	  .max = UINT32_MAX,
	  .unit = "people" },
	{ .name = "ignored", .type = CONF_NONE },
	{ .name = "dragon", .type = CONF_NONE, .check = never },
	{ 0 },
};

static const struct conf_directive animal_keys[] = {
	{ .name = "colour",
	  .type = CONF_CHOICE,
	  .offset = offsetof(struct animal, colour),
	  .choices = colours },
	{ .name = "legs",
	  .type = CONF_UINT,
	  .offset = offsetof(struct animal, legs),
	  .min = 0,
	  .max = 1000 },
	{ 0 },
};

static int take_care(void *obj, const char *name, const char *value,
		     char reterr[static CONF_REASON_LEN])
{
	struct care *care = obj;

	if (strcmp(value, "poison") == 0) {
		snprintf(reterr, CONF_REASON_LEN, "that is no food");
		return -EINVAL;
	}
	snprintf(care->names[care->count], sizeof(care->names[0]), "%s", name);
	snprintf(care->words[care->count++], sizeof(care->words[0]), "%s",
		 value);
	return 0;
}

static const struct conf_directive food_keys[] = {
	{ .name = "*", .type = CONF_CALL, .set = take_care },
	{ 0 },
};

static const struct conf_directive note_keys[] = {
	{ .name = "note", .type = CONF_CALL, .set = take_care },
	{ 0 },
};

static int open_food(void *root, const char *segment, const char *place,
		     void **ret, char reterr[static CONF_REASON_LEN])
{
	struct zoo *z = root;

	(void)segment;
	(void)place;
	(void)reterr;
	*ret = &z->food;
	return 0;
}

static int open_notes(void *root, const char *segment, const char *place,
		      void **ret, char reterr[static CONF_REASON_LEN])
{
	struct zoo *z = root;

	(void)segment;
	(void)place;
	(void)reterr;
	*ret = &z->notes;
	return 0;
}

static int open_animal(void *root, const char *segment, const char *place,
		       void **ret, char reterr[static CONF_REASON_LEN])
{
	struct zoo *zoo = root;
	struct animal *a;

	for (size_t i = 0; i < zoo->count; i++) {
		if (strcmp(zoo->animals[i].name, segment) == 0) {
			*ret = &zoo->animals[i];
			return 0;
		}
	}
	if (zoo->count == 4) {
		snprintf(reterr, CONF_REASON_LEN, "the cages are full");
		return -EINVAL;
	}
	a = &zoo->animals[zoo->count++];
	snprintf(a->name, sizeof(a->name), "%s", segment);
	snprintf(a->place, sizeof(a->place), "%s", place);
	*ret = a;
	return 0;
}

static const struct conf_section sections[] = {
	{ "city.zoo", zoo_keys, NULL },
	{ "city.zoo.food", food_keys, open_food },
	{ "city.zoo.*", animal_keys, open_animal },
	{ "city.zoo.*", note_keys, open_notes },
	{ 0 },
};

static const char *const claims[] = { "city.zoo", NULL };

/* ---- fixture ---- */

static struct zoo zoo;
static struct conf conf;
static struct conf_error error;
static char dir[64];

static int setup(void **state)
{
	(void)state;
	memset(&zoo, 0, sizeof(zoo));
	memset(&error, 0, sizeof(error));
	conf = (struct conf){ sections, claims, &zoo, NULL, 0 };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	conf_release(zoo_keys, &zoo);
	conf_clear(&conf);
	return zoo.motto || conf.keys ? -1 : 0;
}

static int read_bytes(const char *text, size_t len)
{
	/* a block of its own, so that reading past the end is seen */
	char *copy = malloc(len ? len : 1);
	int err;

	assert_non_null(copy);
	memcpy(copy, text, len);
	err = conf_read_text(&conf, "zoo.conf", copy, len, &error);
	free(copy);
	return err;
}

static int read_text(const char *text)
{
	return read_bytes(text, strlen(text));
}

static void expect_error(const char *text, const char *want)
{
	assert_int_equal(read_text(text), -EINVAL);
	assert_string_equal(error.text, want);
}

static int set(const char *key, const char *value)
{
	return conf_set(&conf, "here", key, value, &error);
}

/* ---- values ---- */

static void every_type_is_read(void **state)
{
	(void)state;
	assert_int_equal(read_text("city.zoo.open = on\n"
				   "city.zoo.motto = be kind\n"
				   "city.zoo.visitors = 4294967295\n"
				   "city.zoo.ignored = whatever\n"
				   "city.zoo.lion.colour = yellow\n"
				   "city.zoo.lion.legs = 4\n"
				   "city.zoo.eel.legs = 0\n"),
			 0);
	assert_true(zoo.open);
	assert_string_equal(zoo.motto, "be kind");
	assert_true(zoo.visitors == UINT32_MAX);
	assert_int_equal(zoo.count, 2);
	assert_string_equal(zoo.animals[0].name, "lion");
	assert_string_equal(zoo.animals[0].place, "zoo.conf:5");
	assert_int_equal(zoo.animals[0].colour, 1);
	assert_int_equal(zoo.animals[0].legs, 4);
	assert_string_equal(zoo.animals[1].name, "eel");
}

static void a_call_takes_any_name(void **state)
{
	(void)state;
	assert_int_equal(read_text("city.zoo.food.lion = zebra\n"
				   "city.zoo.food.Eel = fish\n"),
			 0);
	assert_int_equal(zoo.food.count, 2);
	assert_string_equal(zoo.food.names[0], "lion");
	assert_string_equal(zoo.food.words[0], "zebra");
	assert_string_equal(zoo.food.names[1], "Eel");
	expect_error("city.zoo.food.ape = poison\n",
		     "zoo.conf:1: city.zoo.food.ape: that is no food");
	expect_error("city.zoo.food.lion = zebra\n",
		     "zoo.conf:1: city.zoo.food.lion: set twice; first at "
		     "zoo.conf:1");
}

/* An animal called food. */
static void a_name_goes_before_any_name(void **state)
{
	(void)state;
	assert_int_equal(read_text("city.zoo.food.legs = 3\n"
				   "city.zoo.food.note = lame\n"),
			 0);
	assert_int_equal(zoo.food.count, 0);
	assert_string_equal(zoo.animals[0].name, "food");
	assert_int_equal(zoo.animals[0].legs, 3);
	assert_string_equal(zoo.notes.words[0], "lame");
}

static void sections_share_a_path(void **state)
{
	(void)state;
	assert_int_equal(read_text("city.zoo.lion.legs = 4\n"
				   "city.zoo.lion.note = roars\n"),
			 0);
	assert_int_equal(zoo.count, 1);
	assert_string_equal(zoo.notes.names[0], "note");
	expect_error("city.zoo.lion.nota = x\n",
		     "zoo.conf:1: city.zoo.lion.nota: no such key; allowed: "
		     "colour, legs, note; did you mean "
		     "\"city.zoo.lion.note\"?");
}

static void only_on_and_off_are_boolean(void **state)
{
	static const char *const wrong[] = { "true", "yes", "1",
					     "ON",   "onn", "o" };

	(void)state;
	assert_int_equal(set("city.zoo.open", "on"), 0);
	assert_true(zoo.open);
	conf_clear(&conf);
	assert_int_equal(set("city.zoo.open", "off"), 0);
	assert_false(zoo.open);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		conf_clear(&conf);
		assert_int_equal(set("city.zoo.open", wrong[i]), -EINVAL);
	}
	assert_string_equal(error.text, "here: \"o\" is neither on nor off; "
					"allowed: on, off");
}

static void numbers_are_decimal_and_in_range(void **state)
{
	static const char *const wrong[] = {
		"0",    "4294967296", "99999999999999999999999",
		"-1",   "+1",         "5s",
		"0x10", "1.5",        "",
		" ",    "1 000",      "1e3",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		conf_clear(&conf);
		assert_int_equal(set("city.zoo.visitors", wrong[i]), -EINVAL);
	}
	assert_int_equal(zoo.visitors, 0);
	assert_string_equal(error.text,
			    "here: \"1e3\" is no whole number in range; "
			    "allowed: 1 to 4294967295 (people, without a "
			    "unit)");
	conf_clear(&conf);
	assert_int_equal(set("city.zoo.visitors", "0042"), 0);
	assert_int_equal(zoo.visitors, 42);
}

static void a_wrong_choice_lists_what_is_allowed(void **state)
{
	(void)state;
	expect_error("city.zoo.lion.colour = yelow\n",
		     "zoo.conf:1: city.zoo.lion.colour: \"yelow\" is no "
		     "colour; allowed: grey, yellow, yellowish; did you mean "
		     "\"yellow\"?");
	conf_clear(&conf);
	expect_error("city.zoo.lion.colour = mauve\n",
		     "zoo.conf:1: city.zoo.lion.colour: \"mauve\" is no "
		     "colour; allowed: grey, yellow, yellowish");
}

static void a_check_refuses_with_its_reason(void **state)
{
	(void)state;
	expect_error("city.zoo.motto = damn\n",
		     "zoo.conf:1: city.zoo.motto: not before the children");
	assert_null(zoo.motto);
	expect_error("city.zoo.dragon = 1\n",
		     "zoo.conf:1: city.zoo.dragon: not in this zoo");
}

static void a_section_refuses_with_its_reason(void **state)
{
	(void)state;
	expect_error("city.zoo.a.legs = 1\ncity.zoo.b.legs = 1\n"
		     "city.zoo.c.legs = 1\ncity.zoo.d.legs = 1\n"
		     "city.zoo.e.legs = 1\n",
		     "zoo.conf:5: city.zoo.e.legs: the cages are full");
}

static void control_characters_stay_out_of_errors(void **state)
{
	(void)state;
	expect_error("city.zoo.open = o\x1b[31m\x7f\n",
		     "zoo.conf:1: city.zoo.open: \"o?[31m?\" is neither on "
		     "nor off; allowed: on, off");
}

static void a_long_value_is_cut_in_errors(void **state)
{
	char text[5000] = "city.zoo.open = ";

	(void)state;
	memset(text + 16, 'x', sizeof(text) - 17);
	assert_int_equal(read_text(text), -EINVAL);
	assert_true(strlen(error.text) < 200);
}

/* ---- keys ---- */

static void keys_of_others_are_ignored(void **state)
{
	(void)state;
	assert_int_equal(read_text("city.hall.open = perhaps\n"
				   "city = x\nanything.else = 'y'\n"
				   "city.hall.open = twice\n"
				   "a\\.b.c = d\n"),
			 0);
	assert_int_equal(set("city.hall.open", "on"), -ENOENT);
	assert_string_equal(error.text, "");
}

static void where_all_is_claimed_nothing_is_ignored(void **state)
{
	static const char *const all[] = { "", NULL };

	(void)state;
	conf.claims = all;
	assert_int_equal(set("city.zoo.open", "on"), 0);
	assert_int_equal(set("city.hall.open", "on"), -EINVAL);
	assert_int_equal(set("x", "on"), -EINVAL);
	assert_non_null(strstr(error.text, "no such key"));
}

static void a_near_miss_of_a_claim_is_an_error(void **state)
{
	(void)state;
	expect_error("city.zo.lion.legs = 4\n",
		     "zoo.conf:1: city.zo.lion.legs: no such key; did you "
		     "mean \"city.zoo.lion.legs\"?");
	expect_error("City.Zoo.open = on\n",
		     "zoo.conf:1: City.Zoo.open: no such key; did you mean "
		     "\"city.zoo.open\"?");
	expect_error("ciyt.zoo = on\n",
		     "zoo.conf:1: ciyt.zoo: no such key; did you mean "
		     "\"city.zoo\"?");
}

static void an_unknown_key_is_an_error_with_a_suggestion(void **state)
{
	(void)state;
	expect_error(
		"city.zoo.lion.lges = 4\n",
		"zoo.conf:1: city.zoo.lion.lges: no such key; allowed: "
		"colour, legs, note; did you mean \"city.zoo.lion.legs\"?");
	expect_error("city.zoo.legs = 4\n",
		     "zoo.conf:1: city.zoo.legs: no such key; allowed: open, "
		     "motto, visitors; did you mean "
		     "\"city.zoo.<name>.legs\"?");
	expect_error("city.zoo.elephant = 4\n",
		     "zoo.conf:1: city.zoo.elephant: no such key; allowed: "
		     "open, motto, visitors");
	expect_error("city.zoo = 4\n", "zoo.conf:1: city.zoo: no such key");
}

static void an_unknown_key_opens_no_struct(void **state)
{
	(void)state;
	assert_int_equal(read_text("city.zoo.lion.wings = 4\n"), -EINVAL);
	assert_int_equal(zoo.count, 0);
}

static void a_name_holds_no_dot(void **state)
{
	(void)state;
	expect_error("city.zoo.a.b.legs = 4\n",
		     "zoo.conf:1: city.zoo.a.b.legs: no such key; did you "
		     "mean \"city.zoo.<name>.legs\"?");
	assert_int_equal(read_text("city.zoo..legs = 4\n"), -EINVAL);
	assert_int_equal(read_text("city.zoo.lion. = 4\n"), -EINVAL);
	assert_int_equal(zoo.count, 0);
}

static void a_key_set_twice_names_both_places(void **state)
{
	(void)state;
	expect_error("city.zoo.lion.legs = 4\n\ncity.zoo.lion.legs = 4\n",
		     "zoo.conf:3: city.zoo.lion.legs: set twice; first at "
		     "zoo.conf:1");
}

static void a_key_set_here_and_there_is_set_twice(void **state)
{
	(void)state;
	assert_int_equal(set("city.zoo.open", "on"), 0);
	expect_error("city.zoo.open = on\n",
		     "zoo.conf:1: city.zoo.open: set twice; first at here");
}

static void a_struct_may_be_filled_here_and_there(void **state)
{
	(void)state;
	assert_int_equal(set("city.zoo.lion.legs", "3"), 0);
	assert_int_equal(read_text("city.zoo.lion.colour = grey\n"), 0);
	assert_int_equal(zoo.count, 1);
	assert_int_equal(zoo.animals[0].legs, 3);
	assert_string_equal(zoo.animals[0].place, "here");
}

static void blanks_around_an_inline_value_do_not_count(void **state)
{
	(void)state;
	assert_int_equal(set("city.zoo.motto", " \tbe kind "), 0);
	assert_string_equal(zoo.motto, "be kind");
}

/* ---- the grammar ---- */

static void expect_motto(const char *line, const char *want)
{
	teardown(NULL);
	setup(NULL);
	assert_int_equal(read_text(line), 0);
	assert_string_equal(zoo.motto, want);
}

static void blanks_around_key_and_value_do_not_count(void **state)
{
	(void)state;
	expect_motto("city.zoo.motto=x", "x");
	expect_motto("\t city.zoo.motto \t = \t x y \t \n", "x y");
	expect_motto("city.zoo.motto = x = y\n", "x = y");
}

static void a_comment_ends_a_line(void **state)
{
	(void)state;
	expect_motto("# a\n  # b\n#\ncity.zoo.motto = x # c\n", "x");
	expect_motto("city.zoo.motto = x#c\n", "x");
	expect_motto("#city.zoo.motto = y\ncity.zoo.motto = x\n", "x");
}

static void quotes_keep_what_is_inside(void **state)
{
	(void)state;
	expect_motto("city.zoo.motto = 'x # y ' # c\n", "x # y ");
	expect_motto("city.zoo.motto = ''\n", "");
	expect_motto("city.zoo.motto = x'y'\n", "x'y'");
	expect_motto("city.zoo.motto = \"x\"\n", "\"x\"");
}

static void broken_quotes_are_an_error(void **state)
{
	(void)state;
	expect_error("city.zoo.motto = 'x\ny'\n",
		     "zoo.conf:1: city.zoo.motto: no closing quote on this "
		     "line");
	expect_error("city.zoo.motto = '\n",
		     "zoo.conf:1: city.zoo.motto: no closing quote on this "
		     "line");
	expect_error("city.zoo.motto = 'x'y\n",
		     "zoo.conf:1: city.zoo.motto: text after the closing "
		     "quote");
}

static void lines_end_with_lf_crlf_or_the_file(void **state)
{
	(void)state;
	expect_motto("\r\n\ncity.zoo.motto = x\r\ncity.zoo.open = on\r\n", "x");
	assert_true(zoo.open);
	expect_motto("city.zoo.motto = 'x'\r\n", "x");
	expect_motto("city.zoo.motto = x\r", "x");
	assert_int_equal(read_text(""), 0);
	assert_int_equal(read_text("   "), 0);
}

static void a_byte_order_mark_is_skipped(void **state)
{
	(void)state;
	expect_motto("\xef\xbb\xbf"
		     "city.zoo.motto = x\n",
		     "x");
	assert_int_equal(read_text("\n\xef\xbb\xbf"
				   "city.zoo.open = on\n"),
			 0);
	assert_false(zoo.open);
}

static void lines_of_another_form_are_errors(void **state)
{
	(void)state;
	expect_error("\ncity.zoo.open on\n",
		     "zoo.conf:2: neither \"key = value\" nor a comment");
	expect_error("city.zoo.open # = on\n",
		     "zoo.conf:1: neither \"key = value\" nor a comment");
	expect_error("= on\n", "zoo.conf:1: \"\" is no key: a key is a word "
			       "without blanks, and \"=\" follows it");
	expect_error("city.zoo open = on\n",
		     "zoo.conf:1: \"city.zoo ...\" is no key: a key is a "
		     "word without blanks, and \"=\" follows it");
	/* the equals sign is one of the value's own */
	expect_error("city.zoo.secret d2hhdCBuZXZlciBzaG93cw==\n",
		     "zoo.conf:1: \"city.zoo.secret ...\" is no key: a key is "
		     "a word without blanks, and \"=\" follows it");
	expect_error("city.zoo.open =\n",
		     "zoo.conf:1: city.zoo.open: no value after \"=\"");
	expect_error("city.zoo.open = # on\n",
		     "zoo.conf:1: city.zoo.open: no value after \"=\"");
}

static void a_nul_is_an_error(void **state)
{
	static const char text[] = "city.zoo.open = on\ncity.zoo.motto = a\0b";

	(void)state;
	assert_int_equal(read_bytes(text, sizeof(text) - 1), -EINVAL);
	assert_string_equal(error.text,
			    "zoo.conf:2: a NUL byte: this is no text");
}

/* ---- files ---- */

static char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(path_of(name), "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int setup_files(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/test_conf.XXXXXX");
	if (!mkdtemp(dir) || mkdir(path_of("conf.d"), 0700) != 0)
		return -1;
	return setup(state);
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static int teardown_files(void **state)
{
	if (nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0)
		return -1;
	return teardown(state);
}

static int read_file(const char *name)
{
	return conf_read_file(&conf, path_of(name), &error);
}

static void assert_ends_with(const char *text, const char *end)
{
	assert_true(strlen(text) >= strlen(end));
	assert_string_equal(text + strlen(text) - strlen(end), end);
}

static void a_file_is_read(void **state)
{
	(void)state;
	write_file("a.conf", "city.zoo.open = on\n");
	assert_int_equal(read_file("a.conf"), 0);
	assert_true(zoo.open);
}

static void errors_in_a_file_name_it(void **state)
{
	(void)state;
	write_file("a.conf", "\ncity.zoo.open = x\n");
	assert_int_equal(read_file("a.conf"), -EINVAL);
	assert_ptr_equal(strstr(error.text, path_of("a.conf:2: ")), error.text);
}

static void files_that_cannot_be_read_are_errors(void **state)
{
	(void)state;
	assert_int_equal(read_file("none.conf"), -ENOENT);
	assert_ends_with(error.text, "/none.conf: No such file or directory");
	assert_int_equal(read_file("conf.d"), -EISDIR);
	assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
	assert_int_equal(read_file("fifo"), -EINVAL);
	assert_ends_with(error.text, "/fifo: no regular file");
}

static void a_file_has_a_ceiling(void **state)
{
	FILE *f;

	(void)state;
	write_file("a.conf", "");
	f = fopen(path_of("a.conf"), "w");
	assert_non_null(f);
	for (int i = 0; i < 1024 * 64; i++)
		assert_true(fputs("# 4567890123456\n", f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(read_file("a.conf"), 0);
	f = fopen(path_of("a.conf"), "a");
	assert_non_null(f);
	fputs("\n", f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(read_file("a.conf"), -EFBIG);
	assert_ends_with(error.text, "longer than 1 MiB");
}

static void included_files_are_read_in_place(void **state)
{
	(void)state;
	write_file("a.conf", "city.zoo.open = on\n"
			     "include conf.d/*.conf # all of them\n"
			     "city.zoo.visitors = 3\n");
	write_file("conf.d/2.conf", "city.zoo.eel.legs = 0\n");
	write_file("conf.d/1.conf", "city.zoo.lion.legs = 4\n");
	write_file("conf.d/3.con", "city.zoo.motto = no\n");
	assert_int_equal(read_file("a.conf"), 0);
	assert_int_equal(zoo.visitors, 3);
	assert_int_equal(zoo.count, 2);
	assert_string_equal(zoo.animals[0].name, "lion");
	assert_null(zoo.motto);
}

static void an_included_file_may_be_absolute(void **state)
{
	char text[256];

	(void)state;
	write_file("conf.d/1.conf", "city.zoo.open = on\n");
	snprintf(text, sizeof(text), "\tinclude\t%s\n",
		 path_of("conf.d/1.conf"));
	assert_int_equal(read_text(text), 0);
	assert_true(zoo.open);
}

static void a_pattern_may_match_nothing_but_a_file_must_be(void **state)
{
	(void)state;
	write_file("a.conf", "include conf.d/*.conf\n");
	assert_int_equal(read_file("a.conf"), 0);
	write_file("a.conf", "include conf.d/zoo.conf\n");
	assert_int_equal(read_file("a.conf"), -ENOENT);
	assert_ends_with(error.text, "/conf.d/zoo.conf");
	assert_non_null(strstr(error.text, "a.conf:1: include: no file "));
	write_file("a.conf", "include #\n");
	assert_int_equal(read_file("a.conf"), -EINVAL);
	write_file("a.conf", "include = conf.d/*.conf\n");
	assert_int_equal(read_file("a.conf"), -EINVAL);
	assert_ends_with(error.text,
			 "include is written without =: include <file>");
}

/* A link to itself, as nobody is kept from a folder who is root. */
static void what_cannot_be_looked_into_is_not_left_out(void **state)
{
	static const char *const lines[] = {
		"include loop/*.conf\n",
		"include loop/zoo.conf\n",
		"include */zoo.conf\n",
	};

	(void)state;
	assert_int_equal(symlink("loop", path_of("loop")), 0);
	for (size_t i = 0; i < 2; i++) {
		write_file("a.conf", lines[i]);
		assert_int_equal(read_file("a.conf"), -ELOOP);
		assert_non_null(strstr(error.text, "a.conf:1: include: "));
		assert_ends_with(error.text, strerror(ELOOP));
	}
	write_file("a.conf", lines[2]); /* it is no folder, that is all */
	assert_int_equal(read_file("a.conf"), 0);
	assert_int_equal(unlink(path_of("loop")), 0);
}

static void a_key_in_two_files_is_set_twice(void **state)
{
	(void)state;
	write_file("a.conf", "city.zoo.open = on\ninclude conf.d/*.conf\n");
	write_file("conf.d/1.conf", "city.zoo.open = on\n");
	assert_int_equal(read_file("a.conf"), -EINVAL);
	assert_non_null(strstr(error.text, "/conf.d/1.conf:1: "));
	assert_ends_with(error.text, "/a.conf:1");
}

static void a_file_that_includes_itself_ends(void **state)
{
	(void)state;
	write_file("a.conf", "include a.conf\n");
	assert_int_equal(read_file("a.conf"), -EINVAL);
	assert_ends_with(error.text,
			 "more than 100 files: does one include itself?");
}

static void a_key_may_begin_with_include(void **state)
{
	(void)state;
	assert_int_equal(read_text("include.d = y\nincluded = z\n"), 0);
}

/* ---- nearest ---- */

static void the_nearest_name_is_found(void **state)
{
	static const char *const names[] = { "on_publish", "on_register",
					     "auth_on_register", "hook", NULL };

	(void)state;
	assert_string_equal(conf_nearest("on_pubish", names), "on_publish");
	assert_string_equal(conf_nearest("on_publihs", names), "on_publish");
	assert_string_equal(conf_nearest("On_Register", names), "on_register");
	assert_string_equal(conf_nearest("onregister", names), "on_register");
	assert_string_equal(conf_nearest("auth-on-register", names),
			    "auth_on_register");
	assert_string_equal(conf_nearest("hok", names), "hook");
}

static void what_is_not_near_is_not_suggested(void **state)
{
	static const char *const names[] = { "on_publish", "hook", NULL };
	char longer[200];

	(void)state;
	memset(longer, 'o', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_null(conf_nearest("", names));
	assert_null(conf_nearest("book_a_flight", names));
	assert_null(conf_nearest("ha", names));
	assert_null(conf_nearest(longer, names));
	assert_null(conf_nearest("on_publish", names + 2));
}

#define TEST(f)  cmocka_unit_test_setup_teardown(f, setup, teardown)
#define FILES(f) cmocka_unit_test_setup_teardown(f, setup_files, teardown_files)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_type_is_read),
		TEST(a_call_takes_any_name),
		TEST(a_name_goes_before_any_name),
		TEST(sections_share_a_path),
		TEST(only_on_and_off_are_boolean),
		TEST(numbers_are_decimal_and_in_range),
		TEST(a_wrong_choice_lists_what_is_allowed),
		TEST(a_check_refuses_with_its_reason),
		TEST(a_section_refuses_with_its_reason),
		TEST(control_characters_stay_out_of_errors),
		TEST(a_long_value_is_cut_in_errors),
		TEST(keys_of_others_are_ignored),
		TEST(where_all_is_claimed_nothing_is_ignored),
		TEST(a_near_miss_of_a_claim_is_an_error),
		TEST(an_unknown_key_is_an_error_with_a_suggestion),
		TEST(an_unknown_key_opens_no_struct),
		TEST(a_name_holds_no_dot),
		TEST(a_key_set_twice_names_both_places),
		TEST(a_key_set_here_and_there_is_set_twice),
		TEST(a_struct_may_be_filled_here_and_there),
		TEST(blanks_around_an_inline_value_do_not_count),
		TEST(blanks_around_key_and_value_do_not_count),
		TEST(a_comment_ends_a_line),
		TEST(quotes_keep_what_is_inside),
		TEST(broken_quotes_are_an_error),
		TEST(lines_end_with_lf_crlf_or_the_file),
		TEST(a_byte_order_mark_is_skipped),
		TEST(lines_of_another_form_are_errors),
		TEST(a_nul_is_an_error),
		FILES(a_file_is_read),
		FILES(errors_in_a_file_name_it),
		FILES(files_that_cannot_be_read_are_errors),
		FILES(a_file_has_a_ceiling),
		FILES(included_files_are_read_in_place),
		FILES(an_included_file_may_be_absolute),
		FILES(a_pattern_may_match_nothing_but_a_file_must_be),
		FILES(what_cannot_be_looked_into_is_not_left_out),
		FILES(a_key_in_two_files_is_set_twice),
		FILES(a_file_that_includes_itself_ends),
		TEST(a_key_may_begin_with_include),
		cmocka_unit_test(the_nearest_name_is_found),
		cmocka_unit_test(what_is_not_near_is_not_suggested),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
