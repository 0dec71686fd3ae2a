"use strict";
/* The map, drawn. Everything in the data comes from an image that nobody has checked: text goes into the page as text
 * (textContent), never as markup.
 *
 * ranges:     [offset, bytes, kind, layer, path, first bytes, more], ascending, no two of them overlap
 * structures: [path, type, offset, bytes, hex, fields, stream]; fields: [name, offset in it, bytes, type, value]
 *             stream: [name, position] of what is compressed: offset and bytes are then the block's */
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const ranges = data.ranges;
const first = data.mapped[0][0];
const last = data.mapped[data.mapped.length - 1];
const end = last[0] + last[1];
const structures = data.structures.slice().sort((a, b) => a[2] - b[2] || b[3] - a[3]);
const plain = structures.filter((s) => !s[6]);
const ROW = 24;

const state = { from: first, to: end, selected: 0, structure: null, field: -1, finding: -1, history: [], shown: null };

function node(tag, text, name) {
  const e = document.createElement(tag);
  if (text !== undefined) e.textContent = text;
  if (name) e.className = name;
  return e;
}
const hex = (n) => "0x" + n.toString(16);
const count = (n) => n.toLocaleString("en-US");
function size(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let i = 0;
  while (n >= 1024 && i + 1 < units.length) { n /= 1024; i++; }
  return (i ? n.toFixed(1) : String(n)) + " " + units[i];
}
const kindName = (r) => data.kinds[r[2]];
const isWrong = (r) => Boolean(r[6] && (r[6].overlaps || r[6].nonzero !== undefined));
const owner = (r) => r[4] || "nothing";
const spaced = (h) => h === "z" ? "00 ..." : (h.match(/../g) || []).join(" ");
function characters(h) {
  return (h.match(/../g) || []).map((x) => { const c = parseInt(x, 16); return c >= 32 && c < 127 ? String.fromCharCode(c) : "."; })
    .join("");
}

/* The last element of an ascending list that begins at or before a place; -1: none. */
function before(list, place, key) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle][key] <= place) low = middle + 1; else high = middle;
  }
  return low - 1;
}
function rangeAt(place) {
  const i = before(ranges, place, 0);
  return i >= 0 && place < ranges[i][0] + ranges[i][1] ? i : -1;
}
function structuresIn(from, to) {
  const found = [];
  for (let i = Math.max(0, before(plain, from, 2)); i < plain.length && plain[i][2] < to; i++)
    if (plain[i][2] + plain[i][3] > from) found.push(plain[i]);
  return found;
}
function structureAt(place) {
  return structuresIn(place, place + 1).sort((a, b) => a[3] - b[3])[0] || null;
}
function fieldAt(structure, place) {
  return structure[5].findIndex((f) => place >= structure[2] + f[1] && place < structure[2] + f[1] + f[2]);
}
/* What a compressed block holds. */
function derivedOf(range) {
  return structures.filter((s) => s[6] && s[2] < range[0] + range[1] && s[2] + s[3] > range[0]);
}

/* ---- drawing ---- */

let colours = {};
function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["metadata", "data", "free", "padding", "unclaimed", "wrong", "text", "dim", "line", "accent", "back"])
    colours[name] = style.getPropertyValue("--" + name).trim();
}

function fit(canvas) {
  const ratio = window.devicePixelRatio || 1, wide = canvas.clientWidth || 900, high = canvas.clientHeight || 28;
  canvas.width = Math.round(wide * ratio);
  if (!canvas.dataset.height) canvas.dataset.height = canvas.getAttribute("height");
  canvas.height = Math.round(Number(canvas.dataset.height) * ratio);
  canvas.style.height = canvas.dataset.height + "px";
  const c = canvas.getContext("2d");
  c.setTransform(ratio, 0, 0, ratio, 0, 0);
  return [c, wide, Number(canvas.dataset.height), high];
}

/* Ranges of [from, to) to scale. A range that is less than a pixel wide shows with those beside it; what is wrong is never
 * hidden by others. */
