// The words and numbers. Written at most four times a second, and only where they changed: text costs layout.

const MS = 1000;
const SILENCE = 1000; // ms without a new frame: the numbers are withdrawn, not frozen
const WARN = 5000; // ms for which a dropped frame colours its number
const SPEAK = 15000; // ms between two rates that are read aloud

const $ = (id) => document.getElementById(id);

export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const milliseconds = (seconds) => (seconds === null || seconds === undefined ? "–" : String(Math.round(seconds * MS)));

export class Readout {
  constructor() {
    this.state = null; // the newest state message
    this.stateAt = 0;
    this.reading = null; // {rate, quality, reason} of whichever message came last
    this.pictureAt = -Infinity;
    this.dropped = 0;
    this.droppedAt = -Infinity;
    this.spokenAt = -Infinity;
    this.spokenTrust = null;
  }

  hearState(message, now) {
    this.state = message;
    this.stateAt = now;
    this.reading = message;
  }

  hearPicture(header, now) {
    this.pictureAt = now;
    this.reading = header;
  }

  /** ms since a new frame reached either the page or this browser. */
  silence(now) {
    const told = this.state ? this.state.silence * MS + now - this.stateAt : Infinity;
    return Math.min(told, now - this.pictureAt);
  }

  /** What may be shown now: {rate, quality, reason, state, word}. */
  current(now, link) {
    const none = { rate: null, quality: null };
    if (!link.open) {
      const first = this.state === null && !link.refusal;
      const reason = link.refusal || (first ? "connecting to deepmag" : "connection lost; reconnecting");
      return { ...none, reason, state: first ? "connecting" : "offline", word: first ? "connecting" : "connection lost" };
    }
    const state = this.state?.state ?? "connecting";
    if (state !== "live") return { ...none, reason: this.state?.reason || state, state, word: state };
    if (this.silence(now) > SILENCE)
      return { ...none, reason: "no new picture for over a second", state: "stale", word: "stale" };
    return { ...this.reading, state, word: state };
  }

  update(now, link) {
    const shown = this.current(now, link);
    const trusted = shown.rate !== null && shown.rate !== undefined;
    const badge = $("state");
    badge.dataset.state = shown.state;
    write(badge, shown.word);

    const live = shown.state === "live";
    $("stage").dataset.dim = String(!live);
    $("veil").hidden = live;
    if (!live) write($("veil"), this.veil(shown, now));

    document.querySelector(".rate").dataset.trusted = String(trusted);
    write($("rate"), trusted ? String(Math.round(shown.rate)) : "--");
    write($("reason"), trusted ? "" : shown.reason || "no trusted pulse");
    const quality = shown.quality ?? 0;
    const percent = Math.round(quality * 100);
    write($("quality-text"), shown.quality === null ? "quality –" : `quality ${percent} %`);
    if ($("quality").ariaValueNow !== String(percent)) {
      $("quality").ariaValueNow = String(percent);
      $("quality-bar").style.transform = `scaleX(${quality})`;
    }
    this.speak(shown, trusted, now);
    if (this.state) this.figures(this.state, live, now);
    write(document.querySelector("title"), trusted ? `${Math.round(shown.rate)} bpm – deepmag` : "deepmag");
  }

  veil(shown, now) {
    const detail = shown.state !== "offline" && this.state?.detail ? ` – ${this.state.detail}` : "";
    const age = shown.state === "stale" ? ` (${(this.silence(now) / MS).toFixed(0)} s)` : "";
    return shown.reason + age + detail;
  }

  speak(shown, trusted, now) {
    if (trusted === this.spokenTrust && !(trusted && now - this.spokenAt > SPEAK)) return;
    this.spokenAt = now;
    this.spokenTrust = trusted;
    const words = trusted ? `Pulse ${Math.round(shown.rate)} beats per minute` : `No pulse rate: ${shown.reason}`;
    write($("spoken"), words);
  }

  figures(state, live, now) {
    const [p50, p95] = state.sent ?? [state.latency_p50, state.latency_p95];
    write($("latency"), live && p50 !== null && p50 !== undefined ? `${milliseconds(p50)} / ${milliseconds(p95)} ms` : "–");
    write($("lag-figure"), `${milliseconds(state.lag)} ms`);
    write($("fps"), live && state.fps ? `${state.fps.toFixed(1)} fps` : "–");
    const stages = Object.entries(state.dropped);
    const dropped = stages.reduce((sum, [, number]) => sum + number, 0);
    write($("dropped"), String(dropped));
    $("dropped-figure").title = `Frames dropped, by stage: ${stages.map(([stage, n]) => `${stage} ${n}`).join(", ")}`;
    if (dropped > this.dropped) this.droppedAt = now;
    this.dropped = dropped;
    $("dropped-figure").dataset.warn = String(now - this.droppedAt < WARN);
    const [width, height] = state.size;
    write($("source"), width ? `${state.source}  ${width}×${height}` : state.source);
    write($("backend"), state.backend);
    $("recording").hidden = !state.recording;
    write($("recording").lastElementChild, state.recording ? `REC ${state.recording}` : "");
  }
}
