#!/usr/bin/env python3
"""A tar archive on standard output with N (300,000) small files in one directory: what listings are measured on.

Headers are put together here, because tarfile takes ten times as long."""
import sys

n = int(sys.argv[1]) if len(sys.argv) > 1 else 300000


def member(name, kind, mode, size, mtime):
    head = name.encode().ljust(100, b'\0') + b'%07o\0%07o\0%07o\0%011o\0%011o\0' % (mode, 1000, 1000, size, mtime)
    rest = kind + b'\0' * 100 + b'ustar\x0000' + b'\0' * 247
    return head + b'%06o\0 ' % (sum(head) + 8 * 32 + sum(rest)) + rest


out = sys.stdout.buffer
out.write(member('many/', b'5', 0o755, 0, 1000000000))
for i in range(n):
    text = b'%d\n' % i
    out.write(member('many/entry-%07d.txt' % i, b'0', 0o644, len(text), 1000000000 + i) + text.ljust(512, b'\0'))
out.write(b'\0' * 1024)
