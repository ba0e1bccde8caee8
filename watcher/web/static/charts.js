// One chart a signal: what was measured over what was expected, with the deploy, the onset and the window's end.

const HEIGHT = 200;
const DAY = 86400;
const NEARLY = 0.05; // what a share near everything leaves out at most
const GAP = 2.5; // buckets without a point, or usual distances of points, from which on a line is broken

function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function number(value) {
  const size = Math.abs(value);
  if (size >= 1e6 || (size > 0 && size < 1e-4)) return value.toExponential(2);
  return value.toLocaleString("en", { maximumSignificantDigits: 3 });
}

function level(kind, value) {
  if (value == null) return "none";
  if (kind !== "ratio") return number(value);
  const rest = 1 - Math.abs(value);
  if (rest <= 1e-9 || rest >= NEARLY) return `${number(value * 100)} %`;
  // Two digits of what is left out: 99.9 % is another service than 99.4 %.
  return `${(value * 100).toLocaleString("en", { maximumFractionDigits: -Math.floor(Math.log10(rest)) - 1 })} %`;
}

function clock(seconds, { day = false, second = false } = {}) {
  const options = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  if (second) options.second = "2-digit";
  if (day) Object.assign(options, { month: "short", day: "numeric" });
  return new Date(seconds * 1000).toLocaleString("en-GB", options);
}

export class Charts {
  #address;
  #started;
  #until;
  #range = "near";
  #plots = new Map();
  #answer = null;

