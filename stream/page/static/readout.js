// The words and numbers. Written at most four times a second, and only where they changed: text costs layout.

const MS = 1000;
const SILENCE = 1000; // ms without a new frame: the numbers are withdrawn, not frozen
const SLOW = 2; // s that a picture is on its way to here; then it is none of now
const FROZEN = 5000; // ms without a new picture while one could be seen: whatever the server says, it stands still
const WARN = 5000; // ms for which a dropped frame colours its number
const SPEAK = 15000; // ms between two rates that are read aloud

const $ = (id) => document.getElementById(id);

export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const milliseconds = (seconds) => (seconds === null || seconds === undefined ? "–" : String(Math.round(seconds * MS)));

export const UNITS = { pulse: "bpm", respiration: "breaths/min" };

const WORDS = {
  pulse: { unit: UNITS.pulse, rate: "Pulse", unitSpoken: "beats per minute", none: "No pulse rate", untrusted: "no trusted pulse" },
  respiration: {
    unit: UNITS.respiration,
    rate: "Respiration",
    unitSpoken: "breaths per minute",
    none: "No respiration rate",
    untrusted: "no trusted breathing",
  },
};

let seenSince = 0; // ms: a hidden tab is sent no pictures, and shows the one of before until the next has come
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) seenSince = performance.now();
});

/** ms since a new frame reached the page, as its state says, or this browser; this browser alone if that is long ago. */
function silenceSince(state, stateAt, pictureAt, now) {
  const told = state ? state.silence * MS + now - stateAt : Infinity;
  const age = now - pictureAt;
  if (document.hidden) return Math.min(told, age);
  if (pictureAt < seenSince && age > SILENCE && age < Infinity) return age;
  const frozen = now - Math.max(pictureAt, seenSince);
  return frozen > FROZEN ? frozen : Math.min(told, age);
}

/** What is wrong with the connection, by the newest picture's header: "" where it is fast enough, or not known yet. */
export function slowness(header) {
  return header?.way > SLOW ? `the connection is slow: a picture takes ${header.way.toFixed(0)} s` : "";
}

/** Whether it has been silent for too long: then what is shown is of the past. */
export function silenceOf(state, stateAt, pictureAt, now) {
  return silenceSince(state, stateAt, pictureAt, now) > SILENCE;
}

/** One signal's rate, quality and reason; and, now and then, read aloud. */
class SignalPanel {
  constructor(section) {
    this.name = section.dataset.signal;
    this.section = section;
    const find = (selector) => section.querySelector(selector);
    this.parts = { rate: find(".number b"), quality: find(".quality"), bar: find(".quality i") };
    this.texts = { quality: find(".quality-text"), reason: find(".reason"), spoken: find(".spoken") };
    this.spokenAt = -Infinity;
    this.spokenTrust = null;
  }

  /** Shows a reading. Returns its rate in words, "" where there is none. */
  update({ rate, quality, reason }, now) {
    const words = WORDS[this.name];
    const trusted = rate !== null;
    const number = trusted ? String(Math.round(rate)) : "--";
    this.section.dataset.trusted = String(trusted);
    write(this.parts.rate, number);
    write(this.texts.reason, trusted ? "" : reason || words.untrusted);
    const percent = Math.round((quality ?? 0) * 100);
    write(this.texts.quality, quality === null ? "quality –" : `quality ${percent} %`);
    if (this.parts.quality.ariaValueNow !== String(percent)) {
      this.parts.quality.ariaValueNow = String(percent);
      this.parts.bar.style.transform = `scaleX(${quality ?? 0})`;
    }
    if (trusted !== this.spokenTrust || (trusted && now - this.spokenAt > SPEAK)) {
      this.spokenAt = now;
      this.spokenTrust = trusted;
      write(this.texts.spoken, trusted ? `${words.rate} ${number} ${words.unitSpoken}` : `${words.none}: ${reason}`);
    }
    return trusted ? `${number} ${words.unit}` : "";
  }
}

export class Readout {
  constructor() {
    this.state = null; // the newest state message
    this.stateAt = 0;
    this.feed = ""; // the feed's name, where it is one of many
    this.signals = {}; // {rate, quality, reason} by the signal's name, of whichever message came last
    this.pictureAt = -Infinity;
    this.header = null; // of the newest picture
    this.dropped = 0;
    this.droppedAt = -Infinity;
    this.panels = [...document.querySelectorAll(".rate")].map((section) => new SignalPanel(section));
  }

