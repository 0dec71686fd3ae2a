# plat: one Makefile. `make` builds, `make check` tests, `make demo` shows; `make help` lists the rest.
#
# B is the build directory; everything generated goes there, never into git. V=1 shows the commands.
B ?= build
PREFIX ?= /usr/local
DESTDIR ?=
CC ?= gcc
CLANG ?= clang
CFLAGS ?= -O2 -g
VERSION := 0.1.0
SOVERSION := 0
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-8s %s\n' $(1) $(2))

PKGS := libarchive jansson libpcre2-8 nettle libxxhash zlib liblzma libdeflate libzstd liblz4 lzo2
# lib/ and formats/ alone: what a program that links libplat needs. PCRE2 is for `plat boot`.
LIB_PKGS := libarchive jansson nettle libxxhash zlib liblzma libdeflate libzstd liblz4 lzo2
WARN := -Wall -Wextra -Wconversion -Wshadow -Wvla -Wmissing-prototypes -Werror
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS = $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lunistring
ALL_CFLAGS = -std=c17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 $(WARN) -fPIC -pthread \
	-I. -I$(B)/gen -DPLAT_VERSION='"$(VERSION)"' $(PKG_CFLAGS) $(CFLAGS)

SCHEMAS := $(sort $(filter-out %.schema.json,$(wildcard schemas/*.json)))
FORMATS := $(patsubst schemas/%.json,%,$(SCHEMAS))
GEN_H := $(FORMATS:%=$(B)/gen/%.gen.h)
GEN_C := $(FORMATS:%=$(B)/gen/%.gen.c) $(B)/gen/embedded.c

# layoutc is the bootstrap: the layout engine with a small main, built before anything generated exists.
LAYOUTC_SRC := $(wildcard lib/base/*.c lib/layout/*.c lib/hash/*.c lib/io/*.c) schemas/layoutc.c
CLI_SRC := $(wildcard lib/cli/*.c)
LIB_SRC := $(filter-out $(CLI_SRC),$(wildcard lib/*.c lib/*/*.c)) $(wildcard formats/*.c formats/*/*.c)
CMD_SRC := $(CLI_SRC) $(wildcard mkimage/*.c inspect/*.c mount/*.c boot/*.c)
UNIT_SRC := $(wildcard tests/unit/test_*.c)

LIB_OBJ := $(LIB_SRC:%.c=$(B)/obj/%.o) $(GEN_C:$(B)/gen/%.c=$(B)/obj/gen/%.o)
CMD_OBJ := $(CMD_SRC:%.c=$(B)/obj/%.o)
LAYOUTC_OBJ := $(LAYOUTC_SRC:%.c=$(B)/stage0/%.o)
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(B)/unit/%)

.PHONY: all
all: $(B)/plat $(B)/libplat.a $(B)/libplat.so $(B)/libplat.pc

$(B)/plat: $(B)/obj/plat.o $(CMD_OBJ) $(B)/libplat.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(B)/obj/plat.o $(CMD_OBJ) $(B)/libplat.a $(PKG_LIBS)
$(B)/libplat.a: $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $(LIB_OBJ)
$(B)/libplat.so: $(B)/libplat.so.$(SOVERSION)
	$(Q)ln -sf $(notdir $<) $@
$(B)/libplat.so.$(SOVERSION): $(LIB_OBJ) lib/libplat.map
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -shared -Wl,-soname,libplat.so.$(SOVERSION) \
		-Wl,--version-script=lib/libplat.map -o $@ $(LIB_OBJ) \
		$(shell pkg-config --libs $(LIB_PKGS) 2>/dev/null) -lunistring
$(B)/libplat.pc: Makefile
	@mkdir -p $(@D)
	$(Q)printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' 'Name: libplat' \
		'Description: disk images described once: written, read, checked' 'Version: $(VERSION)' \
		'Requires.private: $(LIB_PKGS)' 'Libs: -L$${libdir} -lplat' 'Libs.private: -lunistring -pthread' \
		'Cflags: -I$${includedir} -I$${includedir}/plat' > $@

$(B)/layoutc: $(LAYOUTC_OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(LAYOUTC_OBJ) $(PKG_LIBS)
$(B)/stage0/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
$(B)/gen/%.gen.h $(B)/gen/%.gen.c &: schemas/%.json $(B)/layoutc
	@mkdir -p $(@D)
	$(call say,LAYOUTC,$<)
	$(Q)$(B)/layoutc c $< $(B)/gen && touch $(B)/gen/$*.gen.c
$(B)/gen/embedded.c: $(SCHEMAS) $(B)/layoutc
	@mkdir -p $(@D)
	$(call say,LAYOUTC,$@)
	$(Q)$(B)/layoutc embed $@ $(SCHEMAS) && touch $@

$(B)/obj/gen/%.o: $(B)/gen/%.c $(GEN_H)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
$(B)/obj/%.o: %.c | $(GEN_H)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
$(B)/unit/%: tests/unit/%.c $(CMD_OBJ) $(B)/libplat.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -MMD -MP -o $@ $< $(CMD_OBJ) $(B)/libplat.a $(PKG_LIBS)
# The agreement test is written by layoutc from every schema, so that it covers every type without being told.
$(B)/gen/agree_%.c: schemas/%.json $(B)/layoutc
	@mkdir -p $(@D)
	$(Q)$(B)/layoutc agree $< $@

-include $(shell find $(B)/obj $(B)/stage0 $(B)/unit $(B)/fuzz -name '*.d' 2>/dev/null)

.PHONY: help
help:
	@printf '%s\n' \
	'make             build $(B)/plat, libplat.a, libplat.so' \
	'make demo        install what is missing, build, make and boot a disk' \
	'make check       install what is missing, build, run every test' \
	'make check-crash millions of power cuts' \
	'make check-flips 100,000 flipped bits of a large image of each native format' \
	'make check-damage  each byte of the metadata of SquashFS images changed' \
	'make freestanding  the readers that a kernel can carry, without a C library' \
	'make check-usr-share  /usr/share into images of the native formats and back' \
	'make install     DESTDIR= PREFIX=/usr/local' \
	'make lint        include arrows, headers alone, formatting, clang-tidy, cppcheck' \
	'make asan        the tests under ASan and UBSan; SHARE=1 tries every flipped byte, too' \
	'make tsan        what uses threads, under ThreadSanitizer' \
	'make fuzz        each fuzz target for FUZZ_SECONDS (60)' \
	'make coverage    line coverage of lib/ and formats/; fails below 85%' \
	'make bench       side by side with genimage and mkfs.fat + mcopy; writes BENCHMARKS.md' \
	'make bench-squashfs  SquashFS beside mksquashfs, gensquashfs, tar2sqfs; into BENCHMARKS.md' \
	'make bench-squashfs-read  reading it beside unsquashfs and the bare codec; TREES likewise' \
	'make golden-update   accept changed generated code' \
	'make clean'

.PHONY: clean
clean:
	rm -rf $(B)

include tests/tests.mk
