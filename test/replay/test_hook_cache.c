/*
 * test_hook_cache.c - the core again: what is kept of answers, for how long,
 * for whom, and what ends it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "plugin/broker.h"
#include "plugin/hook/hook.h"
#include "plugin/settings/settings.h"
#include "test/replay/fake_pool.h"
#include "test/replay/stage.h"

#define SWR  "max-age=10, stale-while-revalidate=20"
#define SIE  "max-age=10, stale-if-error=60"
#define BOTH "max-age=10, stale-while-revalidate=20, stale-if-error=60"

#define SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* ---- the stage ---- */

/* One webhook, with one setting more if there is a key. */
static struct hooks *one(const char *hook, const char *key, const char *value)
{
	const struct settings_opt opts[] = {
		HOOK("a", hook, "http://one/"),
		{ key, value },
	};

	return hooks_of(opts, key ? 3 : 2);
}

static struct hooks *publishes(void)
{
	return one("auth_on_publish", NULL, NULL);
}

static struct hooks *logins(void)
{
	return one("auth_on_register", NULL, NULL);
}

static struct hooks *refusing_logins(void)
{
	return one("auth_on_register", "vmq_webhooks.a.cache_refusals", "on");
}

static struct cache_group *counts(struct hooks *hooks)
{
	for (int h = 0; h < HOOK_COUNT; h++) {
		if (hooks_settings_now(hooks)->chained[h])
			return &stats_of(hooks, h, 0)->cache;
	}
	return NULL;
}

static void pass(int64_t seconds)
{
	broker.now_us += seconds * SECOND;
}

/* A question that is kept with this Cache-Control. */
static void keep(struct hooks *hooks, const struct event *ev,
		 const char *cache_control)
{
	unsigned before = fake_calls_count;

	fake_pool_will_answer(200, OK, cache_control);
	assert_int_equal(callback(hooks, ev, DECISION_OK), 0);
	assert_int_equal(fake_calls_count, before + 1);
}

/* Answered without a call. */
static void hit(struct hooks *hooks, const struct event *ev,
		enum decision expected)
{
	unsigned before = fake_calls_count;

	callback(hooks, ev, expected);
	assert_int_equal(fake_calls_count, before);
}

/* Asked, with this outcome of the call; and with that for whoever asked. */
static void asked(struct hooks *hooks, const struct event *ev, long status,
		  const char *body, enum decision expected)
{
	unsigned before = fake_calls_count;

	fake_pool_will_answer(status, body, NULL);
	callback(hooks, ev, expected);
	assert_int_equal(fake_calls_count, before + 1);
}

static void is_asked(struct hooks *hooks, const struct event *ev)
{
	asked(hooks, ev, 200, OK, DECISION_OK);
}

/* Kept and now past its life: the question that is answered from it begins
 * the refresh, which is the last call. */
static unsigned begin_refresh(struct hooks *hooks, const struct event *ev,
			      const char *cache_control)
{
	unsigned n;

	keep(hooks, ev, cache_control);
	pass(10);
	n = fake_calls_count;
	assert_int_equal(callback(hooks, ev, DECISION_OK), 0);
	assert_int_equal(fake_calls_count, n + 1);
	assert_int_equal(fake_calls[n].kind, POOL_ASK);
	return n;
}

static struct hooks_selection everything(void)
{
	return (struct hooks_selection){ .hook = HOOK_COUNT };
}

/* ---- what is kept, and until when ---- */

static void each_directive_has_its_life(void **state)
{
	static const struct {
		const char *cache_control;
		uint64_t age_s;
		int64_t seconds; /* 0: not kept */
	} cases[] = {
		{ "max-age=10", 0, 10 },
		{ "MAX-AGE=10", 0, 10 },
		{ "max-age=\"10\"", 0, 10 },
		{ "private, must-revalidate, max-age=10", 0, 10 },
		{ "s-maxage=99, max-age=10, immutable", 0, 10 },
		{ "foo=\"a, max-age=99\", max-age=10", 0, 10 },
		{ "max-age=10, max-age=10", 0, 10 },
		/* several headers, as the pool joins them */
		{ "public,max-age=10", 0, 10 },
		{ "max-age=10", 4, 6 },
		{ "max-age=10", 9, 1 },
		{ "max-age=10", 10, 0 },
		{ "max-age=10", UINT64_MAX, 0 },
		{ NULL, 0, 0 },
		{ "", 0, 0 },
		{ "public", 0, 0 },
		{ "s-maxage=10", 0, 0 },
		{ "max-age=0", 0, 0 },
		{ "max-age=10, no-store", 0, 0 },
		{ "No-Store, max-age=10", 0, 0 },
		{ "no-cache,max-age=10", 0, 0 },
		{ "no-cache=\"x\",max-age=10", 0, 0 },
		{ "max-age=10, max-age=20", 0, 0 },
		{ "max-age=10x", 0, 0 },
		{ "max-age", 0, 0 },
		{ "max-age=-1", 0, 0 },
		{ "stale-while-revalidate=10", 0, 0 },
		{ "stale-if-error=10", 0, 0 },
		{ "max-age=99999999999", 0, (int64_t)30 * 24 * 3600 },
	};
	struct event ev = publish_to("t");

	(void)state;
	for (size_t i = 0; i < SIZE(cases); i++) {
		struct hooks *hooks = publishes();

		fake_pool_age(cases[i].age_s);
		keep(hooks, &ev, cases[i].cache_control);
		assert_int_equal(counts(hooks)->entries, !!cases[i].seconds);
		if (cases[i].seconds) {
			broker.now_us += cases[i].seconds * SECOND - MS;
			hit(hooks, &ev, DECISION_OK);
			broker.now_us += MS;
		}
		is_asked(hooks, &ev);
		finish(hooks);
	}
}

static void a_life_begins_anew_with_each_answer(void **state)
{
	struct hooks *hooks = publishes();
	struct event ev = publish_to("t");

	(void)state;
	keep(hooks, &ev, "max-age=10");
	pass(9);
	hit(hooks, &ev, DECISION_OK); /* which prolongs nothing */
	pass(1);
	keep(hooks, &ev, "max-age=3");
	pass(2);
	hit(hooks, &ev, DECISION_OK);
	pass(1);
	is_asked(hooks, &ev);
	finish(hooks);
}

/* RFC 9111 section 4.2.3: what the answer took is part of its age, but not
 * what it took to send the question. */
static void a_life_begins_when_the_question_goes_out(void **state)
{
	struct event ev = login_of("c");

	(void)state;
	for (int waits = 0; waits < 2; waits++) {
		struct pool_times times = { .total_us = 3 * SECOND };
		struct hooks *hooks = logins();

		if (waits) {
			times.queue_us = SECOND;
			times.connect_us = SECOND / 2;
		}
		fake_pool_times(times);
		ask_later(hooks, &ev);
		pass(3);
		fake_pool_answer(0, 200, OK, "max-age=4");
		assert_int_equal(broker.completed, 1);
		broker.now_us += waits ? 2499 * MS : 999 * MS;
		hit(hooks, &ev, DECISION_OK);
		broker.now_us += MS;
		ask_later(hooks, &ev);
		assert_int_equal(fake_calls_count, 2);
		/* over before it came */
		pass(3);
		fake_pool_answer(1, 200, OK, "max-age=1");
		assert_int_equal(counts(hooks)->entries, 0);
		finish(hooks);
	}
}

static void jitter_shortens_and_never_prolongs(void **state)
{
	struct hooks *hooks =
		one("auth_on_publish", "vmq_webhooks.cache_jitter", "50");
	char topic[20];
	unsigned at_half = 0, before;

	(void)state;
	for (int i = 0; i < 20; i++) {
		struct event ev;

		snprintf(topic, sizeof(topic), "t%d", i);
		ev = publish_to(topic);
		keep(hooks, &ev, "max-age=100");
	}
	for (int later = 0; later < 2; later++) {
		pass(later == 0 ? 49 : 26);
		before = fake_calls_count;
		for (int i = 0; i < 20; i++) {
			struct event ev;

			snprintf(topic, sizeof(topic), "t%d", i);
			ev = publish_to(topic);
			fake_pool_will_answer(200, OK, NULL);
			callback(hooks, &ev, DECISION_OK);
		}
		if (later == 0)
			assert_int_equal(fake_calls_count, before);
		if (later == 1)
			at_half = fake_calls_count - before;
	}
	/* they do not end together: the odds of that are one to 2^19 */
	assert_in_range(at_half, 1, 19);
	finish(hooks);
}

