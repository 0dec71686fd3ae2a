/* libplat: disk images described once, then written, read and checked.
 *
 * Including this header brings in the whole library:
 *   errors and text        lib/base/err.h, lib/base/text.h
 *   devices                lib/io/dev.h         files, windows, outputs that appear whole or not at all
 *   layouts                lib/layout/layout.h  descriptions; lib/layout/inst.h: structures, values, checks
 *   trees                  lib/tree/tree.h      what a filesystem is made from
 *   formats and layers     lib/fs/driver.h, lib/fs/stack.h, lib/fs/verify.h, lib/fs/repair.h
 *
 * A minimal reader:
 *
 *     struct plat_err err;
 *     struct plat_dev *dev;
 *     struct stack *stack;
 *     struct stack_options options = {0};
 *     if (dev_open_file("disk.img", false, &dev, &err) != 0 || stack_open(dev, &options, &stack, &err) != 0)
 *         fprintf(stderr, "%s\n", err.text);
 *
 * Compile with `pkg-config --cflags --libs libplat`. The library prints nothing, keeps no global state apart from
 * the cache of embedded layouts and the list of unfinished outputs, and is safe to use from several threads as long
 * as each handle stays with one thread. */
#ifndef PLAT_H
#define PLAT_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/base/progress.h"
#include "lib/base/text.h"
#include "lib/fs/driver.h"
#include "lib/fs/repair.h"
#include "lib/fs/stack.h"
#include "lib/fs/verify.h"
#include "lib/hash/hash.h"
#include "lib/io/dev.h"
#include "lib/layout/export.h"
#include "lib/layout/inst.h"
#include "lib/layout/layout.h"
#include "lib/tree/tree.h"

#endif
