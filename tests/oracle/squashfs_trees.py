#!/usr/bin/env python3
"""Trees for the SquashFS tests, and what is true of them.

squashfs_trees.py make DIR [VISIBLE]     a small tree of every kind of node, on disk; owners, devices and trusted.* as root;
                                         given anything more, no control characters in names, which plat does not extract
squashfs_trees.py facts DIR [WHAT...]    everything that a reader tells of a tree, a line each; without each WHAT:
                                         owner, links, xattrs, root
squashfs_trees.py tar TREE               a tree that no disk should have to hold, as a tar stream: entries:N, links:N, deep:N,
                                         names, devices
squashfs_trees.py list TREE              the same as listing() of squashfs.bash shows it, sorted bytewise
squashfs_trees.py names DIR              how many names are in DIR, of how many inodes, and a hash of the sorted names, as
                                         readdir tells them: nothing is looked up
"""
import errno
import hashlib
import os
import random
import stat
import sys

TIME = 1709210096
KINDS = {stat.S_IFREG: "f", stat.S_IFDIR: "d", stat.S_IFLNK: "l", stat.S_IFCHR: "c", stat.S_IFBLK: "b", stat.S_IFIFO: "p",
         stat.S_IFSOCK: "s"}


# ---- on disk ----

def make(top, visible):
    """Sizes around a block of 4 KiB, 128 KiB and 1 MiB, holes, equal files, every kind, many names, links."""
    rng = random.Random(4)
    text = "".join("%d\n" % i for i in range(330000)).encode()
    root = os.geteuid() == 0
    os.makedirs(top + "/files/deep/er")
    os.makedirs(top + "/empty")
    os.makedirs(top + "/many")
    sizes = [0, 1, 2, 4095, 4096, 4097, 8192, 131071, 131072, 131073, 1048575, 1048576, 1048577, 2097152]
    contents = {"files/size-%d" % n: text[:n] for n in sizes}
    contents["files/random"] = rng.randbytes(200000)
    contents["files/deep/copy"] = contents["files/random"]
    contents["files/deep/er/begins-alike"] = contents["files/random"][:150000] + b"other"
    contents["files/zeros"] = bytes(300000)
    for name in "n" * 255, "ünï", "日本語", "a b", "tab\there", ".hidden", "--", "*", "new\nline", "back\\slash", '"':
        contents["files/" + name] = name.encode()
    contents["many/\x7f"] = b""
    if visible:
        contents = {name: content for name, content in contents.items() if not any(c < " " or c == "\x7f" for c in name)}
    for i in range(300):
        contents["many/entry-of-a-directory-%d" % i] = b"%d" % i
    for name, content in contents.items():
        with open(os.path.join(top, name), "wb") as f:
            f.write(content)
    with open(os.fsencode(top) + b"/files/latin-\xfc\xff", "wb") as f:
        f.write(b"no UTF-8")
    with open(top + "/files/hole", "wb") as f:
        f.seek(2500000)
        f.write(b"behind the hole")
    os.symlink("deep/er/begins-alike", top + "/files/link")
    os.symlink("x" * 4000, top + "/far")
    for other in "many/link", "hard":
        os.link(top + "/files/random", os.path.join(top, other))
    os.link(top + "/files/size-0", top + "/many/nothing")
    os.link(top + "/files/link", top + "/hard-symlink")
    os.mkfifo(top + "/pipe")
    for name, value in ("user.empty", b""), ("user.text", b"value"), ("user.large", bytes(range(256)) * 4):
        for path in "files/size-1", "many", "hard":
            os.setxattr(os.path.join(top, path), name, value)
    os.setxattr(top + "/files/size-2", "user.text", b"another")
    if root:
        os.mknod(top + "/console", 0o600 | stat.S_IFCHR, os.makedev(5, 1))
        os.mknod(top + "/disk", 0o660 | stat.S_IFBLK, os.makedev(8, 17))
        os.mknod(top + "/large", 0o660 | stat.S_IFBLK, os.makedev(259, 70000))
        os.mknod(top + "/largest", 0o660 | stat.S_IFCHR, os.makedev(4095, 1048575))
        os.mknod(top + "/socket", 0o755 | stat.S_IFSOCK)
        os.setxattr(top + "/console", "trusted.of", b"a device")
        os.setxattr(top + "/far", "trusted.of", b"a link", follow_symlinks=False)
        for i in range(300):
            os.chown(top + "/many/entry-of-a-directory-%d" % i, 100000 + i, 4294967294 - i % 7)
        os.chown(top + "/far", 7, 8, follow_symlinks=False)
    for path, mode in ("files/size-1", 0o4755), ("files/size-2", 0o2711), ("empty", 0o1777), ("many", 0o2750), ("hard", 0):
        os.chmod(os.path.join(top, path), mode)
    times = 0
    for base, dirs, files in os.walk(os.fsencode(top), topdown=False):
        for name in sorted(files + [d for d in dirs if os.path.islink(os.path.join(base, d))]) + [b"."]:
            os.utime(os.path.join(base, name), (TIME + times, TIME + times), follow_symlinks=False)
            times += 1
    os.utime(top + "/files/size-4096", (0, 0))
    os.utime(top + "/files/size-4097", (2**32 - 1, 2**32 - 1))
    os.utime(top + "/files/deep/er", (2**31, 2**31))


