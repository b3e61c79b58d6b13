// Wires the page together: messages in, pictures and numbers out, what the person does back.

import { Controls } from "./controls.js";
import { bindKeys } from "./keys.js";
import { Link, takeToken } from "./link.js";
import { notice } from "./notice.js";
import { Past } from "./past.js";
import { Readout } from "./readout.js";
import { Region } from "./region.js";
import { ScanLine } from "./scan.js";
import { snapshot } from "./snapshot.js";
import { Stage } from "./stage.js";
import { Sweep } from "./sweep.js";

const TEXT_PERIOD = 250; // ms: numbers that change faster cannot be read
const COLUMN_SLACK = 0.1; // of the region's width: the default column follows the region only beyond this

const $ = (id) => document.getElementById(id);

const token = takeToken();
const readout = new Readout();
const slug = /\/feeds\/([^/]+)\/$/.exec(location.pathname)?.[1]; // one of many: see ward.js
if (slug) nameFeed();
const scans = [new ScanLine($("scan")), new ScanLine($("scan-original"))];
const COLOURS = { pulse: "#4ade9b", respiration: "#b9a5ff" };
const sweeps = {
  pulse: new Sweep($("wave"), {
    span: 10,
    floor: 2e-4, // of the skin's green
    colour: COLOURS.pulse,
    onScale: (scale) => ($("wave-scale").textContent = `± ${Number((scale * 100).toPrecision(2))} %`),
  }),
  respiration: new Sweep($("breath-wave"), {
    span: 30, // as bedside monitors do: a quarter of the pulse's speed
    floor: 0.02, // px
    colour: COLOURS.respiration,
    onScale: (scale) => ($("breath-wave-scale").textContent = `± ${Number(scale.toPrecision(2))} px, up: in`),
  }),
};
const past = new Past(
  [
    { element: $("wave").closest("section"), seconds: sweeps.pulse.span, colour: COLOURS.pulse, least: 20 },
    { element: $("breath-wave").closest("section"), seconds: sweeps.respiration.span, colour: COLOURS.respiration, least: 10 },
  ],
  token,
);
let beside = false;
let column = 0.5; // of the picture's width
let columnChosen = false;
let frames = 0;

const region = new Region($("overlay"), {
  onBox: (box) => controls.set("roi", box),
  onColumn: (x) => chooseColumn(x, true),
  onTooSmall: (least) => notice(`That box is too small: at least ${least} × ${least} pixels.`, true),
  onArmed: () => controls.render(),
});
const controls = new Controls((changes) => link.send({ type: "change", ...changes }), region);
const stage = new Stage($("magnified"), $("original"), drawn);
const link = new Link(token, () => ({ original: beside, visible: !document.hidden }), {
  picture(header, jpegs) {
    readout.hearPicture(header, performance.now());
    Object.entries(sweeps).forEach(([name, sweep], index) => {
      const signal = header.signals[name];
      if (signal) sweep.add(header.samples.map((sample) => [sample[0], sample[index + 1]]), signal.rate !== null);
    });
    const next = () => link.send({ type: "drawn", number: header.number });
    stage.show(header, jpegs).then(next, next); // one that cannot be drawn, too: without the credit none would follow
  },
  state(message) {
    readout.hearState(message, performance.now());
    const span = message.settings.target === "respiration" ? 30 : 10;
    for (const scan of scans) scan.spread(span);
    for (const caption of document.querySelectorAll(".scan-span")) caption.textContent = `${span} s`;
    controls.reflect(message.settings, message.ranges, performance.now());
    if (document.hidden) readout.update(performance.now(), link); // a hidden tab's timers come once a minute, its title is seen
  },
  notice,
  change: () => readout.update(performance.now(), link),
});

/** Says whose page this is: by the slug at once, and where the list of feeds can be had, by the feed's name. */
async function nameFeed() {
  $("all-feeds").hidden = $("feed").hidden = false;
  $("feed").textContent = readout.feed = decodeURIComponent(slug);
  const response = await fetch("../../feeds", { headers: token ? { Authorization: `Bearer ${token}` } : {} }).catch(() => null);
  if (!response?.ok) return;
  const name = (await response.json()).find((feed) => feed.slug === readout.feed)?.name;
  if (name) $("feed").textContent = readout.feed = name;
}

