// A threshold that is moved: what it finds, and how much of that is right.
const moved = document.getElementById("thresholds-data");
if (moved) {
  const data = JSON.parse(moved.textContent), slider = document.getElementById("threshold");
  const element = (id) => document.getElementById(id), percent = (share) => `${(100 * share).toFixed(1)} %`;
  const written = ([value, low, high, hits, of]) => [percent(value), `95 % interval ${percent(low)} to ${percent(high)}, ${hits} of ${of}`];
  const show = () => {
    const place = Number(slider.value), step = data.steps[place];
    for (const [name, shares] of [["found", data.found], ["right", data.right]]) {
      const [value, beside] = written(shares[place]);
      element(`${name}-value`).textContent = value;
      element(`${name}-beside`).textContent = beside;
    }
    element("threshold-value").textContent = step.toFixed(3);
    slider.setAttribute("aria-valuetext", `threshold ${step.toFixed(3)}`);
    const command = element("threshold-command");
    if (command) command.textContent = String(Number((data.positive === 0 ? 1 - step : step).toFixed(7)));
    for (const line of document.querySelectorAll(".moving")) {
      const area = line.closest("svg").querySelector(".area").getBBox();
      line.setAttribute("transform", `translate(${area.width * step} 0)`);
    }
  };
  slider.max = data.steps.length - 1;
  slider.value = data.start;
  slider.addEventListener("input", show);
  for (const button of document.querySelectorAll("button[data-reaches]")) {
    button.addEventListener("click", () => {
      const wanted = Number(button.dataset.reaches);
      const places = data.found.map((share, place) => (share[0] >= wanted ? place : -1));
      slider.value = Math.max(0, ...places);
      show();
    });
  }
  new ResizeObserver(show).observe(slider);
  show();
}
