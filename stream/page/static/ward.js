// All feeds as tiles: each has a connection of its own, so one that hangs holds up no other.

import { Link, takeToken } from "./link.js";
import { decode } from "./stage.js";
import { silenceOf, slowness, UNITS, write } from "./readout.js";

const PICTURE_PERIOD = 200; // ms between two pictures of a tile: five a second are enough to see that it lives
const TEXT_PERIOD = 500; // ms
const RETRY = 3000; // ms until the list of feeds is asked for again, where there was no answer
const RELOAD = 60000; // ms until it is, where there was one: `serve` may have been started again with others

const token = takeToken();
const $ = (id) => document.getElementById(id);

class Tile {
  constructor({ slug, name }) {
    this.element = $("tile").content.firstElementChild.cloneNode(true);
    const find = (selector) => this.element.querySelector(selector);
    this.parts = {
      canvas: find("canvas"), veil: find(".veil"), badge: find(".badge"), numbers: find(".numbers"), reason: find(".reason"),
    };
    this.context = this.parts.canvas.getContext("2d", { alpha: false });
    this.parts.canvas.setAttribute("aria-label", `Magnified live picture of ${name}`);
    write(find("h2"), name);
    this.element.href = `feeds/${encodeURIComponent(slug)}/${token ? `#token=${encodeURIComponent(token)}` : ""}`;
    this.state = null;
    this.stateAt = 0;
    this.signals = {};
    this.pictureAt = -Infinity;
    this.header = null;
    const handlers = {
      picture: (header, jpegs) => this.draw(header, jpegs),
      state: (message) => {
        this.state = message;
        this.stateAt = performance.now();
        this.signals = message.signals;
      },
      notice: () => {},
      change: () => this.update(),
    };
    const hello = () => ({ original: false, visible: !document.hidden });
    this.link = new Link(token, hello, handlers, `feeds/${encodeURIComponent(slug)}/live`);
  }

  async draw(header, jpegs) {
    const came = performance.now();
    this.pictureAt = came - header.silence * 1000;
    this.signals = header.signals;
    this.header = header;
    try {
      const bitmap = await decode(jpegs[0]);
      const { canvas } = this.parts;
      const width = Math.round(bitmap.width * header.pixel);
      if (canvas.width !== width || canvas.height !== bitmap.height) {
        canvas.width = width;
        canvas.height = bitmap.height;
      }
      this.context.drawImage(bitmap, 0, 0, width, bitmap.height);
      bitmap.close();
      if (this.element.dataset.state !== "live") this.update();
    } catch {
      // undecodable: the next
    }
    const wait = Math.max(0, PICTURE_PERIOD - (performance.now() - came));
    setTimeout(() => this.link.send({ type: "drawn", number: header.number }), wait);
  }

  /** What may be shown now: the state, why, and whether numbers may be. */
  current(now) {
    if (!this.link.open) return { state: "offline", reason: this.link.refusal || "connecting to deepmag" };
    const state = this.state?.state ?? "connecting";
    if (state !== "live") return { state, reason: this.state?.detail || state };
    const slow = slowness(this.header);
    if (slow) return { state: "stale", reason: slow };
    if (silenceOf(this.state, this.stateAt, this.pictureAt, now)) return { state: "stale", reason: "no new picture" };
    return { state, reason: "" };
  }

  update() {
    const { state, reason } = this.current(performance.now());
    const live = state === "live";
    this.element.dataset.state = state;
    this.parts.badge.dataset.state = state;
    write(this.parts.badge, state);
    this.parts.veil.hidden = live;
    write(this.parts.veil, reason || state);
    const signals = Object.entries(this.signals);
    while (this.parts.numbers.childElementCount > signals.length) this.parts.numbers.lastElementChild.remove();
    while (this.parts.numbers.childElementCount < signals.length) {
      const span = document.createElement("span");
      const small = document.createElement("small");
      small.append(document.createElement("span"), document.createElement("span"));
      span.append(document.createElement("b"), small);
      this.parts.numbers.append(span);
    }
    const troubles = (this.link.open && this.state?.troubles) || [];
    const reasons = [...troubles];
    signals.forEach(([name, reading], index) => {
      const span = this.parts.numbers.children[index];
      const trusted = live && reading.rate !== null;
      span.dataset.signal = name;
      span.dataset.trusted = String(trusted);
      write(span.firstElementChild, trusted ? String(Math.round(reading.rate)) : "--");
      const [unit, quality] = span.lastElementChild.children;
      write(unit, UNITS[name]);
      write(quality, trusted ? `${Math.round(reading.quality * 100)} %` : "");
      quality.title = trusted ? "quality" : "";
      if (live && !trusted && reading.reason) reasons.push(reading.reason);
    });
    write(this.parts.reason, reasons.join("; "));
    this.parts.reason.dataset.trouble = String(troubles.length > 0);
    this.element.title = reasons.join("; ");
    return live;
  }
}

let tiles = [];

const ask = () => fetch("feeds", { headers: token ? { Authorization: `Bearer ${token}` } : {} });

async function load() {
  let response;
  try {
    response = await ask();
  } catch {
    return again("connecting to deepmag");
  }
  if (!response.ok)
    return again(response.status === 401 ? "This page needs its token: open the address that deepmag printed." : "no answer");
  const feeds = await response.json();
  tiles = feeds.map((feed) => new Tile(feed));
  $("tiles").replaceChildren(...tiles.map((tile) => tile.element));
  setInterval(() => reloadUnless(JSON.stringify(feeds)), RELOAD);
  return undefined;
}

/** Loads the page again where other feeds are served now. */
async function reloadUnless(known) {
  try {
    const response = await ask();
    if (response.ok && JSON.stringify(await response.json()) !== known) location.reload();
  } catch {
    // no server now: the tiles say so
  }
}

function again(why) {
  write($("summary"), why);
  setTimeout(load, RETRY);
}

document.addEventListener("visibilitychange", () => {
  for (const tile of tiles) {
    tile.link.send({ type: "visible", on: !document.hidden });
    tile.update(); // at once: its picture is of when the tab was hidden
  }
});
setInterval(() => {
  const now = performance.now();
  for (const tile of tiles) tile.link.check(now);
  const live = tiles.filter((tile) => tile.update()).length;
  if (tiles.length) write($("summary"), `${live} of ${tiles.length} feeds live`);
}, TEXT_PERIOD);
load();
