// The sample browser: filter, search, read, compare. What a model wrote is only ever put into the page as text.
"use strict";
(() => {
  const ROW = 52, $ = (id) => document.getElementById(id);
  const list = $("list"), detail = $("detail"), form = document.querySelector("#samples form");
  let index, columns, shown = new Uint32Array(0), current = -1, query = "", turn = 0;
  const chunks = new Map();

  // ---- blobs: base64 of gzip of JSON

  function bytes(text) {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
    const raw = atob(text), out = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
    return out;
  }
  const unzip = async (id) => {
    const stream = new Blob([bytes($("blob-" + id).textContent)]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  };
  function chunk(number) {
    if (!chunks.has(number)) {
      const entry = { rows: null, hay: null, ends: null };
      entry.ready = unzip("c" + number).then((rows) => { entry.rows = rows; return entry; });
      chunks.set(number, entry);
    }
    return chunks.get(number);
  }
  // Rows of a chunk stand together, so the place within it is the distance from its first row.
  async function texts(i) {
    let low = 0, high = index.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (index.starts[middle] <= i) low = middle; else high = middle - 1;
    }
    return (await chunk(low).ready).rows[i - index.starts[low]];
  }
  const answerOf = (t) => (t[1] === 0 ? t[0] : t[1]);
  async function asked(i) { // prompt and references stand with the problem's first sample
    let first = i;
    while (first > 0 && columns.sample[first] > 0 && columns.problem[first - 1] === columns.problem[i] && columns.run[first - 1] === columns.run[i]) first--;
    const t = await texts(first);
    return { prompt: t[3] || "", references: t[4] || [], shots: t[5] || "" };
  }

  // ---- filtering

  async function apply() {
    const mine = ++turn, began = performance.now();
    const run = form.run.value, kind = form.kind.value, group = form.group.value;
    query = form.query.value.trim().toLowerCase();
    const hits = query ? await search(query, mine) : null;
    if (mine !== turn) return;
    const out = new Uint32Array(index.count);
    let n = 0;
    const wantRun = run === "" ? -1 : +run, wantKind = kind === "" ? -1 : +kind, wantGroup = group === "" ? -1 : +group;
    const runs = columns.run, kinds = columns.kind, problems = columns.problem, groups = index.groupOf;
    for (let i = 0; i < index.count; i++) {
      if (wantRun >= 0 && runs[i] !== wantRun) continue;
      if (wantKind >= 0 && kinds[i] !== wantKind) continue;
      if (wantGroup >= 0 && groups[problems[i]] !== wantGroup) continue;
      if (hits && !hits[i]) continue;
      out[n++] = i;
    }
    shown = out.subarray(0, n);
    $("count").textContent = `${n.toLocaleString("en")} of ${index.count.toLocaleString("en")} samples`;
    $("space").style.height = n * ROW + "px";
    list.scrollTop = 0;
    draw();
    document.body.dataset.filtered = (performance.now() - began).toFixed(1);
  }

  // Text is searched chunk by chunk in one lower-case string each; the first search has to open the chunks.
  async function search(needle, mine) {
    const hits = new Uint8Array(index.count);
    const named = index.lower.map((name) => name.includes(needle));
    for (let i = 0; i < index.count; i++) if (named[columns.problem[i]]) hits[i] = 1;
    for (let number = 0; number < index.starts.length; number++) {
      const entry = await chunk(number).ready;
      if (mine !== turn) return hits;
      if (!entry.hay) {
        const parts = entry.rows.map((t) => (answerOf(t) + "\n" + t[2]).toLowerCase());
        entry.ends = new Uint32Array(parts.length);
        let end = 0;
        parts.forEach((part, i) => { end += part.length + 1; entry.ends[i] = end; });
        entry.hay = parts.join("\u0000");
        $("count").textContent = `reading ${number + 1} of ${index.starts.length} …`;
        await new Promise((done) => setTimeout(done));
      }
      let row = 0;
      for (let at = entry.hay.indexOf(needle); at >= 0; at = entry.hay.indexOf(needle, entry.ends[row - 1])) {
        while (entry.ends[row] <= at) row++;
        hits[index.starts[number] + row] = 1;
        if (++row >= entry.ends.length) break;
      }
    }
    return hits;
  }

  // ---- the list: only what is in view is in the page

  function draw() {
    const from = Math.max(0, Math.floor(list.scrollTop / ROW) - 5);
    const to = Math.min(shown.length, from + Math.ceil(list.clientHeight / ROW) + 10);
    const rows = document.createDocumentFragment();
    for (let place = from; place < to; place++) rows.append(row(place));
    $("space").replaceChildren(rows);
  }
  function row(place) {
    const i = shown[place], made = node("div", undefined, "row");
    made.style.top = place * ROW + "px";
    made.id = "row-" + i;
    made.setAttribute("role", "option");
    made.setAttribute("aria-selected", String(i === current));
    const head = node("div"), name = index.kinds[columns.kind[i]];
    head.append(node("span", name, "kind " + (name === "correct" ? "correct" : "wrong")));
    head.append(node("b", index.problems[columns.problem[i]] + (columns.sample[i] ? " #" + columns.sample[i] : "")));
    const line = node("div", index.runs[columns.run[i]], "quiet");
    made.append(head, line);
    made.onclick = () => open(place, true);
    return made;
  }
  async function open(place, byHand) {
    if (place < 0 || place >= shown.length) return;
    const i = (current = shown[place]);
    list.setAttribute("aria-activedescendant", "row-" + i);
    const top = place * ROW;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
    draw();
    if (byHand) detail.classList.add("open");
    await read(i);
  }

  // ---- one sample

  async function read(i) {
    const t = await texts(i), about = await asked(i);
    if (i !== current) return;
    const out = document.createDocumentFragment();
    const close = node("button", "Close", "close");
    close.onclick = shut;
    const name = index.kinds[columns.kind[i]];
    out.append(close, node("h3", index.problems[columns.problem[i]]));
    const value = columns.value[i] === 255 ? "" : `, ${columns.value[i]} percent`;
    out.append(node("p", `${index.runs[columns.run[i]]}, sample ${columns.sample[i]}: ${name}${value}`, "small quiet"));
    const part = (title, text) => { if (text) { out.append(node("h4", title), node("pre", text)); } };
    part("Error", t[2]);
    const answer = answerOf(t);
    part("Answer", answer || "(empty)");
    await different(out, i, answer, about.references);
    if (i !== current) return;
    about.references.forEach((text, n) => part(n ? `Reference ${n + 1}` : "Reference", text));
    if (t[1] !== 0) part("Completion", t[0]);
    part("Reasoning", t[6]);
    part("Shots in the prompt", about.shots);
    part("Prompt", about.prompt);
    detail.replaceChildren(out);
    detail.scrollTop = 0;
  }
  async function different(out, i, answer, references) {
    const against = form.against.value;
    let other = null, title = "";
    if (against === "reference" && references.length) { other = references[0]; title = "Answer against the reference"; }
    else if (against !== "" && against !== "reference" && +against !== columns.run[i]) {
      const j = index.find(+against, columns.problem[i], columns.sample[i]);
      if (j >= 0) { other = answerOf(await texts(j)); title = `Answer against ${index.runs[+against]}: ${index.kinds[columns.kind[j]]}`; }
    }
    if (other === null) return;
    const pre = node("pre");
    for (const [sign, line] of diff(other.split("\n"), answer.split("\n"))) pre.append(node("span", line, sign));
    out.append(node("h4", title), pre);
  }
  function shut() { detail.classList.remove("open"); list.focus(); }

  // ---- start

  function choices(select, names) {
    names.forEach((name, i) => { const made = node("option", name); made.value = i; select.append(made); });
  }
  async function start() {
    index = await unzip("index");
    columns = {};
    const kinds = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array };
    for (const [name, text] of Object.entries(index.columns)) {
      const raw = bytes(text);
      columns[name] = new kinds[raw.length / index.count](raw.buffer);
    }
    const groups = [...new Set(index.groups)].filter((name) => name !== "").sort();
    const placeOf = new Map(groups.map((name, i) => [name, i]));
    index.groupOf = index.groups.map((name) => placeOf.get(name) ?? -1);
    index.lower = index.problems.map((name) => name.toLowerCase());
    let places = null; // run, problem -> row of the first sample; made at the first comparison of runs
    index.find = (run, problem, sample) => {
      if (!places) {
        places = new Map();
        for (let i = index.count - 1; i >= 0; i--) places.set(columns.run[i] * index.problems.length + columns.problem[i], i);
      }
      const first = places.get(run * index.problems.length + problem);
      if (first === undefined) return -1;
      for (let i = first; i < index.count && columns.problem[i] === problem && columns.run[i] === run; i++)
        if (columns.sample[i] === sample) return i;
      return first;
    };
    choices(form.run, index.runs);
    choices(form.kind, index.kinds);
    choices(form.group, groups);
    choices(form.against, index.runs.map((name) => "run: " + name));
    let hash = "";
    try { hash = decodeURIComponent(location.hash); } catch { /* not a link that a page of ours has */ }
    const wanted = hash.match(/^#run=(.+)$/); // a link to the samples of one run
    if (wanted && index.runs.includes(wanted[1])) {
      form.run.value = index.runs.indexOf(wanted[1]);
      $("samples").scrollIntoView();
    }
    if (!groups.length) form.group.parentElement.hidden = true;
    form.onsubmit = (event) => event.preventDefault();
    for (const select of [form.run, form.kind, form.group]) select.onchange = apply;
    form.against.onchange = () => current >= 0 && read(current);
    let waiting = 0;
    form.query.oninput = () => { clearTimeout(waiting); waiting = setTimeout(apply, 120); };
    let asleep = false;
    list.onscroll = () => { if (!asleep) { asleep = true; requestAnimationFrame(() => { asleep = false; draw(); }); } };
    list.onkeydown = (event) => {
      const place = shown.indexOf(current);
      const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
      if (step !== undefined) open(Math.min(Math.max(place + step, 0), shown.length - 1));
      else if (event.key === "Home") open(0);
      else if (event.key === "End") open(shown.length - 1);
      else if (event.key === "Enter") { detail.classList.add("open"); detail.focus(); }
      else return;
      event.preventDefault();
    };
    document.onkeydown = (event) => {
      if (event.key === "Escape") shut();
      else if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) { form.query.focus(); event.preventDefault(); }
    };
    addEventListener("resize", draw);
    await apply();
    if (shown.length && matchMedia("(min-width: 48.01rem)").matches) await open(0);
    document.body.dataset.ready = performance.now().toFixed(1);
  }
  start();
})();