function drawRanges(c, from, to, wide, top, high) {
  const scale = wide / (to - from), marks = [];
  let until = -1;
  c.fillStyle = colours.unclaimed;
  c.fillRect(0, top, wide, high);
  for (let i = Math.max(0, before(ranges, from, 0)); i < ranges.length && ranges[i][0] < to; i++) {
    const r = ranges[i], x = Math.max(0, (r[0] - from) * scale), right = Math.min(wide, (r[0] + r[1] - from) * scale);
    if (isWrong(r)) marks.push([x, Math.max(2, right - x)]);
    if (right <= until && right - x < 0.5) continue;
    c.fillStyle = colours[kindName(r)];
    c.fillRect(x, top, Math.max(right - x, 0.5), high);
    until = Math.floor(right) + 0.5;
  }
  c.fillStyle = colours.wrong;
  for (const [x, n] of marks) { c.fillRect(x, top, n, 5); c.fillRect(x, top + high - 5, n, 5); }
  return scale;
}

function label(c, text, x, y, room, colour) {
  if (room < 24) return;
  c.save();
  c.beginPath();
  c.rect(x, y - 14, room - 4, 20);
  c.clip();
  c.fillStyle = colour;
  c.fillText(text, x + 4, y);
  c.restore();
}

function drawOverview() {
  const [c, wide, high] = fit($("overview"));
  const scale = drawRanges(c, first, end, wide, 0, high);
  c.strokeStyle = colours.text;
  c.lineWidth = 2;
  c.strokeRect((state.from - first) * scale, 1, Math.max(3, (state.to - state.from) * scale), high - 2);
}

function drawLayers(c, scale, wide) {
  c.strokeStyle = colours.line;
  c.lineWidth = 1;
  for (const l of data.layers) {
    if (!l[4] || l[2] >= state.to || l[2] + l[3] <= state.from) continue;
    const x = Math.max(0, (l[2] - state.from) * scale), right = Math.min(wide, (l[2] + l[3] - state.from) * scale);
    c.strokeRect(x + 0.5, 2.5, Math.max(1, right - x - 1), 18);
    label(c, l[0] + ": " + l[1], x, 16, right - x, colours.text);
  }
}

function drawStructures(c, scale, wide) {
  const found = state.to - state.from > 1 << 20 ? [] : structuresIn(state.from, state.to).slice(0, 2000);
  c.lineWidth = 1;
  for (const s of found) {
    const x = (s[2] - state.from) * scale, n = s[3] * scale;
    if (n < 3) continue;
    c.strokeStyle = colours.text;
    c.strokeRect(Math.max(0, x) + 0.5, 84.5, Math.min(wide - Math.max(0, x), n) - 1, 60);
    label(c, s[0], Math.max(0, x), 98, Math.min(n, wide - Math.max(0, x)), colours.text);
    if (n < 60) continue;
    for (const [i, f] of s[5].entries()) {
      const fx = x + f[1] * scale, fn = f[2] * scale;
      if (fn < 2 || fx > wide || fx + fn < 0) continue;
      if (s === state.structure && i === state.field) {
        c.fillStyle = colours.accent;
        c.fillRect(fx, 105, fn, 38);
      }
      c.strokeStyle = colours.line;
      c.strokeRect(fx + 0.5, 105.5, fn - 1, 38);
      const chosen = s === state.structure && i === state.field;
      label(c, f[0], Math.max(0, fx), 119, fn, chosen ? colours.back : colours.text);
      label(c, f[4], Math.max(0, fx), 136, fn, chosen ? colours.back : colours.dim);
    }
  }
}

