// Galleries whose pictures are chosen: mistakes by their classes (also by a cell of the confusion matrix), repeats by their kind.
for (const gallery of document.querySelectorAll("[data-gallery]")) {
  const name = gallery.dataset.gallery, items = [...gallery.children], first = Number(gallery.dataset.first);
  const boxes = [...document.querySelectorAll(`select[data-chooses="${name}"]`)];
  const more = document.querySelector(`button[data-more="${name}"]`), said = document.querySelector(`[data-said="${name}"]`);
  let all = false;

  const show = () => {
    const chosen = boxes.filter((box) => box.value !== "");
    const fits = (item) => chosen.every((box) => (item.dataset[box.name] ?? "").split(" ").includes(box.value));
    const found = items.filter(fits), shown = new Set(all ? found : found.slice(0, first));
    for (const item of items) item.hidden = !shown.has(item);
    more.hidden = shown.size === found.length;
    more.textContent = `Show all ${found.length}`;
    said.textContent = found.length ? `${shown.size} of ${found.length} shown` : "None on this page.";
    for (const cell of document.querySelectorAll(`button[data-picks="${name}"]`))
      cell.setAttribute("aria-pressed", chosen.length > 1 && boxes.every((box) => cell.dataset[box.name] === box.value));
  };
  for (const box of boxes) box.addEventListener("change", () => { all = false; show(); });
  more.addEventListener("click", () => { all = true; show(); });
  for (const cell of document.querySelectorAll(`button[data-picks="${name}"]`)) {
    cell.addEventListener("click", () => {
      for (const box of boxes) box.value = cell.dataset[box.name] ?? "";
      all = true;
      show();
      const place = document.getElementById(cell.dataset.goes);
      place.scrollIntoView();
      place.querySelector("select").focus({ preventScroll: true });
    });
  }
  show();
  window.addEventListener("beforeprint", () => { all = true; show(); });
}
