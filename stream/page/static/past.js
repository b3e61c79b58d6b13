// How much of the past the panels show: the waveform of the last seconds, or the rate of the last hours.

import { UNITS, write } from "./readout.js";
import { Trend } from "./trend.js";

const HOURS = { "1 h": 3600, "8 h": 28800, "24 h": 86400 }; // s
const PERIOD = 10000; // ms between two looks at what has come
const PATIENCE = 20000; // ms for an answer: of a connection that the network has forgotten none comes for a quarter of an hour

class Panel {
  /** seconds: of the waveform. colour, least: see Trend. onChoice: called after a person's own. */
  constructor(section, { seconds, colour, least }, onChoice) {
    const find = (selector) => section.querySelector(selector);
    this.section = section;
    this.signal = section.dataset.signal;
    this.parts = { what: find(".what"), scale: find(".scale"), words: find(".words"), now: find(".now"), hours: find(".hours") };
    this.trend = new Trend(this.parts.hours, { colour, least });
    this.buttons = [`${seconds} s`, ...Object.keys(HOURS)].map((text, index) => {
      const button = document.createElement("button");
      button.textContent = text;
      button.addEventListener("click", () => {
        this.choose(index);
        onChoice();
      });
      return button;
    });
    find(".past").append(...this.buttons);
    this.choose(0);
  }

  /** 0 is the waveform, then HOURS in order. */
  choose(index) {
    this.chosen = index;
    const hours = index > 0;
    for (const [place, button] of this.buttons.entries()) button.ariaPressed = String(place === index);
    for (const part of ["now", "scale"]) this.parts[part].hidden = hours;
    for (const part of ["hours", "words"]) this.parts[part].hidden = !hours;
    write(this.parts.what, hours ? "rate" : "waveform");
    if (hours) this.trend.span = Object.values(HOURS)[index - 1];
  }

  hear({ period, ended, signals }, now) {
    const signal = signals[this.signal];
    if (signal) this.trend.hear(period, ended, signal, now);
  }

  draw() {
    if (this.chosen === 0) return;
    this.trend.draw();
    const words = this.trend.words(UNITS[this.signal]);
    write(this.parts.words, words);
    const what = `Rate of the last ${this.buttons[this.chosen].textContent}`;
    this.parts.hours.ariaLabel = words ? `${what}: ${words}` : what;
  }
}

export class Past {
  /** sections: {element, seconds, colour, least} of each panel. */
  constructor(sections, token) {
    this.headers = token ? { Authorization: `Bearer ${token}` } : {};
    this.panels = sections.map(({ element, ...options }) => new Panel(element, options, () => this.refresh()));
    this.asking = false;
    setInterval(() => this.refresh(), PERIOD);
    document.addEventListener("visibilitychange", () => this.refresh());
  }

  /** The choice after that of the first panel to be seen, in all alike. */
  cycle() {
    const first = this.panels.find((panel) => !panel.section.hidden) ?? this.panels[0];
    const next = (first.chosen + 1) % first.buttons.length;
    for (const panel of this.panels) panel.choose(next);
    this.refresh();
  }

  /** Draws what is known, to now, and asks for what has come since. */
  async refresh() {
    if (document.hidden || this.panels.every((panel) => panel.chosen === 0)) return;
    for (const panel of this.panels) panel.draw();
    if (this.asking) return;
    this.asking = true;
    try {
      const response = await fetch("trend", { headers: this.headers, signal: AbortSignal.timeout(PATIENCE) });
      const message = response.ok ? await response.json() : { signals: {} };
      for (const panel of this.panels) {
        panel.hear(message, Date.now());
        panel.draw();
      }
    } catch {
      // no server now, or no answer, which the badge says; the line ends before the right edge
    } finally {
      this.asking = false;
    }
  }
}
