// What is wrong, in plain words: one line per matter, gone when it is over.

import { clock } from "./model.js";

const SERVICES = {
  asr: ["Speech recognition", "What is said now is kept for a while and written down when it is back."],
  diarization: ["Speaker recognition", "Words keep coming; who said them is added when it is back."],
  vision: ["Screen reading", "The screen is not read until it is back."],
  decoder: ["The part that answers questions", "Words keep coming; questions have to wait until it is back."],
};

// What is missing where a service was away.
const TOLD_BY = { asr: "words", diarization: "who spoke", vision: "the screen" };

const places = new Map();

/** Shows `text` under `key`, or removes it when there is none. `action` is {label, run}. */
export function notice(key, text, { level = "error", action = null } = {}) {
  const area = document.getElementById("banners");
  const known = places.get(key);
  if (!text) {
    known?.remove();
    places.delete(key);
    return;
  }
  const line = known ?? document.createElement("div");
  if (line.dataset.text === text) return;
  line.dataset.text = text;
  line.dataset.key = key;
  line.className = `banner ${level}`;
  const words = document.createElement("p");
  words.textContent = text;
  line.replaceChildren(words);
  if (action) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = action.label;
    button.addEventListener("click", action.run);
    line.append(button);
  }
  const close = document.createElement("button");
  close.type = "button";
  close.className = "icon";
  close.textContent = "×";
  close.setAttribute("aria-label", "Dismiss");
  close.addEventListener("click", () => notice(key, ""));
  line.append(close);
  places.set(key, line);
  if (!known) area.append(line);
}

export function clearNotices() {
  for (const key of [...places.keys()]) notice(key, "");
}

/** A service came or went. */
export function noticeService(name, isAvailable, message = "") {
  const [title, consequence] = SERVICES[name] ?? [name, ""];
  // What a service says itself matters when it is more than "not there".
  const reason = /does not answer|unavailable|connect/i.test(message) ? "" : message;
  notice(`service:${name}`, isAvailable ? "" : `${title} is down. ${consequence} ${reason}`.trim());
}

/** What services that were away have not told of a meeting that has ended; they catch up with it no more. */
export function noticeMissing(missing) {
  for (const { expert } of missing) notice(`service:${expert}`, "");
  const parts = missing.map(({ expert, start, end }) => `${TOLD_BY[expert] ?? expert} from ${clock(start)} to ${clock(end)}`);
  notice("missing", parts.length ? `A service was away. Missing: ${parts.join("; ")}.` : "");
}