static void what_is_over_is_swept_without_being_asked_for(void **state)
{
	struct hooks *hooks = publishes();
	struct event ev = publish_to("t");

	(void)state;
	keep(hooks, &ev, "max-age=10");
	hooks_tick(hooks);
	assert_int_equal(counts(hooks)->entries, 1);
	pass(10);
	hooks_tick(hooks);
	assert_int_equal(counts(hooks)->entries, 0);
	assert_int_equal(counts(hooks)->bytes, 0);
	assert_int_equal(counts(hooks)->expired, 1);
	finish(hooks);
}

/* ---- stale-while-revalidate ---- */

static void stale_is_given_at_once_and_refreshed_once(void **state)
{
	struct hooks *hooks = publishes();
	struct event ev = publish_to("t");
	unsigned n = begin_refresh(hooks, &ev, SWR);

	(void)state;
	assert_string_equal(fake_calls[n].hook, "auth_on_publish");
	assert_int_equal(stats_of(hooks, HOOK_AUTH_ON_PUBLISH, 0)->held_calls,
			 1); /* that of keep() */
	for (int i = 0; i < 5; i++)
		hit(hooks, &ev, DECISION_OK);
	assert_int_equal(counts(hooks)->stale, 6);
	assert_int_equal(counts(hooks)->hits, 6);
	assert_int_equal(counts(hooks)->stale_if_error, 0);
	fake_pool_answer(n, 200, OK, SWR);
	assert_int_equal(broker.completed, 0);
	assert_int_equal(counts(hooks)->entries, 1);
	/* fresh for ten seconds again, and stale for twenty more */
	broker.now_us += 10 * SECOND - MS;
	hit(hooks, &ev, DECISION_OK);
	assert_int_equal(counts(hooks)->stale, 6);
	broker.now_us += MS;
	callback(hooks, &ev, DECISION_OK);
	assert_int_equal(fake_calls_count, n + 2);
	finish(hooks);
}

static void the_stale_phase_ends_exactly(void **state)
{
	struct hooks *hooks = publishes();
	struct event ev = publish_to("t");

	(void)state;
	begin_refresh(hooks, &ev, SWR);
	broker.now_us += 20 * SECOND - MS;
	hit(hooks, &ev, DECISION_OK);
	broker.now_us += MS;
	is_asked(hooks, &ev);
	finish(hooks);
}

static void without_the_endpoints_word_nothing_is_stale(void **state)
{
	static const char *const words[] = {
		"max-age=10",
		"max-age=10, must-revalidate, stale-while-revalidate=20, "
		"stale-if-error=20",
		"max-age=10, stale-while-revalidate=x, stale-if-error=x",
	};
	struct event ev = publish_to("t");

	(void)state;
	for (size_t i = 0; i < SIZE(words); i++) {
		struct hooks *hooks = publishes();

		keep(hooks, &ev, words[i]);
		pass(10);
		asked(hooks, &ev, 503, "", DECISION_DENY);
		asked(hooks, &ev, 200, DENY, DECISION_DENY);
		assert_int_equal(counts(hooks)->stale, 0);
		assert_int_equal(counts(hooks)->stale_if_error, 0);
		finish(hooks);
	}
}

static void a_refresh_can_change_the_answer(void **state)
{
	struct hooks *hooks = publishes();
	struct event ev = publish_to("t");
	const struct verdict *v;

	(void)state;
	fake_pool_answer(begin_refresh(hooks, &ev, SWR), 200,
			 "{\"result\":\"ok\",\"modifiers\":{\"topic\":\"n\"}}",
			 "max-age=5");
	assert_int_equal(hook_ask(hooks, &ev, false, &v, NULL), HOOK_DONE);
	assert_true(verdict_has(v, MODIFIER_TOPIC));
	verdict_unref(v);
	pass(5);
	is_asked(hooks, &ev); /* with the new words, which grant nothing */
	finish(hooks);
}

/* With or without a grant for failures: these are answers. */
static void a_refresh_that_is_not_ok_removes_at_once(void **state)
{
	static const struct {
		long status;
		const char *body, *cache_control;
	} ends[] = {
		{ 200, DENY, SWR },
		{ 200, NEXT, SWR },
		{ 200, OK, NULL },
		{ 200, OK, "max-age=0" },
		{ 200, OK, "no-store, " SWR },
		{ 200, "{}", SWR },
		{ 200, "nonsense", SWR },
		{ 200, "{\"result\":\"ok\",\"modifiers\":{\"no\":1}}", SWR },
		{ 400, OK, SWR },
		{ 404, "", SWR },
		{ 204, "", SWR },
		{ 302, OK, SWR },
	};
	struct event ev = publish_to("t");

	(void)state;
	for (size_t i = 0; i < 2 * SIZE(ends); i++) {
		const char *words = i % 2 ? SWR : BOTH;
		struct hooks *hooks = publishes();
		unsigned n = begin_refresh(hooks, &ev, words);

		fake_pool_answer(n, ends[i / 2].status, ends[i / 2].body,
				 ends[i / 2].cache_control);
		assert_int_equal(counts(hooks)->entries, 0);
		/* nor is it there for a failure */
		asked(hooks, &ev, 500, "", DECISION_DENY);
		is_asked(hooks, &ev);
		assert_int_equal(counts(hooks)->stale_if_error, 0);
		finish(hooks);
	}
}

enum failing {
	BY_500,
	BY_429,
	BY_TIMEOUT,
	BY_CONNECTION,
	BY_BREAKER,
	FAILINGS
};

static void fail_call(unsigned n, enum failing how)
{
	switch (how) {
	case BY_500:
		fake_pool_answer(n, 500, OK, "max-age=99");
		break;
	case BY_429:
		fake_pool_answer(n, 429, OK, "max-age=99");
		break;
	case BY_TIMEOUT:
		fake_pool_fail(n, -ETIMEDOUT);
		break;
	case BY_CONNECTION:
		fake_pool_fail(n, -ECONNREFUSED);
		break;
	default:
		fake_pool_fail(n, -EHOSTDOWN);
	}
}

static void a_refresh_without_an_answer_removes(void **state)
{
	struct event ev = publish_to("t");

	(void)state;
	for (enum failing how = 0; how < FAILINGS; how++) {
		struct hooks *hooks = publishes();

		fail_call(begin_refresh(hooks, &ev, SWR), how);
		assert_int_equal(counts(hooks)->entries, 0);
		asked(hooks, &ev, 500, "", DECISION_DENY);
		is_asked(hooks, &ev);
		finish(hooks);
	}
}

static void a_refresh_without_an_answer_leaves_it_to_failures(void **state)
{
	struct event ev = publish_to("t");

	(void)state;
	for (enum failing how = 0; how < FAILINGS; how++) {
		struct hooks *hooks = publishes();

		fail_call(begin_refresh(hooks, &ev, BOTH), how);
		assert_int_equal(counts(hooks)->entries, 1);
		assert_int_equal(counts(hooks)->stale_if_error, 0);
		/* not stale for anybody: it is asked, and serves if in vain */
		asked(hooks, &ev, 503, "", DECISION_OK);
		assert_int_equal(counts(hooks)->stale_if_error, 1);
		/* until the endpoint is there again */
		asked(hooks, &ev, 200, DENY, DECISION_DENY);
		assert_int_equal(counts(hooks)->entries, 0);
		finish(hooks);
	}
}

static void a_refresh_that_cannot_be_sent_has_failed(void **state)
{
	static const int errors[] = { -EBUSY, -ENOMEM, -ESHUTDOWN };
	struct event ev = publish_to("t");

	(void)state;
	for (size_t i = 0; i < 2 * SIZE(errors); i++) {
		struct hooks *hooks = publishes();

		keep(hooks, &ev, i % 2 ? SWR : BOTH);
		pass(10);
		fake_pool_refuse_next(errors[i / 2]);
		hit(hooks, &ev, DECISION_OK); /* this one has it already */
		assert_int_equal(counts(hooks)->entries, i % 2 ? 0 : 1);
		is_asked(hooks, &ev);
		finish(hooks);
	}
}