function drawView() {
  const [c, wide] = fit($("view"));
  c.font = "12px system-ui, sans-serif";
  c.clearRect(0, 0, wide, 150);
  const scale = drawRanges(c, state.from, state.to, wide, 24, 56);
  drawLayers(c, scale, wide);
  const r = ranges[state.selected];
  if (r) {
    const x = (r[0] - state.from) * scale, n = Math.max(3, r[1] * scale);
    c.strokeStyle = colours.text;
    c.lineWidth = 2;
    c.strokeRect(Math.max(1, x), 25, Math.min(wide - 2, x + n) - Math.max(1, x), 54);
  }
  for (let i = Math.max(0, before(ranges, state.from, 0)), labels = 0; i < ranges.length && ranges[i][0] < state.to && labels < 200; i++) {
    const q = ranges[i], x = Math.max(0, (q[0] - state.from) * scale), n = Math.min(wide, (q[0] + q[1] - state.from) * scale) - x;
    if (n < 40) { if (wide / (n + 0.001) > 1e6) break; continue; }
    label(c, owner(q), x, 56, n, q[2] <= 1 ? colours.back : colours.text);
    labels++;
  }
  drawStructures(c, scale, wide);
  const ticks = $("ticks");
  ticks.replaceChildren();
  for (let i = 0; i <= 4; i++) ticks.append(node("span", hex(Math.round(state.from + (state.to - state.from) * i / 4))));
}

/* ---- where the view is ---- */

function crumbs() {
  const nav = $("crumbs"), r = ranges[state.selected];
  nav.replaceChildren();
  const add = (text, from, to) => {
    if (nav.childElementCount) nav.append(node("span", "\u203a", "dim"));
    const b = node("button", text);
    b.type = "button";
    b.addEventListener("click", () => zoom(from, to));
    nav.append(b);
  };
  add(data.image + " (" + size(end - first) + ")", first, end);
  if (!r) return;
  for (const l of data.layers)
    if (l[4] && r[0] >= l[2] && r[0] < l[2] + l[3]) add(l[0] + ": " + l[1], l[2], l[2] + l[3]);
  add(owner(r), r[0], r[0] + r[1]);
  if (state.structure && !state.structure[6]) {
    const s = state.structure;
    if (s[0] !== r[4]) add(s[0], s[2], s[2] + s[3]);
    if (state.field >= 0) add(s[5][state.field][0], s[2] + s[5][state.field][1], s[2] + s[5][state.field][1] + s[5][state.field][2]);
  }
}

function draw() {
  drawOverview();
  drawView();
  crumbs();
}

function view(from, to) {
  const least = 16;
  let n = Math.max(least, Math.min(to - from, end - first));
  from = Math.max(first, Math.min(from, end - n));
  state.from = from;
  state.to = Math.min(end, from + n);
}
function zoom(from, to) {
  state.history.push([state.from, state.to]);
  if (state.history.length > 100) state.history.shift();
  view(from, to);
  draw();
}
function zoomOut() {
  const back = state.history.pop();
  if (back) view(back[0], back[1]); else view(first, end);
  draw();
}
function zoomBy(factor, at) {
  const n = (state.to - state.from) * factor;
  const share = (at - state.from) / (state.to - state.from);
  view(at - n * share, at - n * share + n);
  draw();
}

/* ---- what is selected ---- */

function pair(list, name, value, style) {
  list.append(node("dt", name, "dim"), node("dd", value, style));
}
/* Of a large structure the neighbourhood of the field. */
function bytesOf(structure, field) {
  const h = structure[4], f = field >= 0 ? structure[5][field] : null, box = node("pre");
  if (!f) { box.textContent = spaced(h) + (h.length / 2 < structure[3] && !structure[6] ? " ..." : ""); return box; }
  const a = f[1] * 2, b = (f[1] + f[2]) * 2, from = Math.max(0, a - 32) & ~31;
  box.append((from ? "... " : "") + spaced(h.slice(from, a)) + " ", node("mark", spaced(h.slice(a, b))), " " + spaced(h.slice(b, b + 64)));
  return box;
}

