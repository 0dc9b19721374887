/*
 * hook_cost.c - what the plugin's callbacks for a publish cost, hit or miss,
 * without a broker around it: the plugin on a fake host. ACL_CHECK asks, and
 * is `miss` or `hit`; MESSAGE follows, and is `message` after a hit.
 *
 * usage: hook-cost --plugin FILE [--opt key=value]... [--fill N] [--evict N]
 *
 * --fill N   ask about N topics, one after the other, each for the first time
 * --evict N  before each later question write to N KiB of memory, so that code
 *            and data come from as far away as after a broker's other work
 *
 * Prints one JSON object about the fill: `cpu` is what the broker's thread
 * computes in a call, waiting not counted, and `rss_kb` the resident memory
 * after each tenth. Then, for each number that it reads from its standard
 * input, it asks so many times about one of the topics, drawn uniformly, and
 * prints another object; so several can take turns. Ends when that is closed.
 * Without --fill it only starts the plugin: the exit status says whether it
 * took the options.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "test/bench/fake_host.h"

enum {
	BATCH = 1000, /* draws between two means */
	TICK = 100,   /* calls between two turns of the loop */
	TENTHS = 10,
	LINE = 64, /* of the processor's caches */
};

static const char payload[] = "0123456789abcdef0123456789abcdef";

struct run {
	const char *plugin;
	struct text_list options;
	int64_t fill, evict;
	unsigned char *evicted;
	uint64_t refused, state;
	struct samples miss, miss_cpu, hit, hit_batches;
	struct samples message, message_batches;
	uint64_t slow; /* misses that computed for more than a millisecond */
	int64_t rss_kb[TENTHS];
};

/* xorshift64: draws that are the same in every run. */
static uint64_t draw(struct run *run)
{
	run->state ^= run->state << 13;
	run->state ^= run->state >> 7;
	run->state ^= run->state << 17;
	return run->state;
}

static void topic_of(char *out, size_t size, uint64_t i)
{
	snprintf(out, size, "bench/topic/%08llu", (unsigned long long)i);
}

static int64_t ask(struct run *run, const char *topic)
{
	int64_t before = bench_now_ns();

	if (host_check_publish(topic, payload, sizeof(payload) - 1) != 0)
		run->refused++;
	return bench_now_ns() - before;
}

static int64_t pass(struct run *run, const char *topic)
{
	int64_t before = bench_now_ns();

	if (host_pass_message(topic, payload, sizeof(payload) - 1) != 0)
		run->refused++;
	return bench_now_ns() - before;
}

static void fill(struct run *run)
{
	for (int64_t i = 0; i < run->fill; i++) {
		int64_t cpu, ns;
		char topic[64];

		topic_of(topic, sizeof(topic), (uint64_t)i);
		cpu = bench_cpu_ns();
		ns = ask(run, topic);
		cpu = bench_cpu_ns() - cpu;
		pass(run, topic);
		samples_add(&run->miss, ns);
		samples_add(&run->miss_cpu, cpu);
		run->slow += cpu > NS_PER_MS;
		if (i % TICK == 0)
			host_tick();
		if ((i + 1) % ((run->fill + TENTHS - 1) / TENTHS) == 0 ||
		    i + 1 == run->fill)
			run->rss_kb[i * TENTHS / run->fill] = bench_rss_kb();
	}
}

/* The mean of each batch. */
struct batches {
	struct samples *means;
	int64_t sum, count;
};

static void batch_add(struct batches *b, int64_t ns)
{
	b->sum += ns;
	if (++b->count < BATCH)
		return;
	samples_add(b->means, b->sum / BATCH);
	b->sum = b->count = 0;
}

static void evict(struct run *run)
{
	for (int64_t i = 0; i < run->evict * 1024; i += LINE)
		run->evicted[i]++;
}