static void a_refresh_may_be_late_for_its_own_entry(void **state)
{
	struct hooks *hooks = publishes();
	struct event ev = publish_to("t");
	unsigned n = begin_refresh(hooks, &ev, SWR);

	(void)state;
	pass(20); /* it is gone; and that is how old the answer is */
	fake_pool_answer(n, 200, OK, "max-age=30, stale-while-revalidate=20");
	hit(hooks, &ev, DECISION_OK);
	/* and a failure of that kind does no harm */
	pass(10);
	callback(hooks, &ev, DECISION_OK);
	pass(20);
	fake_pool_fail(n + 1, -ETIMEDOUT);
	is_asked(hooks, &ev);
	finish(hooks);
}

static void logins_are_refreshed_too(void **state)
{
	struct hooks *hooks = logins();
	struct event ev = login_of("c");
	const struct verdict *v;

	(void)state;
	ask_later(hooks, &ev);
	fake_pool_answer(0, 200, OK, SWR);
	assert_int_equal(broker.completed, 1);
	pass(10);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(hook_ask(hooks, &ev, true, &v, NULL),
				 HOOK_DONE);
		assert_int_equal(v->decision, DECISION_OK);
		verdict_unref(v);
	}
	assert_int_equal(fake_calls_count, 2);
	fake_pool_answer(1, 200, DENY, NULL);
	assert_int_equal(broker.completed, 1); /* nobody waited for that */
	ask_later(hooks, &ev);
	finish(hooks);
}

/* ---- stale-if-error ---- */

static void a_failure_is_softened(void **state)
{
	struct event ev = publish_to("t");

	(void)state;
	for (enum failing how = 0; how < FAILINGS; how++) {
		static const long status[] = { 500, 429 };
		struct hooks *hooks = publishes();

		keep(hooks, &ev, SIE);
		pass(10);
		switch (how) {
		case BY_500:
		case BY_429:
			asked(hooks, &ev, status[how], "", DECISION_OK);
			break;
		case BY_TIMEOUT: /* given up: nothing is there to wait for */
			assert_int_equal(callback(hooks, &ev, DECISION_OK), 0);
			assert_int_equal(fake_calls_count, 2);
			break;
		case BY_CONNECTION: /* the queue is full */
			fake_pool_refuse_next(-EBUSY);
			hit(hooks, &ev, DECISION_OK);
			break;
		default:
			fake_pool_looks(POOL_LOOK_OPEN);
			hit(hooks, &ev, DECISION_OK);
		}
		assert_int_equal(counts(hooks)->stale_if_error, 1);
		assert_int_equal(counts(hooks)->hits, 0);
		assert_int_equal(counts(hooks)->stale, 0);
		assert_int_equal(counts(hooks)->misses, 2);
		finish(hooks);
	}
}

static void a_delayed_failure_is_softened(void **state)
{
	struct event ev = login_of("c");

	(void)state;
	for (enum failing how = 0; how < FAILINGS; how++) {
		struct hooks *hooks = logins();

		ask_later(hooks, &ev);
		fake_pool_answer(0, 200, OK, SIE);
		pass(10);
		ask_later(hooks, &ev);
		fail_call(1, how);
		assert_int_equal(broker.completed, 2);
		assert_int_equal(broker.decision, DECISION_OK);
		assert_int_equal(counts(hooks)->stale_if_error, 1);
		finish(hooks);
	}
}

static void the_given_up_and_the_unasked_are_softened(void **state)
{
	struct hooks *hooks = publishes();
	struct event ev = publish_to("t");

	(void)state;
	keep(hooks, &ev, SIE);
	pass(10);
	fake_pool_takes(10 * (int64_t)SECOND);
	assert_int_equal(callback(hooks, &ev, DECISION_OK), 500 * MS);
	assert_int_equal(fake_calls_count, 2);
	/* the budget is used up */
	hit(hooks, &ev, DECISION_OK);
	assert_int_equal(stats_of(hooks, HOOK_AUTH_ON_PUBLISH, 0)->unasked, 1);
	assert_int_equal(counts(hooks)->stale_if_error, 2);
	/* a probe is nobody's */
	fake_pool_looks(POOL_LOOK_PROBE);
	callback(hooks, &ev, DECISION_OK);
	assert_int_equal(fake_calls[2].kind, POOL_ASIDE);
	fake_pool_answer(2, 200, OK, "max-age=10");
	hit(hooks, &ev, DECISION_OK);
	assert_int_equal(counts(hooks)->hits, 1);
	finish(hooks);
}

static void it_serves_for_so_long_and_no_longer(void **state)
{
	struct hooks *hooks = publishes();
	struct event ev = publish_to("t");

	(void)state;
	keep(hooks, &ev, SIE);
	broker.now_us += 70 * SECOND - MS;
	asked(hooks, &ev, 500, "", DECISION_OK);
	broker.now_us += MS;
	asked(hooks, &ev, 500, "", DECISION_DENY);
	assert_int_equal(counts(hooks)->stale_if_error, 1);
	finish(hooks);
}

/* It is an answer's stand-in: what the operator chose comes after it. */
static void it_comes_before_on_error(void **state)
{
	static const char *const choices[] = { "deny", "next", "allow" };
	struct event ev = publish_to("t");

	(void)state;
	for (size_t i = 0; i < SIZE(choices); i++) {
		struct hooks *hooks =
			one("auth_on_publish", "vmq_webhooks.a.on_error",
			    choices[i]);

		keep(hooks, &ev, SIE);
		pass(10);
		asked(hooks, &ev, 500, "", DECISION_OK);
		assert_int_equal(stats_of(hooks, HOOK_AUTH_ON_PUBLISH, 0)
					 ->allowed_on_error,
				 0);
		finish(hooks);
	}
}

static void an_answer_is_not_softened(void **state)
{
	static const struct {
		long status;
		const char *body;
	} answers[] = {
		{ 200, DENY }, { 200, "" }, { 200, "{}" }, { 404, OK },
		{ 401, OK },   { 302, OK }, { 204, "" },   { 200, "{" },
	};
	struct event ev = publish_to("t");

	(void)state;
	for (size_t i = 0; i < SIZE(answers); i++) {
		struct hooks *hooks = publishes();

		keep(hooks, &ev, SIE);
		pass(10);
		asked(hooks, &ev, answers[i].status, answers[i].body,
		      DECISION_DENY);
		/* and a failure after it revives nothing */
		asked(hooks, &ev, 500, "", DECISION_DENY);
		assert_int_equal(counts(hooks)->stale_if_error, 0);
		assert_int_equal(counts(hooks)->entries, 0);
		finish(hooks);
	}
}

static void our_own_trouble_is_no_failure_of_the_endpoint(void **state)
{
	struct hooks *hooks = publishes();
	struct event ev = publish_to("t");

	(void)state;
	keep(hooks, &ev, SIE);
	pass(10);
	fake_pool_refuse_next(-ENOMEM);
	hit(hooks, &ev, DECISION_DENY);
	assert_int_equal(counts(hooks)->stale_if_error, 0);
	finish(hooks);
}

static void a_clear_takes_what_is_kept_for_failures(void **state)
{
	struct hooks *hooks = publishes();
	struct event ev = publish_to("t");

	(void)state;
	keep(hooks, &ev, SIE);
	pass(10);
	assert_int_equal(clear_all(hooks), 1);
	asked(hooks, &ev, 500, "", DECISION_DENY);
	/* nor does one under way when it is cleared */
	keep(hooks, &ev, SIE);
	pass(10);
	fake_pool_takes(10 * (int64_t)SECOND);
	callback(hooks, &ev, DECISION_OK);
	clear_all(hooks);
	pass(5);
	fake_pool_takes(0);
	asked(hooks, &ev, 500, "", DECISION_DENY);
	finish(hooks);
}

static void a_cleared_login_is_not_softened_afterwards(void **state)
{
	struct hooks *hooks = logins();
	struct event ev = login_of("c");

	(void)state;
	ask_later(hooks, &ev);
	fake_pool_answer(0, 200, OK, SIE);
	pass(10);
	ask_later(hooks, &ev);
	clear_all(hooks);
	fake_pool_fail(1, -ETIMEDOUT);
	assert_int_equal(broker.completed, 2);
	assert_int_equal(broker.decision, DECISION_DENY);
	finish(hooks);
}

static void another_question_is_not_softened_by_it(void **state)
{
	struct hooks *hooks = publishes();
	struct event ev = publish_to("t"), other = publish_to("u");

	(void)state;
	keep(hooks, &ev, SIE);
	pass(10);
	asked(hooks, &other, 500, "", DECISION_DENY);
	finish(hooks);
}

/* ---- chains ---- */

