#!/usr/bin/env python3
"""restamp.py IMAGE VERSION: gives both superblocks of a store another version and the checksum that goes with it."""
import struct
import sys


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


with open(sys.argv[1], "r+b") as image:
    for at in (0, 512):
        image.seek(at)
        block = bytearray(image.read(512))
        block[16:20] = struct.pack("<I", int(sys.argv[2]))
        block[500:504] = bytes(4)
        block[500:504] = struct.pack("<I", crc32c(block))
        image.seek(at)
        image.write(block)