  hearState(message, now) {
    this.state = message;
    this.stateAt = now;
    this.signals = message.signals;
    for (const section of document.querySelectorAll("[data-signal]"))
      section.hidden = !(section.dataset.signal in message.signals);
    $("main").dataset.signals = String(Object.keys(message.signals).length);
  }

  hearPicture(header, now) {
    this.pictureAt = now - header.silence * MS;
    this.header = header;
    this.signals = header.signals;
  }

  /** ms since a new frame reached either the page or this browser. */
  silence(now) {
    return silenceSince(this.state, this.stateAt, this.pictureAt, now);
  }

  /** What may be shown now: {state, word, reason, signals}; without signals there is a reason. */
  current(now, link) {
    if (!link.open) {
      const first = this.state === null && !link.refusal;
      const reason = link.refusal || (first ? "connecting to deepmag" : "connection lost; reconnecting");
      return { reason, state: first ? "connecting" : "offline", word: first ? "connecting" : "connection lost" };
    }
    const state = this.state?.state ?? "connecting";
    if (state !== "live") {
      const reason = Object.values(this.state?.signals ?? {})[0]?.reason || state;
      return { reason, state, word: state };
    }
    const slow = slowness(this.header);
    if (slow) return { reason: slow, state: "stale", word: "stale" };
    if (this.silence(now) > SILENCE)
      return { reason: "no new picture for over a second", state: "stale", word: "stale" };
    return { state, word: state, signals: this.signals };
  }

  update(now, link) {
    const shown = this.current(now, link);
    const badge = $("state");
    badge.dataset.state = shown.state;
    write(badge, shown.word);

    const live = shown.state === "live";
    $("stage").dataset.dim = String(!live);
    $("veil").hidden = live;
    if (!live) write($("veil"), this.veil(shown, now));

    const withdrawn = { rate: null, quality: null, reason: shown.reason };
    const rates = this.panels.map((panel) => panel.update(shown.signals?.[panel.name] ?? withdrawn, now));
    if (this.state) this.figures(this.state, live, now);
    this.recording((link.open && this.state?.recording) || "");
    const title = [...rates, this.feed, "deepmag"].filter((part) => part).join(" – ");
    write(document.querySelector("title"), title);
  }

  veil(shown, now) {
    const detail = shown.state !== "offline" && this.state?.detail ? ` – ${this.state.detail}` : "";
    const age = shown.state === "stale" && this.silence(now) > SILENCE ? ` (${(this.silence(now) / MS).toFixed(0)} s)` : "";
    return shown.reason + age + detail;
  }

  figures(state, live, now) {
    const [p50, p95] = this.header?.drawn ?? state.sent ?? [state.latency_p50, state.latency_p95];
    write($("latency"), live && p50 !== null && p50 !== undefined ? `${milliseconds(p50)} / ${milliseconds(p95)} ms` : "–");
    write($("lag-figure"), `${milliseconds(state.lag)} ms`);
    write($("fps"), live && state.fps ? `${state.fps.toFixed(1)} fps` : "–");
    const stages = Object.entries(state.dropped);
    // what other browsers passed over, as a tile of all feeds does on purpose, was magnified, recorded and sent
    const dropped = stages.reduce((sum, [stage, number]) => sum + (stage === "browsers" ? 0 : number), 0);
    write($("dropped"), String(dropped));
    $("dropped-figure").title = `Frames dropped, by stage: ${stages.map(([stage, n]) => `${stage} ${n}`).join(", ")}`;
    if (dropped > this.dropped) this.droppedAt = now;
    this.dropped = dropped;
    $("dropped-figure").dataset.warn = String(now - this.droppedAt < WARN);
    const [width, height] = state.size;
    write($("source"), width ? `${state.source}  ${width}×${height}` : state.source);
    write($("backend"), state.backend);
    $("troubles").hidden = !state.troubles.length;
    write($("troubles"), state.troubles.join("\n"));
  }

  /** name: of the file, "" where none is written, or nobody can tell. */
  recording(name) {
    $("recording").hidden = !name;
    write($("recording").lastElementChild, name ? `REC ${name}` : "");
    $("record").ariaPressed = String(Boolean(name));
    write($("record").lastElementChild, name ? "Stop" : "Record");
  }
}
