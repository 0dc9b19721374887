#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <stddef.h>
#include <cmocka.h>
#include "plugin/redact.h"

static void expect(const char *url, const char *shown, const char *logged)
{
	char *a = redact_url(url), *b = redact_url_and_query(url);

	assert_string_equal(a, shown);
	assert_string_equal(b, logged);
	free(a);
	free(b);
}

static void what_has_no_secret_stays(void **state)
{
	static const char *const urls[] = {
		"",
		"http://h",
		"h",
		"https://h:443/a/b@c",
		"http://[::1]:1/",
		"http+unix:///run/app.sock:/auth",
		"http://h/x?",
		"http://h?",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++)
		expect(urls[i], urls[i], urls[i]);
}

static void users_and_passwords_are_hidden(void **state)
{
	(void)state;
	expect("http://joe:pw@h/", "http://***@h/", "http://***@h/");
	expect("joe:pw@h/", "***@h/", "***@h/");
	expect("http://joe@h/a@b", "http://***@h/a@b", "http://***@h/a@b");
	expect("http://a@b:c@h", "http://***@h", "http://***@h");
	expect("http://joe:pw@h?x=1", "http://***@h?x=1", "http://***@h?x=***");
}

static void a_log_has_the_names_in_a_query_alone(void **state)
{
	(void)state;
	expect("http://h/x?t=s3", "http://h/x?t=s3", "http://h/x?t=***");
	expect("http://h/?a=1&bb=&c=d==&e", "http://h/?a=1&bb=&c=d==&e",
	       "http://h/?a=***&bb=&c=***&***");
	expect("http://h/?s3cret", "http://h/?s3cret", "http://h/?***");
	expect("http://h/?=s3", "http://h/?=s3", "http://h/?=***");
	expect("http://h/?&&a=b&", "http://h/?&&a=b&", "http://h/?&&a=***&");
	expect("http://h/?a=b?c=d", "http://h/?a=b?c=d", "http://h/?a=***");
	expect("http+unix:///s:/a?t=s3", "http+unix:///s:/a?t=s3",
	       "http+unix:///s:/a?t=***");
}

static void a_log_has_no_fragment(void **state)
{
	(void)state;
	expect("http://h/#s3", "http://h/#s3", "http://h/");
	expect("http://h/?a=b#s3", "http://h/?a=b#s3", "http://h/?a=***");
	expect("http://h/?a&#s=3&t", "http://h/?a&#s=3&t", "http://h/?***&");
}

/* One of as many short parameters as there can be. */
static void it_may_grow(void **state)
{
	char url[4096] = "http://h/?a", logged[8192] = "http://h/?***";

	(void)state;
	for (size_t n = 0, at = 11, to = 13; n < 2000; n++) {
		url[at++] = '&';
		url[at++] = 'a';
		for (const char *c = "&***"; *c; c++)
			logged[to++] = *c;
	}
	expect(url, url, logged);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_has_no_secret_stays),
		cmocka_unit_test(users_and_passwords_are_hidden),
		cmocka_unit_test(a_log_has_the_names_in_a_query_alone),
		cmocka_unit_test(a_log_has_no_fragment),
		cmocka_unit_test(it_may_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