function showStructure(into, s) {
  into.append(node("h3", s[0] + " (" + s[1] + ")"));
  const facts = node("dl");
  if (s[6]) {
    pair(facts, "decompressed at", s[6][0] + "+" + hex(s[6][1]) + ", " + count(s[6][2]) + " bytes", "mono");
    pair(facts, "in the block at", hex(s[2]) + ", " + count(s[3]) + " bytes", "mono");
  } else {
    pair(facts, "at", hex(s[2]) + ", " + count(s[3]) + " bytes", "mono");
  }
  into.append(facts);
  const table = node("table"), head = node("tr");
  for (const name of ["offset", "field", "type", "value"]) head.append(node("th", name));
  table.append(head);
  s[5].forEach((f, i) => {
    const tr = node("tr", undefined, s === state.structure && i === state.field ? "chosen" : "");
    tr.tabIndex = 0;
    tr.append(node("td", s[6] ? "+" + f[1] : hex(s[2] + f[1]), "mono"), node("td", f[0]), node("td", f[3], "dim"), node("td", f[4], "mono"));
    const choose = () => {
      if (s === state.structure && i === state.field) return;
      state.structure = s;
      state.field = i;
      for (const other of into.querySelectorAll("tr.chosen")) other.className = "";
      tr.className = "chosen";
      holder.replaceChildren(bytesOf(s, i));
      draw();
    };
    tr.addEventListener("focus", choose);
    tr.addEventListener("mouseenter", choose);
    tr.addEventListener("keydown", (e) => {
      if (e.key === "Enter" && !s[6]) zoom(s[2] + f[1], s[2] + f[1] + f[2]);
      const to = e.key === "ArrowDown" ? tr.nextElementSibling : e.key === "ArrowUp" ? tr.previousElementSibling : null;
      if (to && to.tabIndex === 0) { to.focus(); e.preventDefault(); }
    });
    table.append(tr);
  });
  const holder = node("div");
  holder.append(bytesOf(s, s === state.structure ? state.field : -1));
  into.append(table, holder);
}

function detail() {
  const box = $("detail"), r = ranges[state.selected];
  box.replaceChildren();
  if (!r) return;
  box.append(node("h2", owner(r)));
  const facts = node("dl"), more = r[6] || {};
  pair(facts, "kind", kindName(r));
  pair(facts, "place", hex(r[0]) + " to " + hex(r[0] + r[1] - 1), "mono");
  pair(facts, "size", count(r[1]) + " bytes" + (r[1] >= 1024 ? ", " + size(r[1]) : ""));
  if (r[3] >= 0) pair(facts, "layer", (data.layers[r[3]][0] || "the image") + ": " + data.layers[r[3]][1]);
  if (more.position !== undefined) pair(facts, "in the file", "from byte " + count(more.position));
  if (more.grouped) pair(facts, "drawn as one", count(more.grouped) + " ranges, the last is " + more.until);
  if (more.shared) pair(facts, "shared with", more.shared.join(", ") + (more.more ? " and " + count(more.more) + " more" : ""));
  if (more.overlaps) pair(facts, "overlaps", more.overlaps.join(", ") + (more.more ? " and " + count(more.more) + " more" : ""), "error");
  if (more.nonzero !== undefined) pair(facts, "not zero", "first at " + hex(more.nonzero), "error");
  if (r[5]) pair(facts, "first bytes", r[5] === "z" ? "zeros" : spaced(r[5]) + "  " + characters(r[5]), "mono");
  box.append(facts);
  const inside = r[1] > 1 << 24 && r[2] !== 0 ? [] : structuresIn(r[0], r[0] + r[1]);
  const derived = r[2] === 0 ? derivedOf(r) : [];
  const list = state.structure && !state.structure[6] && inside.includes(state.structure)
    ? [state.structure, ...inside.filter((s) => s !== state.structure)] : inside;
  for (const s of list.concat(derived).slice(0, 24)) showStructure(box, s);
  const all = inside.length + derived.length;
  if (all > 24) box.append(node("p", count(all - 24) + " more structures here: zoom in", "dim"));
}