def attributes(path):
    """Names, each with a hash of its value."""
    try:
        names = sorted(os.listxattr(path, follow_symlinks=False))
    except OSError as e:
        if e.errno != errno.ENOTSUP:
            raise
        return []
    found = []
    for name in names:
        try:
            value = os.getxattr(path, name, follow_symlinks=False)
        except OSError as e:
            if e.errno != errno.ENODATA:  # which squashfuse says of an empty value
                raise
            value = b""
        found.append("%s=%s" % (name, hashlib.sha256(value).hexdigest()[:12]))
    return found


def facts(top, without):
    """Contents as a hash, links as the first name of the same inode; directories have as many links as they should."""
    top = os.fsencode(top)
    first, lines = {}, []
    paths = [b""]
    for base, dirs, files in os.walk(top):
        paths += [os.path.relpath(os.path.join(base, name), top) for name in dirs + files]
    for path in sorted(paths):
        full = os.path.join(top, path) if path else top
        if path == b"" and "root" in without:
            continue
        s = os.lstat(full)
        kind = KINDS[stat.S_IFMT(s.st_mode)]
        line = [repr(path)[1:], kind, "%o" % stat.S_IMODE(s.st_mode), "%.9f" % (s.st_mtime_ns / 1e9)]
        if "owner" not in without:
            line.append("%d:%d" % (s.st_uid, s.st_gid))
        if kind != "d" and "links" not in without:
            line.append("%d links, of %r" % (s.st_nlink, first.setdefault(s.st_ino, path)))
        if kind == "f":
            with open(full, "rb") as f:
                line.append("%d %s" % (s.st_size, hashlib.file_digest(f, "sha256").hexdigest()))
        elif kind == "l":
            target = os.readlink(full)
            line.append("%d %r" % (len(target), target[:80]))
        elif kind in "cb":
            line.append("%d,%d" % (os.major(s.st_rdev), os.minor(s.st_rdev)))
        if "xattrs" not in without:
            line += attributes(full)
        lines.append(" ".join(line))
    for line in lines:
        print(line)


# ---- as a tar stream ----

class Node:
    """One member: what a tar header has room for."""

    def __init__(self, path, kind, mode=0o644, uid=0, gid=0, content=b"", target="", device=(0, 0), links=1):
        self.path, self.kind, self.mode, self.uid, self.gid = path, kind, mode, uid, gid
        self.content, self.target, self.device, self.links = content, target, device, links

    def listing(self):
        size = len(self.target) if self.kind == "l" else len(self.content)
        size = "" if self.kind == "d" else size
        return "%s|%s|%o|%d|%d|%s|%d|%d|%s" % (self.path, self.kind, self.mode, self.uid, self.gid, size, self.links, TIME, self.target)