function drawn(header, bitmap, original) {
  const [width, height] = header.size;
  const aspect = ((width * header.pixel) / height).toFixed(4);
  if ($("stage").dataset.aspect !== aspect) {
    $("stage").dataset.aspect = aspect;
    document.documentElement.style.setProperty("--aspect", aspect);
  }
  region.showRoi(header.roi, header.size);
  followRegion(header);
  scans[0].add(bitmap, column, header.t);
  if (beside && original) scans[1].add(original, column, header.t);
  frames += 1;
  if ($("stage").dataset.dim === "true") readout.update(performance.now(), link);
}

function followRegion({ roi, size }) {
  if (columnChosen) return;
  const centre = (roi[0] + roi[2] / 2) / size[0];
  if (frames === 0 || Math.abs(centre - column) > (COLUMN_SLACK * roi[2]) / size[0]) chooseColumn(centre, false);
}

function chooseColumn(x, chosen) {
  column = Math.min(Math.max(x, 0), 1);
  columnChosen = columnChosen || chosen;
  region.showColumn(column);
  for (const scan of scans) scan.clear(); // what is there was another column
}

function toggleOriginal() {
  beside = !beside;
  $("stage").dataset.beside = String(beside);
  $("original-button").ariaPressed = String(beside);
  $("original-figure").hidden = !beside;
  $("original-strip").hidden = !beside;
  if (beside) scans[1].clear();
  link.send({ type: "original", on: beside });
}

async function takeSnapshot() {
  try {
    notice(`Saved ${await snapshot(token)}`);
  } catch (error) {
    notice(`No snapshot: ${error.message}`, true);
  }
}

function toggleRecord() {
  if (link.open) link.send({ type: "record", on: !readout.state?.recording });
  else notice("No recording: no connection to deepmag", true);
}

const openHelp = () => $("help").showModal();

function toggleFullscreen() {
  const change = document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen();
  change.catch(() => notice("This browser does not allow full screen here.", true));
}

$("original-button").addEventListener("click", toggleOriginal);
$("snapshot").addEventListener("click", takeSnapshot);
$("record").addEventListener("click", toggleRecord);
$("help-button").addEventListener("click", openHelp);
document.addEventListener("visibilitychange", () => {
  link.send({ type: "visible", on: !document.hidden });
  readout.update(performance.now(), link); // at once: the picture is of when the tab was hidden
});
bindKeys(
  {
    o: ["original beside it, the same frame", toggleOriginal],
    "+ =": ["more gain", () => controls.step("gain", 1), true],
    "- _": ["less gain", () => controls.step("gain", -1), true],
    m: ["mode: steady or paper", () => controls.toggleMode()],
    "[": ["less lag", () => controls.step("lag", -1), true],
    "]": ["more lag", () => controls.step("lag", 1), true],
    a: ["region: find the face", () => controls.set("roi", "auto")],
    w: ["region: whole picture", () => controls.set("roi", "full")],
    b: ["region: draw a box (with a finger, or the arrow keys)", () => region.arm(!region.armed)],
    ArrowLeft: ["scan line further left", () => chooseColumn(column - 0.01, true), true],
    ArrowRight: ["scan line further right", () => chooseColumn(column + 0.01, true), true],
    t: ["waveform, or the rate of the last 1, 8 or 24 hours", () => past.cycle()],
    s: ["snapshot", takeSnapshot],
    r: ["record, stop recording", toggleRecord],
    f: ["full screen", toggleFullscreen],
    "?": ["this help", openHelp],
    Escape: ["close, or do not draw a box", () => region.arm(false)],
  },
  $("keys"),
  $("help"),
);
setInterval(() => {
  link.check(performance.now());
  readout.update(performance.now(), link);
}, TEXT_PERIOD);
