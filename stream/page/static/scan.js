// The scan line: one column of every drawn picture, side by side over time, newest at the right.

const GAP = 0.5; // s without a picture: the strip stays black there instead of stretching an old column
const HEIGHT = 360; // px at most
const THICK = 3; // px of the picture that one column averages

export class ScanLine {
  constructor(canvas) {
    this.canvas = canvas;
    this.span = 10;
    this.context = canvas.getContext("2d", { alpha: false });
    this.clear();
  }

  clear() {
    this.last = null;
    this.context.fillStyle = "#05080a";
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  /** span: s across. */
  spread(span) {
    if (span === this.span) return;
    this.span = span;
    this.clear();
  }

  /** Adds the column at x (0..1 of the width) of a picture of time t, s. Columns stand for equal times. */
  add(bitmap, x, t) {
    const { canvas, context } = this;
    const height = Math.min(bitmap.height, HEIGHT);
    if (canvas.height !== height) {
      canvas.height = height;
      this.clear();
    }
    const columns = canvas.width;
    const index = Math.floor((t / this.span) * columns);
    const step = this.last === null ? 1 : index - this.last.index;
    if (step < 0 || step >= columns) this.clear();
    else if (step > 0 && this.last) context.drawImage(canvas, -step, 0);
    const late = this.last !== null && t - this.last.t > GAP;
    const width = late || step < 1 || step >= columns ? 1 : step;
    if (late && step > 0) context.fillRect(columns - step, 0, step, height);
    const left = Math.min(Math.max(Math.round(x * bitmap.width - THICK / 2), 0), bitmap.width - THICK);
    context.drawImage(bitmap, left, 0, THICK, bitmap.height, columns - width, 0, width, height);
    this.last = { index, t };
  }
}
