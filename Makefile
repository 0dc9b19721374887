# vmq_webhooks - VerneMQ's webhooks for Mosquitto
#
# make            build/vmq_webhooks.so and build/vmq-admin
# make demo       install what is missing, build, and show the job at work
# make check      everything that proves it, on the three brokers
# make lint       layers, headers, format, tidy, banned functions
# make install    into $(DESTDIR)$(PREFIX)
#
# Parts of check:
#   make unit         unit and replay tests
#   make golden       the cases recorded from VerneMQ (GOLDEN=folder)
#   make broker       the suite on real brokers
#   make mqtt         conversations recorded with VerneMQ, on real brokers
#   make sanitize     unit and golden tests, and part of the suite, under address
#                     and undefined; pool and admin under thread
#   make memcheck     unit tests and part of the suite under valgrind
#   make symbols      what the .so exports
#
#   make nightly      what takes too long for check: the whole suite under the
#                     sanitizers, all unit tests and all that publishes under
#                     valgrind, and tidy with all its patience
#
# Benchmarks, against a load of our own on this machine:
#   make bench        every figure, and docs/benchmarks.md (a quarter of an hour);
#                     FIGURES="1 C4" only those, and with WRITE=1 their rows;
#                     QUICK=1 only that it works
#   make bench-tools  what it needs: build/bench/
#
# Knobs:
#   DEV=1           every warning is an error (check and lint set it)
#   SANITIZE=x      address,undefined or thread; objects in a folder of their own
#   V=1             show the commands

CFLAGS  ?= -O2 -g
PREFIX  ?= /usr/local
PLUGIN_DIR ?= $(PREFIX)/lib/mosquitto
COMPLETION_DIR ?= $(PREFIX)/share/bash-completion/completions
VERSION := 0.1.0
comma   := ,
VARIANT := $(or $(subst $(comma),-,$(SANITIZE)),plain)
O       := build/obj/$(VARIANT)
# The plain build's results are what users take; a sanitized one's stay apart.
OUT     := $(if $(SANITIZE),build/$(VARIANT),build)

PKGS     = libcurl libmicrohttpd libcjson libsodium
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lm

# gcc clears and copies structs of more than some 100 bytes with `rep stos` and
# `rep movs`, which take longer to begin than to do it in plain stores. Other
# compilers and processors have no such option, and no such need.
STRINGOPS := $(foreach op,memset memcpy,\
	       -m$(op)-strategy=vector_loop:512:noalign$(comma)libcall:-1:noalign)
STRINGOPS := $(shell $(CC) $(STRINGOPS) -E -xc /dev/null >/dev/null 2>&1 && \
	       echo $(STRINGOPS))

# What a publish goes through is in many files: the plugin is compiled as one
# when it is linked, and calls other libraries without a stub between, as they
# are bound when it is loaded. Its functions are marked hot, and so come to lie
# side by side, and what few publishes need is kept out of them, cold or
# noinline: a broker's other work has taken the processor's caches, and the
# fewer lines and pages there are to fetch, the sooner it is done. Tests link the
# same objects as they are, which is quicker.
ifndef SANITIZE
LTO := $(shell $(CC) -flto=auto -ffat-lto-objects -E -xc /dev/null >/dev/null 2>&1 && \
	       $(CC) --version | grep -q 'Free Software' && \
	       echo -flto=auto -ffat-lto-objects)
NO_LTO := $(if $(LTO),-fno-lto)
endif

ALL_CFLAGS  = -std=c11 -D_GNU_SOURCE -DVMQ_WEBHOOKS_VERSION='"$(VERSION)"' \
              -I. -fPIC -fvisibility=hidden -fno-plt -pthread $(STRINGOPS) $(PKG_CFLAGS) \
              -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
              -Wwrite-strings -Wpointer-arith -Wvla -Wformat=2 -Wundef
ifdef DEV
ALL_CFLAGS += -Werror
endif
ifdef SANITIZE
ALL_CFLAGS += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all \
              -fno-omit-frame-pointer
endif

