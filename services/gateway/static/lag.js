// How far the text is behind the voices.

import { RATE } from "./model.js";

const SHOWN_S = 10;
const SMOOTHING = 0.3;
// Without new words for so long, the last measurement says nothing any more.
const STALE_MS = 6000;
// A position so far back is not late news but a session that goes on from an earlier point.
const RESTART = 3 * RATE;

export class LagMeter {
  #position = 0;
  #positionAt = 0;
  #lag = null;
  #measuredAt = 0;
  #backlog = 0;

  constructor() {
    this.node = document.getElementById("lag");
    this.bar = document.getElementById("lag-bar");
    this.text = document.getElementById("lag-text");
    setInterval(() => this.#draw(), 500);
  }

  reset() {
    this.#position = this.#positionAt = this.#backlog = 0;
    this.#lag = null;
    this.node.hidden = true;
  }

  /** The newest sound anybody knows of, on the media clock. */
  heard(sample, backlogS = this.#backlog) {
    this.#backlog = backlogS;
    const early = this.#now() - sample;
    if (early > 0 && early < RESTART) return;
    this.#position = sample;
    this.#positionAt = performance.now();
  }

  /** Text came that covers the sound up to `sample`. */
  wrote(sample) {
    if (!this.#positionAt || performance.now() - this.#positionAt > STALE_MS) return;
    const lag = Math.max(0, (this.#now() - sample) / RATE);
    if (lag > 60) return;
    this.#lag = this.#lag === null ? lag : this.#lag + SMOOTHING * (lag - this.#lag);
    this.#measuredAt = performance.now();
  }

  #now() {
    const elapsed = Math.min(1500, performance.now() - this.#positionAt);
    return this.#positionAt ? this.#position + (elapsed / 1000) * RATE : 0;
  }

  #draw() {
    const isFresh = performance.now() - this.#measuredAt < STALE_MS;
    const lag = Math.max(isFresh && this.#lag !== null ? this.#lag : 0, this.#backlog > 1 ? this.#backlog : 0);
    this.node.hidden = !this.#positionAt || performance.now() - this.#positionAt > STALE_MS;
    if (this.node.hidden) return;
    this.bar.style.setProperty("inline-size", `${Math.min(1, lag / SHOWN_S) * 100}%`);
    this.node.dataset.level = lag > 6 ? "late" : lag > 3 ? "slow" : "good";
    this.text.textContent = lag ? `${lag.toFixed(1)} s behind` : "keeping up";
    this.node.setAttribute("aria-valuenow", lag.toFixed(1));
    this.node.setAttribute("aria-valuetext", this.text.textContent);
    this.node.title = this.#backlog > 1 ? `${this.#backlog.toFixed(0)} s of sound wait for the services` : "How far the text is behind the voices";
  }
}
