// Tables that are sorted by a click on a heading, and rows that are found by a word.
"use strict";
let unfolded = [];
window.addEventListener("beforeprint", () => {
  unfolded = [...document.querySelectorAll("details:not([open])")];
  for (const one of unfolded) one.open = true;
});
window.addEventListener("afterprint", () => { for (const one of unfolded) one.open = false; });

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  if (body.rows.length < 2) continue;
  const value = (row, column) => {
    const cell = row.cells[column], text = cell.dataset.value ?? cell.textContent.trim();
    const number = parseFloat(text.replaceAll(",", "").replace(/^[^\d.+-]*=\s*/, "")), unit = text.match(/^[\d.,]+\s*(ms|s|min|h)$/);
    return Number.isNaN(number) ? text.toLowerCase() : number * (unit ? { ms: 0.001, s: 1, min: 60, h: 3600 }[unit[1]] : 1);
  };
  const missing = (one) => one === "–" || one === "";
  const compare = (a, b, way) => {
    if (missing(a) || missing(b)) return missing(a) - missing(b);
    return way * (typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1);
  };
  for (const [column, heading] of [...table.tHead.rows[0].cells].entries()) {
    if ("unsorted" in heading.dataset) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const rising = heading.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const rows = [...body.rows].sort((a, b) => compare(value(a, column), value(b, column), rising ? 1 : -1));
      body.append(...rows);
    });
  }
}

for (const box of document.querySelectorAll("input[data-rows]")) {
  const rows = [...document.querySelectorAll(`#${box.dataset.rows} tbody tr`)], said = document.getElementById(box.dataset.said);
  const find = () => {
    const word = box.value.trim().toLowerCase();
    for (const row of rows) row.hidden = !row.cells[0].textContent.toLowerCase().includes(word);
    said.textContent = word ? `${rows.filter((row) => !row.hidden).length} of ${rows.length}` : "";
  };
  box.addEventListener("input", find);
}
for (const one of document.querySelectorAll(".controls[hidden], .scripted[hidden]")) one.hidden = false;
