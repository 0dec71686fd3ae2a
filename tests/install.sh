#!/bin/sh
# make install: programs, libraries, headers, manual pages, schemas, completion. Reads B, DESTDIR, PREFIX, SOVERSION.
set -eu
root="${DESTDIR:-}${PREFIX}"
install -d "$root/bin" "$root/lib/pkgconfig" "$root/include/plat" "$root/share/plat/schemas" "$root/share/doc/plat" \
    "$root/share/man/man1" "$root/share/man/man5" "$root/share/man/man7" "$root/share/bash-completion/completions" \
    "$root/share/zsh/site-functions" "$root/share/fish/vendor_completions.d"
install -m 755 "$B/plat" "$root/bin/plat"
install -m 644 "$B/libplat.a" "$root/lib/libplat.a"
install -m 755 "$B/libplat.so.$SOVERSION" "$root/lib/libplat.so.$SOVERSION"
ln -sf "libplat.so.$SOVERSION" "$root/lib/libplat.so"
sed "s|^prefix=.*|prefix=$PREFIX|" "$B/libplat.pc" > "$root/lib/pkgconfig/libplat.pc"
chmod 644 "$root/lib/pkgconfig/libplat.pc"
# Headers include one another as "lib/...", so they keep their places below include/plat.
for header in lib/base/*.h lib/io/dev.h lib/layout/layout.h lib/layout/expr.h lib/layout/inst.h lib/layout/export.h \
    lib/hash/hash.h lib/tree/tree.h lib/fs/driver.h lib/fs/repair.h lib/fs/stack.h lib/fs/verify.h; do
    install -d "$root/include/plat/$(dirname "$header")"
    install -m 644 "$header" "$root/include/plat/$header"
done
install -m 644 lib/plat.h "$root/include/plat.h"
install -m 644 schemas/*.json "$root/share/plat/schemas/"
install -m 644 README.md LICENSE CHANGELOG.md "$root/share/doc/plat/"
for page in man/*.1; do install -m 644 "$page" "$root/share/man/man1/"; done
for page in man/*.5; do install -m 644 "$page" "$root/share/man/man5/"; done
for page in man/*.7; do install -m 644 "$page" "$root/share/man/man7/"; done
for schema in schemas/*.json; do
    case $schema in *.schema.json) continue ;; esac
    name=$(basename "$schema" .json)
    # Where a page is written by hand, the map and the fields follow what it says.
    if [ -f "man/plat-$name.5" ]; then
        { cat "man/plat-$name.5"; "$B/plat" schema doc "$name" --to man | sed -n '/^\.Sh MAP/,$p'; }
    else
        "$B/plat" schema doc "$name" --to man
    fi > "$root/share/man/man5/plat-$name.5"
done
"$B/plat" completion bash > "$root/share/bash-completion/completions/plat"
"$B/plat" completion zsh > "$root/share/zsh/site-functions/_plat"
"$B/plat" completion fish > "$root/share/fish/vendor_completions.d/plat.fish"