  constructor(data) {
    this.#address = data.charts;
    this.#started = Number(data.started);
    this.#until = Number(data.until);
    for (const hidden of document.querySelectorAll(".ranges, .legend")) hidden.hidden = false;
    for (const button of document.querySelectorAll("[data-range]")) {
      button.addEventListener("click", () => this.#show(button.dataset.range));
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#drawAll(true));
  }

  async load() {
    const answer = await fetch(`${this.#address}?since=${this.#since()}`, { cache: "no-store" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    this.#answer = await answer.json();
    this.#drawAll(false);
  }

  #since() {
    const window = this.#until - this.#started;
    if (this.#range === "all") return 0;
    return Math.floor(this.#range === "day" ? this.#started - DAY : this.#started - 1.5 * window);
  }

  #show(range) {
    this.#range = range;
    for (const button of document.querySelectorAll("[data-range]")) {
      button.setAttribute("aria-pressed", String(button.dataset.range === range));
    }
    this.load().catch(() => {});
  }

  #drawAll(anew) {
    for (const signal of this.#answer?.signals ?? []) {
      const figure = document.querySelector(`[data-signal="${CSS.escape(signal.name)}"]`);
      if (figure) this.#draw(figure, broken(signal), anew);
    }
  }

  #draw(figure, signal, anew) {
    const place = figure.querySelector(".plot");
    const readout = figure.querySelector(".readout");
    if (!signal.t.length) {
      readout.textContent = "Nothing measured yet.";
      return;
    }
    const data = [signal.t, signal.high, signal.low, signal.expected, signal.value];
    const known = this.#plots.get(signal.name);
    if (known && !anew) {
      Object.assign(known.shared, { signal, answer: this.#answer });
      known.plot.setData(data);
      return;
    }
    known?.stop();
    place.replaceChildren();
    place.classList.add("drawn");
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", `${signal.name} over time; the figures are in the text above`);
    const shared = { signal, answer: this.#answer, readout };
    const plot = new uPlot(options(shared, place.clientWidth, () => this.#since()), data, place);
    const watching = new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: HEIGHT }));
    watching.observe(place);
    const stop = () => {
      watching.disconnect();
      plot.destroy();
    };
    this.#plots.set(signal.name, { plot, shared, stop });
  }
}

// A line over minutes that nobody measured would be a claim: in every gap stands a moment without values.
export function broken(signal) {
  const apart = signal.t.slice(1).map((at, place) => at - signal.t[place]);
  const usual = [...apart].sort((one, two) => one - two)[apart.length >> 1] ?? signal.step;
  const least = GAP * Math.max(signal.step, usual);
  const gaps = apart.flatMap((length, place) => (length > least ? [place] : []));
  if (!gaps.length) return signal;
  const spread = (values, between) => {
    const out = [...values];
    for (const place of [...gaps].reverse()) out.splice(place + 1, 0, between(place));
    return out;
  };
  const nothing = () => null;
  return {
    ...signal,
    t: spread(signal.t, (place) => signal.t[place] + Math.max(signal.step, usual)),
    value: spread(signal.value, nothing),
    expected: spread(signal.expected, nothing),
    low: spread(signal.low, nothing),
    high: spread(signal.high, nothing),
  };
}

function options(shared, width, since) {
  const { signal } = shared;
  const axis = { stroke: token("soft"), grid: { stroke: token("grid"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  const counts = signal.is_tickets || signal.kind === "count";
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    padding: [22, 22, 0, 0],
    cursor: { sync: { key: "watch" }, drag: { x: false, y: false }, y: false, points: { size: 7 } },
    scales: {
      x: { time: true, range: (plot, low, high) => extent(low, high, shared, since()) },
      y: { range: (plot, low, high) => span(low, high, counts) },
    },
    axes: [
      { ...axis, size: 28, values: (plot, splits, index, space, step) => times(plot, splits, step) },
      { ...axis, size: 58, values: (plot, splits) => splits.map((value) => level(signal.kind, value)) },
    ],
    series: [
      {},
      { stroke: "transparent", points: { show: false } },
      { stroke: "transparent", points: { show: false } },
      { stroke: token("expected"), width: 1.5, dash: [5, 4], points: { show: false } },
      measured(counts),
    ],
    bands: [{ series: [1, 2], fill: token("band") }],
    hooks: {
      drawClear: [(plot) => drawRollout(plot, shared.answer)],
      draw: [(plot) => drawMarkers(plot, shared)],
      setCursor: [(plot) => read(plot, shared)],
    },
  };
}

// From the first bucket's beginning, and with room for the deploy's mark, to the end of the window.
function extent(low, high, { signal, answer }, since) {
  const end = Math.max(high ?? 0, answer.ticket_until);
  const room = 0.03 * (answer.ticket_until - answer.started_at);
  const start = Math.min((low ?? answer.started_at) - signal.step, answer.started_at - room);
  return [Math.max(start, since), end];
}

function measured(counts) {
  const line = { stroke: token("measured"), width: 1.75, points: { size: 4, stroke: token("measured") } };
  if (!counts) return line;
  // A point covers the bucket that ends at its time.
  return { ...line, width: 1, fill: token("off-ground"), paths: uPlot.paths.bars({ size: [0.9, 40], align: -1 }), points: { show: false } };
}

function span(low, high, counts) {
  if (low == null) return [0, 1];
  const bottom = counts ? Math.min(low, 0) : low;
  const room = (high - bottom || Math.abs(high) || 1) * 0.08;
  return [counts || (low >= 0 && bottom - room < 0) ? Math.min(bottom, 0) : bottom - room, high + room];
}

function times(plot, splits, step) {
  const long = plot.scales.x.max - plot.scales.x.min > 1.5 * DAY;
  return splits.map((at) => clock(at, { day: long || step >= DAY, second: step < 60 }));
}

function drawRollout(plot, answer) {
  const { left, right } = edges(plot);
  const from = clamp(plot.valToPos(answer.started_at, "x", true), left, right);
  const to = clamp(plot.valToPos(answer.finished_at, "x", true), left, right);
  plot.ctx.fillStyle = token("deploy-ground");
  plot.ctx.fillRect(from, plot.bbox.top, to - from, plot.bbox.height);
}

function drawMarkers(plot, { signal, answer }) {
  const end = signal.is_tickets ? answer.ticket_until : answer.until;
  const marks = [
    { at: answer.started_at, colour: token("deploy"), dash: [], text: answer.version },
    { at: answer.finished_at, colour: token("deploy"), dash: [] },
    { at: end, colour: token("soft"), dash: [2, 4], text: "window ends" },
    { at: answer.rolled_back_at, colour: token("good"), dash: [], text: "rolled back" },
    { at: signal.onset, colour: token("bad"), dash: [5, 3], text: "change began", row: 1 },
  ];
  const { left, right } = edges(plot);
  const taken = [];
  plot.ctx.save();
  for (const mark of marks) {
    if (mark.at == null) continue;
    const x = Math.round(plot.valToPos(mark.at, "x", true));
    if (x < left || x > right) continue;
    drawLine(plot, x, mark);
    if (mark.text) drawLabel(plot, x, mark, taken);
  }
  plot.ctx.restore();
}

function drawLine({ ctx, bbox }, x, { colour, dash }) {
  ctx.strokeStyle = colour;
  ctx.lineWidth = 1.5 * devicePixelRatio;
  ctx.setLineDash(dash.map((length) => length * devicePixelRatio));
  ctx.beginPath();
  ctx.moveTo(x, bbox.top);
  ctx.lineTo(x, bbox.top + bbox.height);
  ctx.stroke();
}

// Row 0 stands above the plot, centred on the line; the rows below it beside the line. A label takes the first row, from
// its own on, where no other stands in its way.
function drawLabel(plot, x, { colour, text, row = 0 }, taken) {
  const { ctx, bbox } = plot;
  const { left, right } = edges(plot);
  const ratio = devicePixelRatio;
  ctx.font = `600 ${12 * ratio}px system-ui, sans-serif`;
  ctx.textBaseline = "bottom";
  ctx.textAlign = "left";
  const wide = ctx.measureText(text).width;
  const startIn = (line) => clamp(line ? x + 5 * ratio : x - wide / 2, left, right + 20 * ratio - wide);
  const free = (line) => taken.every((one) => one.row !== line || startIn(line) > one.end || startIn(line) + wide < one.start);
  while (row < 3 && !free(row)) row += 1;
  const start = startIn(row);
  taken.push({ row, start: start - 6 * ratio, end: start + wide + 6 * ratio });
  const bottom = bbox.top + (row ? 17 * row : -4) * ratio;
  ctx.setLineDash([]);
  ctx.lineWidth = 4 * ratio;
  ctx.strokeStyle = token("card"); // a halo, so that the line behind does not cross the words
  ctx.strokeText(text, start, bottom);
  ctx.fillStyle = colour;
  ctx.fillText(text, start, bottom);
}

function edges(plot) {
  return { left: plot.bbox.left, right: plot.bbox.left + plot.bbox.width };
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

function read(plot, { signal, readout }) {
  const index = plot.cursor.idx;
  if (index == null) {
    readout.textContent = "\u00a0";
    return;
  }
  const band = signal.low[index] == null ? "" : `, range ${level(signal.kind, signal.low[index])} to ${level(signal.kind, signal.high[index])}`;
  const usual = signal.expected[index] == null ? "" : ` · expected ${level(signal.kind, signal.expected[index])}${band}`;
  const long = plot.scales.x.max - plot.scales.x.min > DAY;
  readout.textContent = `${clock(signal.t[index], { day: long, second: signal.step < 60 })} · ${level(signal.kind, signal.value[index])}${usual}`;
}