function select(i, structure, field) {
  if (i < 0 || i >= ranges.length) return;
  state.selected = i;
  state.structure = structure || null;
  state.field = field === undefined ? -1 : field;
  detail();
  scrollTo(i);
  rows();
  draw();
}
/* Selects, and brings into view what is not. */
function go(i) {
  if (i < 0 || i >= ranges.length) return;
  const r = ranges[i];
  if (r[0] + r[1] <= state.from || r[0] >= state.to || r[1] * 2000 < state.to - state.from) {
    const n = Math.max(r[1] * 8, 4096);
    view(r[0] + r[1] / 2 - n / 2, r[0] + r[1] / 2 + n / 2);
  }
  select(i);
}

/* ---- the list ---- */

const indexes = () => state.shown || ranges;
function scrollTo(i) {
  const list = $("list"), at = state.shown ? state.shown.indexOf(i) : i;
  if (at < 0) return;
  if (at * ROW < list.scrollTop || (at + 1) * ROW > list.scrollTop + list.clientHeight)
    list.scrollTop = Math.max(0, at * ROW - list.clientHeight / 2);
}
function rows() {
  const list = $("list"), box = $("rows"), n = indexes().length;
  const from = Math.max(0, Math.floor(list.scrollTop / ROW) - 5);
  const to = Math.min(n, from + Math.ceil((list.clientHeight || 440) / ROW) + 10);
  box.style.height = n * ROW + "px";
  const fresh = [];
  for (let k = from; k < to; k++) {
    const i = state.shown ? state.shown[k] : k, r = ranges[i];
    const row = node("div", undefined, isWrong(r) ? "row wrong" : "row");
    row.style.top = k * ROW + "px";
    row.id = "r" + i;
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", String(i === state.selected));
    row.append(node("span", hex(r[0])), node("span", count(r[1])), node("span", kindName(r)), node("span", owner(r)));
    row.lastChild.title = owner(r);
    row.addEventListener("click", () => select(i));
    row.addEventListener("dblclick", () => zoom(r[0], r[0] + r[1]));
    fresh.push(row);
  }
  box.replaceChildren(...fresh);
  list.setAttribute("aria-activedescendant", "r" + state.selected);
}
function search(text) {
  const wanted = text.toLowerCase();
  state.shown = null;
  if (wanted) {
    state.shown = [];
    ranges.forEach((r, i) => { if (r[4].toLowerCase().includes(wanted) || (r[6] && r[6].until && r[6].until.toLowerCase().includes(wanted))) state.shown.push(i); });
    if (!state.shown.length)
      for (const s of structures)
        if (s[0].toLowerCase().includes(wanted)) { const i = rangeAt(s[2]); if (i >= 0 && !state.shown.includes(i)) state.shown.push(i); }
    state.shown.sort((a, b) => a - b);
  }
  $("matches").textContent = wanted ? count(state.shown.length) + (state.shown.length === 1 ? " range" : " ranges") : "";
  $("list").scrollTop = 0;
  if (!wanted) scrollTo(state.selected);
  rows();
}

/* ---- hands and keys ---- */

