// compare.js KSY DUMP IMAGE LEAST: compiles KSY to JavaScript, parses IMAGE with it, and compares every field of every
// structure in DUMP (plat dump --json) that the .ksy has. Exit 1 when one differs, or when fewer than LEAST were compared.
'use strict';
const fs = require('fs'), path = require('path'), os = require('os');
const compiler = require('kaitai-struct-compiler'), yaml = require('js-yaml'), KaitaiStream = require('kaitai-struct').KaitaiStream ||
    require('kaitai-struct/KaitaiStream');
const [ksy, dump, image, least] = process.argv.slice(2);
let compared = 0, faults = 0;
const missing = new Set();

const camel = (name) => (name[0] === '_' ? 'x' + name : name).split('_').map((part, i) => i === 0 ? part : part.charAt(0).toUpperCase() + part.slice(1)).join('');
function differ(where, ours, theirs) {
    if (faults++ < 20) console.log(`${where}: plat has ${JSON.stringify(ours)}, Kaitai ${JSON.stringify(theirs)}`);
}
function same(where, ours, theirs, equal) {
    compared++;
    if (!equal) differ(where, ours, theirs);
}
const hex = (bytes) => Buffer.from(bytes).toString('hex');
// A GUID is stored in either of two orders; which, the schema says and Kaitai does not know.
const guids = (bytes) => {
    const h = hex(bytes), dash = (x) => [x.slice(0, 8), x.slice(8, 12), x.slice(12, 16), x.slice(16, 20), x.slice(20)].join('-');
    const turn = (x) => x.match(/../g).reverse().join('');
    return [dash(h), dash(turn(h.slice(0, 8)) + turn(h.slice(8, 12)) + turn(h.slice(12, 16)) + h.slice(16))];
};
function compareBits(where, ours, theirs) {
    const named = ours.fields || ours.set;
    // Halves of what is wider than 32 bits are no fields, and their sum is a getter.
    const getters = Object.getOwnPropertyNames(Object.getPrototypeOf(theirs)).filter((n) => !n.startsWith('_') && n !== 'constructor');
    for (const name of [...Object.keys(theirs), ...getters]) {
        if (name.startsWith('_') || getters.some((n) => name === n + 'High' || name === n + 'Low')) continue;
        const key = Object.keys(named).find((n) => camel(n) === name);
        const value = key === undefined ? 0 : Number(named[key]);
        if (ours.fields && key === undefined) differ(`${where}.${name}`, undefined, theirs[name]);
        same(`${where}.${name}`, value, theirs[name], Number(theirs[name]) === value);
    }
}
function compare(where, ours, theirs, enums) {
    if (Array.isArray(ours)) {
        if (!theirs || theirs.length !== ours.length) return differ(where, ours.length, theirs && theirs.length);
        ours.forEach((x, i) => compare(`${where}[${i}]`, x, theirs[i], enums));
    } else if (theirs === undefined || theirs === null) {
        differ(where, ours, theirs);
    } else if (ours !== null && typeof ours === 'object' && 'value' in ours) {
        if ((ours.set || ours.fields) && typeof theirs === 'object') compareBits(where, ours, theirs);
        else compare(where, ours.value, theirs, enums);
    } else if (theirs instanceof Uint8Array && typeof ours === 'number') {
        const at = (b) => Number(BigInt('0x' + hex(b)));
        same(where, ours, hex(theirs), ours === at(theirs) || ours === at(Uint8Array.from(theirs).reverse()));
    } else if (theirs instanceof Uint8Array) {
        same(where, ours, hex(theirs), ours === hex(theirs) || guids(theirs).includes(ours));
    } else if (typeof ours === 'object') {
        compareStruct(where, ours, theirs, enums);
    } else if (typeof theirs === 'object' && 'le' in theirs) {
        same(where, ours, theirs.le, Number(ours) === theirs.le && theirs.le === theirs.be);
    } else if (typeof theirs === 'string') {
        const text = theirs.replace(/\0.*$/s, '').replace(/ +$/, '');
        same(where, ours, theirs, typeof ours === 'number' ? [8, 10, 16].some((r) => parseInt(theirs, r) === ours) : text === ours.replace(/ +$/, '') || theirs === ours);
    } else {
        const number = Number(ours);
        same(where, ours, theirs, Number.isNaN(number) ? enums.some((e) => e[theirs] === ours.toUpperCase()) : number === Number(theirs));
    }
}
function compareStruct(where, ours, theirs, enums, shape) {
    let object = theirs;
    for (const name of Object.keys(theirs)) if (/^case[A-Z0-9]/.test(name) && theirs[name]) object = theirs[name];
    // A case whose condition Kaitai has no words for: it has another in its place.
    const type = shape && camel(shape).replace(/^./, (c) => c.toUpperCase());
    if (object !== theirs && type && object.constructor.name !== type) return missing.add(`${where.replace(/\d+/g, 'N')} (${shape})`);
    for (const [name, value] of Object.entries(ours)) {
        if (!(camel(name) in object)) { missing.add(where.replace(/\d+/g, 'N') + '.' + name); continue; }
        compare(`${where}.${name}`, value, object[camel(name)], enums);
    }
}

(async () => {
    const tool = typeof compiler === 'function' ? new compiler() : compiler;
    const files = await tool.compile('javascript', yaml.load(fs.readFileSync(ksy, 'utf8')), null, false);
    const where = fs.mkdtempSync(path.join(os.tmpdir(), 'kaitai-'));
    for (const [name, text] of Object.entries(files))
        fs.writeFileSync(path.join(where, name), text.replace(/kaitai-struct\/KaitaiStream/g, require.resolve('kaitai-struct/KaitaiStream')));
    const main = Object.keys(files)[0];
    const module_ = require(path.join(where, main));
    const Root = typeof module_ === 'function' ? module_ : module_[path.basename(main, '.js')];
    fs.rmSync(where, { recursive: true });
    const enums = Object.values(Root).filter((x) => x && typeof x === 'object');
    const root = new Root(new KaitaiStream(fs.readFileSync(image)));
    const whole = JSON.parse(fs.readFileSync(dump, 'utf8'));
    const unknown = new Set();
    for (const s of whole.structures) {
        const m = /^([a-z0-9_]+)(?:\[(\d+)\])?$/.exec(s.path);
        if (!m || !(camel(m[1]) in root)) { unknown.add(s.path.replace(/\[.*/, '')); continue; }
        const list = root[camel(m[1])];
        const one = m[2] === undefined ? list : list && list[Number(m[2])];
        if (one === undefined || one === null) differ(s.path, s.fields, one);
        else compareStruct(s.path, s.fields, one, enums, s.case);
    }
    console.log(`${path.basename(ksy)}: ${compared} values compared, ${faults} differ; not in the .ksy: ${[...unknown, ...missing].join(' ') || 'nothing'}`);
    process.exit(faults > 0 || compared < Number(least) ? 1 : 0);
})().catch((e) => { console.log(`${ksy}: ${e.stack}`); process.exit(1); });