static void each_endpoint_of_a_chain_keeps_its_own(void **state)
{
	const struct settings_opt opts[] = {
		HOOK("a", "auth_on_publish", "http://one/"),
		HOOK("b", "auth_on_publish", "http://two/"),
	};
	struct hooks *hooks = hooks_of(opts, 4);
	struct event ev = publish_to("t");

	(void)state;
	fake_pool_will_answer(200, NEXT, "max-age=10");
	fake_pool_will_answer(200, OK, BOTH);
	callback(hooks, &ev, DECISION_OK);
	assert_int_equal(fake_calls_count, 2);
	/* next is never kept: the first is asked each time */
	asked(hooks, &ev, 200, NEXT, DECISION_OK);
	assert_string_equal(fake_calls[2].endpoint, "http://one/");
	pass(10);
	/* the second's refresh is under way, once */
	fake_pool_will_answer(200, NEXT, NULL);
	callback(hooks, &ev, DECISION_OK);
	assert_int_equal(fake_calls_count, 5);
	assert_string_equal(fake_calls[4].endpoint, "http://two/");
	asked(hooks, &ev, 200, NEXT, DECISION_OK);
	/* the first's failure is not softened by the second's answer */
	asked(hooks, &ev, 500, "", DECISION_DENY);
	finish(hooks);
}

/* ---- generations ---- */

struct change {
	const char *name;
	bool concerns; /* the client "c" of user "u" at http://one/ */
	struct hooks_selection selection;
};

static const struct change clears[] = {
	{ "all", true, { .hook = HOOK_COUNT } },
	{ "hook", true, { .hook = HOOK_AUTH_ON_REGISTER } },
	{ "endpoint", true, { HOOK_COUNT, "http://one/", NULL, NULL } },
	{ "client", true, { HOOK_COUNT, NULL, "c", NULL } },
	{ "user", true, { HOOK_COUNT, NULL, NULL, "u" } },
	{ "each", true, { HOOK_AUTH_ON_REGISTER, "http://one/", "c", "u" } },
	{ "other hook", false, { .hook = HOOK_AUTH_ON_PUBLISH } },
	{ "other endpoint", false, { HOOK_COUNT, "http://one", NULL, NULL } },
	{ "other client", false, { HOOK_COUNT, NULL, "C", NULL } },
	{ "other user", false, { HOOK_COUNT, NULL, NULL, "c" } },
	{ "one of both", false, { HOOK_COUNT, NULL, "c", "v" } },
	{ "none", false, { HOOK_COUNT, NULL, "", NULL } },
};

static void a_clear_takes_what_it_selects(void **state)
{
	struct event ev = login_of("c");

	(void)state;
	for (size_t i = 0; i < SIZE(clears); i++) {
		struct hooks *hooks = logins();

		keep(hooks, &ev, BOTH);
		assert_int_equal(hooks_cache_clear(hooks, &clears[i].selection),
				 clears[i].concerns);
		if (clears[i].concerns)
			is_asked(hooks, &ev);
		else
			hit(hooks, &ev, DECISION_OK);
		finish(hooks);
	}
}

/* A login of which something was kept before: until then the cache goes by
 * the hook and endpoint of no clear, but takes each as concerning it. */
static struct hooks *known_logins(void)
{
	struct hooks *hooks = logins();
	struct event ev = login_of("known");

	ev.username = bytes_of("known");
	keep(hooks, &ev, "max-age=1");
	return hooks;
}

static void what_was_asked_before_a_clear_is_not_kept(void **state)
{
	struct event ev = login_of("c");

	(void)state;
	for (size_t i = 0; i < SIZE(clears); i++) {
		struct hooks *hooks = known_logins();
		bool concerns = clears[i].concerns;

		ask_later(hooks, &ev);
		hooks_cache_clear(hooks, &clears[i].selection);
		fake_pool_answer(1, 200, OK, BOTH);
		assert_int_equal(broker.decision, DECISION_OK);
		assert_int_equal(counts(hooks)->stores, concerns ? 1 : 2);
		assert_int_equal(counts(hooks)->late, concerns);
		if (concerns)
			is_asked(hooks, &ev);
		else
			hit(hooks, &ev, DECISION_OK);
		finish(hooks);
	}
}

static void what_was_asked_before_a_clear_is_not_shared(void **state)
{
	struct event ev = login_of("c");

	(void)state;
	for (size_t i = 0; i < SIZE(clears); i++) {
		struct hooks *hooks = known_logins();

		ask_later(hooks, &ev);
		hooks_cache_clear(hooks, &clears[i].selection);
		ask_later(hooks, &ev);
		assert_int_equal(fake_calls_count, clears[i].concerns ? 3 : 2);
		finish(hooks);
	}
}

/* Each answers those who asked it, and only the newer one is kept. */
static void calls_before_and_after_a_clear_do_not_mix(void **state)
{
	struct event ev = login_of("c");

	(void)state;
	for (unsigned older_first = 0; older_first < 2; older_first++) {
		struct hooks *hooks = logins();

		ask_later(hooks, &ev);
		ask_later(hooks, &ev);
		clear_all(hooks);
		ask_later(hooks, &ev);
		ask_later(hooks, &ev);
		assert_int_equal(fake_calls_count, 2);
		if (older_first) {
			fake_pool_answer(0, 200, OK, "max-age=10");
			assert_int_equal(broker.voided, 2);
			assert_int_equal(broker.completed, 0);
		}
		fake_pool_answer(1, 200, DENY, NULL);
		assert_int_equal(broker.completed, 1);
		assert_int_equal(broker.decision, DECISION_DENY);
		fake_pool_answer(0, 200, OK, "max-age=10");
		assert_int_equal(broker.completed, 1);
		assert_int_equal(broker.voided, 3);
		assert_int_equal(counts(hooks)->entries, 0);
		finish(hooks);
	}
}

static void a_refresh_from_before_a_clear_is_not_kept(void **state)
{
	struct event ev = publish_to("t");

	(void)state;
	for (int again = 0; again < 2; again++) {
		struct hooks *hooks = publishes();
		unsigned n = begin_refresh(hooks, &ev, BOTH);

		clear_all(hooks);
		if (again) /* there is a newer one, which stays */
			keep(hooks, &ev, "max-age=1");
		fake_pool_answer(n, 200, OK, "max-age=99");
		assert_int_equal(counts(hooks)->late, again ? 0 : 1);
		pass(1);
		is_asked(hooks, &ev);
		finish(hooks);
	}
}

/* However it ends: the newer one is refreshed by one call, and served
 * meanwhile. */
static void a_refresh_from_before_a_clear_spoils_nothing_newer(void **state)
{
	struct event ev = publish_to("t");

	(void)state;
	for (int fails = 0; fails < 2; fails++) {
		struct hooks *hooks = publishes();
		unsigned n = begin_refresh(hooks, &ev, SWR);

		clear_all(hooks);
		assert_int_equal(begin_refresh(hooks, &ev, SWR), n + 2);
		if (fails)
			fake_pool_fail(n, -EIO);
		else
			fake_pool_answer(n, 200, OK, "max-age=99");
		hit(hooks, &ev, DECISION_OK);
		fake_pool_answer(n + 2, 200, OK, SWR);
		pass(9);
		hit(hooks, &ev, DECISION_OK);
		finish(hooks);
	}
}

#define TOPIC(name) "{\"result\":\"ok\",\"modifiers\":{\"topic\":\"" name "\"}}"

/* Given up by the broker, that call goes on; the next question's is answered
 * before. */
static void an_answer_does_not_replace_a_newer_one(void **state)
{
	static const struct {
		const char *newer, *control;
	} cases[] = {
		{ TOPIC("new"), "max-age=10" },
		{ OK, "no-store" },
		{ OK, NULL },
	};
	struct event ev = publish_to("t");

	(void)state;
	for (size_t i = 0; i < SIZE(cases); i++) {
		struct hooks *hooks = publishes();
		const struct verdict *v;

		fake_pool_takes(10 * (int64_t)SECOND);
		callback(hooks, &ev, DECISION_DENY);
		pass(2);
		fake_pool_takes(0);
		fake_pool_will_answer(200, cases[i].newer, cases[i].control);
		callback(hooks, &ev, DECISION_OK);
		fake_pool_answer(0, 200, TOPIC("old"), "max-age=3600");
		if (i) {
			is_asked(hooks, &ev);
		} else {
			hook_ask(hooks, &ev, false, &v, NULL);
			assert_int_equal(fake_calls_count, 2);
			assert_memory_equal(
				verdict_get(v, MODIFIER_TOPIC)->text.data,
				"new", 3);
			verdict_unref(v);
			pass(10);
			is_asked(hooks, &ev);
		}
		finish(hooks);
	}
}

