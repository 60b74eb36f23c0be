// What is wrong with the layout of the page as it is shown now: a list of sentences.
(() => {
  const found = [], width = document.documentElement.clientWidth;
  const meant = (one) => one.matches(".clipped[title]");
  const name = (one) => `<${one.tagName.toLowerCase()} class="${one.getAttribute("class") ?? ""}"> ${one.textContent.trim().slice(0, 60)}`;
  const shown = (one) => one.checkVisibility({ visibilityProperty: true }) && one.getClientRects().length > 0;
  if (document.documentElement.scrollWidth > width) found.push(`the page is ${document.documentElement.scrollWidth} pixels wide`);
  const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
  for (const one of ids.filter((id, place) => ids.indexOf(id) !== place)) found.push(`two elements are called ${one}`);
  for (const one of document.querySelectorAll("body *")) {
    if (!shown(one) || one.closest("svg") || one.matches(".skip")) continue;
    const box = one.getBoundingClientRect(), style = getComputedStyle(one);
    if (!one.closest(".scroll") && (box.right > width + 1 || box.left < -1)) found.push(`leaves the page: ${name(one)}`);
    if (["hidden", "clip"].includes(style.overflowX) && one.scrollWidth > one.clientWidth + 1 && !meant(one)) found.push(`is clipped: ${name(one)}`);
    if (width >= 768 && one.matches(".scroll") && one.scrollWidth > one.clientWidth + 1 && !one.querySelector("table"))
      found.push(`scrolls sideways, and is no table: ${name(one)}`);
    if (one.children.length === 0 && one.textContent.trim() && parseFloat(style.fontSize) < 10) found.push(`is smaller than 10 pixels: ${name(one)}`);
  }
  for (const picture of document.querySelectorAll(".chart svg")) {
    if (!shown(picture)) continue;
    const frame = picture.getBoundingClientRect();
    const texts = [...picture.querySelectorAll("text")].filter((one) => one.textContent.trim());
    const boxes = texts.map((one) => one.getBoundingClientRect());
    boxes.forEach((box, i) => {
      const said = `"${texts[i].textContent.slice(0, 50)}" in ${picture.getAttribute("aria-label").slice(0, 40)}`;
      if (box.left < frame.left - 3 || box.right > frame.right + 3 || box.top < frame.top - 3 || box.bottom > frame.bottom + 3)
        found.push(`leaves its picture: ${said}`);
      if (box.height < 6.5) found.push(`is too small (${box.height.toFixed(1)} pixels high): ${said}`);
      for (let j = 0; j < i; j++) {
        const across = Math.min(box.right, boxes[j].right) - Math.max(box.left, boxes[j].left);
        const down = Math.min(box.bottom, boxes[j].bottom) - Math.max(box.top, boxes[j].top);
        if (across > 3 && down > 4) found.push(`lies over "${texts[j].textContent.slice(0, 30)}": ${said}`);
      }
    });
  }
  return found;
})();
