const source = document.getElementById("map-data");
if (source) start(JSON.parse(source.textContent));

function start(data) {
  const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9"];
  const MARGIN = 14, REACH = 24, THUMB = 96;
  const element = (id) => document.getElementById(id);
  const canvas = element("canvas"), tip = element("tip"), pen = canvas.getContext("2d");
  const unpack = (text) => {
    const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0)), view = new DataView(bytes.buffer);
    return Array.from({ length: bytes.length / 2 }, (_, i) => view.getUint16(2 * i, true));
  };
  const labels = unpack(data.labels), predicted = unpack(data.predicted);
  const maps = Object.fromEntries(Object.entries(data.maps).map(([name, packed]) => [name, unpack(packed)]));
  let map = "t-SNE" in maps ? "t-SNE" : "PCA", alone = -1, current = -1;

  // Six colours times five shapes: classes are told apart by shape too, for grey print and all kinds of colour vision.
  function mark(pen, label, x, y, size) {
    const shape = Math.floor(label / COLOURS.length) % 5;
    pen.fillStyle = COLOURS[label % COLOURS.length];
    pen.beginPath();
    if (shape === 0) pen.arc(x, y, size, 0, 7);
    if (shape === 1) pen.rect(x - size * 0.9, y - size * 0.9, size * 1.8, size * 1.8);
    if (shape === 2) polygon(pen, x, y, [0, -1.3, 1.15, 0.8, -1.15, 0.8], size);
    if (shape === 3) polygon(pen, x, y, [0, -1.35, 1.1, 0, 0, 1.35, -1.1, 0], size);
    if (shape === 4) polygon(pen, x, y, [0, 1.3, 1.15, -0.8, -1.15, -0.8], size);
    pen.fill();
  }
  function polygon(pen, x, y, corners, size) {
    for (let i = 0; i < corners.length; i += 2) pen.lineTo(x + corners[i] * size, y + corners[i + 1] * size);
    pen.closePath();
  }

  function place(i) {
    const side = Math.min(canvas.clientWidth, canvas.clientHeight) - 2 * MARGIN;
    const wide = (canvas.clientWidth - 2 * MARGIN) / side, high = (canvas.clientHeight - 2 * MARGIN) / side;
    const across = maps[map][2 * i] / 65535 - 0.5, up = maps[map][2 * i + 1] / 65535 - 0.5;
    return [canvas.clientWidth / 2 + across * side * Math.min(wide, 1.6), canvas.clientHeight / 2 - up * side * high];
  }

  function draw() {
    const ratio = window.devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = canvas.clientHeight * ratio;
    pen.scale(ratio, ratio);
    for (let i = 0; i < labels.length; i++) {
      const [x, y] = place(i);
      pen.globalAlpha = alone < 0 || labels[i] === alone ? 0.85 : 0.08;
      mark(pen, labels[i], x, y, 3.2);
      if (predicted[i] !== labels[i]) ring(x, y, 6, 1.3, "#888");
    }
    pen.globalAlpha = 1;
    if (current >= 0) ring(...place(current), 9, 2.5, getComputedStyle(canvas).color);
  }
  function ring(x, y, size, width, colour) {
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.beginPath();
    pen.arc(x, y, size, 0, 7);
    pen.stroke();
  }

  function show(i) {
    current = i;
    tip.hidden = i < 0;
    draw();
    if (i < 0) return;
    const name = (label) => shortened(data.classes[label]), zoom = THUMB / data.side;
    const answered = predicted[i] === labels[i] ? "predicted correctly" : `predicted as ${name(predicted[i])}`;
    const words = `${shortened(data.ids[i])}: ${name(labels[i])}, ${answered}`;
    element("words").textContent = words;
    element("said").textContent = words;
    const thumb = element("thumb").style;
    thumb.backgroundImage = `url("${data.sprite}")`;
    thumb.backgroundSize = `${data.columns * data.side * zoom}px auto`;
    thumb.backgroundPosition = `${-(i % data.columns) * THUMB}px ${-Math.floor(i / data.columns) * THUMB}px`;
    const [x, y] = place(i);
    tip.style.left = `${Math.max(0, Math.min(x + 14, canvas.clientWidth - tip.offsetWidth))}px`;
    tip.style.top = `${y + 14 + tip.offsetHeight < canvas.clientHeight ? y + 14 : Math.max(0, y - 14 - tip.offsetHeight)}px`;
  }
  const shortened = (text) => (text.length > 80 ? `${text.slice(0, 79)}…` : text);

  function nearest(cost) {
    let best = -1, least = Infinity;
    for (let i = 0; i < labels.length; i++) {
      if (alone >= 0 && labels[i] !== alone) continue;
      const [x, y] = place(i), own = cost(x, y, i);
      if (own < least) [best, least] = [i, own];
    }
    return best;
  }
  function point(event) {
    const box = canvas.getBoundingClientRect(), left = event.clientX - box.left, top = event.clientY - box.top;
    show(nearest((x, y) => { const far = Math.hypot(x - left, y - top); return far < REACH ? far : Infinity; }));
  }
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point);
  canvas.addEventListener("pointerleave", () => show(-1));
  canvas.addEventListener("blur", () => show(-1));
  canvas.addEventListener("focus", () => { if (current < 0) show(nearest((x, y) => Math.hypot(x - canvas.clientWidth / 2, y - canvas.clientHeight / 2))); });
  canvas.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Escape") show(-1);
    if (!way || current < 0) return;
    event.preventDefault();
    const [fromX, fromY] = place(current);
    const next = nearest((x, y, i) => {
      const along = (x - fromX) * way[0] + (y - fromY) * way[1], aside = Math.abs((x - fromX) * way[1]) + Math.abs((y - fromY) * way[0]);
      return i !== current && along > 0 ? along + 2 * aside : Infinity;
    });
    if (next >= 0) show(next);
  });

  function button(parent, words, pressed, act) {
    const made = document.createElement("button");
    made.type = "button";
    made.append(words);
    made.setAttribute("aria-pressed", pressed);
    made.addEventListener("click", () => {
      act();
      for (const one of parent.children) one.setAttribute("aria-pressed", one === made && made.getAttribute("aria-pressed") !== "true");
      if (parent.id === "choices") made.setAttribute("aria-pressed", "true");
      show(-1);
    });
    parent.append(made);
    return made;
  }
  for (const name of Object.keys(maps)) button(element("choices"), name, name === map, () => { map = name; });
  [...new Set(labels)].sort((a, b) => a - b).forEach((label) => {
    const words = document.createElement("bdi");
    words.textContent = shortened(data.classes[label]);
    const made = button(element("legend"), words, false, () => { alone = alone === label ? -1 : label; });
    const swatch = document.createElement("canvas");
    swatch.width = swatch.height = 28;
    made.title = data.classes[label];
    made.prepend(swatch);
    mark(swatch.getContext("2d"), label, 14, 14, 9);
  });
  new ResizeObserver(draw).observe(canvas);
  matchMedia("print").addEventListener("change", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}