/* An old no ends what is kept, being one; but is not kept in its place. */
static void a_refusal_does_not_replace_a_newer_answer(void **state)
{
	struct event ev = login_of("c");
	struct hooks *hooks = refusing_logins();

	(void)state;
	ask_later(hooks, &ev);
	clear_all(hooks); /* nothing else makes two calls of them */
	ask_later(hooks, &ev);
	fake_pool_answer(1, 200, OK, "max-age=10");
	fake_pool_answer(0, 200, DENY, "max-age=3600");
	assert_int_equal(counts(hooks)->entries, 0);
	finish(hooks);
}

static void a_user_is_cleared_by_the_name_it_sent(void **state)
{
	struct hooks *hooks = publishes();
	struct event ev = publish_to("t");
	struct hooks_selection by_new = everything(), by_sent = everything();

	(void)state;
	ev.username = bytes_of("new");
	ev.sent_username = bytes_of("sent");
	by_new.username = "new";
	by_sent.username = "sent";
	keep(hooks, &ev, "max-age=10");
	assert_int_equal(hooks_cache_clear(hooks, &by_new), 0);
	hit(hooks, &ev, DECISION_OK);
	assert_int_equal(hooks_cache_clear(hooks, &by_sent), 1);
	is_asked(hooks, &ev);
	/* and nobody is served from what another name stands for */
	keep(hooks, &ev, "max-age=10");
	ev.sent_username = bytes_of("other");
	keep(hooks, &ev, "max-age=10");
	assert_int_equal(hooks_cache_clear(hooks, &by_sent), 1);
	hit(hooks, &ev, DECISION_OK);
	finish(hooks);
}

/* By the id it came with, and by the one it got: also while it is under way. */
static void a_renamed_client_is_cleared_by_either_id(void **state)
{
	static const char *const ids[] = { "tmp", "sensor", "other" };
	static const char renamed[] =
		"{\"result\":\"ok\",\"modifiers\":"
		"{\"client_id\":\"sensor\",\"mountpoint\":\"\"}}";

	(void)state;
	for (size_t i = 0; i < 2 * SIZE(ids); i++) {
		struct hooks_selection whom = everything();
		struct event ev = login_of("tmp");
		struct hooks *hooks = logins();
		const struct verdict *v;
		uint64_t ticket;

		whom.client_id = ids[i / 2];
		ask_later(hooks, &ev);
		if (i % 2)
			hooks_cache_clear(hooks, &whom);
		fake_pool_answer(0, 200, renamed, "max-age=10");
		if (!(i % 2))
			hooks_cache_clear(hooks, &whom);
		assert_int_equal(hook_ask(hooks, &ev, true, &v, &ticket),
				 i < 4 ? HOOK_PENDING : HOOK_DONE);
		if (i >= 4)
			verdict_unref(v);
		finish(hooks);
	}
}

static void who_sent_no_name_is_cleared_by_none(void **state)
{
	struct hooks *hooks = publishes();
	struct event ev = publish_to("t");
	struct hooks_selection none = everything();

	(void)state;
	ev.username = bytes_of(NULL);
	none.username = "";
	keep(hooks, &ev, "max-age=10");
	assert_int_equal(hooks_cache_clear(hooks, &none), 0);
	hit(hooks, &ev, DECISION_OK);
	finish(hooks);
}

/* What the admin socket may do meanwhile. */
enum replacing {
	WITHOUT,   /* deregistered */
	AGAIN,     /* and registered again, at once */
	WITH_MORE, /* another one is registered */
	REPLACINGS
};

static void put_in_force(struct hooks *hooks, struct settings *s)
{
	struct settings *old = hooks_settings(hooks);

	assert_int_equal(hooks_apply(hooks, old, s), 0);
	settings_unref(old);
	settings_unref(s);
}

static void take_away(struct hooks *hooks, enum hook_id hook, const char *url)
{
	struct settings *old = hooks_settings(hooks), *s;

	assert_int_equal(settings_without(old, hook, url, &s), 0);
	settings_unref(old);
	put_in_force(hooks, s);
}

static void add(struct hooks *hooks, enum hook_id hook, const char *url)
{
	struct settings *old = hooks_settings(hooks), *s;
	struct webhook webhook = { .hook = hook,
				   .endpoint = (char *)url,
				   .timeout_ms = 5000,
				   .codec.base64_payload = true };
	struct conf_error error;

	assert_int_equal(settings_with(old, &webhook, &s, &error), 0);
	settings_unref(old);
	put_in_force(hooks, s);
}

static void replace(struct hooks *hooks, enum hook_id hook, enum replacing how)
{
	if (how == WITH_MORE) {
		add(hooks, HOOK_ON_PUBLISH, "http://one/");
		return;
	}
	take_away(hooks, hook, "http://one/");
	if (how == AGAIN)
		add(hooks, hook, "http://one/");
}

static void an_entry_goes_with_its_webhook(void **state)
{
	struct event ev = publish_to("t");

	(void)state;
	for (enum replacing how = 0; how < REPLACINGS; how++) {
		struct hooks *hooks = publishes();

		keep(hooks, &ev, BOTH);
		replace(hooks, HOOK_AUTH_ON_PUBLISH, how);
		switch (how) {
		case WITHOUT:
			hit(hooks, &ev, DECISION_NEXT);
			add(hooks, HOOK_AUTH_ON_PUBLISH, "http://one/");
			is_asked(hooks, &ev);
			break;
		case AGAIN:
			is_asked(hooks, &ev);
			/* nor is it there for a failure */
			asked(hooks, &ev, 500, "", DECISION_DENY);
			assert_int_equal(counts(hooks)->misses, 2);
			break;
		default:
			hit(hooks, &ev, DECISION_OK);
		}
		finish(hooks);
	}
}

/* Where one webhook lay another comes to lie, mostly: its questions are not
 * named after the one before, or they would not be found again. */
static void a_webhook_in_the_place_of_another_is_another(void **state)
{
	struct hooks *hooks = publishes();
	struct event ev = publish_to("t");

	(void)state;
	keep(hooks, &ev, "max-age=10");
	take_away(hooks, HOOK_AUTH_ON_PUBLISH, "http://one/");
	hooks_refresh(hooks);
	add(hooks, HOOK_AUTH_ON_PUBLISH, "http://two/");
	keep(hooks, &ev, "max-age=10");
	add(hooks, HOOK_ON_PUBLISH, "http://one/");
	hit(hooks, &ev, DECISION_OK);
	finish(hooks);
}

static void what_was_asked_under_other_settings_is_not_kept(void **state)
{
	struct event ev = login_of("c");

	(void)state;
	for (enum replacing how = 0; how < REPLACINGS; how++) {
		struct hooks *hooks = logins();

		ask_later(hooks, &ev);
		replace(hooks, HOOK_AUTH_ON_REGISTER, how);
		hooks_tick(hooks);
		fake_pool_answer(0, 200, OK, BOTH);
		assert_int_equal(broker.completed, 1);
		assert_int_equal(broker.decision, DECISION_OK);
		if (how != WITHOUT)
			is_asked(hooks, &ev);
		finish(hooks);
	}
}

static void what_was_asked_under_other_settings_is_not_shared(void **state)
{
	struct event ev = login_of("c");

	(void)state;
	for (enum replacing how = AGAIN; how < REPLACINGS; how++) {
		struct hooks *hooks = logins();
		uint64_t second;

		ask_later(hooks, &ev);
		replace(hooks, HOOK_AUTH_ON_REGISTER, how);
		hooks_refresh(hooks);
		second = ask_later(hooks, &ev);
		assert_int_equal(fake_calls_count, 2);
		/* in whichever order they end */
		fake_pool_answer(1, 200, OK, "max-age=10");
		assert_int_equal(broker.ticket, second);
		fake_pool_answer(0, 200, DENY, NULL);
		assert_int_equal(broker.completed, 1);
		assert_int_equal(broker.voided, 1);
		finish(hooks);
	}
}

