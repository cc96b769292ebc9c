// What is known of one meeting, built from its events. No DOM here.

export const RATE = 16000;
const UNSPACED = new Set(["zh", "ja", "th"]);

const num = (value) => Number(value ?? 0);

function transcript(raw) {
  // Among words that name a speaker, one that does not is nobody's: who said it cannot be told.
  const otherwise = (raw.words ?? []).some((word) => word.speaker) ? "" : (raw.speaker ?? "");
  return {
    id: raw.utterance_id ?? "",
    revision: num(raw.revision),
    start: num(raw.start_sample),
    end: num(raw.end_sample),
    language: raw.language ?? "",
    speaker: raw.speaker ?? "",
    stable: num(raw.stable_words),
    words: (raw.words ?? []).map((word) => ({
      text: word.text ?? "",
      start: num(word.start_sample),
      end: num(word.end_sample),
      confidence: word.confidence,
      speaker: word.speaker || otherwise,
      correction: word.correction ? correction(word.correction, num(word.start_sample)) : null,
    })),
  };
}

const box = (raw) => ({ x0: num(raw?.x0), y0: num(raw?.y0), x1: num(raw?.x1), y1: num(raw?.y1) });

/** What a listed phrase took the place of, and the line of the screen that holds it, if any. */
const correction = (raw, at) => ({
  heard: raw.heard ?? "",
  place: raw.source_id ? { kind: "screen", start: at, box: box(raw.box), frame: raw.frame_id ?? "", source: raw.source_id } : null,
});

function screen(raw) {
  return {
    start: num(raw.start_sample),
    width: num(raw.width_px),
    height: num(raw.height_px),
    frame: raw.frame_id ?? "",
    regions: (raw.regions ?? []).map((r) => ({ id: r.region_id ?? "", text: r.text ?? "", box: box(r.box), confidence: r.confidence })),
    elements: (raw.elements ?? []).map((e) => ({ id: e.element_id ?? "", text: e.text ?? "", kind: e.class_name ?? "", box: box(e.box) })),
    objects: (raw.objects ?? []).map((o) => ({ kind: o.class_name ?? "", box: box(o.box), confidence: o.confidence })),
    answers: (raw.answers ?? []).map((a) => ({
      query: a.query ?? "",
      isCovered: a.coverage !== "COVERAGE_NOT_COVERED",
      reason: a.reason ?? "",
      matches: (a.matches ?? []).map((m) => ({ box: box(m.box), score: m.score ?? 0, name: m.name ?? "" })),
    })),
  };
}

export const evidence = (raw) => ({
  kind: raw.kind ?? "speech",
  text: raw.text ?? "",
  speaker: raw.speaker ?? "",
  start: num(raw.start_sample),
  end: num(raw.end_sample),
  box: raw.box ? box(raw.box) : null,
  frame: raw.frame_id ?? "",
  source: raw.source_id ?? "",
});

/** Words as one text. */
export function join(words, language) {
  return words.map((word) => word.text).join(UNSPACED.has(language.slice(0, 2)) ? "" : " ");
}

/** Runs of words of one person: [{speaker, words}]; `personOf` tells who a speaker is. */
export function runs(utterance, personOf) {
  const found = [];
  for (const word of utterance.words) {
    const speaker = personOf(word.speaker);
    const last = found.at(-1);
    if (last && last.speaker === speaker) last.words.push(word);
    else found.push({ speaker, words: [word] });
  }
  return found;
}

/** "4:07" or "1:04:07". */
export function clock(sample) {
  const total = Math.max(0, Math.floor(sample / RATE));
  const [hours, minutes, seconds] = [Math.floor(total / 3600), Math.floor(total / 60) % 60, total % 60];
  const two = (n) => String(n).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}

export class Meeting {
  constructor() {
    this.lastSeq = 0;
    this.utterances = []; // by start
    this.byId = new Map();
    this.partials = new Map();
    this.speakers = new Map(); // id -> {id, index, name, isRecognised}
    this.screens = []; // by start
    this.answers = new Map(); // question id -> {id, question, evidence, text, whole}
    this.received = 0;
    this.ended = false;
    this.missing = []; // [{expert, start, end}]: stretches that an expert was away for, once it has ended
  }

