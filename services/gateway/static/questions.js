// Questions and their answers, which come with what they stand on.

import { clock } from "./model.js";

// Asked of the decoder, and what the minutes tell.
const SUGGESTIONS = ["What is on the screen?"];
const IN_MINUTES = ["Who has to do what?", "What was decided?"];
const MOST_SHOWN = 50;
// Earlier questions that a new one may go on from, and how much of their answers.
const EARLIER = 5;
const EARLIER_CHARACTERS = 2000;
const PARTS = { speech: "said", screen: "on the screen" };

export class QuestionsView {
  #meeting;
  #onAsk;
  #onEvidence;
  #nodes = new Map();
  #asked = []; // ids of what was asked on this page

  constructor(onAsk, onEvidence, onMinutes) {
    this.#onAsk = onAsk;
    this.#onEvidence = onEvidence;
    const $ = (id) => document.getElementById(id);
    this.list = $("answers");
    this.form = $("ask");
    this.input = $("question");
    this.suggestions = $("suggestions");
    this.answered = $("answered");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.input.value.trim();
      if (!text) return;
      this.input.value = "";
      onAsk(text);
    });
    for (const text of [...SUGGESTIONS, ...IN_MINUTES]) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "quiet";
      button.textContent = text;
      button.addEventListener("click", () => (IN_MINUTES.includes(text) ? onMinutes() : onAsk(text)));
      this.suggestions.append(button);
    }
  }

  reset(meeting) {
    this.#meeting = meeting;
    this.#nodes.clear();
    this.#asked = [];
    this.list.replaceChildren();
    this.suggestions.hidden = false;
  }

  /** What was asked here before, with its answers, the last one last: "And when?" goes on from it. */
  earlier() {
    const known = this.#asked.slice(-EARLIER).map((id) => this.#meeting.answers.get(id));
    return known.filter(Boolean).map((answer) => ({ question: answer.question, answer: answer.text.slice(0, EARLIER_CHARACTERS) }));
  }

  /** A question that was asked here and has no answer yet. */
  expect(id, question) {
    this.#asked.push(id);
    if (!this.#meeting.answers.has(id)) this.#meeting.answers.set(id, { id, question, evidence: [], text: "", whole: null });
    this.update(id);
  }

  fail(id, message) {
    const answer = this.#meeting.answers.get(id);
    answer.whole = { abstained: true };
    answer.text = message;
    this.update(id);
  }

  updateAll() {
    this.#meeting.answers.forEach((_, id) => this.update(id, false));
  }

  update(id, isNews = true) {
    const answer = this.#meeting.answers.get(id);
    if (!answer) return;
    this.suggestions.hidden = true;
    let node = this.#nodes.get(id);
    if (!node) {
      node = document.createElement("li");
      this.#nodes.set(id, node);
      this.list.append(node);
      while (this.list.children.length > MOST_SHOWN) this.list.firstElementChild.remove();
    }
    const question = make("p", "asked", answer.question);
    const text = make("p", answer.whole?.abstained ? "said abstained" : "said", this.#named(answer.text) || (answer.whole ? "No answer." : "Looking…"));
    text.classList.toggle("streaming", !answer.whole);
    node.setAttribute("aria-busy", String(!answer.whole));
    node.replaceChildren(question, text, this.#evidence(answer), this.#footer(answer));
    // To the question and its answer: what it stands on may be longer than the list.
    this.list.scrollTop += node.getBoundingClientRect().top - this.list.getBoundingClientRect().top;
    if (isNews && answer.whole) this.answered.textContent = `Answer: ${this.#named(answer.text)}`;
  }

  /** The decoder speaks of "S2"; people know her by name. */
  #named(text) {
    return text.replace(/\bS\d+\b/g, (id) => (this.#meeting.speakers.has(id) ? this.#meeting.nameOf(id) : id));
  }

  #evidence(answer) {
    const list = make("ul", "evidence");
    for (const item of answer.evidence) {
      const button = make("button", item.kind === "screen" ? "from-screen" : "from-speech");
      button.type = "button";
      const known = this.#meeting.speakers.get(item.speaker);
      if (known) button.dataset.colour = known.index % 8;
      const who = item.kind === "screen" ? "Screen" : this.#meeting.nameOf(item.speaker);
      button.append(make("span", "who", who), make("span", "time", clock(item.start)), make("span", "quote", item.text));
      button.setAttribute("aria-label", `${who}, ${PARTS[item.kind] ?? ""} at ${clock(item.start)}: ${item.text}`);
      button.addEventListener("click", () => this.#onEvidence(item));
      const row = document.createElement("li");
      row.append(button);
      list.append(row);
    }
    return list;
  }

  #footer(answer) {
    const whole = answer.whole;
    const parts = [];
    if (whole?.confidence !== undefined && !whole.abstained) parts.push(`${Math.round(whole.confidence * 100)} % sure`);
    if (whole?.activation?.total_ms) parts.push(`${(whole.activation.total_ms / 1000).toFixed(1)} s`);
    if (whole?.activation?.experts?.length) parts.push(whole.activation.experts.join(" + "));
    const footer = make("p", "cost", parts.join(" · "));
    const escalation = whole?.activation?.escalation;
    if (escalation?.outcome === "offered") {
      // Nothing has left yet: this click lets this one question go.
      const button = make("button", "quiet", `Ask ${new URL(escalation.url).host} (sends ${escalation.bytes_sent} redacted bytes)`);
      button.type = "button";
      button.title = escalation.reason;
      button.addEventListener("click", () => this.#onAsk(answer.question, "allowed"));
      footer.append(" ", button);
    } else if (escalation?.outcome === "sent") {
      footer.append(` · ${escalation.bytes_sent} redacted bytes went to ${new URL(escalation.url).host}`);
    }
    return footer;
  }
}

function make(tag, className, text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}