static void a_refresh_under_other_settings_is_not_kept(void **state)
{
	struct event ev = publish_to("t");

	(void)state;
	for (enum replacing how = 0; how < REPLACINGS; how++) {
		struct hooks *hooks = publishes();
		unsigned n = begin_refresh(hooks, &ev, SWR);

		replace(hooks, HOOK_AUTH_ON_PUBLISH, how);
		hooks_refresh(hooks);
		fake_pool_answer(n, 200, OK, "max-age=99");
		if (how == WITH_MORE) {
			/* it is stale as before, and somebody's to refresh */
			assert_int_equal(counts(hooks)->late, 1);
			callback(hooks, &ev, DECISION_OK);
			assert_int_equal(fake_calls_count, n + 2);
			fake_pool_answer(n + 1, 200, OK, "max-age=99");
			pass(30);
			hit(hooks, &ev, DECISION_OK);
		} else if (how == AGAIN) {
			is_asked(hooks, &ev);
		}
		finish(hooks);
	}
}

/* ---- sharing ---- */

static void the_very_same_logins_make_one_call(void **state)
{
	struct hooks *hooks = logins();
	struct event ev = login_of("c");
	uint64_t first, second;

	(void)state;
	first = ask_later(hooks, &ev);
	ev.peer_port = 4711; /* no part of the question */
	second = ask_later(hooks, &ev);
	assert_true(first != second);
	assert_int_equal(fake_calls_count, 1);
	fake_pool_answer(0, 200, OK, NULL);
	/* the second attempt of an id forgets the first */
	assert_int_equal(broker.completed, 1);
	assert_int_equal(broker.voided, 1);
	assert_int_equal(broker.ticket, second);
	assert_int_equal(stats_of(hooks, HOOK_AUTH_ON_REGISTER, 0)->requests,
			 1);
	/* nothing is shared any more */
	ask_later(hooks, &ev);
	assert_int_equal(fake_calls_count, 2);
	finish(hooks);
}

static void three_logins_have_three_tickets(void **state)
{
	struct hooks *hooks = logins();
	struct event ev = login_of("c");
	uint64_t last = 0;

	(void)state;
	for (int i = 0; i < 3; i++)
		last = ask_later(hooks, &ev);
	assert_int_equal(fake_calls_count, 1);
	fake_pool_answer(0, 200, DENY, NULL);
	assert_int_equal(broker.completed, 1);
	assert_int_equal(broker.voided, 2);
	assert_int_equal(broker.ticket, last);
	assert_int_equal(broker.decision, DECISION_DENY);
	assert_string_equal(broker.reason, "no");
	finish(hooks);
}

static void forgotten_logins_hold_nobody_up(void **state)
{
	struct hooks *hooks = logins();
	struct event ev = login_of("c");

	(void)state;
	ask_later(hooks, &ev);
	hook_forget(hooks, "c");
	ask_later(hooks, &ev);
	assert_int_equal(fake_calls_count, 1);
	fake_pool_answer(0, 200, OK, "max-age=10");
	assert_int_equal(broker.completed, 1);
	assert_int_equal(broker.voided, 1);
	/* and with nobody left it is kept all the same */
	pass(10);
	ask_later(hooks, &ev);
	hook_forget(hooks, "c");
	fake_pool_answer(1, 200, OK, "max-age=10");
	assert_int_equal(broker.voided, 2);
	hit(hooks, &ev, DECISION_OK);
	finish(hooks);
}

static void who_differs_in_anything_does_not_share(void **state)
{
	struct event ev = login_of("c"), others[6];

	(void)state;
	for (size_t i = 0; i < SIZE(others); i++)
		others[i] = ev;
	others[0].password = bytes_of("Secret");
	others[1].password = bytes_of(NULL);
	others[2].username = bytes_of("U");
	others[3].client_id = bytes_of("d");
	others[4].peer_addr = bytes_of("127.0.0.2");
	others[5].clean = !ev.clean;
	for (size_t i = 0; i < SIZE(others); i++) {
		struct hooks *hooks = logins();

		ask_later(hooks, &ev);
		ask_later(hooks, &others[i]);
		assert_int_equal(fake_calls_count, 2);
		fake_pool_answer(1, 200, DENY, NULL);
		assert_int_equal(broker.decision, DECISION_DENY);
		finish(hooks);
	}
}

static void what_was_shared_fails_for_all_of_them(void **state)
{
	struct hooks *hooks =
		one("auth_on_register", "vmq_webhooks.a.on_error", "allow");
	struct event ev = login_of("c");

	(void)state;
	ask_later(hooks, &ev);
	ask_later(hooks, &ev);
	fake_pool_fail(0, -ECONNREFUSED);
	assert_int_equal(broker.completed, 1);
	assert_int_equal(broker.voided, 1);
	assert_int_equal(broker.decision, DECISION_OK);
	/* one call failed, not two */
	assert_int_equal(stats_of(hooks, HOOK_AUTH_ON_REGISTER, 0)->errors, 1);
	finish(hooks);
}

static void they_go_on_down_the_chain_together(void **state)
{
	const struct settings_opt opts[] = {
		HOOK("a", "auth_on_register", "http://one/"),
		HOOK("b", "auth_on_register", "http://two/"),
	};
	struct hooks *hooks = hooks_of(opts, 4);
	struct event ev = login_of("c");
	uint64_t second;

	(void)state;
	ask_later(hooks, &ev);
	second = ask_later(hooks, &ev);
	fake_pool_answer(0, 200, NEXT, NULL);
	assert_int_equal(fake_calls_count, 2);
	assert_string_equal(fake_calls[1].endpoint, "http://two/");
	fake_pool_answer(1, 200, OK, NULL);
	assert_int_equal(broker.completed, 1);
	assert_int_equal(broker.voided, 1);
	assert_int_equal(broker.ticket, second);
	finish(hooks);
}

static void who_stands_still_does_not_share(void **state)
{
	struct hooks *hooks = logins();
	struct event ev = login_of("c");

	(void)state;
	ask_later(hooks, &ev);
	asked(hooks, &ev, 200, OK, DECISION_OK);
	ask_later(hooks, &ev); /* that of the first, still */
	assert_int_equal(fake_calls_count, 2);
	finish(hooks);
}

/* The payload is no part of the key, and may be of the answer. */
static void publishes_never_share(void **state)
{
	struct hooks *hooks = publishes();
	struct event ev = publish_to("t");

	(void)state;
	fake_pool_takes(10 * (int64_t)SECOND);
	callback(hooks, &ev, DECISION_DENY); /* given up, under way */
	pass(2);
	callback(hooks, &ev, DECISION_DENY);
	assert_int_equal(fake_calls_count, 2);
	finish(hooks);
}

static void what_ends_with_the_broker_ends_for_all(void **state)
{
	struct hooks *hooks = logins();
	struct event ev = login_of("c"), other = login_of("d");

	(void)state;
	ask_later(hooks, &ev);
	ask_later(hooks, &ev);
	ask_later(hooks, &other);
	hooks_stop(hooks);
	assert_int_equal(broker.completed, 2);
	assert_int_equal(broker.voided, 1);
	assert_int_equal(broker.decision, DECISION_DENY);
	hooks_destroy(hooks);
	fake_pool_reset();
}

/* ---- cache_refusals ---- */

static void refusals_are_not_kept_unless_told_to(void **state)
{
	struct hooks *hooks = logins();
	struct event ev = login_of("c");

	(void)state;
	fake_pool_will_answer(200, DENY, "max-age=10");
	callback(hooks, &ev, DECISION_DENY);
	asked(hooks, &ev, 200, OK, DECISION_OK);
	assert_int_equal(counts(hooks)->stores, 0);
	finish(hooks);
}

static void a_kept_refusal_refuses_with_its_reason(void **state)
{
	struct hooks *hooks = refusing_logins();
	struct event ev = login_of("c");
	const struct verdict *v;

	(void)state;
	fake_pool_will_answer(200, DENY, "max-age=10");
	callback(hooks, &ev, DECISION_DENY);
	for (int may_delay = 0; may_delay < 2; may_delay++) {
		assert_int_equal(hook_ask(hooks, &ev, may_delay, &v, NULL),
				 HOOK_DONE);
		assert_int_equal(v->decision, DECISION_DENY);
		assert_int_equal(v->reason.len, 2);
		assert_memory_equal(v->reason.data, "no", 2);
		verdict_unref(v);
	}
	assert_int_equal(fake_calls_count, 1);
	assert_int_equal(counts(hooks)->refusals, 1);
	assert_int_equal(counts(hooks)->entries, 1);
	assert_int_equal(counts(hooks)->hits, 2);
	assert_int_equal(counts(hooks)->refusal_hits, 2);
	pass(10);
	is_asked(hooks, &ev);
	finish(hooks);
}

