// Gain, lag, mode and region: what the person sets goes out at once, what anyone else sets shows here.

import { write } from "./readout.js";

const EVERY = 80; // ms between two changes sent while a slider moves
const HOLD = 700; // ms after the last touch during which the server's answer does not move the knob back

const $ = (id) => document.getElementById(id);
const clamp = (value, [low, high]) => Math.min(Math.max(value, low), high);

export class Controls {
  /** send(changes) delivers to the server. */
  constructor(send, region) {
    this.send = send;
    this.region = region;
    this.ranges = { gain: [1, 100], lag: [0, 2] };
    this.settings = { gain: 16, mode: "steady", lag: 0.25, roi: "auto" };
    this.target = "pulse"; // fixed when the server started, as is the method
    this.method = "deepmag";
    this.touched = {}; // when each was set here
    this.waiting = null;
    this.timer = 0;
    $("gain").addEventListener("input", () => this.set("gain", this.gainAt(Number($("gain").value))));
    $("lag").addEventListener("input", () => this.set("lag", Number($("lag").value)));
    for (const radio of document.querySelectorAll("[name=mode]"))
      radio.addEventListener("change", () => this.set("mode", radio.value));
    $("roi-auto").addEventListener("click", () => this.set("roi", "auto"));
    $("roi-full").addEventListener("click", () => this.set("roi", "full"));
    $("roi-box").addEventListener("click", () => region.arm(!region.armed));
    this.render();
  }

  // The slider is logarithmic: from 1 to 2 is as far as from 50 to 100.
  gainAt(position) {
    const [low, high] = this.ranges.gain;
    const gain = low * (high / low) ** (position / 1000);
    return gain < 10 ? Math.round(gain * 10) / 10 : Math.round(gain);
  }

  set(name, value) {
    this.settings = { ...this.settings, [name]: value };
    this.touched[name] = performance.now();
    this.render();
    this.waiting = { ...this.waiting, [name]: value };
    if (this.timer) return; // the newest value leaves when the timer ends
    this.flush();
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.flush();
    }, EVERY);
  }

  flush() {
    if (this.waiting) this.send(this.waiting);
    this.waiting = null;
  }

  step(name, direction) {
    const range = this.ranges[name];
    const value = this.settings[name];
    if (name === "lag") this.set("lag", clamp(Math.round((value + direction * 0.05) * 100) / 100, range));
    else this.set("gain", clamp(Math.round(value * (direction > 0 ? 1.25 : 0.8) * 10) / 10, range));
  }

  /** Whether there are modes to choose from: respiration has one, other methods none. */
  get hasModes() {
    return this.target === "pulse" && this.method === "deepmag";
  }

  toggleMode() {
    if (!this.hasModes) return;
    this.set("mode", this.settings.mode === "steady" ? "paper" : "steady");
  }

  /** The server's settings. */
  reflect(settings, ranges, now) {
    this.ranges = ranges;
    const next = { ...this.settings };
    for (const name of Object.keys(next))
      if (now - (this.touched[name] ?? -Infinity) > HOLD) next[name] = settings[name];
    const { target, method } = settings;
    if (target === this.target && method === this.method && JSON.stringify(next) === JSON.stringify(this.settings)) return;
    this.settings = next;
    this.target = target;
    this.method = method;
    this.render();
  }

  render() {
    const { gain, lag, mode, roi } = this.settings;
    const [low, high] = this.ranges.gain;
    $("gain").value = String(Math.round((1000 * Math.log(gain / low)) / Math.log(high / low)));
    const times = `×${Number(gain.toFixed(1))}`;
    $("gain").ariaValueText = `${Number(gain.toFixed(1))} times`;
    write($("gain-value"), times);
    write($("caption-gain"), times);
    $("lag").min = String(this.ranges.lag[0]);
    $("lag").max = String(this.ranges.lag[1]);
    $("lag").value = String(lag);
    $("lag").ariaValueText = `${lag.toFixed(2)} seconds`;
    write($("lag-value"), `${lag.toFixed(2)} s`);
    for (const radio of document.querySelectorAll("[name=mode]")) radio.checked = radio.value === mode;
    $("mode").hidden = !this.hasModes;
    // respiration has no face to find
    $("roi-auto").hidden = this.target === "respiration";
    const boxed = Array.isArray(roi);
    $("roi-auto").ariaPressed = String(roi === "auto" && !this.region.armed);
    const whole = roi === "full" || (roi === "auto" && this.target === "respiration");
    $("roi-full").ariaPressed = String(whole && !this.region.armed);
    $("roi-box").ariaPressed = String(boxed || this.region.armed);
    write($("region-text"), this.region.armed ? "drag it, or use the arrow keys" : boxed ? `${roi[2]}×${roi[3]} at ${roi[0]}, ${roi[1]}` : "");
  }
}