CORE_SRC   := $(filter-out plugin/broker/% plugin/cli/%,$(wildcard conf/*.c cache/*.c pool/*.c plugin/*.c plugin/*/*.c))
BROKER_SRC := $(wildcard plugin/broker/*.c)
CLI_SRC    := $(wildcard plugin/cli/*.c)
UNIT_SRC   := $(wildcard test/unit/test_*.c)
UNIT_HELP  := $(filter-out $(UNIT_SRC),$(wildcard test/unit/*.c))
REPLAY_SRC := $(wildcard test/replay/test_*.c)
REPLAY_HELP := $(filter-out $(REPLAY_SRC),$(wildcard test/replay/*.c))
GOLDEN_SRC := $(wildcard test/golden/*.c)
BENCH_SRC  := $(wildcard test/bench/*.c)
GOLDEN_HELP := test/unit/http_server.c
SRC        := $(CORE_SRC) $(BROKER_SRC) $(CLI_SRC)
HDR        := $(wildcard conf/*.h cache/*.h pool/*.h plugin/*.h plugin/*/*.h)
TEST_C     := $(UNIT_SRC) $(UNIT_HELP) $(REPLAY_SRC) $(REPLAY_HELP) $(GOLDEN_SRC) $(BENCH_SRC) $(wildcard test/*/*.h)

obj = $(patsubst %.c,$O/%.o,$(1))
UNIT_BIN := $(patsubst test/%.c,$(OUT)/test/%,$(UNIT_SRC) $(REPLAY_SRC))
# The core without the pool and who speaks to its loop: for the fake pool.
REPLAY_CORE := $(filter-out pool/% plugin/admin/%,$(CORE_SRC)) pool/histogram.c

ifndef V
Q := @
say = @printf '  %-6s %s\n' $(1) $@
endif

.PHONY: all demo check unit golden broker mqtt sanitize memcheck nightly symbols \
        lint layers headers format tidy banned install clean tests \
        bench bench-tools
.SECONDARY:
.DELETE_ON_ERROR:

all: $(OUT)/vmq_webhooks.so $(OUT)/vmq-admin

# The host resolves mosquitto_*; whatever else is unresolved is a mistake that
# the load test finds. nodelete: libcurl's resolver threads may outlive us.
$(OUT)/vmq_webhooks.so: $(call obj,$(CORE_SRC) $(BROKER_SRC)) plugin/exports.map
	$(call say,LINK)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(CFLAGS) $(LTO) $(LDFLAGS) -shared -o $@ \
		$(call obj,$(CORE_SRC) $(BROKER_SRC)) $(PKG_LIBS) \
		-Wl,-Bsymbolic -Wl,-z,nodelete -Wl,-z,relro,-z,now \
		-Wl,--version-script=plugin/exports.map

# From here vmq-admin takes what its check needs, and no more.
$O/core.a: $(call obj,$(CORE_SRC))
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(OUT)/vmq-admin: $(call obj,$(CLI_SRC)) $O/core.a
	$(call say,LINK)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(CFLAGS) $(NO_LTO) $(LDFLAGS) -o $@ $^ $(PKG_LIBS)

$(OUT)/test/unit/%: $O/test/unit/%.o $(call obj,$(UNIT_HELP) $(CORE_SRC))
	$(call say,LINK)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(CFLAGS) $(NO_LTO) $(LDFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka

# The tool's machinery, with commands of the test's own.
$(OUT)/test/unit/test_cli: $(call obj,$(addprefix plugin/cli/,usage.c parse.c complete.c))

$(OUT)/test/unit/test_cli_table: $(call obj,plugin/cli/table.c)

# Its allocations fail in turn.
$(OUT)/test/unit/test_cache: LDFLAGS += -Wl,--wrap=calloc,--wrap=mmap,--wrap=munmap
$(OUT)/test/unit/test_torture: LDFLAGS += $(foreach f,malloc calloc realloc \
	strdup strndup asprintf,-Wl,--wrap=$f)

$(OUT)/test/replay/%: $O/test/replay/%.o $(call obj,$(REPLAY_HELP) $(REPLAY_CORE))
	$(call say,LINK)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(CFLAGS) $(NO_LTO) $(LDFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka

$(OUT)/test/golden: $(call obj,$(GOLDEN_SRC) $(GOLDEN_HELP) $(CORE_SRC))
	$(call say,LINK)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(CFLAGS) $(NO_LTO) $(LDFLAGS) -o $@ $^ $(PKG_LIBS)

BENCH_BIN := $(addprefix $(OUT)/bench/,endpoint load bare-curl hook-cost cache-cost)
bench_obj = $(call obj,$(1:%=test/bench/%.c) test/bench/bench.c)
$(OUT)/bench/endpoint: $(call bench_obj,endpoint)
$(OUT)/bench/load: $(call bench_obj,load client mqtt load_login load_publish load_probe load_subscribe)
$(OUT)/bench/bare-curl: $(call bench_obj,bare_curl)
$(OUT)/bench/cache-cost: $(call bench_obj,cache_cost) $(call obj,$(wildcard cache/*.c))
# The plugin looks for the broker's functions in the executable; what is the
# same in broker and library the library has.
$(OUT)/bench/hook-cost: $(call bench_obj,hook_cost fake_host)
$(OUT)/bench/hook-cost: LDFLAGS += -rdynamic -Wl,--no-as-needed -lmosquitto
$O/test/bench/fake_host.o: ALL_CFLAGS += -fvisibility=default
$(BENCH_BIN):
	$(call say,LINK)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(CFLAGS) $(NO_LTO) $(LDFLAGS) -o $@ $^ $(PKG_LIBS)

$(call obj,$(CORE_SRC) $(BROKER_SRC)): ALL_CFLAGS += $(LTO)
$O/%.o: %.c Makefile
	$(call say,CC)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

tests: $(UNIT_BIN) $(OUT)/test/golden

demo:
	$(Q)scripts/setup
	$(Q)$(MAKE) --no-print-directory all
	$(Q)scripts/demo

check:
	$(Q)scripts/check

unit: $(UNIT_BIN)
	$(Q)scripts/run-unit $(UNIT_BIN)

GOLDEN ?= ../shared/golden
golden: $(OUT)/test/golden
	$(Q)scripts/run-golden $< $(GOLDEN) requests responses chains cache-key

bench-tools: all $(BENCH_BIN)

bench: bench-tools
	$(Q)test/bench/run $(if $(QUICK),--quick) $(if $(WRITE),--write) $(FIGURES)

broker: all
	$(Q)test/broker/run --all

mqtt sanitize memcheck nightly:
	$(Q)scripts/check $@

symbols: $(OUT)/vmq_webhooks.so
	$(Q)scripts/check-symbols $<

lint: layers headers format banned tidy

layers:
	$(Q)scripts/check-layers $(SRC) $(HDR)

headers: $(HDR:%=$O/%.ok)
$O/%.h.ok: %.h Makefile
	$(Q)mkdir -p $(@D)
	$(Q)echo '#include "$<"' | $(CC) $(ALL_CFLAGS) $(CFLAGS) -MMD -MP -MT $@ \
		-MF $@.d -fsyntax-only -xc - && touch $@

format:
	$(Q)clang-format --dry-run -Werror $(SRC) $(HDR) $(TEST_C)

banned:
	$(Q)scripts/check-banned $(SRC) $(HDR) $(TEST_C)

# The analyzer takes most of the time of lint, and finds with a third of its own
# measure of paths what there is to find but for the rare: that is for nightly.
TIDY_NODES ?= 75000
tidy: $(SRC:%=$O/%.tidy$(TIDY_NODES))
$O/%.c.tidy$(TIDY_NODES): %.c .clang-tidy Makefile
	$(call say,TIDY)
	$(Q)mkdir -p $(@D)
	$(Q)clang-tidy --quiet $< -- $(filter-out $(STRINGOPS),$(ALL_CFLAGS)) \
		-Xclang -analyzer-config -Xclang max-nodes=$(TIDY_NODES) >$@.out 2>$@.err || \
		{ cat $@.out $@.err; exit 1; }
	$(Q)touch $@

install: all
	install -d $(DESTDIR)$(PLUGIN_DIR) $(DESTDIR)$(PREFIX)/bin \
		$(DESTDIR)$(COMPLETION_DIR)
	install -m 644 build/vmq_webhooks.so $(DESTDIR)$(PLUGIN_DIR)
	install -m 755 build/vmq-admin $(DESTDIR)$(PREFIX)/bin
	install -m 644 completions/vmq-admin.bash $(DESTDIR)$(COMPLETION_DIR)/vmq-admin

clean:
	$(Q)rm -rf build/obj build/test build/bench build/vmq_webhooks.so build/vmq-admin \
		build/address-undefined build/thread

-include $(shell find $O -name '*.d' 2>/dev/null)