  /** Takes one event; returns what changed: {kind, ...}. */
  apply(event) {
    this.lastSeq = Math.max(this.lastSeq, num(event.seq));
    if (event.partial) return this.#partial(transcript(event.partial));
    if (event.utterance) return this.#utterance(transcript(event.utterance));
    if (event.turn) return this.#seen(event.turn.speaker ?? "");
    if (event.screen) return this.#screen(screen(event.screen));
    if (event.answer) return this.#answer(event.answer);
    if (event.speaker_name) return this.#name(event.speaker_name);
    if (event.expert_status) {
      const { expert = "", is_available = false, message = "" } = event.expert_status;
      return { kind: "service", name: expert, isAvailable: is_available, message };
    }
    if (event.speech) return { kind: "speech", hasBegun: event.speech.event === "EVENT_START_OF_SPEECH" };
    if (event.progress) {
      // It may go back: a gateway that died goes on from what was kept.
      this.received = num(event.progress.received_sample);
      return { kind: "progress" };
    }
    if (event.ended) {
      this.ended = true;
      this.missing = (event.ended.missing ?? []).map((one) => ({
        expert: one.expert ?? "",
        start: num(one.start_sample),
        end: num(one.end_sample),
      }));
      this.received = Math.max(this.received, num(event.ended.end_sample));
      this.partials.clear();
      return { kind: "ended" };
    }
    return { kind: "none" };
  }

  nameOf(speaker) {
    if (!speaker) return "Somebody";
    const known = this.speakers.get(speaker);
    return known?.name || speaker.replace(/^S(\d+)$/, "Speaker $1");
  }

  /** Speakers of one name are one person, who goes by the first of their ids. */
  personOf(speaker) {
    return this.idsOf(speaker)[0] ?? speaker;
  }

  /** All ids of the person behind one. */
  idsOf(speaker) {
    const known = this.speakers.get(speaker);
    if (!known?.name) return known ? [speaker] : [];
    return [...this.speakers.values()].filter((other) => other.name === known.name).map((other) => other.id);
  }

  /** Where an utterance stands in order of time; -1 when it is not known. */
  indexOf(id) {
    const utterance = this.byId.get(id);
    return utterance ? this.utterances.indexOf(utterance) : -1;
  }

  /** The utterance spoken at a sample, or the last before it. */
  at(sample) {
    let found = null;
    for (const utterance of this.utterances) {
      if (utterance.start > sample) break;
      found = utterance;
    }
    return found ?? this.utterances[0] ?? null;
  }

  #partial(partial) {
    const final = this.byId.get(partial.id);
    if (final || !partial.words.length) this.partials.delete(partial.id);
    else this.partials.set(partial.id, partial);
    return { kind: "partial", end: partial.end };
  }

  #utterance(utterance) {
    this.partials.delete(utterance.id);
    for (const [id, partial] of this.partials) if (partial.end <= utterance.end) this.partials.delete(id);
    const known = this.byId.get(utterance.id);
    if (known && known.revision > utterance.revision) return { kind: "none" };
    if (known) this.utterances.splice(this.utterances.indexOf(known), 1);
    this.byId.delete(utterance.id);
    if (utterance.words.length) {
      let at = this.utterances.length;
      while (at && this.utterances[at - 1].start > utterance.start) at--;
      this.utterances.splice(at, 0, utterance);
      this.byId.set(utterance.id, utterance);
    }
    for (const word of utterance.words) this.#seen(word.speaker);
    return { kind: "utterance", utterance, isNew: !known };
  }

  #seen(id) {
    if (!id || this.speakers.has(id)) return { kind: "none" };
    const number = Number(/^S(\d+)$/.exec(id)?.[1] ?? this.speakers.size + 1);
    this.speakers.set(id, { id, index: number - 1, name: "", isRecognised: false, how: "", source: "" });
    return { kind: "speakers" };
  }

  #name({ speaker: id = "", name = "", is_recognised: isRecognised = false, how = "", source_id: source = "" }) {
    this.#seen(id);
    if (!id) return { kind: "none" };
    Object.assign(this.speakers.get(id), { name, isRecognised, how, source });
    return { kind: "speakers" };
  }

  #screen(state) {
    const same = this.screens.findIndex((known) => known.start === state.start);
    if (same >= 0) this.screens[same] = state;
    else {
      let at = this.screens.length;
      while (at && this.screens[at - 1].start > state.start) at--;
      this.screens.splice(at, 0, state);
    }
    return { kind: "screen" };
  }

  #answer(raw) {
    const id = raw.question_id || `#${this.answers.size}`;
    const known = this.answers.get(id) ?? { id, question: "", evidence: [], text: "", whole: null };
    this.answers.set(id, known);
    known.question = raw.question ?? known.question;
    const part = raw.part ?? {};
    if (part.evidence) known.evidence = (part.evidence.evidence ?? []).map(evidence);
    if (part.delta && !known.whole) known.text += part.delta;
    if (part.answer) {
      known.whole = { abstained: part.answer.abstained ?? false, confidence: part.answer.confidence, activation: part.answer.activation };
      known.text = part.answer.text ?? known.text;
      known.evidence = (part.answer.evidence ?? []).map(evidence);
    }
    return { kind: "answer", id };
  }
}
