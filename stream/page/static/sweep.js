// The waveform, as a bedside monitor draws it: a pen that runs from left to right over the old trace, a gap before it.
// Only the new piece is drawn; everything is drawn again when the size or the scale changes.

const GAP = 0.045; // of the width, erased ahead of the pen
const BREAK = 0.5; // s between samples over which no line is drawn
const MARKS = 10; // stretches that the paper is marked into
const FILL = 0.4; // of the height that the scale's value takes, up and down
const COLOURS = { doubtful: "#7b8d90", grid: "#142024", paper: "#05080a" };

/** Half the height's worth of a trace: the 97th percentile of its size, with some air, in 1-2-5 steps. */
export function scaleFor(values, floor) {
  const sizes = values.map(Math.abs).sort((a, b) => a - b);
  const wanted = Math.max((sizes[Math.floor(sizes.length * 0.97)] ?? 0) * 1.05, floor);
  const decade = 10 ** Math.floor(Math.log10(wanted));
  return [1, 1.5, 2, 3, 5, 7, 10].find((step) => step * decade >= wanted * 0.999) * decade;
}

export class Sweep {
  /**
   * span: s across. floor: half the height stands for this at least, so that silence does not fill it with noise.
   * colour: of what is trusted. onScale(value): the trace's half height stands for ±value.
   */
  constructor(canvas, { span, floor, colour, onScale }) {
    this.canvas = canvas;
    this.span = span;
    this.floor = floor;
    this.colour = colour;
    this.context = canvas.getContext("2d", { alpha: false });
    this.onScale = onScale;
    this.points = [];
    this.scale = 0;
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
  }

  resize() {
    this.density = Math.min(devicePixelRatio || 1, 2);
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight].map((side) => Math.round(side * this.density));
    if (!width || !height) return;
    this.canvas.width = width;
    this.canvas.height = height;
    this.redraw();
  }

  x(t) {
    return ((t % this.span) / this.span) * this.canvas.width;
  }

  y(value) {
    const reach = Math.max(-1.2, Math.min(1.2, value / this.scale));
    return this.canvas.height * (0.5 - FILL * reach);
  }

  /** s: what is older was erased by the pen, or will be. */
  get oldest() {
    return (this.points.at(-1)?.t ?? 0) - this.span * (1 - GAP);
  }

  /** samples: [[t, value]...] in order of time, s; value null where it is not known. */
  add(samples, trusted) {
    for (const [t, value] of samples) {
      if (t < this.points.at(-1)?.t) this.restart(); // another server, or this one tells its history again
      const last = this.points.at(-1);
      const point = { t, value: value ?? 0, trusted };
      const turned = !last || Math.floor(t / this.span) !== Math.floor(last.t / this.span);
      this.points.push(point);
      if (turned || Math.abs(point.value) > this.scale * 1.2) this.rescale();
      else this.draw(this.points.at(-2), point);
    }
    let stale = 0;
    while (this.points[stale] && this.points[stale].t < this.oldest) stale += 1;
    if (stale > 60) this.points.splice(0, stale);
  }

  restart() {
    this.points = [];
    this.redraw();
  }

  rescale() {
    const shown = this.points.filter((point) => point.t >= this.oldest);
    const scale = scaleFor(shown.map((point) => point.value), this.floor);
    const changed = scale !== this.scale;
    this.scale = scale;
    if (!changed && this.points.length > 1) {
      this.draw(this.points.at(-2), this.points.at(-1));
      return;
    }
    this.onScale(scale);
    this.redraw();
  }

  redraw() {
    this.paper(0, this.canvas.width);
    const shown = this.points.filter((point) => point.t > this.oldest);
    for (let i = 1; i < shown.length; i += 1) this.line(shown[i - 1], shown[i]);
  }

  /** Erases a stretch, wrapped around the edge, and puts the marks of time back. */
  paper(from, to) {
    const { context, canvas } = this;
    const { width, height } = canvas;
    if (to > width) {
      this.paper(0, to - width);
      to = width;
    }
    context.fillStyle = COLOURS.paper;
    context.fillRect(from, 0, to - from, height);
    context.fillStyle = COLOURS.grid;
    context.fillRect(from, Math.round(height / 2), to - from, 1);
    for (let mark = 1; mark < MARKS; mark += 1) {
      const at = Math.round((mark / MARKS) * width);
      if (at >= from && at < to) context.fillRect(at, 0, 1, height);
    }
  }

  draw(before, after) {
    if (after.t - before.t >= this.span) {
      this.redraw(); // meanwhile the pen would have been over all of it
      return;
    }
    const gap = GAP * this.canvas.width;
    const from = Math.floor(this.x(before.t) + gap);
    let to = Math.ceil(this.x(after.t) + gap);
    if (to < from) to += this.canvas.width;
    // A stretch that begins past the edge lies at the left.
    const wrapped = from >= this.canvas.width ? this.canvas.width : 0;
    this.paper(from - wrapped, to - wrapped);
    this.line(before, after);
  }

  line(before, after) {
    if (after.t - before.t > BREAK) return;
    const { context } = this;
    const [x0, y0, x1, y1] = [this.x(before.t), this.y(before.value), this.x(after.t), this.y(after.value)];
    const width = this.canvas.width;
    context.strokeStyle = after.trusted ? this.colour : COLOURS.doubtful;
    context.lineWidth = 2 * this.density;
    context.lineCap = "round";
    context.beginPath();
    if (x1 >= x0) {
      context.moveTo(x0, y0);
      context.lineTo(x1, y1);
    } else {
      context.moveTo(x0, y0);
      context.lineTo(x1 + width, y1);
      context.moveTo(x0 - width, y0);
      context.lineTo(x1, y1);
    }
    context.stroke();
  }
}
