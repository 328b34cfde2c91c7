// <line-chart src="points.json" [data-live] [data-only="loss"] [data-height="220"] [aria-label="..."]>: curves by uPlot.
// The JSON: {"steps": 390, "series": [{"name": "cmc@1", "label": "CMC@1", "unit": "%", "points": [[step, value], ...]}, ...]}.
// steps (may be missing): where the axis ends, so that the charts of a run stand under each other. A series may name its
// `decimals`.
// data-only: names to draw, separated by spaces. While data-live is there, the points are fetched every 2 s (15 s in a
// tab that nobody sees).

const script = document.getElementById("app-script").dataset;
const HUES = ["--series-1", "--series-2", "--series-3", "--series-4"];
const WHOLE = Array.from({ length: 9 }, (_, power) => [1, 2, 5].map((each) => each * 10 ** power)).flat(); // steps between ticks
let library;

function loadLibrary() {
  if (!library) {
    const style = document.createElement("link");
    style.rel = "stylesheet";
    style.href = script.chartsCss;
    document.head.append(style);
    library = import(script.uplot).then((module) => module.default);
  }
  return library;
}

class LineChart extends HTMLElement {
  connectedCallback() {
    this.setAttribute("role", "img");
    this.resizer = new ResizeObserver(() => this.plot?.setSize(this.size()));
    this.resizer.observe(this);
    this.onTheme = () => this.draw(true);
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.scheme.addEventListener("change", this.onTheme);
    document.addEventListener("theme-change", this.onTheme);
    this.refresh();
  }

  disconnectedCallback() {
    clearTimeout(this.timer);
    this.resizer.disconnect();
    this.scheme.removeEventListener("change", this.onTheme);
    document.removeEventListener("theme-change", this.onTheme);
    this.plot?.destroy();
    this.plot = null;
  }

  async refresh() {
    try {
      const answer = await fetch(this.getAttribute("src"), { headers: { Accept: "application/json" } });
      if (answer.ok) {
        this.points = await answer.json();
        await this.draw(false);
      }
    } catch {
      // The server is away for a moment; the next round may find it.
    }
    if (this.isConnected && "live" in this.dataset) {
      this.timer = setTimeout(() => this.refresh(), document.hidden ? 15_000 : 2_000);
    }
  }

  size() {
    return { width: Math.max(200, this.clientWidth), height: Number(this.dataset.height ?? 220) };
  }

  get series() {
    const only = this.dataset.only?.split(" ");
    return (this.points?.series ?? []).filter((one) => one.points.length && (!only || only.includes(one.name)));
  }

  /** One column of steps and one of values per series, null where a series has no point. */
  columns(series) {
    const steps = [...new Set(series.flatMap((one) => one.points.map(([step]) => step)))].sort((a, b) => a - b);
    return [
      steps,
      ...series.map((one) => {
        const values = new Map(one.points);
        return steps.map((step) => values.get(step) ?? null);
      }),
    ];
  }

  /** The last point of a column: what the legend shows while nothing is pointed at. */
  newest(column) {
    return this.data?.[column].findLast((value) => value != null);
  }

  async draw(anew) {
    const UPlot = await loadLibrary();
    if (!this.isConnected) return;
    const series = this.series;
    if (!series.length) {
      if (!this.plot) this.wait();
      return;
    }
    const names = series.map((one) => one.name).join(" ");
    const data = (this.data = this.columns(series));
    if (this.plot && !anew && names === this.names) {
      this.plot.setData(data);
      return;
    }
    this.names = names;
    this.plot?.destroy();
    this.replaceChildren();
    this.plot = new UPlot(this.options(series), data, this);
  }

  wait() {
    const text = document.createElement("p");
    text.className = "muted small";
    text.textContent = "The curve begins with the first point.";
    this.replaceChildren(text);
  }

  options(series) {
    const style = getComputedStyle(this);
    const colour = (name) => resolve(this, name);
    const axis = {
      stroke: colour("--muted"),
      font: `11px ${style.fontFamily}`,
      grid: { stroke: colour("--line"), width: 1 },
      ticks: { show: false },
    };
    const unit = series.every((one) => one.unit === series[0].unit) ? (series[0].unit ?? "") : "";
    return {
      ...this.size(),
      scales: { x: { time: false, range: (_, low, high) => (this.points.steps ? [0, this.points.steps] : [low, high]) } },
      cursor: { points: { size: 7 }, y: false },
      legend: { live: true },
      axes: [{ ...axis, size: 30, grid: { show: false }, incrs: WHOLE }, { ...axis, size: 56, values: (_, ticks) => ticks.map((v) => figure(v, unit)) }],
      series: [
        { label: "Step", value: (_, step) => (step ?? this.newest(0))?.toLocaleString() ?? "–" },
        ...series.map((one, i) => ({
          label: one.label ?? one.name,
          stroke: colour(HUES[i % HUES.length]),
          width: 1.75,
          spanGaps: true,
          points: { show: one.points.length < 40, size: 5 },
          value: (_, value) => {
            const shown = value ?? (this.plot?.cursor.idx == null ? this.newest(i + 1) : null);
            return shown == null ? "–" : figure(shown, one.unit ?? "", one.decimals);
          },
        })),
      ],
    };
  }
}

/** A colour token as the canvas takes it: light-dark() is settled by asking what an element would be painted with. */
function resolve(host, name) {
  const probe = document.createElement("span");
  probe.hidden = true;
  host.append(probe);
  probe.style.setProperty("color", `var(${name})`); // the CSSOM is not inline style to the policy
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

function figure(value, unit, decimals) {
  if (decimals != null) return `${Number(value.toFixed(decimals)).toLocaleString()}${unit && ` ${unit}`}`;
  if (unit === "%") return `${Number((100 * value).toFixed(1))} %`;
  const text = value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(1) : Number(value.toPrecision(4)).toLocaleString();
  return unit ? `${text} ${unit}` : text;
}

customElements.define("line-chart", LineChart);
