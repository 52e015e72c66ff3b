// Sort a table by a click on a column's head (again: the other way), hide the rows that do not hold the words typed.
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.querySelectorAll("th")];
  heads.forEach((head, column) => {
    head.querySelector("button").onclick = () => {
      const down = head.getAttribute("aria-sort") === "ascending", body = table.tBodies[0];
      const key = (row) => row.cells[column].dataset.key;
      const numbers = [...body.rows].every((row) => key(row) !== "" && !Number.isNaN(+key(row)));
      const order = (a, b) => (numbers ? key(a) - key(b) : key(a).localeCompare(key(b)));
      body.append(...[...body.rows].sort((a, b) => (down ? order(b, a) : order(a, b))));
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
    };
  });
}
const filter = document.getElementById("filter");
if (filter) filter.oninput = () => {
  const words = filter.value.toLowerCase().split(/\s+/);
  for (const table of document.querySelectorAll("table.sortable")) {
    const title = (table.closest("div").previousElementSibling || table).textContent.toLowerCase();
    for (const row of table.tBodies[0].rows) {
      const text = title + " " + row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  }
};
document.body.dataset.ready = "1";