function placeOf(canvas, x) {
  const box = canvas.getBoundingClientRect(), share = Math.min(1, Math.max(0, (x - box.left) / box.width));
  return canvas === $("view") ? state.from + share * (state.to - state.from) : first + share * (end - first);
}
function tipText(place) {
  const i = rangeAt(Math.floor(place)), lines = [];
  if (i < 0) return lines;
  const r = ranges[i], s = structureAt(Math.floor(place));
  lines.push(owner(r), kindName(r) + ", " + count(r[1]) + " bytes at " + hex(r[0]));
  if (s) {
    const f = fieldAt(s, Math.floor(place));
    lines.push(s[0] + " (" + s[1] + ")");
    if (f >= 0 && state.to - state.from <= 1 << 20)
      lines.push(s[5][f][0] + " = " + s[5][f][4], spaced(s[4].slice(s[5][f][1] * 2, (s[5][f][1] + s[5][f][2]) * 2)));
  } else if (r[5]) {
    lines.push(r[5] === "z" ? "zeros" : spaced(r[5]) + "  " + characters(r[5]));
  }
  return lines;
}
function tip(event) {
  const box = $("tip"), lines = tipText(placeOf(event.currentTarget, event.clientX));
  box.hidden = !lines.length;
  box.replaceChildren(...lines.map((l) => node("div", l)));
  box.style.left = Math.max(0, Math.min(event.clientX + 14, window.innerWidth - 480)) + "px";
  box.style.top = event.clientY + 18 + "px";
}
function pick(event) {
  const place = Math.floor(placeOf(event.currentTarget, event.clientX)), i = rangeAt(place), s = structureAt(place);
  if (i >= 0) select(i, s, s ? fieldAt(s, place) : -1);
}
for (const id of ["view", "overview"]) {
  $(id).addEventListener("mousemove", tip);
  $(id).addEventListener("mouseleave", () => { $("tip").hidden = true; });
  $(id).addEventListener("click", pick);
  $(id).addEventListener("dblclick", () => { const r = ranges[state.selected]; zoom(r[0], r[0] + r[1]); });
}
$("view").addEventListener("wheel", (e) => {
  zoomBy(e.deltaY < 0 ? 0.7 : 1 / 0.7, placeOf($("view"), e.clientX));
  e.preventDefault();
}, { passive: false });

function nextFinding() {
  if (!data.findings.length) return;
  state.finding = (state.finding + 1) % data.findings.length;
  showFinding(state.finding);
}
function showFinding(k) {
  const f = data.findings[k];
  state.finding = k;
  if (f[3] !== null) go(rangeAt(f[3]));
}
function step(by) {
  const list = state.shown;
  if (!list) return go(Math.min(ranges.length - 1, Math.max(0, state.selected + by)));
  const at = list.indexOf(state.selected);
  go(list[Math.min(list.length - 1, Math.max(0, at + by))]);
}
/* Inside a structure that fills the view the arrows go from field to field. */
function stepField(by) {
  const r = ranges[state.selected];
  let s = state.structure;
  if (!s) s = structuresIn(state.from, state.to)[0];
  if (!s || s[6] || !r || state.to - state.from > 4 * s[3]) return false;
  const next = (s === state.structure ? state.field : -1) + by;
  if (next < 0 || next >= s[5].length) return false;
  select(rangeAt(s[2]), s, next);
  return true;
}
function enter() {
  const r = ranges[state.selected], s = state.structure;
  if (s && !s[6] && state.field >= 0) {
    const f = s[5][state.field];
    zoom(s[2] + f[1], s[2] + f[1] + f[2]);
  } else if (r) {
    zoom(r[0], r[0] + r[1]);
  }
}
function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target === $("search"), row = event.target.tagName === "TR";
  const page = Math.floor($("list").clientHeight / ROW) || 18;
  if (typing) {
    if (event.key === "Enter" && state.shown && state.shown.length) { go(state.shown[0]); $("list").focus(); event.preventDefault(); }
    if (event.key === "Escape") { $("search").value = ""; search(""); $("view").focus(); }
    return;
  }
  if (event.target.tagName === "BUTTON" && (event.key === "Enter" || event.key === " ")) return;
  const keys = {
    "/": () => $("search").focus(),
    n: nextFinding,
    Home: () => { view(first, end); draw(); },
    Backspace: zoomOut, Escape: zoomOut,
    "+": () => zoomBy(0.5, middle()), "=": () => zoomBy(0.5, middle()), "-": () => zoomBy(2, middle()),
  };
  if (!row) Object.assign(keys, {
    ArrowRight: () => { if (!stepField(1)) step(1); }, ArrowLeft: () => { if (!stepField(-1)) step(-1); },
    ArrowDown: () => step(1), ArrowUp: () => step(-1), PageDown: () => step(page), PageUp: () => step(-page),
    Enter: enter,
  });
  if (keys[event.key]) { keys[event.key](); event.preventDefault(); }
}
function middle() {
  const r = ranges[state.selected], at = r ? r[0] + r[1] / 2 : 0;
  return at >= state.from && at < state.to ? at : (state.from + state.to) / 2;
}

