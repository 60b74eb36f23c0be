// Galleries whose pictures are chosen: mistakes by their classes (also by a cell of the confusion matrix), repeats by their kind.
for (const gallery of document.querySelectorAll("[data-gallery]")) {
  const name = gallery.dataset.gallery, items = [...gallery.children], first = Number(gallery.dataset.first);
  const boxes = [...document.querySelectorAll(`select[data-chooses="${name}"]`)];
  const more = document.querySelector(`button[data-more="${name}"]`), said = document.querySelector(`[data-said="${name}"]`);
  const cells = [...document.querySelectorAll(`button[data-picks="${name}"]`)];
  let all = false;

  const show = () => {
    const chosen = boxes.filter((box) => box.value !== "");
    const fits = (item) => chosen.every((box) => (item.dataset[box.name] ?? "").split(" ").includes(box.value));
    const found = items.filter(fits), shown = new Set(all ? found : found.slice(0, first));
    for (const item of items) item.hidden = !shown.has(item);
    more.hidden = shown.size === found.length;
    more.textContent = `Show all ${found.length}`;
    const cell = cells.find((one) => chosen.length === boxes.length && boxes.every((box) => one.dataset[box.name] === box.value));
    const total = Number(chosen.length ? cell?.dataset.count ?? found.length : gallery.dataset.total ?? found.length);
    said.textContent = found.length ? `${shown.size} of ${total} shown${total > found.length ? `, ${found.length} are on this page` : ""}` : "None on this page.";
    for (const one of cells) one.setAttribute("aria-pressed", one === cell);
  };
  for (const box of boxes) box.addEventListener("change", () => { all = false; show(); });
  more.addEventListener("click", () => { all = true; show(); });
  for (const cell of cells) {
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
}