static void draw_all(struct run *run, int64_t count)
{
	struct batches hits = { .means = &run->hit_batches };
	struct batches messages = { .means = &run->message_batches };

	for (int64_t i = 1; i <= count; i++) {
		int64_t ns;
		char topic[64];

		topic_of(topic, sizeof(topic), draw(run) % (uint64_t)run->fill);
		evict(run);
		ns = ask(run, topic);
		samples_add(&run->hit, ns);
		batch_add(&hits, ns);
		ns = pass(run, topic);
		samples_add(&run->message, ns);
		batch_add(&messages, ns);
		if (i % TICK == 0)
			host_tick();
	}
}

/* What our clock adds to each figure. */
static int64_t clock_cost(void)
{
	struct samples s = { 0 };
	int64_t ns;

	for (int i = 0; i < 10000; i++) {
		int64_t before = bench_now_ns();

		samples_add(&s, bench_now_ns() - before);
	}
	ns = samples_quantile(&s, 0.5);
	samples_clear(&s);
	return ns;
}

static void print_samples(const char *name, struct samples *s)
{
	printf("\"%s\": {\"count\": %zu, \"p50_ns\": %lld, \"p99_ns\": %lld, "
	       "\"max_ns\": %lld, \"mean_ns\": %.1f}, ",
	       name, s->count, (long long)samples_quantile(s, 0.5),
	       (long long)samples_quantile(s, 0.99),
	       (long long)samples_quantile(s, 1), samples_mean(s));
}

static void report_fill(struct run *run)
{
	printf("{\"refused\": %llu, \"slow\": %llu, ",
	       (unsigned long long)run->refused, (unsigned long long)run->slow);
	print_samples("miss", &run->miss);
	print_samples("miss_cpu", &run->miss_cpu);
	printf("\"rss_kb\": [");
	for (int i = 0; i < TENTHS; i++)
		printf("%s%lld", i ? ", " : "", (long long)run->rss_kb[i]);
	printf("]}\n");
	fflush(stdout);
}

static void report_draws(struct run *run)
{
	printf("{\"refused\": %llu, ", (unsigned long long)run->refused);
	print_samples("hit", &run->hit);
	print_samples("hit_batches", &run->hit_batches);
	print_samples("message", &run->message);
	print_samples("message_batches", &run->message_batches);
	printf("\"clock_ns\": %lld}\n", (long long)clock_cost());
	fflush(stdout);
}

static void clear_draws(struct run *run)
{
	samples_clear(&run->hit);
	samples_clear(&run->hit_batches);
	samples_clear(&run->message);
	samples_clear(&run->message_batches);
}

/* As often as it is asked to. */
static void take_turns(struct run *run)
{
	long long count;

	while (scanf("%lld", &count) == 1) {
		draw_all(run, count);
		report_draws(run);
		clear_draws(run);
	}
}

/* All of it now, so that what grows later is the plugin's. */
static int reserve(struct run *run)
{
	run->evicted = calloc((size_t)run->evict + 1, 1024);
	if (!run->evicted)
		return -1;
	if (samples_reserve(&run->miss, (size_t)run->fill + 1) != 0)
		return -1;
	return samples_reserve(&run->miss_cpu, (size_t)run->fill + 1);
}

int main(int argc, char **argv)
{
	static struct run run = { .state = 0x9e3779b97f4a7c15 };
	const struct bench_option options[] = {
		{ "plugin", OPTION_TEXT, &run.plugin },
		{ "opt", OPTION_LIST, &run.options },
		{ "fill", OPTION_NUMBER, &run.fill },
		{ "evict", OPTION_NUMBER, &run.evict },
		{ 0 },
	};

	if (bench_options(argc, argv, options) != 0 || !run.plugin)
		return 2;
	if (reserve(&run) != 0 || host_load(run.plugin, &run.options) != 0)
		return 1;
	host_tick();
	fill(&run);
	report_fill(&run);
	if (run.fill)
		take_turns(&run);
	host_unload();
	samples_clear(&run.miss);
	samples_clear(&run.miss_cpu);
	free(run.evicted);
	return 0;
}
