// The transcript: a bounded window of utterances, the words being said, and jumps to evidence.

import { clock, join, Meeting, runs } from "./model.js";

const WINDOW = 200; // utterances in the document at most
const STEP = 80; // how far "show earlier" moves
const NEAR_END_PX = 90;
const UNSURE = 0.5;
// Somebody who goes on after such a pause gets a new line with a new time.
const PAUSE = 20 * 16000;

export class TranscriptView {
  #meeting = new Meeting();
  #first = 0;
  #isFollowing = true;
  #nodes = new Map();
  #mark = null;
  #frame = 0;
  #onRename;
  #onTime;
  #onPlace;
  #onUndo;

  constructor(onRename, onTime, onPlace, onUndo) {
    this.#onRename = onRename;
    this.#onTime = onTime;
    this.#onPlace = onPlace;
    this.#onUndo = onUndo;
    const $ = (id) => document.getElementById(id);
    this.scroll = $("scroll");
    this.list = $("utterances");
    this.partials = $("partials");
    this.empty = $("transcript-empty");
    this.earlier = $("earlier");
    this.later = $("later");
    this.newest = $("newest");
    this.earlier.addEventListener("click", () => this.#move(-STEP));
    this.later.addEventListener("click", () => this.#move(STEP));
    this.newest.addEventListener("click", () => this.follow());
    this.scroll.addEventListener("scroll", () => this.#scrolled(), { passive: true });
  }

  reset(meeting) {
    this.#meeting = meeting;
    this.#first = 0;
    this.#mark = null;
    this.#nodes.clear();
    this.list.replaceChildren();
    this.partials.replaceChildren();
    this.follow();
  }

  /** Draws what changed, at most once per picture of the display. */
  update(id = "") {
    if (id) this.#nodes.get(id)?.removeAttribute("data-drawn");
    else this.#nodes.forEach((node) => node.removeAttribute("data-drawn"));
    this.draw();
  }

  draw() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#render();
    });
  }

  follow() {
    this.#isFollowing = true;
    this.draw();
  }