static void only_refusals_with_max_age_are_kept(void **state)
{
	static const struct {
		long status;
		const char *body, *cache_control;
	} cases[] = {
		{ 200, DENY, NULL },
		{ 200, DENY, "max-age=0" },
		{ 200, DENY, "max-age=10, no-store" },
		{ 200, DENY, "stale-if-error=10" },
		{ 200, NEXT, "max-age=10" },
		{ 200, "{}", "max-age=10" },
		{ 200, "{\"result\":\"no\"}", "max-age=10" },
		{ 200, "nonsense", "max-age=10" },
		{ 200, "{\"result\":\"ok\",\"modifiers\":{\"no\":1}}",
		  "max-age=10" },
		{ 403, DENY, "max-age=10" },
		{ 404, DENY, "max-age=10" },
		{ 429, DENY, "max-age=10" },
		{ 500, DENY, "max-age=10" },
	};
	struct event ev = login_of("c");

	(void)state;
	for (size_t i = 0; i < SIZE(cases); i++) {
		struct hooks *hooks = refusing_logins();

		fake_pool_will_answer(cases[i].status, cases[i].body,
				      cases[i].cache_control);
		ask(hooks, &ev);
		assert_int_equal(counts(hooks)->stores, 0);
		is_asked(hooks, &ev);
		finish(hooks);
	}
}

static void a_refusal_is_never_stale(void **state)
{
	struct hooks *hooks = refusing_logins();
	struct event ev = login_of("c");

	(void)state;
	fake_pool_will_answer(200, DENY, BOTH);
	callback(hooks, &ev, DECISION_DENY);
	pass(10);
	asked(hooks, &ev, 200, OK, DECISION_OK);
	fake_pool_will_answer(200, DENY, BOTH);
	callback(hooks, &ev, DECISION_DENY);
	pass(10);
	asked(hooks, &ev, 500, "", DECISION_DENY);
	assert_int_equal(counts(hooks)->stale, 0);
	assert_int_equal(counts(hooks)->stale_if_error, 0);
	finish(hooks);
}

static void a_kept_refusal_takes_the_place_of_an_ok(void **state)
{
	struct hooks *hooks =
		one("auth_on_publish", "vmq_webhooks.a.cache_refusals", "on");
	struct event ev = publish_to("t");

	(void)state;
	fake_pool_answer(begin_refresh(hooks, &ev, BOTH), 200, DENY,
			 "max-age=5");
	hit(hooks, &ev, DECISION_DENY);
	assert_int_equal(counts(hooks)->entries, 1);
	pass(5);
	/* the ok before it is not revived by a failure */
	asked(hooks, &ev, 500, "", DECISION_DENY);
	/* and the other way round */
	fake_pool_will_answer(200, DENY, "max-age=5");
	callback(hooks, &ev, DECISION_DENY);
	pass(5);
	keep(hooks, &ev, "max-age=5");
	hit(hooks, &ev, DECISION_OK);
	assert_int_equal(counts(hooks)->refusals, 0);
	finish(hooks);
}

static void a_flood_of_refusals_evicts_no_good_answer(void **state)
{
	const struct settings_opt opts[] = {
		HOOK("a", "auth_on_register", "http://one/"),
		{ "vmq_webhooks.a.cache_refusals", "on" },
		{ "vmq_webhooks.cache_max_bytes", "65536" },
	};
	struct hooks *hooks = hooks_of(opts, 4);
	struct event good = login_of("good");

	(void)state;
	keep(hooks, &good, "max-age=60");
	for (int i = 0; i < 20; i++) {
		char reply[400], id[16];
		struct event bad;

		snprintf(id, sizeof(id), "bad%d", i);
		snprintf(reply, sizeof(reply),
			 "{\"result\":{\"error\":\"%0200d\"}}", i);
		bad = login_of(id);
		for (int n = 0; n < 2; n++) {
			fake_pool_will_answer(200, reply, "max-age=60");
			callback(hooks, &bad, DECISION_DENY);
		}
	}
	/* each was asked but once, for the answer is there at once */
	hit(hooks, &good, DECISION_OK);
	assert_true(counts(hooks)->refusals_evicted > 0);
	assert_int_equal(counts(hooks)->evicted,
			 counts(hooks)->refusals_evicted);
	assert_true(counts(hooks)->refusal_bytes <= 65536 / 8);
	finish(hooks);
}

/* ---- what is not kept of an answer ---- */

static void a_late_answer_of_each_kind(void **state)
{
	static const struct {
		const char *body;
		bool ok, refusal; /* kept */
	} cases[] = {
		{ OK, true, false },
		{ DENY, false, true },
		{ NEXT, false, false },
		{ "{}", false, false },
	};
	struct event ev = publish_to("t");

	(void)state;
	for (size_t i = 0; i < SIZE(cases); i++) {
		struct hooks *hooks =
			one("auth_on_publish", "vmq_webhooks.a.cache_refusals",
			    "on");

		fake_pool_takes(10 * (int64_t)SECOND);
		callback(hooks, &ev, DECISION_DENY);
		fake_pool_answer(0, 200, cases[i].body, "max-age=10");
		assert_int_equal(counts(hooks)->entries,
				 cases[i].ok || cases[i].refusal);
		assert_int_equal(counts(hooks)->refusals, cases[i].refusal);
		finish(hooks);
	}
}

static void a_late_refusal_removes_what_is_kept_for_failures(void **state)
{
	struct hooks *hooks = publishes();
	struct event ev = publish_to("t");

	(void)state;
	keep(hooks, &ev, SIE);
	pass(10);
	fake_pool_takes(10 * (int64_t)SECOND);
	callback(hooks, &ev, DECISION_OK);
	fake_pool_answer(1, 200, DENY, NULL);
	pass(2);
	callback(hooks, &ev, DECISION_DENY);
	assert_int_equal(counts(hooks)->stale_if_error, 1);
	finish(hooks);
}

/* The first answer comes last: what the second took away stays away. */
static void an_older_yes_is_not_kept_past_a_newer_no(void **state)
{
	static const struct {
		long status;
		const char *body, *cache_control;
	} noes[] = {
		{ 200, DENY, NULL },       { 200, DENY, "max-age=5" },
		{ 200, NEXT, NULL },       { 403, "", NULL },
		{ 200, "nonsense", NULL },
	};
	struct event ev = publish_to("t");

	(void)state;
	for (size_t i = 0; i < SIZE(noes); i++) {
		struct hooks *hooks =
			one("auth_on_publish", "vmq_webhooks.a.cache_refusals",
			    "on");

		fake_pool_takes(10 * (int64_t)SECOND);
		callback(hooks, &ev, DECISION_DENY); /* given up */
		pass(2);
		fake_pool_takes(0);
		fake_pool_will_answer(noes[i].status, noes[i].body,
				      noes[i].cache_control);
		ask(hooks, &ev);
		fake_pool_answer(0, 200, OK, BOTH);
		if (noes[i].cache_control)
			hit(hooks, &ev, DECISION_DENY);
		pass(5);
		asked(hooks, &ev, 500, "", DECISION_DENY);
		/* what is asked from now on counts */
		keep(hooks, &ev, "max-age=10");
		hit(hooks, &ev, DECISION_OK);
		finish(hooks);
	}
}

static void a_refresh_is_not_kept_past_a_newer_no(void **state)
{
	struct event ev = publish_to("t");

	(void)state;
	for (int newer_ok = 0; newer_ok < 2; newer_ok++) {
		struct hooks *hooks = publishes();
		unsigned n = begin_refresh(hooks, &ev, SWR);

		pass(20); /* nobody waits for it any longer */
		asked(hooks, &ev, 200, DENY, DECISION_DENY);
		if (newer_ok)
			keep(hooks, &ev, "max-age=5");
		fake_pool_answer(n, 200, OK, "max-age=99");
		if (newer_ok)
			hit(hooks, &ev, DECISION_OK);
		pass(5);
		is_asked(hooks, &ev);
		finish(hooks);
	}
}

static void a_no_to_another_question_is_none_to_this(void **state)
{
	struct hooks *hooks = publishes();
	struct event ev = publish_to("t"), other = publish_to("u");

	(void)state;
	fake_pool_takes(10 * (int64_t)SECOND);
	callback(hooks, &ev, DECISION_DENY);
	pass(2);
	fake_pool_takes(0);
	asked(hooks, &other, 500, "", DECISION_DENY);
	asked(hooks, &ev, 500, "", DECISION_DENY); /* no answer is no no */
	fake_pool_answer(0, 200, OK, "max-age=10");
	hit(hooks, &ev, DECISION_OK);
	finish(hooks);
}

