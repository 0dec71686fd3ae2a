"""Checks `plat map --json` of images: map_check.py PLAT IMAGE...

The ranges must cover the image without a gap and without an overlap; what is unclaimed must be told zero or not as it
is; totals must add up. With --damage=N, N copies with other bytes in them are mapped: every byte still has a row, whatever is
found, within 20 seconds. With --bytes=STEP, every STEPth byte of metadata and the ends of each range are asked for with --at, and --of the answer must hold the byte."""
import json
import os
import random
import subprocess
import sys


def run(*args):
    done = subprocess.run(args, capture_output=True, text=True)
    assert done.returncode in (0, 1), (args, done.returncode, done.stderr)
    return json.loads(done.stdout), done.returncode


def check(plat, image):
    found, code = run(plat, 'map', '--json', image)
    size = os.path.getsize(image)
    assert found['bytes'] == size and found['mapped'] == [{'offset': 0, 'bytes': size}], found['mapped']
    totals = {k: [0, 0] for k in ('metadata', 'data', 'free', 'padding', 'unclaimed')}
    at = 0
    with open(image, 'rb') as f:
        for r in found['ranges']:
            assert r['offset'] == at and r['bytes'] > 0, f'{image}: expected a range at {at:#x}, found {r}'
            at += r['bytes']
            totals[r['kind']][0] += r['bytes']
            totals[r['kind']][1] += 1
            assert r['path'], f'{image}: nobody claims {r}'
            assert 'overlaps' not in r or code == 1, r
            if r['kind'] == 'unclaimed':
                f.seek(r['offset'])
                zero = not f.read(r['bytes']).strip(b'\0')
                assert zero == r['zero'], r
                assert zero or code == 1, r
    assert at == size, f'{image}: the map ends at {at:#x}, the image at {size:#x}'
    for kind, (n_bytes, n) in totals.items():
        assert found['totals'][kind] == {'bytes': n_bytes, 'ranges': n}, (kind, n_bytes, n, found['totals'])
    assert (code == 1) == (found['totals']['findings'] > 0)
    return found


def check_damaged(plat, image, copies):
    """Changed bytes lie in metadata. Some copies are not recognised any more."""
    sound = bytearray(open(image, 'rb').read())
    rows = [r for r in run(plat, 'map', '--json', image)[0]['ranges'] if r['kind'] == 'metadata']
    random.seed(image)
    mapped = 0
    for k in range(copies):
        copy = bytearray(sound)
        for _ in range(random.choice([1, 1, 2, 8])):
            r = random.choice(rows)
            at = r['offset'] + random.randrange(r['bytes'])
            copy[at] = random.choice([0, 1, 0xff, random.randrange(256), copy[at] ^ 1 << random.randrange(8)])
        damaged = image + '.damaged'
        with open(damaged, 'wb') as f:
            f.write(copy)
        done = subprocess.run([plat, 'map', '--json', damaged], capture_output=True, text=True, timeout=20)
        assert done.returncode in (0, 1, 2), (k, done.returncode, done.stderr)
        if done.returncode == 2:
            assert 'nothing recognised' in done.stderr or 'no known format' in done.stderr or not done.stdout, done.stderr
            continue
        mapped += 1
        at = 0
        for r in json.loads(done.stdout)['ranges']:
            assert r['offset'] == at and r['bytes'] > 0, (k, at, r)
            at += r['bytes']
        assert at == len(copy), (k, at)
        done = subprocess.run([plat, 'map', '--at', str(random.randrange(len(copy))), damaged], capture_output=True,
                              text=True, timeout=20)
        assert done.returncode == 0, (k, done.returncode, done.args, done.stderr)
    assert mapped * 2 > copies, (mapped, copies)


def check_byte(plat, image, row, offset, asked):
    answer, _ = run(plat, 'map', '--json', '--at', str(offset), image)
    levels = answer['levels']
    owners = [x for x in levels if x['level'] == 'range']
    assert owners[0]['path'] == row['path'] and owners[0]['kind'] == row['kind'], (offset, row, owners)
    for x in levels:
        if x['level'] in ('structure', 'field', 'contents') or (x['level'] == 'range' and x['kind'] != 'unclaimed'):
            if x['path'] not in asked:
                asked[x['path']], _ = run(plat, 'map', '--json', '--of', x['path'], image)
            ranges = asked[x['path']]['ranges']
            assert any(r['offset'] <= offset < r['offset'] + r['bytes'] for r in ranges), (offset, x, ranges)
        elif x['level'] == 'decompressed':
            of, _ = run(plat, 'map', '--json', '--of', x['path'], image)
            assert any(r['offset'] <= offset < r['offset'] + r['bytes'] and r.get('position') == x['position']
                       for r in of['ranges']), (offset, x, of)


def main():
    plat, images, step = sys.argv[1], sys.argv[2:], 0
    if images[0].startswith('--damage='):
        copies = int(images.pop(0).split('=')[1])
        for image in images:
            check_damaged(plat, image, copies)
        return
    if images[0].startswith('--bytes='):
        step = int(images.pop(0).split('=')[1])
    for image in images:
        found = check(plat, image)
        asked = {}
        for row in found['ranges'] if step else []:
            ends = {row['offset'], row['offset'] + row['bytes'] - 1}
            small = row['offset'] + row['bytes'] if row['kind'] == 'metadata' else row['offset']
            for offset in sorted(ends | set(range(row['offset'], small, step))):
                check_byte(plat, image, row, offset, asked)


main()
