// One run: its card as it changes, its samples as they come.
const run = here.get("run"), form = document.querySelector("#samples form");
let version = -1;
const filters = () => ({ run, ended: form.ended.value });

const list = pager({
  key: (row) => String(row.at),
  describe: (row) => {
    const head = node("div");
    const value = row.value === null || row.value === 0 || row.value === 1 ? "" : " " + row.value.toPrecision(3);
    head.append(ending(row.ended + value), node("b", row.problem + (row.sample ? " #" + row.sample : "")));
    head.firstChild.className = ending(row.ended).className;
    return [head];
  },
  load: async (start) => (form.query.value.trim() ? search(start) : ask("samples", { ...filters(), start, order: form.order.value })),
  open: async (row) => {
    const sample = await ask("sample", { run, at: row.at });
    const out = [node("h3", sample.problem), node("p", `sample ${sample.sample}: ${sample.ended}; ${sample.about}`, "small quiet")];
    for (const [title, text] of sample.parts) {
      out.push(...titled(title, node("pre", text)));
      if (title === "Answer" && sample.references.length && sample.references[0] !== sample.answer) out.push(...compared("Answer against the reference", sample.references[0], sample.answer));
    }
    if (sample.verdicts.length) out.push(...titled("Verdicts", node("pre", sample.verdicts.join("\n"))));
    return out;
  },
});

// A search goes through the run's texts piece by piece, until a page is full; `start` is where the next page goes on.
let searching = 0;
async function search(start) {
  const mine = ++searching, rows = [], query = form.query.value.trim();
  for (let after = start ? start : -1; ;) {
    const got = await ask("samples", { ...filters(), q: query, after });
    if (mine !== searching) return null;
    rows.push(...got.rows);
    if (rows.length >= 100 || got.next === null) {
      const part = got.next === null ? "" : `, searched to ${Math.round(100 * got.searched)} %`;
      return { rows, start: start ? start : 0, total: rows.length, more: got.next, note: `${count(rows.length)} with this text${part}` };
    }
    after = got.next;
    say(`searched ${Math.round(100 * got.searched)} %, found ${rows.length} …`);
  }
}
function draw(card) {
  document.title = visible(card.name);
  $("name").textContent = visible(card.name);
  $("about").textContent = visible([card.task, card.about].filter(Boolean).join(" · "));
  const parts = [node("span", card.state, "state " + card.state), node("span", progressText(card))];
  if (card.state !== "finished" && card.total) parts.push(bar(card.done, card.total));
  const cost = !card.cost || card.cost.endsWith("tokens") ? card.cost : "cost " + card.cost;
  for (const text of [card.pace, cost, card.result]) if (text) parts.push(node("span", text));
  if (card.faults) parts.push(node("span", `${count(card.faults)} faults`, "down"));
  if (card.warnings.length) {
    const all = node("span", undefined, "down");
    all.append(...warnings(card));
    parts.push(all);
  }
  $("card").replaceChildren(...parts);
  $("notes").parentElement.hidden = !card.notes.length;
  $("notes").replaceChildren(...card.notes.map((line) => node("li", line)));
}
function choices(ends) {
  const chosen = form.ended.value;
  const options = Object.entries(ends).map(([name, n]) => {
    const made = node("option", `${name} (${count(n)})`);
    made.value = name;
    return made;
  });
  if (chosen && !(chosen in ends)) { const made = node("option", `${chosen} (0)`); made.value = chosen; options.push(made); }
  form.ended.replaceChildren(form.ended.options[0], ...options);
  form.ended.value = chosen;
}
follow("state?" + new URLSearchParams({ run }), async (state) => {
  if (!state.card) { say("This run is no longer there."); return; }
  draw(state.card);
  if (state.unreadable) { say(state.unreadable); document.body.dataset.ready = performance.now().toFixed(1); return; }
  if (document.activeElement !== form.ended) choices(state.ends);
  if (state.share < 1) say(`reading the run: ${Math.round(100 * state.share)} %`);
  const begun = version < 0, changed = state.version !== version;
  version = state.version;
  if (begun) {
    if (state.card.state === "running") form.order.value = "newest";
    await list.show(0);
    list.first();
    document.body.dataset.ready = performance.now().toFixed(1);
  } else if (changed && !form.query.value.trim()) await list.refresh();
});
let waiting = 0;
form.onsubmit = (event) => event.preventDefault();
form.query.oninput = () => { clearTimeout(waiting); waiting = setTimeout(() => list.show(0), 250); };
form.ended.onchange = form.order.onchange = () => list.show(0);
form.start.onchange = () => { form.query.value = ""; list.show(Math.max(0, +form.start.value - 1)); };
$("report").href = "report?" + new URLSearchParams({ run });
onKeys({ "/": () => form.query.focus() });