/* ---- the rest of the page ---- */

function fill() {
  document.title = "plat map: " + data.image;
  $("title").textContent = data.image;
  $("facts").textContent = size(end - first) + ", " + count(data.n_ranges) + " ranges, " + count(data.n_findings) +
    (data.n_findings === 1 ? " finding" : " findings") + (ranges.length < data.n_ranges ? "; small neighbours are drawn as one" : "") +
    (data.structures_left_off ? "; " + count(data.structures_left_off) + " structures are not in this page (plat dump shows them)" : "");
  data.kinds.forEach((name, k) => {
    const li = node("li"), box = node("i");
    box.style.background = "var(--" + name + ")";
    li.append(box, name + " " + size(data.totals[k][0]) + " in " + count(data.totals[k][1]));
    $("legend").append(li);
  });
  const list = $("findings");
  data.findings.forEach((f, k) => {
    const li = node("li"), b = node("button", f[0] + ": " + (f[2] ? f[2] + ": " : "") + f[5], f[0]);
    b.type = "button";
    b.addEventListener("click", () => showFinding(k));
    li.append(b);
    list.append(li);
  });
  if (!data.findings.length) list.replaceWith(node("p", "None: nothing overlaps, and what is unclaimed is zero.", "dim"));
  else if (data.n_findings > data.findings.length) list.after(node("p", count(data.n_findings - data.findings.length) + " more are not in this page", "dim"));
  const head = node("tr");
  for (const name of ["layer", "what", "at", "size"]) head.append(node("th", name));
  $("layers").append(head);
  for (const l of data.layers) {
    const tr = node("tr");
    tr.append(node("td", l[0] || "the image"), node("td", l[1] + (l[4] ? ", partition " + l[4] : "")), node("td", hex(l[2]), "mono"), node("td", size(l[3])));
    tr.tabIndex = 0;
    tr.addEventListener("click", () => zoom(l[2], l[2] + l[3]));
    tr.addEventListener("keydown", (e) => { if (e.key === "Enter") zoom(l[2], l[2] + l[3]); });
    $("layers").append(tr);
  }
}
/* Paper has no scrolling: what is in view, as a table. */
function paper() {
  const box = $("printed"), table = node("table");
  readColours();
  draw();
  box.replaceChildren(node("h2", "Ranges in view"));
  let n = 0;
  for (let i = Math.max(0, before(ranges, state.from, 0)); i < ranges.length && ranges[i][0] < state.to && n < 500; i++, n++) {
    const r = ranges[i], tr = node("tr", undefined, isWrong(r) ? "error" : "");
    tr.append(node("td", hex(r[0]), "mono"), node("td", count(r[1])), node("td", kindName(r)), node("td", owner(r)));
    table.append(tr);
  }
  box.append(table);
}
function repaint() { readColours(); draw(); rows(); }

$("search").addEventListener("input", (e) => search(e.target.value));
$("list").addEventListener("scroll", rows);
$("out").addEventListener("click", zoomOut);
$("whole").addEventListener("click", () => { view(first, end); draw(); });
$("next").addEventListener("click", nextFinding);
$("theme").addEventListener("click", () => {
  const dark = getComputedStyle(document.documentElement).getPropertyValue("--back").trim() === "#14171b";
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  repaint();
});
document.addEventListener("keydown", key);
window.addEventListener("resize", repaint);
window.addEventListener("beforeprint", paper);
window.addEventListener("afterprint", repaint);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
fill();
readColours();
select(0);
document.documentElement.dataset.ready = String(Math.round(performance.now()));
