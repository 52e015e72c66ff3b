// A page of rows at a time, moved through by keys or fingers. `load(start)` gives {rows, start, total}, `describe(row)`
// the nodes of a row, `open(row)` those of what is read; a row is known again by `key(row)`.
function pager({ load, describe, open, key }) {
  const list = $("list"), detail = $("detail");
  let page = { rows: [], start: 0, total: 0 }, current = "", turn = 0, reading = 0;

  async function show(start) {
    const mine = ++turn;
    let got;
    try { got = await load(Math.max(0, start)); } catch (error) { say(error.message); return; }
    if (mine !== turn || !got) return;
    page = got;
    say("");
    draw();
    document.body.dataset.shown = String(turn);
  }
  function draw() {
    const at = list.scrollTop, rows = document.createDocumentFragment();
    page.rows.forEach((row, place) => {
      const made = node("div");
      made.className = "row";
      made.id = "row-" + place;
      made.setAttribute("role", "option");
      made.setAttribute("aria-selected", String(key(row) === current));
      made.append(...describe(row));
      made.onclick = () => select(place, true);
      rows.append(made);
    });
    list.replaceChildren(rows);
    list.scrollTop = at;
    const last = page.start + page.rows.length;
    $("count").textContent = page.note || (page.total ? `${count(page.start + 1)} to ${count(last)} of ${count(page.total)}` : "none");
    $("first").disabled = $("back").disabled = page.start === 0;
    $("next").disabled = searching() ? !page.more : last >= page.total;
    $("last").disabled = searching() || last >= page.total;
  }
  async function select(place, byHand) {
    const row = page.rows[place], mine = ++reading;
    if (!row) return;
    current = key(row);
    [...list.children].forEach((made, i) => made.setAttribute("aria-selected", String(i === place)));
    list.setAttribute("aria-activedescendant", "row-" + place);
    list.children[place].scrollIntoView({ block: "nearest" });
    if (byHand) detail.classList.add("open");
    let parts;
    try { parts = await open(row); } catch (error) { say(error.message); return; }
    if (mine !== reading) return;
    const close = node("button", "Close", "close");
    close.onclick = shut;
    detail.replaceChildren(close, ...parts);
    detail.scrollTop = 0;
    document.body.dataset.opened = current;
  }
  function shut() { detail.classList.remove("open"); list.focus(); }
  const place = () => page.rows.findIndex((row) => key(row) === current);
  const step = (n) => select(Math.min(Math.max(place() + n, 0), page.rows.length - 1), false);
  const turnTo = (start) => { list.scrollTop = 0; return show(start); };
  const searching = () => page.more !== undefined; // then there are only a first page and next ones
  const size = 100, end = () => Math.max(0, Math.floor((page.total - 1) / size) * size);
  const moves = {
    first: () => turnTo(0), back: () => turnTo(searching() ? 0 : page.start - size),
    next: () => turnTo(page.more || page.start + size), last: () => turnTo(end()),
  };
  for (const [name, act] of Object.entries(moves)) $(name).onclick = act;
  list.onkeydown = (event) => {
    if (event.key === "Enter") { detail.classList.add("open"); detail.focus(); event.preventDefault(); }
  };
  const onButton = () => /^(BUTTON|A)$/.test(document.activeElement.tagName);
  onKeys({
    ArrowDown: () => step(1), ArrowUp: () => step(-1), j: () => step(1), k: () => step(-1),
    PageDown: () => step(10), PageUp: () => step(-10), Home: () => select(0, false), End: () => select(page.rows.length - 1, false),
    n: () => $("next").click(), p: () => $("back").click(), Escape: () => (typing() ? document.activeElement.blur() : shut()),
    Enter: () => (onButton() ? false : (detail.classList.add("open"), detail.focus())),
  });
  return {
    show: turnTo,
    refresh: () => show(page.start),
    again: () => place() >= 0 && select(place(), false),
    get page() { return page; },
    get current() { return current; },
    first: () => page.rows.length && matchMedia("(min-width: 48.01rem)").matches && select(0, false),
  };
}
function ending(name) { return node("span", name, "kind " + (name === "correct" ? "correct" : name === "not judged yet" ? "quiet" : "wrong")); }
function titled(title, ...those) { return [node("h4", title), ...those]; }
function compared(title, before, after) {
  const pre = node("pre");
  for (const [sign, line] of diff(before.split("\n"), after.split("\n"))) pre.append(node("span", line, sign));
  return titled(title, pre);
}