  /** Shows and marks what was said from `start` to `end`. */
  jump(id, start, end) {
    const target = this.#meeting.byId.get(id) ?? this.#meeting.at(start);
    if (!target) return;
    this.#isFollowing = false;
    const previous = this.#mark?.id;
    this.#mark = { id: target.id, start, end };
    const at = this.#meeting.utterances.indexOf(target);
    if (at < this.#first || at >= this.#first + WINDOW) this.#first = Math.max(0, at - WINDOW / 2);
    for (const changed of [previous, target.id]) this.#nodes.get(changed)?.removeAttribute("data-drawn");
    this.#render();
    const node = this.#nodes.get(target.id);
    (node.querySelector("mark") ?? node).scrollIntoView({ block: "center" });
    node.tabIndex = -1;
    node.focus({ preventScroll: true });
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroll;
    const isNearEnd = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
    // What came since the last drawing does not count: only the reader scrolls away.
    this.#isFollowing = isNearEnd && this.later.hidden;
    this.newest.hidden = this.#isFollowing;
  }

  #move(step) {
    const before = this.#meeting.utterances[step < 0 ? this.#first : Math.min(this.#first + WINDOW, this.#meeting.utterances.length) - 1];
    const tail = Math.max(0, this.#meeting.utterances.length - WINDOW);
    this.#isFollowing = false;
    this.#first = Math.min(tail, Math.max(0, this.#first + step));
    this.#render();
    this.#nodes.get(before?.id)?.scrollIntoView({ block: step < 0 ? "start" : "end" });
  }

  #render() {
    const { utterances, partials, ended } = this.#meeting;
    if (this.#isFollowing) this.#first = Math.max(0, utterances.length - WINDOW);
    const shown = utterances.slice(this.#first, this.#first + WINDOW);

    const nodes = new Map();
    shown.forEach((utterance, i) => {
      const before = utterances[this.#first + i - 1];
      const hasChanged = before && !this.#isSame(before.words.at(-1).speaker, utterance.words[0].speaker);
      const isNewLine = !before || hasChanged || utterance.start - before.end > PAUSE;
      const key = `${utterance.revision}:${isNewLine}`;
      let node = this.#nodes.get(utterance.id);
      if (node?.dataset.drawn !== key || node.utterance !== utterance) {
        node ??= document.createElement("li");
        node.dataset.drawn = key;
        node.dataset.id = utterance.id;
        node.utterance = utterance;
        redraw(node, this.#paragraphs(utterance, isNewLine));
        node.classList.toggle("marked", this.#mark?.id === utterance.id);
      }
      nodes.set(utterance.id, node);
    });
    this.#nodes = nodes;
    const wanted = [...nodes.values()];
    if (wanted.length !== this.list.children.length || wanted.some((node, i) => this.list.children[i] !== node)) {
      // Keep nodes that stay: what has the focus or a selection is not torn out.
      const keep = new Set(wanted);
      [...this.list.children].forEach((node) => keep.has(node) || node.remove());
      wanted.forEach((node, i) => {
        if (this.list.children[i] !== node) this.list.insertBefore(node, this.list.children[i] ?? null);
      });
    }

    const isAtTail = this.#first + WINDOW >= utterances.length;
    this.earlier.hidden = this.#first === 0;
    this.later.hidden = isAtTail;
    this.partials.hidden = !isAtTail;
    this.#drawPartials([...partials.values()]);
    this.empty.hidden = utterances.length > 0 || partials.size > 0;
    this.empty.textContent = ended ? "Nothing was said in this meeting." : "Listening. The first words appear here as they are said.";
    if (this.#isFollowing) this.scroll.scrollTop = this.scroll.scrollHeight;
    this.newest.hidden = this.#isFollowing;
  }

  #isSame(one, other) {
    return this.#meeting.personOf(one) === this.#meeting.personOf(other);
  }

  #drawPartials(partials) {
    this.partials.replaceChildren(
      ...partials.map((partial) => {
        const paragraph = document.createElement("p");
        const firm = document.createElement("span");
        firm.className = "firm";
        firm.textContent = join(partial.words.slice(0, partial.stable), partial.language);
        const rest = join(partial.words.slice(partial.stable), partial.language);
        paragraph.append(firm, partial.stable && rest ? " " : "", rest);
        return paragraph;
      }),
    );
  }

  #paragraphs(utterance, isNewLine) {
    return runs(utterance, (speaker) => this.#meeting.personOf(speaker)).flatMap((run, i) => {
      const paragraph = document.createElement("p");
      paragraph.append(...this.#words(run.words, utterance));
      paragraph.lang = utterance.language;
      this.#colour(paragraph, run.speaker);
      return i || isNewLine ? [this.#heading(run), paragraph] : [paragraph];
    });
  }

  #heading(run) {
    const heading = document.createElement("div");
    heading.className = "who";
    this.#colour(heading, run.speaker);
    const name = document.createElement(run.speaker ? "button" : "span");
    name.className = "name";
    name.textContent = this.#meeting.nameOf(run.speaker);
    if (run.speaker) {
      name.type = "button";
      name.title = "Rename";
      name.setAttribute("aria-label", `${name.textContent}, rename`);
      name.addEventListener("click", () => this.#onRename(run.speaker));
    }
    const time = document.createElement("button");
    time.type = "button";
    time.className = "time";
    time.textContent = clock(run.words[0].start);
    time.title = "Show the screen at this moment";
    time.addEventListener("click", () => this.#onTime(run.words[0].start));
    heading.append(name, time);
    return heading;
  }

  #words(words, utterance) {
    const mark = this.#mark?.id === utterance.id ? this.#mark : null;
    const isMarked = (word) => mark && word.end > mark.start && word.start < Math.max(mark.end, mark.start + 1);
    const parts = [];
    let text = "";
    let open = null;
    const flush = () => {
      if (text) (open ?? parts).push(text);
      text = "";
    };
    words.forEach((word, i) => {
      const gap = i ? join([{ text: "" }, { text: "" }], utterance.language) : "";
      if (isMarked(word) && !open) {
        text += gap;
        flush();
        open = [];
      } else if (!isMarked(word) && open) {
        flush();
        parts.push(element("mark", open));
        open = null;
        text += gap;
      } else text += gap;
      if (word.correction) {
        flush();
        (open ?? parts).push(...this.#corrected(word, utterance));
      } else if (word.confidence !== undefined && word.confidence < UNSURE) {
        flush();
        const unsure = element("span", [word.text]);
        unsure.className = "unsure";
        unsure.title = `Not sure of this word (${Math.round(word.confidence * 100)} %)`;
        (open ?? parts).push(unsure);
      } else text += word.text;
    });
    flush();
    if (open) parts.push(element("mark", open));
    return parts;
  }

  /** A word that a listed phrase brought: a click shows where it was read, another one beside it takes it back. */
  #corrected(word, utterance) {
    const { heard, place } = word.correction;
    const shown = element(place ? "button" : "span", [word.text]);
    shown.className = "corrected";
    if (place) {
      shown.type = "button";
      shown.title = "Read on the screen: show where";
      shown.addEventListener("click", () => this.#onPlace(place));
    }
    if (!heard) return [shown];
    const undo = element("button", ["\u21b6"]);
    undo.type = "button";
    undo.className = "undo";
    undo.title = `Heard: “${heard}”. Put it back`;
    undo.setAttribute("aria-label", `${word.text}, heard as ${heard}: put it back`);
    undo.addEventListener("click", () => this.#onUndo(utterance.id, utterance.words.indexOf(word)));
    return [undo, shown];
  }

  #colour(node, speaker) {
    const known = this.#meeting.speakers.get(speaker);
    if (known) node.dataset.colour = known.index % 8;
  }
}

/** New children for a line; whoever was at one of its buttons is at the same one then, or at the line. */
function redraw(node, children) {
  const named = (button) => button.getAttribute("aria-label") ?? button.textContent;
  const focused = document.activeElement !== node && node.contains(document.activeElement) ? named(document.activeElement) : null;
  node.replaceChildren(...children);
  if (focused === null) return;
  const same = [...node.querySelectorAll("button")].find((button) => named(button) === focused);
  if (!same) node.tabIndex = -1;
  (same ?? node).focus({ preventScroll: true });
}

function element(tag, children) {
  const node = document.createElement(tag);
  node.append(...children);
  return node;
}
