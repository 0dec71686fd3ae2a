# Everything about testing; included by the Makefile.

BATS := $(sort $(wildcard tests/cli/*.bats tests/oracle/*.bats tests/bad/*.bats tests/gen/*.bats tests/golden/*.bats tests/crash/*.bats))
# Layouts that exist for the tests alone; what is generated from them stays out of libplat.
TEST_LAYOUTS := $(patsubst tests/gen/%.json,%,$(wildcard tests/gen/*.json))
# cpio's one structure varies in length: there is no C for it that could agree.
AGREE_BIN := $(filter-out %/agree_cpio,$(FORMATS:%=$(B)/unit/agree_%)) $(TEST_LAYOUTS:%=$(B)/unit/agree_%)

$(B)/unit/agree_%: $(B)/gen/agree_%.c tests/unit/agree.h $(B)/libplat.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< $(B)/libplat.a $(PKG_LIBS)
$(TEST_LAYOUTS:%=$(B)/unit/agree_%): $(B)/unit/agree_%: $(B)/gen/agree_%.c $(B)/gen/%.gen.c tests/unit/agree.h $(B)/libplat.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< $(B)/gen/$*.gen.c $(B)/libplat.a $(PKG_LIBS)
$(B)/gen/agree_%.c: tests/gen/%.json $(B)/layoutc
	@mkdir -p $(@D)
	$(Q)$(B)/layoutc agree $< $@
$(B)/gen/%.gen.h $(B)/gen/%.gen.c &: tests/gen/%.json $(B)/layoutc
	@mkdir -p $(@D)
	$(call say,LAYOUTC,$<)
	$(Q)$(B)/layoutc c $< $(B)/gen && touch $(B)/gen/$*.gen.c
.PRECIOUS: $(B)/gen/agree_%.c $(B)/gen/%.gen.h $(B)/gen/%.gen.c
# Power cuts: one program for all formats; the unit tests around it are wrappers that choose how much.
CRASH_SRC := $(wildcard tests/crash/*.c)
$(B)/unit/crash: $(CRASH_SRC) $(wildcard tests/crash/*.h) $(B)/libplat.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(CRASH_SRC) $(B)/libplat.a $(PKG_LIBS)
# What a kernel carries: for each format its reading files, which ask for nothing but what FREESTANDING_NEEDS says. The
# compiler's own headers and examples/freestanding/include are all there is to include.
FREESTANDING := caposro1 caposst1 caposwf1
FREESTANDING_caposro1 := formats/caposro1/record.c formats/caposro1/read.c
FREESTANDING_caposst1 := lib/fs/pair.c formats/caposst1/super.c formats/caposst1/scan.c formats/caposst1/reader.c
FREESTANDING_caposwf1 := formats/caposwf1/super.c formats/caposwf1/codec.c formats/caposwf1/reader.c lib/fs/pair.c
FREESTANDING_LIB := lib/base/path.c lib/base/freestanding/err.c lib/hash/crc32c.c lib/io/dev.c
FREESTANDING_NEEDS := memcmp memcpy memmove memset
FREESTANDING_KERNEL := start memory sha256
FREESTANDING_CFLAGS = -std=c17 -O2 $(WARN) -ffreestanding -nostdinc -isystem $(shell $(CC) -print-file-name=include) \
	-isystem examples/freestanding/include -I. -I$(B)/gen -fno-pic -fno-stack-protector -fno-tree-loop-distribute-patterns \
	-fno-asynchronous-unwind-tables -mgeneral-regs-only -Wframe-larger-than=2048
FREE := $(B)/freestanding
.PHONY: freestanding
freestanding: $(FREESTANDING:%=$(FREE)/%)
$(FREE)/obj/%.o: %.c | $(GEN_H)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(FREESTANDING_CFLAGS) -MMD -MP -c -o $@ $<
$(FREE)/obj/%.gen.o: $(B)/gen/%.gen.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(FREESTANDING_CFLAGS) -MMD -MP -c -o $@ $<
$(FREE)/%.carried.o:
	$(Q)$(LD) -r -o $@ $^
	@sh tests/carried.sh $@ $(FREESTANDING_NEEDS) || { rm -f $@; exit 1; }
$(FREESTANDING:%=$(FREE)/%): $(FREE)/%: $(FREE)/%.carried.o $(FREE)/obj/examples/freestanding/%.o $(FREESTANDING_KERNEL:%=$(FREE)/obj/examples/freestanding/%.o)
	$(call say,LINK,$@)
	$(Q)$(CC) -nostdlib -static -no-pie -o $@ $^
freestanding_objects = $(patsubst %.c,$(FREE)/obj/%.o,$(FREESTANDING_$1) $(FREESTANDING_LIB)) $(FREE)/obj/$1.gen.o
$(foreach f,$(FREESTANDING),$(eval $(FREE)/$f.carried.o: $(call freestanding_objects,$f)))
.SECONDARY: $(FREESTANDING:%=$(FREE)/obj/%.gen.o) $(FREESTANDING:%=$(FREE)/%.carried.o)
-include $(shell find $(B)/freestanding -name '*.d' 2>/dev/null)
# Allocations of plat's own objects go through the test, so that each of them can be made to fail.
$(B)/unit/test_fault_caposwf1 $(B)/unit/test_fault_codec $(B)/unit/test_fault_memory $(B)/unit/test_fault_native $(B)/unit/test_store $(B)/unit/test_repair: private LDFLAGS += $(foreach f,malloc calloc realloc reallocarray strdup strndup free,-Wl,--wrap=$(f))

.PHONY: deps-build deps-test
deps-build:
	@sh tests/deps.sh build
deps-test:
	@sh tests/deps.sh test
	@sh tests/deps.sh browser npm || echo 'deps.sh: goes on without them; the tests that want them say that they skip'

# The package list must be settled before make evaluates pkg-config, hence the second make.
# Set by asan and coverage alone, see SHARE.
PLAT_TEST_SHARE ?= 1
.PHONY: check check-built unit
check: deps-test
	@$(MAKE) --no-print-directory check-built
check-built: all freestanding $(UNIT_BIN) $(AGREE_BIN) $(B)/unit/crash
	@PLAT=$(abspath $(B)/plat) B=$(abspath $(B)) CC="$(CC)" PLAT_TEST_SHARE=$(PLAT_TEST_SHARE) bash tests/run.sh $(UNIT_BIN) $(AGREE_BIN) $(BATS)
# Power cuts in earnest: every subset of up to 16 sectors of each epoch, millions of states.
CRASH_STATES ?= 5000000
.PHONY: check-crash
check-crash: all $(B)/unit/crash
	@$(B)/unit/crash caposst1 --mutations
	@$(B)/unit/crash caposst1 --states $(CRASH_STATES) --epoch 20000
	@$(B)/unit/crash caposst1 --states $(CRASH_STATES) --epoch 0 --resume 100
	@$(B)/unit/crash caposwf1 --mutations
	@$(B)/unit/crash caposwf1 --states $(CRASH_STATES) --epoch 2000
	@$(B)/unit/crash caposwf1 --states $(CRASH_STATES) --epoch 40000 --resume 100 --seed 28
# Flipped bits in earnest; `make check` tries a tenth.
FLIPS ?= 100000
.PHONY: check-flips
check-flips: $(B)/unit/test_flips
	@$(B)/unit/test_flips $(FLIPS)
# Every byte of the metadata of SquashFS images changed; `make check` tries a sample.
.PHONY: check-damage
check-damage: all $(B)/unit/test_squashfs_read $(B)/unit/test_squashfs_hostile
	@PLAT=$(abspath $(B)/plat) $(B)/unit/test_squashfs_read all
	@PLAT=$(abspath $(B)/plat) $(B)/unit/test_squashfs_hostile all
# 10,000 faults in an image of each format, and what verify says of them; `make check` plants 400.
FAULTS ?= 10000
.PHONY: check-mutate
check-mutate: all
	@PLAT=$(abspath $(B)/plat) bash tests/mutate/mutate.sh $(FAULTS) 1 --all
# All of /usr/share into images and back; `make check` takes a part of it.
.PHONY: check-usr-share
check-usr-share: all
	@PLAT=$(abspath $(B)/plat) bash tests/roundtrip.sh /usr/share
unit: $(UNIT_BIN) $(AGREE_BIN)
	@PLAT=$(abspath $(B)/plat) B=$(abspath $(B)) bash tests/run.sh $(UNIT_BIN) $(AGREE_BIN)

.PHONY: demo
demo:
	@sh tests/deps.sh demo
	@$(MAKE) --no-print-directory all
	@PLAT=$(abspath $(B)/plat) B=$(abspath $(B)) sh examples/linux-disk/demo.sh

.PHONY: install uninstall
install: all
	@B=$(B) DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' SOVERSION=$(SOVERSION) sh tests/install.sh

.PHONY: lint
lint:
	@sh tests/deps.sh lint
	@$(MAKE) --no-print-directory all
	@B=$(B) bash tests/lint.sh

# Tests that try every case (each byte flipped, each sector cut) try one in SHARE where the code is instrumented. A prime,
# so that a sample does not hit the same bit of every byte. `make check` tries all.
SHARE ?= 17
# With less inlining gcc takes an error for 0 and warns of values that are set; the build that ships has the warning.
NO_FLOW = -Wno-error=maybe-uninitialized
# The unit tests and all that runs plat itself; what compiles against the library is no place for a sanitizer.
ASAN_BATS = $(filter-out tests/cli/install.bats tests/gen/%,$(BATS))
.PHONY: asan
asan:
	@sh tests/deps.sh test
	@ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1 $(MAKE) --no-print-directory check-built \
		B=$(B)-asan PLAT_TEST_SHARE=$(SHARE) BATS="$(ASAN_BATS)" CFLAGS="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer $(NO_FLOW)"

# What uses threads, under ThreadSanitizer, which sees nothing within libraries that were built without it: the pipeline alone; then
# readers of one image, and plat extract and verify --data, as a program of their own build.
TSAN_SRC := tests/unit/test_par.c lib/par/par.c lib/base/err.c
.PHONY: tsan
tsan: $(B)/unit/tsan_par
	@PLAT=$(abspath $(B)/plat) bash tests/run.sh $<
	@$(MAKE) --no-print-directory tsan-readers B=$(B)-tsan CFLAGS="-O1 -g -fsanitize=thread $(NO_FLOW)"
.PHONY: tsan-readers
tsan-readers: all $(B)/unit/test_read_threads
	@PLAT=$(abspath $(B)/plat) TSAN_OPTIONS=halt_on_error=1 bash tests/run.sh $(B)/unit/test_read_threads tests/cli/threads.bats
$(B)/unit/tsan_par: $(TSAN_SRC) lib/par/par.h tests/unit/tap.h tests/unit/threads.h
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) -std=c17 -D_GNU_SOURCE $(WARN) -I. -O1 -g -fsanitize=thread -pthread -o $@ $(TSAN_SRC)

.PHONY: coverage
coverage:
	@sh tests/deps.sh test coverage
	@find $(B)-cov -name '*.gcda' -delete 2>/dev/null || true
	@$(MAKE) --no-print-directory check-built B=$(B)-cov PLAT_TEST_SHARE=$(SHARE) CFLAGS="-Og -g --coverage $(NO_FLOW)"
	@bash tests/coverage.sh $(B)-cov

FUZZ_SECONDS ?= 60
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
.PHONY: fuzz
fuzz:
	@sh tests/deps.sh fuzz
	@$(MAKE) --no-print-directory all
	@B=$(B) CLANG="$(CLANG)" FUZZ_SECONDS=$(FUZZ_SECONDS) CFLAGS_ALL="$(filter-out -Werror -Wconversion,$(ALL_CFLAGS))" \
		LIB_SRC="$(LIB_SRC) $(GEN_C) $(B)/gen/map_page.c" CMD_SRC="$(filter-out plat.c,$(CMD_SRC))" LIBS="$(PKG_LIBS)" bash tests/fuzz/run.sh $(FUZZ_SRC)

# What compression alone costs, on the same blocks: what makers of compressed images are measured by.
$(B)/bench/codec_floor $(B)/bench/decode_floor: $(B)/bench/%: tests/bench/%.c $(B)/libplat.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< $(B)/libplat.a $(PKG_LIBS)
.PHONY: bench-squashfs-read
bench-squashfs-read:
	@sh tests/deps.sh bench
	@$(MAKE) --no-print-directory all $(B)/bench/decode_floor
	@PLAT=$(abspath $(B)/plat) DECODE_FLOOR=$(abspath $(B)/bench/decode_floor) bash tests/bench/squashfs_read.sh $(TREES)
.PHONY: bench-squashfs
bench-squashfs:
	@sh tests/deps.sh bench
	@$(MAKE) --no-print-directory all $(B)/bench/codec_floor
	@PLAT=$(abspath $(B)/plat) CODEC_FLOOR=$(abspath $(B)/bench/codec_floor) TREES=$(TREES) bash tests/bench/squashfs.sh
.PHONY: bench
bench:
	@sh tests/deps.sh bench
	@$(MAKE) --no-print-directory all $(B)/bench/codec_floor
	@PLAT=$(abspath $(B)/plat) CODEC_FLOOR=$(abspath $(B)/bench/codec_floor) bash tests/bench/bench.sh

.PHONY: golden-update
golden-update: all
	@B=$(B) bash tests/gen/update.sh
