// The minutes of a meeting: what was decided, who does what, what is open, what was shown; each line leads to its words.

import { request, sessionPath } from "./api.js";
import { clock, RATE } from "./model.js";

const PARTS = [
  ["topics", "Topics"],
  ["decisions", "Decisions"],
  ["actions", "Action items"],
  ["questions", "Open questions"],
  ["screens", "Shown on the screen"],
];

const sample = (seconds) => Math.round(seconds * RATE);

/** Fills `root`; `onLine(utterance, start, end)` and `onScreen(start)` are told what was clicked, positions in samples. */
export async function fillMinutes(root, sessionId, onLine, onScreen) {
  root.replaceChildren(make("p", "empty", "Reading the meeting…"));
  root.dataset.session = sessionId;
  const { minutes, error } = await request("GET", `${sessionPath(sessionId)}/minutes`).then(
    (told) => ({ minutes: told }),
    (failure) => ({ error: failure.message }),
  );
  // Another meeting was opened in the meantime.
  if (root.dataset.session !== sessionId) return;
  if (error) {
    root.replaceChildren(make("p", "empty", error));
    return;
  }
  const parts = PARTS.filter(([key]) => minutes[key].length).map(([key, name]) => {
    const section = make("section", "");
    const list = make("ul", "evidence");
    for (const line of minutes[key]) {
      const item = make("li", "");
      item.append(key === "screens" ? screenLine(line, sessionId, onScreen) : spokenLine(key, line, onLine));
      list.append(item);
    }
    section.append(make("h3", "", name), list);
    return section;
  });
  root.replaceChildren(...(parts.length ? parts : [make("p", "empty", "Nothing was said yet that belongs into minutes.")]));
}

function spokenLine(key, line, onLine) {
  const [first] = line.evidence;
  const who = key === "actions" ? [line.owner ?? "Nobody named", line.due].filter(Boolean).join(", ") : key === "topics" ? "" : (line.speaker ?? "Somebody");
  const text = key === "topics" ? line.title : [line.text, ...line.evidence.slice(1).map((said) => said.text)].join(" – ");
  const button = lineButton("from-speech", who, line.start_s, text);
  button.addEventListener("click", () => onLine(first.utterances[0], sample(first.start_s), sample(first.end_s)));
  return button;
}

function screenLine(screen, sessionId, onScreen) {
  const button = lineButton("from-screen", "Screen", screen.start_s, screen.title);
  button.addEventListener("click", () => onScreen(sample(screen.start_s)));
  if (screen.frame_id) {
    const picture = make("img", "thumbnail");
    picture.alt = "";
    // Pictures are kept for a while only.
    picture.addEventListener("error", () => picture.remove());
    picture.src = `${sessionPath(sessionId)}/frames/${encodeURIComponent(screen.frame_id)}`;
    button.prepend(picture);
  }
  return button;
}

function lineButton(kind, who, start, text) {
  const button = make("button", kind);
  button.type = "button";
  button.append(make("span", "who", who), make("span", "time", clock(sample(start))), make("span", "quote", text));
  return button;
}

function make(tag, className, text = "") {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.textContent = text;
  return node;
}
