/*
 * test_signature.c - against vectors of others: the first is that of the
 * specification's libraries, the rest was made with OpenSSL through node.
 */
#include <errno.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "plugin/signature.h"

#define ID        "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define TIMESTAMP "1614265330"
#define BODY      "{\"test\": 2432232314}"

#define SECRET_24 "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define V1_24     "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define SECRET_64                                                              \
	"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS" \
	"4vMDEyMzQ1Njc4OTo7PD0+Pw=="
#define V1_64 "v1,LZ5zuwHTqQH3VM8ERUusjzVQq1FXzemvpR8Mk7Ivp5c="

/* RFC 8032 section 7.1, test 1: the seed; the seed and its public key. */
#define SEED "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
#define PAIR                                                                   \
	"whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc" \
	"6DuFy89qmIyWvAhpo9wdRGg=="
#define V1A                                                                    \
	"v1a,fldxM4gAKugP6nnt1hdz3sgGfZ6d99nzrMFnZOELIxbzEHoVmAb2ADpkJK7zgPeP" \
	"mPsle0zV9jSeGlHFG2NVAw=="

static struct signature_keys keys;
static char reason[SIGNATURE_REASON_LEN];

static int setup(void **state)
{
	(void)state;
	memset(&keys, 0, sizeof(keys));
	memset(reason, 0, sizeof(reason));
	return sodium_init() < 0 ? -1 : 0;
}

static int secret(const char *text)
{
	return signature_add_secret(&keys, text, strlen(text), reason);
}

static int signing_key(const char *text)
{
	return signature_add_signing_key(&keys, text, strlen(text), reason);
}

static void expect(const char *want)
{
	char got[SIGNATURE_LEN];

	assert_int_equal(
		signature_make(&keys, ID, TIMESTAMP, BODY, strlen(BODY), got),
		0);
	assert_string_equal(got, want);
}

static void the_vector_of_the_specification(void **state)
{
	(void)state;
	assert_int_equal(secret(SECRET_24), 0);
	expect(V1_24);
}

static void the_longest_secret(void **state)
{
	(void)state;
	assert_int_equal(secret(SECRET_64), 0);
	expect(V1_64);
}

static void a_body_may_be_empty(void **state)
{
	char got[SIGNATURE_LEN];

	(void)state;
	assert_int_equal(secret(SECRET_64), 0);
	assert_int_equal(
		signature_make(&keys, "msg_1", TIMESTAMP, NULL, 0, got), 0);
	assert_string_equal(got,
			    "v1,/yqFgHzQ9TiIjmeBRTMROQ+Fc6EuRHLAHuAdJk1fDYQ=");
}

static void an_ed25519_key_is_a_seed_or_a_pair(void **state)
{
	(void)state;
	assert_int_equal(signing_key(SEED), 0);
	expect(V1A);
	signature_forget(&keys);
	assert_int_equal(signing_key(PAIR), 0);
	expect(V1A);
}

static void each_key_gives_a_signature(void **state)
{
	(void)state;
	assert_int_equal(secret(SECRET_64), 0);
	assert_int_equal(secret(SECRET_24), 0);
	assert_int_equal(signing_key(SEED), 0);
	expect(V1_64 " " V1_24 " " V1A);
}

static void there_is_room_for_the_longest(void **state)
{
	char got[SIGNATURE_LEN];

	(void)state;
	for (int i = 0; i < SIGNATURE_KEYS_MAX; i++)
		assert_int_equal(signing_key(SEED), 0);
	assert_int_equal(
		signature_make(&keys, ID, TIMESTAMP, BODY, strlen(BODY), got),
		0);
	assert_int_equal(strlen(got), 8 * strlen(V1A) + 7);
	assert_int_equal(signing_key(SEED), -EINVAL);
	assert_int_equal(secret(SECRET_24), -EINVAL);
	assert_string_equal(reason, "more than 8 keys");
	assert_int_equal(keys.count, SIGNATURE_KEYS_MAX);
}

/* It stays as it was, and no text repeats it. */
static void what_is_no_secret_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"whsec_",
		"whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=", /* 23 bytes */
		"whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH"
		"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=", /* 65 */
		"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		"whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		"WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", /* cut */
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS-",
		"whsec_MfKQ9r8GKYqrTwjU PD8ILPZIo2LaLaSw",
	};
	static const struct signature_keys none;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(secret(bad[i]), -EINVAL);
		assert_null(strstr(reason, "MfKQ"));
		assert_memory_equal(&keys, &none, sizeof(keys));
	}
}

static void what_is_no_signing_key_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"whsk_",
		SECRET_24,
		"nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=",
		"whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
		"whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJyg=",
		/* the public key of another seed */
		"whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL"
		"/tPJZAc6DuFy89qmIyWvAhpo9wdRGQ==",
	};
	static const struct signature_keys none;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(signing_key(bad[i]), -EINVAL);
		assert_memory_equal(&keys, &none, sizeof(keys));
	}
}

static void forgotten_keys_are_gone(void **state)
{
	static const struct signature_keys none;

	(void)state;
	assert_int_equal(secret(SECRET_24), 0);
	signature_forget(&keys);
	assert_memory_equal(&keys, &none, sizeof(keys));
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_vector_of_the_specification),
		TEST(the_longest_secret),
		TEST(a_body_may_be_empty),
		TEST(an_ed25519_key_is_a_seed_or_a_pair),
		TEST(each_key_gives_a_signature),
		TEST(there_is_room_for_the_longest),
		TEST(what_is_no_secret_is_refused),
		TEST(what_is_no_signing_key_is_refused),
		TEST(forgotten_keys_are_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
