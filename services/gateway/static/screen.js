// The screen: the latest picture with what was read and found on it, earlier ones, and jumps to evidence.

import { sessionPath } from "./api.js";
import { clock } from "./model.js";

const SVG = "http://www.w3.org/2000/svg";

export class ScreenView {
  #meeting;
  #sessionId = "";
  #pinned = null; // a state looked at; null follows the newest
  #drawn = null;
  #box = null;
  #loading = "";

  /** `seek` is called with what to find from now on, a list of texts. */
  constructor(seek) {
    const $ = (id) => document.getElementById(id);
    this.stage = $("stage");
    this.image = $("frame");
    this.boxes = $("boxes");
    this.list = $("regions");
    this.details = $("screen-text");
    this.count = $("region-count");
    this.time = $("screen-time");
    this.note = $("screen-note");
    this.empty = $("screen-empty");
    this.previous = $("screen-previous");
    this.next = $("screen-next");
    this.live = $("screen-live");
    this.section = $("screen");
    this.seek = $("seek");
    this.queries = $("queries");
    this.found = $("found");
    this.seek.addEventListener("submit", (event) => {
      event.preventDefault();
      seek(this.queries.value.split(",").map((query) => query.trim()).filter(Boolean));
    });
    this.previous.addEventListener("click", () => this.#step(-1));
    this.next.addEventListener("click", () => this.#step(1));
    this.live.addEventListener("click", () => this.#pin(null));
    $("show-boxes").addEventListener("change", (event) => this.boxes.classList.toggle("off", !event.target.checked));
  }

  reset(meeting, sessionId) {
    this.#meeting = meeting;
    this.#sessionId = sessionId;
    this.#pinned = this.#drawn = this.#box = null;
    this.#loading = "";
    this.image.removeAttribute("src");
    this.queries.value = "";
    this.found.replaceChildren();
    this.update();
  }

  update() {
    const states = this.#meeting.screens;
    const state = this.#pinned ?? states.at(-1) ?? null;
    const at = states.indexOf(state);
    this.empty.hidden = state !== null;
    this.seek.hidden = this.#meeting.ended;
    this.stage.hidden = this.details.hidden = state === null;
    this.previous.disabled = at <= 0;
    this.next.disabled = at < 0 || at === states.length - 1;
    this.live.hidden = this.#pinned === null;
    this.section.classList.toggle("pinned", this.#pinned !== null);
    this.time.textContent = state ? `${this.#pinned ? "at" : "since"} ${clock(state.start)}` : "";
    if (state && state !== this.#drawn) this.#draw(state);
  }

  /** Shows what was on the screen at a sample. */
  showAt(sample) {
    const state = this.#meeting.screens.findLast((known) => known.start <= sample) ?? this.#meeting.screens[0];
    if (state) this.#pin(state);
  }

  /** Shows the frame of an evidence and marks its box. */
  jump(evidence) {
    const states = this.#meeting.screens;
    const state =
      states.find((known) => known.frame && known.frame === evidence.frame) ??
      states.findLast((known) => known.start <= evidence.start) ??
      states[0];
    if (!state) return;
    this.#box = evidence.box;
    this.#drawn = null;
    this.#pin(state);
    const target = this.boxes.querySelector(".evidence") ?? this.boxes.querySelector("[tabindex]");
    this.section.scrollIntoView({ block: "nearest" });
    target?.focus({ preventScroll: true });
  }

  #pin(state) {
    if (state === null) {
      this.#box = null;
      this.#drawn = null;
    }
    this.#pinned = state;
    this.update();
  }

  #step(by) {
    const states = this.#meeting.screens;
    const at = states.indexOf(this.#pinned ?? states.at(-1)) + by;
    this.#box = null;
    this.#pin(at >= states.length - 1 ? null : states[Math.max(0, at)]);
  }

  #draw(state) {
    this.#drawn = state;
    this.boxes.setAttribute("viewBox", `0 0 ${state.width || 16} ${state.height || 9}`);
    this.stage.style.aspectRatio = `${state.width || 16} / ${state.height || 9}`;
    this.#load(state);
    this.boxes.replaceChildren();
    this.list.replaceChildren();
    state.objects.forEach((object) => this.boxes.append(this.#rect(object.box, "object", object.kind)));
    state.elements.forEach((element) => this.boxes.append(this.#rect(element.box, "control", [element.kind, element.text].filter(Boolean).join(": "))));
    state.regions.forEach((region) => this.#drawRegion(region));
    this.#drawFound(state.answers);
    if (this.#box && !this.boxes.querySelector(".evidence")) this.boxes.append(this.#rect(this.#box, "evidence", "evidence"));
    const read = state.regions.filter((region) => region.text).length;
    this.count.textContent = `${read} ${read === 1 ? "line" : "lines"}`;
    this.image.alt = read ? "Picture of the shared screen; its text is listed below." : "Picture of the shared screen; no text was found on it.";
  }

  #drawFound(answers) {
    // After a reload the field says again what is looked for.
    if (!this.queries.value && document.activeElement !== this.queries) this.queries.value = answers.map((answer) => answer.query).join(", ");
    for (const { query, matches } of answers) {
      for (const { box, score } of matches) this.boxes.append(this.#rect(box, "match", `${query}, ${Math.round(100 * score)} %`));
    }
    this.found.replaceChildren(
      ...answers.map(({ query, matches, isCovered, reason }) => {
        const item = document.createElement("li");
        const number = matches.length === 1 ? "1 place" : `${matches.length} places`;
        const sure = matches.length ? `, at best ${Math.round(100 * matches[0].score)} % sure` : "";
        item.textContent = `${query}: ${!isCovered ? "nobody here can tell" : matches.length ? number + sure : "not there"}`;
        item.title = reason;
        return item;
      }),
    );
  }

  #drawRegion(region) {
    const rect = this.#rect(region.box, "text", region.text || "unread text");
    if (this.#box && overlap(this.#box, region.box) > 0.5) rect.classList.add("evidence");
    // Shown only where the picture itself is not kept any more.
    const text = document.createElementNS(SVG, "text");
    text.textContent = region.text;
    text.setAttribute("x", region.box.x0);
    text.setAttribute("y", region.box.y1 - 0.22 * (region.box.y1 - region.box.y0));
    text.setAttribute("textLength", Math.max(1, region.box.x1 - region.box.x0));
    text.setAttribute("lengthAdjust", "spacingAndGlyphs");
    text.setAttribute("font-size", 0.8 * (region.box.y1 - region.box.y0));
    this.boxes.append(text, rect);
    if (!region.text) return;
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = region.text;
    item.append(button);
    this.list.append(item);
    const lit = (on) => () => [rect, item].forEach((node) => node.classList.toggle("lit", on));
    for (const node of [rect, button]) {
      for (const type of ["pointerenter", "focus"]) node.addEventListener(type, lit(true));
      for (const type of ["pointerleave", "blur"]) node.addEventListener(type, lit(false));
    }
    rect.addEventListener("click", () => button.focus());
    button.addEventListener("click", () => navigator.clipboard?.writeText(region.text).catch(() => {}));
    button.title = "Copy";
  }

  #rect(box, kind, label) {
    const rect = document.createElementNS(SVG, "rect");
    rect.setAttribute("x", box.x0);
    rect.setAttribute("y", box.y0);
    rect.setAttribute("width", Math.max(1, box.x1 - box.x0));
    rect.setAttribute("height", Math.max(1, box.y1 - box.y0));
    rect.setAttribute("class", kind);
    rect.setAttribute("tabindex", "-1");
    rect.setAttribute("role", "img");
    rect.setAttribute("aria-label", label);
    const title = document.createElementNS(SVG, "title");
    title.textContent = label;
    rect.append(title);
    return rect;
  }

  #load(state) {
    // The old picture stays until the new one is there.
    const url = `${sessionPath(this.#sessionId)}/frames/${encodeURIComponent(state.frame)}`;
    if (!state.frame) return this.#lost();
    if (this.#loading === url) return;
    this.#loading = url;
    const image = new Image();
    image.onload = () => {
      if (this.#loading !== url) return;
      this.image.src = url;
      this.stage.classList.remove("lost");
      this.note.hidden = true;
    };
    image.onerror = () => this.#loading === url && this.#lost();
    image.src = url;
  }

  #lost() {
    this.#loading = "";
    this.image.removeAttribute("src");
    this.stage.classList.add("lost");
    this.note.hidden = false;
    this.note.textContent = "This picture is not kept any more. Shown is the text that was on it, where it was.";
  }
}

function overlap(a, b) {
  const width = Math.min(a.x1, b.x1) - Math.max(a.x0, b.x0);
  const height = Math.min(a.y1, b.y1) - Math.max(a.y0, b.y0);
  const smaller = Math.min((a.x1 - a.x0) * (a.y1 - a.y0), (b.x1 - b.x0) * (b.y1 - b.y0));
  return width > 0 && height > 0 && smaller > 0 ? (width * height) / smaller : 0;
}
