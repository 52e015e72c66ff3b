// The list of runs: cards come as events, and only what has changed is drawn anew.
const cards = new Map(), lines = new Map(), groups = new Map(), chosen = new Set();
const controls = document.querySelector("form.controls");
const groupOf = (run) => run.slice(0, Math.max(0, run.lastIndexOf("/")));

function cell(row, label, ...parts) {
  const made = node("td");
  made.dataset.label = label;
  made.append(...parts);
  row.append(made);
  return made;
}
function draw(card) {
  const row = node("tr"), box = document.createElement("input");
  row.dataset.run = card.run;
  box.type = "checkbox";
  box.checked = chosen.has(card.run);
  box.setAttribute("aria-label", "choose " + visible(card.name));
  box.onchange = () => choose(card.run, box.checked);
  cell(row, "", box).className = "box";
  const name = cell(row, "", link(card.name, "run?" + new URLSearchParams({ run: card.run })));
  name.className = "name";
  const folder = card.run.slice(card.run.lastIndexOf("/") + 1);
  name.append(node("span", [folder === card.name ? "" : folder, card.task, card.about].filter(Boolean).join(" · "), "sub"));
  cell(row, "state", node("span", card.state, "state " + card.state));
  const at = cell(row, "progress", node("span", progressText(card)));
  if (card.state !== "finished" && card.total) at.append(bar(card.done, card.total));
  if (card.pace) at.append(node("span", card.pace, "sub"));
  cell(row, "cost", node("span", card.cost));
  const wrong = cell(row, "faults, warnings");
  if (card.faults) wrong.append(node("span", `${count(card.faults)} faults`, "down"), " ");
  wrong.append(...warnings(card));
  const [value, interval] = card.result.split(/ (?=\()/);
  const result = cell(row, "result", node("span", value));
  if (interval) result.append(" ", node("span", interval, "short"));
  row.hidden = !matches(card);
  return row;
}
function group(name) {
  if (!groups.has(name)) {
    const body = node("tbody"), head = node("tr"), title = node("th");
    title.colSpan = 7;
    title.scope = "rowgroup";
    head.className = "group";
    head.append(title);
    body.append(head);
    const after = [...groups.keys()].filter((other) => other > name).sort()[0];
    $("runs").insertBefore(body, after === undefined ? null : groups.get(after).body);
    groups.set(name, { body, title, last: null });
  }
  return groups.get(name);
}
function place(card) {
  const old = lines.get(card.run), row = draw(card);
  lines.set(card.run, row);
  cards.set(card.run, card);
  if (old) {
    const at = old.contains(document.activeElement) ? document.activeElement.tagName : "";
    old.replaceWith(row);
    if (at) row.querySelector(at.toLowerCase())?.focus();
    return;
  }
  const body = group(groupOf(card.run)).body, last = body.lastElementChild;
  if (!last.dataset.run || last.dataset.run < card.run) body.append(row);
  else body.insertBefore(row, [...body.rows].find((other) => other.dataset.run > card.run) || null);
}
function remove(run) {
  const found = groups.get(groupOf(run));
  lines.get(run)?.remove();
  lines.delete(run);
  cards.delete(run);
  chosen.delete(run);
  if (found && found.body.rows.length === 1) { found.body.remove(); groups.delete(groupOf(run)); }
}

// ---- what is chosen, what is shown

function choose(run, on) {
  if (on) chosen.add(run); else chosen.delete(run);
  const runs = [...chosen], all = new URLSearchParams(runs.map((name) => ["run", name]));
  offer("side", runs.length === 2 && "side?" + new URLSearchParams({ left: runs[0], right: runs[1] }));
  offer("compare", runs.length > 1 && "compare?" + all);
  offer("report", runs.length > 0 && "report?" + all);
  $("chosen").textContent = runs.length ? `${runs.length} chosen:` : "Choose runs to compare them.";
}
function offer(id, address) {
  if (address) { $(id).href = address; $(id).removeAttribute("aria-disabled"); }
  else { $(id).removeAttribute("href"); $(id).setAttribute("aria-disabled", "true"); }
}
function matches(card) {
  const words = controls.filter.value.toLowerCase().split(/\s+/).filter(Boolean), state = controls.state.value;
  const text = [card.run, card.name, card.task, card.about, card.state, ...card.warnings, card.faults ? "faults" : ""].join(" ").toLowerCase();
  return (!state || card.state === state) && words.every((word) => text.includes(word));
}
function filter() {
  for (const [run, row] of lines) row.hidden = !matches(cards.get(run));
  tell();
}
const sums = (those) => {
  const states = {}, sum = { done: 0, total: 0, faults: 0 };
  for (const card of those) {
    states[card.state] = (states[card.state] || 0) + 1;
    for (const name of Object.keys(sum)) sum[name] += card[name] || 0;
  }
  const parts = Object.entries(states).map(([state, n]) => `${count(n)} ${state}`);
  if (states.running || states.stopped || states.incomplete) parts.push(`${count(sum.done)} of ${count(sum.total)} done`);
  if (sum.faults) parts.push(`${count(sum.faults)} faults`);
  return parts.join(", ");
};
function tell() {
  const by = new Map();
  for (const card of cards.values()) {
    const name = groupOf(card.run);
    if (!by.has(name)) by.set(name, []);
    by.get(name).push(card);
  }
  for (const [name, those] of by) {
    const { body, title } = groups.get(name);
    title.textContent = visible(`${name || "here"}: ${count(those.length)} ${those.length === 1 ? "run" : "runs"}, ${sums(those)}`);
    body.hidden = [...body.rows].every((row) => !row.dataset.run || row.hidden);
  }
  const shown = [...cards.values()].filter(matches);
  const part = shown.length === cards.size ? "" : `${count(shown.length)} of `;
  $("totals").textContent = cards.size ? `${part}${count(cards.size)} ${cards.size === 1 ? "run" : "runs"}: ${sums(shown)}` : "No run here yet: one that begins appears by itself.";
}

// ---- keys

function move(step) {
  const links = [...document.querySelectorAll("#runs tr:not([hidden]) td.name a")];
  const row = document.activeElement.closest?.("tr[data-run]");
  const at = links.findIndex((each) => row && row.contains(each));
  links[Math.min(Math.max(at + step, 0), links.length - 1)]?.focus();
}
onKeys({
  "/": () => controls.filter.focus(), Escape: () => document.activeElement.blur(),
  j: () => move(1), k: () => move(-1), ArrowDown: () => move(1), ArrowUp: () => move(-1),
  x: () => document.activeElement.closest?.("tr[data-run]")?.querySelector("input").click(),
  s: () => $("side").click(),
});
controls.onsubmit = (event) => event.preventDefault();
controls.filter.oninput = filter;
controls.state.onchange = filter;
follow("cards", ({ runs, gone, root }) => {
  if (root !== undefined) {
    const there = new Set(runs.map((card) => card.run));
    gone = [...cards.keys()].filter((run) => !there.has(run));
    $("root").textContent = visible(root);
  }
  gone.forEach(remove);
  runs.forEach(place);
  if (gone.length) choose("", false);
  tell();
  document.body.dataset.ready = performance.now().toFixed(1);
});