def tree(spec):
    """The nodes of a tree below its root, and (path, of) for further names of a file."""
    kind, _, n = spec.partition(":")
    n = int(n or 0)
    if kind == "entries":
        yield Node("d", "d", 0o755, links=2)
        for i in range(n):
            yield Node("d/%06d-of-very-many" % i, "f", 0o600 + i % 64, i % 1000, i % 7, b"%d" % i)
    elif kind == "links":
        yield Node("d", "d", 0o755, links=2)
        yield Node("d/0", "f", content=b"one file of many names", links=n)
        for i in range(1, n):
            yield Node("d/%d" % i, "f", content=b"one file of many names", target="d/0", links=n)
    elif kind == "deep":
        for i in range(1, n + 1):
            yield Node("/".join("level-%d" % j for j in range(1, i + 1)), "d", 0o755, links=3 if i < n else 2)
        yield Node("/".join("level-%d" % j for j in range(1, n + 1)) + "/leaf", "f", content=b"leaf\n")
    elif kind == "names":
        for i in range(200):
            yield Node(("%03d" % i).ljust(255, "n"), "f", content=b"%d" % i)
        yield Node("d" * 255, "d", 0o711, links=2)
        yield Node("d" * 255 + "/" + "e" * 255, "f", content=b"below")
        yield Node("l" * 255, "l", 0o777, target="d" * 255 + "/" + "e" * 255)
    elif kind == "devices":
        for major in 0, 1, 255, 256, 259, 511, 2048, 4095:
            for minor in 0, 1, 255, 256, 4095, 65536, 70000, 1048575:
                for letter in "cb":
                    yield Node("%s-%d-%d" % (letter, major, minor), letter, 0o620, major, minor, device=(major, minor))
    else:
        sys.exit("no tree " + spec)


def field(value, width):
    """A number as tar has it: octal, or binary where that is too short."""
    text = b"%0*o" % (width - 1, value)
    return text + b"\0" if len(text) < width else b"\x80" + value.to_bytes(width - 1, "big")


TYPES = {"f": b"0", "l": b"2", "c": b"3", "b": b"4", "d": b"5", "p": b"6"}


def header(name, node, kind, size, target=b""):
    block = (name[:100].ljust(100, b"\0") + field(node.mode, 8) + field(node.uid, 8) + field(node.gid, 8) + field(size, 12) +
             field(TIME, 12) + b" " * 8 + kind + target[:100].ljust(100, b"\0") + b"ustar  \0" + bytes(64) +
             field(node.device[0], 8) + field(node.device[1], 8)).ljust(512, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def padded(content):
    return content + bytes(-len(content) % 512)


def tar(spec, out):
    out.write(header(b"./", Node("", "d", 0o755), b"5", 0))
    for node in tree(spec):
        name, target = node.path.encode(), node.target.encode()
        for long, letter in (target, b"K"), (name, b"L"):
            if len(long) > 100:
                out.write(header(b"././@LongLink", Node("", "f"), letter, len(long) + 1) + padded(long + b"\0"))
        if node.kind == "f" and target:
            out.write(header(name, node, b"1", 0, target))
        else:
            out.write(header(name, node, TYPES[node.kind], len(node.content), target) + padded(node.content))
    out.write(bytes(1024))


def listing(spec, out):
    lines = []
    for node in tree(spec):
        if node.kind == "f":
            node.target = ""
        lines.append(node.listing().encode() + b"\n")
    out.writelines(sorted(lines))


def names(path):
    found = sorted((e.name, e.inode()) for e in os.scandir(path))
    digest = hashlib.sha256("\n".join(name for name, _ in found).encode()).hexdigest()
    print(len(found), "names", len({inode for _, inode in found}), "inodes", digest)


if __name__ == "__main__":
    verb, what = sys.argv[1:3]
    if verb == "make":
        make(what, len(sys.argv) > 3)
    elif verb == "facts":
        facts(what, sys.argv[3:])
    elif verb == "names":
        names(what)
    elif verb == "tar":
        tar(what, sys.stdout.buffer)
    else:
        listing(what, sys.stdout.buffer)
