// Text of runs on a page: made visible, put in as text alone, compared line by line. Shared by every page that shows samples.
"use strict";
// Control characters become their pictures; marks that turn the direction of writing are spelled out.
const visible = (text) => text
  .replace(/[\u0000-\u0008\u000b-\u001f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0))).replace(/\u007f/g, "\u2421")
  .replace(/[\u0080-\u009f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g, (c) => "\u27e8U+" + c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0") + "\u27e9");
function node(tag, text, name) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = visible(String(text));
  if (name) made.className = name;
  return made;
}
// Longest common subsequence of lines; beyond 400 lines a side, just the two texts.
function diff(a, b) {
  if (a.length > 400 || b.length > 400) return [...a.map((l) => ["del", l]), ...b.map((l) => ["add", l])];
  const w = b.length + 1, best = new Uint16Array((a.length + 1) * w);
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      best[i * w + j] = a[i] === b[j] ? best[(i + 1) * w + j + 1] + 1 : Math.max(best[(i + 1) * w + j], best[i * w + j + 1]);
  const out = [];
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) { out.push(["same", a[i]]); i++; j++; }
    else if (i < a.length && (j >= b.length || best[(i + 1) * w + j] >= best[i * w + j + 1])) out.push(["del", a[i++]]);
    else out.push(["add", b[j++]]);
  }
  return out;
}
