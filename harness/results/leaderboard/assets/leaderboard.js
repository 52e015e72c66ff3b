// Sort by a click on a column's head (again: the other way), hide rows and columns, tell a cell in full where it is pointed at.
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.onclick = () => {
      const down = head.getAttribute("aria-sort") === "ascending", body = table.tBodies[0];
      const keyed = [...body.rows].map((row) => [row.cells[column].dataset.key, row]);
      const filled = keyed.filter(([key]) => key !== ""), empty = keyed.filter(([key]) => key === "");
      const numbers = filled.every(([key]) => !Number.isNaN(+key));
      const order = ([a], [b]) => (numbers ? a - b : a.localeCompare(b, undefined, { numeric: true }));
      filled.sort((a, b) => (down ? order(b, a) : order(a, b)));
      body.append(...[...filled, ...empty].map(([, row]) => row)); // what has no value stands last either way
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
    };
  });
}
const filter = document.getElementById("filter"), boxes = [...document.querySelectorAll("input[name=group]")];
function hideRows() {
  const words = filter.value.toLowerCase().split(/\s+/), off = new Set(boxes.filter((box) => !box.checked).map((box) => box.value));
  for (const row of document.querySelectorAll("table.sortable tbody tr")) {
    const text = row.textContent.toLowerCase();
    row.hidden = off.has(row.dataset.group) || !words.every((word) => text.includes(word));
  }
}
if (filter) filter.oninput = hideRows;
boxes.forEach((box) => { box.onchange = hideRows; });
for (const box of document.querySelectorAll("input[name=column]")) {
  box.onchange = () => {
    for (const cell of document.querySelectorAll("[data-column]")) if (cell.dataset.column === box.value) cell.hidden = !box.checked;
  };
}
const told = document.getElementById("told");
function tell(event) {
  const at = event.target.closest && event.target.closest("[data-told]");
  told.hidden = !at;
  if (!at) return;
  told.textContent = at.dataset.told;
  const box = at.getBoundingClientRect();
  const left = Math.min(box.left, innerWidth - told.offsetWidth - 8);
  const below = box.bottom + 6 + told.offsetHeight < innerHeight ? box.bottom + 6 : box.top - told.offsetHeight - 6;
  told.style.left = Math.max(8, left) + "px";
  told.style.top = below + "px";
}
if (told) {
  document.addEventListener("mouseover", tell);
  document.addEventListener("focusin", tell);
  document.addEventListener("scroll", () => { told.hidden = true; }, true);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") told.hidden = true; });
}
document.body.dataset.ready = "1";