static void a_payload_is_lost_to_a_refresh_too(void **state)
{
	struct hooks *hooks = publishes();
	struct event ev = publish_to("t");
	const struct verdict *v;

	(void)state;
	fake_pool_answer(begin_refresh(hooks, &ev, SWR), 200,
			 "{\"result\":\"ok\",\"modifiers\":"
			 "{\"qos\":1,\"payload\":\"aGk=\"}}",
			 SWR);
	assert_int_equal(hook_ask(hooks, &ev, false, &v, NULL), HOOK_DONE);
	assert_false(verdict_has(v, MODIFIER_PAYLOAD));
	assert_true(verdict_has(v, MODIFIER_QOS));
	verdict_unref(v);
	assert_int_equal(broker.logged, 1);
	assert_non_null(strstr(broker.line, "max-age"));
	finish(hooks);
}

static void nothing_is_kept_of_other_hooks(void **state)
{
	const struct settings_opt opts[] = {
		HOOK("a", "on_unsubscribe", "http://one/"),
	};
	struct hooks *hooks = hooks_of(opts, 2);
	struct event ev = publish_to("t");

	(void)state;
	ev.hook = HOOK_ON_UNSUBSCRIBE;
	for (int i = 0; i < 2; i++) {
		fake_pool_will_answer(200, OK, BOTH);
		callback(hooks, &ev, DECISION_OK);
	}
	assert_int_equal(fake_calls_count, 2);
	assert_int_equal(counts(hooks)->misses, 0);
	finish(hooks);
}

/* ---- bounds ---- */

static void no_bytes_keep_nothing(void **state)
{
	const struct settings_opt opts[] = {
		HOOK("a", "auth_on_publish", "http://one/"),
		{ "vmq_webhooks.a.cache_refusals", "on" },
		{ "vmq_webhooks.cache_max_bytes", "0" },
	};
	struct hooks *hooks = hooks_of(opts, 4);
	struct event ev = publish_to("t");

	(void)state;
	fake_pool_will_answer(200, DENY, BOTH);
	callback(hooks, &ev, DECISION_DENY);
	keep(hooks, &ev, BOTH);
	is_asked(hooks, &ev);
	assert_int_equal(counts(hooks)->stores, 0);
	assert_int_equal(counts(hooks)->entries, 0);
	assert_int_equal(counts(hooks)->misses, 3);
	assert_int_equal(counts(hooks)->rejected, 2);
	finish(hooks);
}

static void few_bytes_keep_few(void **state)
{
	struct hooks *hooks =
		one("auth_on_publish", "vmq_webhooks.cache_max_bytes", "8192");
	struct event first = publish_to("t0"), last;
	char topic[20];

	(void)state;
	for (int i = 0; i < 60; i++) {
		snprintf(topic, sizeof(topic), "t%d", i);
		last = publish_to(topic);
		keep(hooks, &last, "max-age=60");
	}
	assert_in_range(counts(hooks)->bytes, 1, 8192);
	assert_int_equal(counts(hooks)->evicted + counts(hooks)->entries, 60);
	assert_true(counts(hooks)->evicted > 0);
	hit(hooks, &last, DECISION_OK);
	asked(hooks, &first, 200, DENY, DECISION_DENY);
	finish(hooks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_directive_has_its_life),
		cmocka_unit_test(a_life_begins_anew_with_each_answer),
		cmocka_unit_test(a_life_begins_when_the_question_goes_out),
		cmocka_unit_test(jitter_shortens_and_never_prolongs),
		cmocka_unit_test(what_is_over_is_swept_without_being_asked_for),
		cmocka_unit_test(stale_is_given_at_once_and_refreshed_once),
		cmocka_unit_test(the_stale_phase_ends_exactly),
		cmocka_unit_test(without_the_endpoints_word_nothing_is_stale),
		cmocka_unit_test(a_refresh_can_change_the_answer),
		cmocka_unit_test(a_refresh_that_is_not_ok_removes_at_once),
		cmocka_unit_test(a_refresh_without_an_answer_removes),
		cmocka_unit_test(
			a_refresh_without_an_answer_leaves_it_to_failures),
		cmocka_unit_test(a_refresh_that_cannot_be_sent_has_failed),
		cmocka_unit_test(a_refresh_may_be_late_for_its_own_entry),
		cmocka_unit_test(logins_are_refreshed_too),
		cmocka_unit_test(a_failure_is_softened),
		cmocka_unit_test(a_delayed_failure_is_softened),
		cmocka_unit_test(the_given_up_and_the_unasked_are_softened),
		cmocka_unit_test(it_serves_for_so_long_and_no_longer),
		cmocka_unit_test(it_comes_before_on_error),
		cmocka_unit_test(an_answer_is_not_softened),
		cmocka_unit_test(our_own_trouble_is_no_failure_of_the_endpoint),
		cmocka_unit_test(a_clear_takes_what_is_kept_for_failures),
		cmocka_unit_test(a_cleared_login_is_not_softened_afterwards),
		cmocka_unit_test(another_question_is_not_softened_by_it),
		cmocka_unit_test(each_endpoint_of_a_chain_keeps_its_own),
		cmocka_unit_test(a_clear_takes_what_it_selects),
		cmocka_unit_test(what_was_asked_before_a_clear_is_not_kept),
		cmocka_unit_test(what_was_asked_before_a_clear_is_not_shared),
		cmocka_unit_test(calls_before_and_after_a_clear_do_not_mix),
		cmocka_unit_test(a_refresh_from_before_a_clear_is_not_kept),
		cmocka_unit_test(
			a_refresh_from_before_a_clear_spoils_nothing_newer),
		cmocka_unit_test(an_answer_does_not_replace_a_newer_one),
		cmocka_unit_test(a_refusal_does_not_replace_a_newer_answer),
		cmocka_unit_test(a_user_is_cleared_by_the_name_it_sent),
		cmocka_unit_test(a_renamed_client_is_cleared_by_either_id),
		cmocka_unit_test(who_sent_no_name_is_cleared_by_none),
		cmocka_unit_test(an_entry_goes_with_its_webhook),
		cmocka_unit_test(a_webhook_in_the_place_of_another_is_another),
		cmocka_unit_test(
			what_was_asked_under_other_settings_is_not_kept),
		cmocka_unit_test(
			what_was_asked_under_other_settings_is_not_shared),
		cmocka_unit_test(a_refresh_under_other_settings_is_not_kept),
		cmocka_unit_test(the_very_same_logins_make_one_call),
		cmocka_unit_test(three_logins_have_three_tickets),
		cmocka_unit_test(forgotten_logins_hold_nobody_up),
		cmocka_unit_test(who_differs_in_anything_does_not_share),
		cmocka_unit_test(what_was_shared_fails_for_all_of_them),
		cmocka_unit_test(they_go_on_down_the_chain_together),
		cmocka_unit_test(who_stands_still_does_not_share),
		cmocka_unit_test(publishes_never_share),
		cmocka_unit_test(what_ends_with_the_broker_ends_for_all),
		cmocka_unit_test(refusals_are_not_kept_unless_told_to),
		cmocka_unit_test(a_kept_refusal_refuses_with_its_reason),
		cmocka_unit_test(only_refusals_with_max_age_are_kept),
		cmocka_unit_test(a_refusal_is_never_stale),
		cmocka_unit_test(a_kept_refusal_takes_the_place_of_an_ok),
		cmocka_unit_test(a_flood_of_refusals_evicts_no_good_answer),
		cmocka_unit_test(a_late_answer_of_each_kind),
		cmocka_unit_test(
			a_late_refusal_removes_what_is_kept_for_failures),
		cmocka_unit_test(an_older_yes_is_not_kept_past_a_newer_no),
		cmocka_unit_test(a_refresh_is_not_kept_past_a_newer_no),
		cmocka_unit_test(a_no_to_another_question_is_none_to_this),
		cmocka_unit_test(a_payload_is_lost_to_a_refresh_too),
		cmocka_unit_test(nothing_is_kept_of_other_hooks),
		cmocka_unit_test(no_bytes_keep_nothing),
		cmocka_unit_test(few_bytes_keep_few),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
