// The WebSocket: says hello, notices silence, comes back. It never gives up: the display may hang on a wall.

import { decodePicture } from "./protocol.js";

// ms without any message, at first and at most: the server speaks twice a second even when the camera does not, but
// behind a slow link not while a picture is on its way
const SILENCE = [2500, 20000];
const BACK_OFF = [500, 10000]; // ms, first and longest wait before it tries again

const REFUSALS = {
  4401: "This page needs its token: open the address that deepmag printed.",
  4429: "Too many browsers are watching; waiting for one to leave.",
};

/** A connection that is always either open or being reopened. Handlers: picture, state, notice, change. */
export class Link {
  /** path: of the WebSocket, from this page's address. */
  constructor(token, hello, handlers, path = "live") {
    this.token = token;
    this.path = path;
    this.hello = hello; // () => what to tell first
    this.handlers = handlers;
    this.open = false;
    this.refusal = "";
    this.heard = performance.now();
    this.patience = SILENCE[0];
    this.wait = BACK_OFF[0];
    this.timer = 0;
    this.connect();
  }

  connect() {
    const address = new URL(this.path, document.baseURI);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    address.hash = "";
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.heard = performance.now();
    socket.onopen = () => socket.send(JSON.stringify({ type: "hello", token: this.token, ...this.hello() }));
    socket.onmessage = (event) => socket === this.socket && this.receive(event.data);
    socket.onclose = (event) => socket === this.socket && this.lose(event.code);
  }

  receive(data) {
    const now = performance.now();
    const silence = now - this.heard;
    this.heard = now;
    if (!this.open) {
      this.open = true;
      this.refusal = "";
      this.wait = BACK_OFF[0];
      this.handlers.change();
    }
    if (typeof data !== "string") {
      if (silence < SILENCE[0]) this.patience = SILENCE[0];
      const { header, jpegs } = decodePicture(data);
      this.handlers.picture(header, jpegs);
      return;
    }
    const message = JSON.parse(data);
    if (message.type === "state") this.handlers.state(message);
    else if (message.type === "notice") this.handlers.notice(message.text, message.error);
  }

  /** Call it a few times a second: a server that hangs closes nothing. */
  check(now) {
    if (!this.socket || now - this.heard <= this.patience) return;
    // Whoever gives up before the first picture is through, and asks for another, never sees one.
    if (this.open) this.patience = Math.min(this.patience * 2, SILENCE[1]);
    this.lose(0);
  }

  lose(code) {
    const socket = this.socket;
    this.socket = null;
    socket.onopen = null;
    socket.close();
    this.open = false;
    this.refusal = REFUSALS[code] ?? "";
    this.handlers.change();
    // Half of the wait is random, so that many displays do not come back in step.
    this.timer = setTimeout(() => this.connect(), this.wait * (0.5 + Math.random() / 2));
    this.wait = Math.min(this.wait * 2, BACK_OFF[1]);
  }

  send(message) {
    if (this.open) this.socket.send(JSON.stringify(message));
  }
}

/** The token from the address, kept for this tab only and taken out of the address bar and the history. */
export function takeToken() {
  addEventListener("hashchange", () => location.reload()); // the printed address, opened where its page already is
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  try {
    if (!given) return sessionStorage.getItem("token") ?? "";
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname);
  } catch {
    // where the browser forbids storage the address alone keeps it, for a reload
  }
  return given ?? "";
}
