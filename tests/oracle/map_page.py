"""Opens a page of `plat map --html` in a headless browser and uses it: map_page.py CHROMIUM PAGE [CHECK...]

Speaks the DevTools protocol over a pipe, so that nothing but Chromium is needed. Prints the milliseconds until the page
was ready. CHECK is NAME or NAME=VALUE, of those below; each ends the program with a message when it does not hold."""
import base64
import json
import os
import re
import subprocess
import sys
import time
import urllib.parse


class Browser:
    def __init__(self, program, profile):
        self.down_r, self.down_w = os.pipe()
        self.up_r, self.up_w = os.pipe()

        def pipes():
            a, b = os.dup(self.down_r), os.dup(self.up_w)  # 3 and 4 may be in use for others
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = subprocess.Popen(
            [program, '--headless=new', '--remote-debugging-pipe', '--no-sandbox', '--disable-gpu', '--no-first-run',
             '--disable-background-networking', '--disable-dev-shm-usage', '--window-size=1280,900',
             f'--user-data-dir={profile}', 'about:blank'],
            preexec_fn=pipes, close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        os.close(self.down_r)
        os.close(self.up_w)
        self.buffer, self.number, self.session, self.events = b'', 0, None, []

    def message(self):
        while b'\0' not in self.buffer:
            part = os.read(self.up_r, 1 << 20)
            assert part, 'the browser has gone'
            self.buffer += part
        text, self.buffer = self.buffer.split(b'\0', 1)
        return json.loads(text)

    def call(self, method, **params):
        self.number += 1
        wanted = {'id': self.number, 'method': method, 'params': params}
        if self.session:
            wanted['sessionId'] = self.session
        os.write(self.down_w, json.dumps(wanted).encode() + b'\0')
        number = self.number
        while True:
            got = self.message()
            if got.get('id') == number:
                assert 'error' not in got, (method, got['error'])
                return got['result']
            self.events.append(got)

    def wait(self, name):
        while True:
            for got in self.events:
                if got.get('method') == name:
                    return got
            self.events.append(self.message())

    def js(self, expression):
        got = self.call('Runtime.evaluate', expression=expression, returnByValue=True, awaitPromise=True)
        assert 'exceptionDetails' not in got, (expression, got['exceptionDetails'])
        return got['result'].get('value')

    def frame(self):
        return self.js('new Promise(r => requestAnimationFrame(() => requestAnimationFrame(() => '
                       'r(document.documentElement.dataset.ready))))')

    def key(self, name, text=None):
        codes = {'Enter': 13, 'Backspace': 8, 'Escape': 27, 'ArrowRight': 39, 'ArrowLeft': 37, 'ArrowDown': 40,
                 'ArrowUp': 38, 'Home': 36, 'Tab': 9}
        params = {'key': name, 'windowsVirtualKeyCode': codes.get(name, ord(name[0].upper()))}
        if text or len(name) == 1:
            params['text'] = text or name
        if name == 'Enter':
            params['text'] = '\r'
        self.call('Input.dispatchKeyEvent', type='keyDown', **params)
        params.pop('text', None)
        self.call('Input.dispatchKeyEvent', type='keyUp', **params)

    def mouse(self, kind, x, y, **more):
        self.call('Input.dispatchMouseEvent', type=kind, x=x, y=y, **more)

    def open(self, page):
        target = self.call('Target.createTarget', url='about:blank')['targetId']
        self.session = self.call('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Network', 'Log'):
            self.call(domain + '.enable')
        self.page = 'file://' + urllib.parse.quote(os.path.abspath(page))
        started = time.monotonic()
        self.call('Page.navigate', url=self.page)
        self.wait('Page.loadEventFired')
        painted = self.frame()
        assert painted, 'the page did not get ready: ' + self.faults()
        return (time.monotonic() - started) * 1000

    def faults(self):
        """Exceptions, messages of the browser, requests that are not the page."""
        found = []
        for got in self.events:
            params = got.get('params', {})
            if got.get('method') == 'Runtime.exceptionThrown':
                found.append('exception: ' + json.dumps(params)[:600])
            elif got.get('method') == 'Log.entryAdded' and params['entry']['level'] == 'error':
                found.append('log: ' + params['entry']['text'])
            elif got.get('method') == 'Network.requestWillBeSent' and params['request']['url'] != self.page:
                found.append('request: ' + params['request']['url'][:100])
            elif got.get('method') == 'Page.javascriptDialogOpening':
                found.append('dialog')
        return '; '.join(found)

    def close(self):
        self.process.terminate()
        self.process.wait()


def text(browser, selector):
    return browser.js(f'document.querySelector({json.dumps(selector)}).textContent')


def check_find(b, path):
    """Search by path with the keyboard; Enter goes there; what is selected is it."""
    b.js('document.activeElement.blur()')
    b.key('/')
    assert b.js('document.activeElement.id') == 'search'
    b.call('Input.insertText', text=path)
    assert re.match(r'[1-9][\d,]* range', text(b, '#matches')), text(b, '#matches')
    b.key('Enter')
    found = text(b, '#detail h2')
    assert found == path, (found, path)
    assert b.js("document.querySelector('.row[aria-selected=true]').lastChild.textContent") == path
    b.js('document.getElementById("search").value = ""; document.getElementById("search").dispatchEvent(new Event("input"))')


def check_keys(b, _):
    """From range to range, in, from field to field, out, by keys alone."""
    b.js('document.getElementById("view").focus()')
    b.key('Home')
    whole = b.js('state.to - state.from')
    assert whole == b.js('end - first')
    at = b.js('state.selected')
    b.key('ArrowRight')
    assert b.js('state.selected') == at + 1
    b.key('ArrowLeft')
    assert b.js('state.selected') == at
    b.js('select(ranges.findIndex(r => structuresIn(r[0], r[0] + r[1]).length && r[1] <= 512))')
    before = b.js('[state.from, state.to]')
    b.key('Enter')
    assert b.js('state.to - state.from') <= 512 < whole
    b.key('ArrowRight')
    assert b.js('state.field') == 0 and b.js('state.structure !== null')
    b.key('ArrowRight')
    assert b.js('state.field') == 1
    name = b.js('state.structure[5][1][0]')
    assert name in text(b, '#crumbs') and name in text(b, '#detail tr.chosen')
    assert b.js("document.querySelector('#detail mark').textContent.trim().length > 1"), 'its bytes are marked'
    b.key('Backspace')
    assert b.js('[state.from, state.to]') == before
    b.key('Home')
    b.key('+')
    assert b.js('state.to - state.from') < whole
    b.key('Home')


def check_hover(b, _):
    """The pointer over a field shows its bytes and its value."""
    box = b.js('''(() => { const s = plain.find(s => s[5].length > 3 && s[3] <= 512 && s[5][1][2] >= 2);
        zoom(s[2], s[2] + s[3]); const c = document.getElementById("view"); c.scrollIntoView();
        const box = c.getBoundingClientRect(), f = s[5][1];
        return { x: box.left + box.width * (f[1] + f[2] / 2) / Math.max(16, s[3]), y: box.top + 120, name: f[0],
                 value: f[4] }; })()''')
    b.mouse('mouseMoved', box['x'], box['y'])
    tip = text(b, '#tip')
    assert not b.js('document.getElementById("tip").hidden') and box['name'] + ' = ' + box['value'] in tip, (tip, box)
    b.mouse('mousePressed', box['x'], box['y'], button='left', clickCount=1)
    b.mouse('mouseReleased', box['x'], box['y'], button='left', clickCount=1)
    assert box['name'] in text(b, '#detail tr.chosen')
    b.key('Home')


def check_finding(b, words):
    """Findings are listed; n goes to the first, and its row is marked."""
    assert words in text(b, '#findings'), text(b, '#findings')
    b.js('document.getElementById("view").focus()')
    b.key('n')
    assert 'wrong' in b.js("document.querySelector('.row[aria-selected=true]').className")


def check_themes(b, _):
    """Light and dark follow the system, and the button."""
    seen = {}
    for theme in ('light', 'dark'):
        b.call('Emulation.setEmulatedMedia', features=[{'name': 'prefers-color-scheme', 'value': theme}])
        b.frame()
        seen[theme] = b.js('getComputedStyle(document.body).backgroundColor')
        assert b.js('colours.back') == b.js('getComputedStyle(document.documentElement).getPropertyValue("--back").trim()')
    assert seen['light'] != seen['dark'], seen
    b.js('document.getElementById("theme").click()')
    assert b.js('getComputedStyle(document.body).backgroundColor') == seen['light']
    b.js('document.getElementById("theme").click()')
    b.call('Emulation.setEmulatedMedia', features=[])


def check_print(b, _):
    """On paper: no controls, the ranges in view as a table, what is drawn in colour."""
    pdf = base64.b64decode(b.call('Page.printToPDF', printBackground=True)['data'])
    assert pdf.startswith(b'%PDF') and len(pdf) > 5000, len(pdf)
    assert b.js('document.querySelectorAll("#printed tr").length') > 3
    b.call('Emulation.setEmulatedMedia', media='print')
    assert b.js('getComputedStyle(document.querySelector(".controls")).display') == 'none'
    assert b.js('getComputedStyle(document.getElementById("printed")).display') == 'block'
    b.call('Emulation.setEmulatedMedia', media='')


def check_scale(b, _):
    """What is drawn is to scale: the colour in the middle of each large range is that of its kind."""
    wrong = b.js('''(() => { view(first, end); draw(); const c = document.getElementById("overview"), g = c.getContext("2d");
        const probe = document.createElement("canvas").getContext("2d"); let wrong = [], seen = 0;
        for (const r of ranges) { if (r[1] < (end - first) / 50 || isWrong(r)) continue; seen++;
          const x = Math.floor(((r[0] + r[1] / 2) - first) / (end - first) * c.width);
          probe.fillStyle = colours[kindName(r)]; probe.fillRect(0, 0, 1, 1);
          const want = [...probe.getImageData(0, 0, 1, 1).data], got = [...g.getImageData(x, c.height / 2, 1, 1).data];
          if (want.some((v, i) => Math.abs(v - got[i]) > 2)) wrong.push([r[4], want, got]); }
        return seen ? wrong : ["nothing"]; })()''')
    assert wrong == [], wrong


def check_safe(b, name):
    """Names of files are text: no script of theirs has run, no element is theirs, and the name is shown as it is."""
    assert b.js('window.pwned') is None
    assert b.js('document.images.length + document.querySelectorAll("iframe, svg, object, a, form").length') == 0
    assert b.js('document.scripts.length') == 2
    check_find(b, name)
    for word in ('#crumbs', '#detail', '#list'):
        assert name in text(b, word), (word, text(b, word)[:300])


def check_ranges(b, least):
    n = b.js('data.ranges.length')
    assert n >= int(least), n
    assert b.js('ranges.every((r, i) => i === 0 || ranges[i - 1][0] + ranges[i - 1][1] === r[0])')


def check_picture(b, path):
    with open(path, 'wb') as f:
        f.write(base64.b64decode(b.call('Page.captureScreenshot', captureBeyondViewport=True)['data']))


def main():
    program, page, checks = sys.argv[1], sys.argv[2], sys.argv[3:]
    browser = Browser(program, os.path.join(os.environ.get('TMPDIR', '/tmp'), f'map-page-{os.getpid()}'))
    try:
        took = browser.open(page)
        for check in checks:
            name, _, value = check.partition('=')
            globals()['check_' + name](browser, value)
        assert browser.faults() == '', browser.faults()
        print(f'{took:.0f}')
    finally:
        browser.close()


main()
