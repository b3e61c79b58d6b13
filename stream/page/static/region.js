// What lies over the picture: the region that is looked at, the scan line's column, and the pointer that chooses both.

const CLICK = 6; // px: a press that moves less is a click, not a box
const SMALLEST = 36; // px of the source, as the server asks
const STEP = 0.02; // of the picture, that an arrow key moves the box
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** The box between two points (0..1), in whole pixels of a picture of the given size, inside it. */
export function boxBetween(a, b, [width, height]) {
  const left = Math.round(clamp(Math.min(a.x, b.x), 0, 1) * width);
  const top = Math.round(clamp(Math.min(a.y, b.y), 0, 1) * height);
  const right = Math.round(clamp(Math.max(a.x, b.x), 0, 1) * width);
  const bottom = Math.round(clamp(Math.max(a.y, b.y), 0, 1) * height);
  return [left, top, right - left, bottom - top];
}

function place(element, { left, top, width, height }) {
  element.style.left = `${left * 100}%`;
  element.style.top = `${top * 100}%`;
  element.style.width = `${width * 100}%`;
  element.style.height = `${height * 100}%`;
}

export class Region {
  /** onBox([x, y, w, h]) in px of the source, onColumn(x) in 0..1, onTooSmall(). */
  constructor(overlay, { onBox, onColumn, onTooSmall, onArmed }) {
    this.overlay = overlay;
    this.box = overlay.querySelector("#region");
    this.line = overlay.querySelector("#column");
    this.rubber = overlay.querySelector("#rubber");
    this.on = { onBox, onColumn, onTooSmall, onArmed };
    this.size = [640, 480];
    this.roi = "";
    this.armed = false;
    this.start = null;
    this.keyed = null; // the box that the arrow keys move, 0..1
    overlay.addEventListener("pointerdown", (event) => this.press(event));
    overlay.addEventListener("pointermove", (event) => this.move(event));
    overlay.addEventListener("pointerup", (event) => this.release(event));
    overlay.addEventListener("pointercancel", () => this.drop());
    overlay.addEventListener("keydown", (event) => this.armed && this.key(event));
  }

  /** Armed, a finger draws a box instead of scrolling, and the arrow keys move one; a mouse always draws. */
  arm(armed) {
    if (armed && !this.armed) {
      this.before = document.activeElement;
      this.overlay.focus({ preventScroll: true });
    } else if (this.armed && document.activeElement === this.overlay) {
      this.overlay.blur();
      this.before.focus({ preventScroll: true });
    }
    if (!armed) this.drop(); // Escape, in the middle of it
    this.armed = armed;
    this.overlay.dataset.armed = String(armed);
    this.on.onArmed(armed);
  }

  /** Arrows move a box, with Shift its lower right corner; Enter takes it. */
  key(event) {
    const arrow = ARROWS[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey || !(arrow || (event.key === "Enter" && this.keyed))) return;
    event.preventDefault();
    event.stopPropagation(); // the page has its own use for arrows
    if (!arrow) {
      const { left, top, width, height } = this.keyed;
      this.take({ x: left, y: top }, { x: left + width, y: top + height });
      return;
    }
    const box = this.keyed ?? { left: 0.3, top: 0.3, width: 0.4, height: 0.4 };
    if (event.shiftKey) {
      box.width = clamp(box.width + arrow[0] * STEP, STEP, 1 - box.left);
      box.height = clamp(box.height + arrow[1] * STEP, STEP, 1 - box.top);
    } else if (this.keyed) {
      box.left = clamp(box.left + arrow[0] * STEP, 0, 1 - box.width);
      box.top = clamp(box.top + arrow[1] * STEP, 0, 1 - box.height);
    }
    this.keyed = box;
    this.rubber.hidden = false;
    place(this.rubber, box);
  }

  showRoi(roi, size) {
    this.size = size;
    const key = `${roi}/${size}`;
    if (key === this.roi) return;
    this.roi = key;
    const [x, y, w, h] = roi;
    const whole = x <= 0 && y <= 0 && w >= size[0] && h >= size[1];
    this.box.hidden = whole;
    place(this.box, { left: x / size[0], top: y / size[1], width: w / size[0], height: h / size[1] });
  }

  showColumn(x) {
    this.line.hidden = false;
    this.line.style.left = `${x * 100}%`;
  }

  point(event) {
    const bounds = this.overlay.getBoundingClientRect();
    return { x: (event.clientX - bounds.left) / bounds.width, y: (event.clientY - bounds.top) / bounds.height };
  }

  press(event) {
    if (event.button !== 0 || !event.isPrimary) return;
    this.drop();
    const { pointerId, clientX, clientY } = event;
    this.start = { ...this.point(event), pointerId, clientX, clientY, boxed: false };
    this.overlay.setPointerCapture(event.pointerId);
  }

  move(event) {
    if (event.pointerId !== this.start?.pointerId) return; // another finger
    const far = Math.hypot(event.clientX - this.start.clientX, event.clientY - this.start.clientY) > CLICK;
    if (!far && !this.start.boxed) return;
    if (event.pointerType === "touch" && !this.armed) return;
    this.start.boxed = true;
    const now = this.point(event);
    this.rubber.hidden = false;
    place(this.rubber, {
      left: clamp(Math.min(now.x, this.start.x), 0, 1),
      top: clamp(Math.min(now.y, this.start.y), 0, 1),
      width: Math.abs(clamp(now.x, 0, 1) - clamp(this.start.x, 0, 1)),
      height: Math.abs(clamp(now.y, 0, 1) - clamp(this.start.y, 0, 1)),
    });
  }

  release(event) {
    const start = this.start;
    if (event.pointerId !== start?.pointerId) return;
    this.drop();
    const end = this.point(event);
    if (!start.boxed) {
      if (!this.armed) this.on.onColumn(clamp(end.x, 0, 1));
      return;
    }
    this.take(start, end);
  }

  take(from, to) {
    const box = boxBetween(from, to, this.size);
    this.arm(false);
    if (Math.min(box[2], box[3]) < SMALLEST) this.on.onTooSmall(SMALLEST);
    else this.on.onBox(box);
  }

  drop() {
    this.start = null;
    this.keyed = null;
    this.rubber.hidden = true;
  }
}
