// The rate of the last hours: a line where one could be trusted, and nothing where none could.

const STEPS = { 3600: 600, 28800: 3600, 86400: 10800 }; // s between two marks of time, by the span, where there is room for their texts
const COLOURS = { paper: "#05080a", grid: "#142024", text: "#8a9c9f" };
const MS = 1000;
const MINUTE = 60; // s
const HOUR = 3600; // s

/** s in words. */
function stretch(seconds) {
  if (seconds < MINUTE) return `${seconds} s`;
  return seconds < HOUR ? `${Math.round(seconds / MINUTE)} min` : `${Number((seconds / HOUR).toFixed(1))} h`;
}

/** The times, ms, at which a stretch is marked: whole steps (s) of this place's clock. */
export function marks(from, to, step) {
  const shift = new Date(to).getTimezoneOffset() * 60 * MS;
  const first = Math.ceil((from - shift) / (step * MS)) * step * MS + shift;
  const found = [];
  for (let at = first; at < to; at += step * MS) found.push(at);
  return found;
}

/** [lowest, highest, step between two lines] of an axis for rates a minute: `least` high at least, of `lines` at most. */
export function axis(rates, least, lines) {
  let low = Math.min(...rates);
  let high = Math.max(...rates);
  if (!rates.length) low = high = 60;
  const lacks = Math.max(0, least - (high - low)) / 2;
  for (const step of [5, 10, 20, 50, 100]) {
    const bottom = Math.max(0, Math.floor((low - lacks) / step) * step);
    const top = Math.max(bottom + step, Math.ceil((high + lacks) / step) * step);
    if ((top - bottom) / step < Math.max(lines, 3)) return [bottom, top, step];
  }
  return [0, 300, 100]; // beyond all rates
}

export class Trend {
  /** colour: of the line. least: rates a minute from bottom to top, at least. */
  constructor(canvas, { colour, least }) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.colour = colour;
    this.least = least;
    this.span = 3600; // s
    this.points = []; // {at, rate, quality}: ms of this browser's clock, when a point's time was over
    this.period = 10; // s that each stands for
    this.heard = false;
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** period, ended: s; rate, quality: of each point, the newest last; see trend.py. now: ms. */
  hear(period, ended, { rate, quality }, now) {
    this.heard = true;
    this.period = period;
    const last = now - ended * MS;
    this.points = rate.map((value, index) => ({
      at: last - (rate.length - 1 - index) * period * MS,
      rate: value,
      quality: quality[index],
    }));
  }

  /** The points of the span that ends now. */
  shown(now) {
    return this.points.filter((point) => point.at > now - this.span * MS);
  }

  /**
   * In words: from which to which, how clear, and for how much of the time, or of what is known of it, as after a start.
   * unit: of the rate. "" before anything was heard.
   */
  words(unit, now = Date.now()) {
    if (!this.heard) return "";
    const points = this.shown(now);
    const known = points.filter((point) => point.rate !== null);
    if (!known.length) return "no rate";
    const rates = known.map((point) => Math.round(point.rate));
    const [low, high] = [Math.min(...rates), Math.max(...rates)];
    const quality = known.reduce((sum, point) => sum + point.quality, 0) / known.length;
    const share = Math.round((100 * known.length) / points.length);
    const told = points.length * this.period;
    const time = told > this.span - 3 * this.period ? "the time" : stretch(told);
    return `${low === high ? low : `${low} to ${high}`} ${unit}, quality ${Math.round(100 * quality)} %, for ${share} % of ${time}`;
  }

  draw(now = Date.now()) {
    const { canvas, context } = this;
    const density = Math.min(devicePixelRatio || 1, 2);
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.round(side * density));
    if (!width || !height) return;
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    const font = 10 * density;
    const [left, bottom] = [3 * font, 1.5 * font]; // for the numbers
    const points = this.shown(now);
    const rates = points.map((point) => point.rate).filter((rate) => rate !== null);
    const paper = height - bottom - 0.7 * font; // so high that the uppermost number is whole
    const [low, high, step] = axis(rates, this.least, Math.floor(paper / (1.5 * font)) + 1);
    const x = (at) => width - ((now - at) / (this.span * MS)) * (width - left);
    const y = (rate) => height - bottom - ((rate - low) / (high - low)) * paper;

    context.fillStyle = COLOURS.paper;
    context.fillRect(0, 0, width, height);
    context.font = `${font}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (let rate = low; rate <= high; rate += step) {
      context.fillStyle = COLOURS.grid;
      context.fillRect(left, Math.round(y(rate)), width - left, 1);
      context.fillStyle = COLOURS.text;
      context.fillText(String(rate), left - 0.5 * font, y(rate));
    }
    context.textAlign = "center";
    let apart = STEPS[this.span];
    while ((apart / this.span) * (width - left) < 1.25 * context.measureText("00:00").width) apart *= 2;
    for (const at of marks(now - this.span * MS, now, apart)) {
      context.fillStyle = COLOURS.grid;
      context.fillRect(Math.round(x(at)), 0, 1, height - bottom);
      // with hour12: false some browsers write 24:10
      const text = new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
      const half = context.measureText(text).width / 2;
      if (x(at) - half < left || x(at) + half > width) continue;
      context.fillStyle = COLOURS.text;
      context.fillText(text, x(at), height - 0.65 * font);
    }
    this.line(points, x, y, 2 * density);
  }

  /** Of each run of points with a rate, from when the first one's time began. */
  line(points, x, y, thickness) {
    const { context } = this;
    context.strokeStyle = this.colour;
    context.lineWidth = thickness;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    let before = null;
    for (const { at, rate } of points) {
      if (rate !== null) {
        if (before === null) context.moveTo(x(at - this.period * MS), y(rate));
        context.lineTo(x(at), y(rate));
      }
      before = rate;
    }
    context.stroke();
  }
}
