// The samples that two runs share, and what became of each in both.
const left = here.get("left"), right = here.get("right"), form = document.querySelector("#samples form");
const KINDS = { all: "all", differ: "one right, one not", left: "left alone right", right: "right alone right", neither: "neither right" };
let versions = "";

const list = pager({
  key: (row) => row.problem + "\n" + row.sample,
  describe: (row) => {
    const head = node("div"), line = node("div");
    head.append(node("b", row.problem + (row.sample ? " #" + row.sample : "")));
    line.append(ending(row.ended), " | ", ending(row.other_ended));
    line.className = "two";
    return [head, line];
  },
  load: async (start) => {
    const got = await ask("pairs", { left, right, show: form.show.value || "all", start });
    const chosen = form.show.value || "all";
    const options = Object.entries(KINDS).map(([name, text]) => {
      const made = node("option", `${text} (${count(got.counts[name])})`);
      made.value = name;
      return made;
    });
    form.show.replaceChildren(...options);
    form.show.value = chosen;
    if (got.share < 1) setTimeout(() => list.refresh(), 1000);
    return { rows: got.rows, start: got.start, total: got.counts[chosen] };
  },
  open: async (row) => {
    const [one, other] = await Promise.all([ask("sample", { run: left, at: row.at }), ask("sample", { run: right, at: row.other_at })]);
    const both = node("div");
    both.className = "both";
    for (const [title, sample] of [["Left", one], ["Right", other]]) {
      const column = node("div"), error = sample.parts.find(([name]) => name === "Error");
      column.append(node("h4", `${title}: ${sample.ended}`), node("pre", sample.answer || "(empty)"));
      if (error) column.append(node("pre", error[1], "down"));
      column.append(node("p", sample.about, "small quiet"));
      both.append(column);
    }
    const shared = one.parts.filter(([title]) => title === "Reference" || title === "Prompt");
    return [node("h3", one.problem), both, ...compared("From left to right", one.answer, other.answer), ...shared.flatMap(([title, text]) => titled(title, node("pre", text)))];
  },
});

async function start() {
  for (const [id, run] of [["left", left], ["right", right]]) {
    $(id).textContent = visible(run);
    $(id).href = "run?" + new URLSearchParams({ run });
  }
  const both = new URLSearchParams([["run", left], ["run", right]]);
  for (const id of ["compare", "report"]) $(id).href = id + "?" + both;
  form.onsubmit = (event) => event.preventDefault();
  form.show.onchange = () => list.show(0);
  await list.show(0);
  list.first();
  document.body.dataset.ready = performance.now().toFixed(1);
  for (const run of [left, right])
    follow("state?" + new URLSearchParams({ run }), ({ card, version }) => {
      if (!card) { say("A run is no longer there."); return; }
      const now = versions.split("/");
      now[run === left ? 0 : 1] = String(version);
      if (versions && now.join("/") !== versions) list.refresh();
      versions = now.join("/");
    });
}
start();
