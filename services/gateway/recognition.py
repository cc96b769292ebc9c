"""Who somebody is, by voice: pure, one `Recogniser` a session.

Embeddings are compared by their cosine. The thresholds were chosen and are reported in docs/voices.md.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from services.gateway.voices import KnownVoice
from services.runtime.percept import SpeakerVoice

# Speech (s) that a voice must be learnt from, and that must be heard before it is named.
MIN_SPEECH_S = 3.0
# Cosine from which on two voices are one person's, and below which a name that was found is taken back.
MIN_SIMILARITY = 0.68
KEEP_SIMILARITY = 0.6


@dataclass(slots=True)
class Recogniser:
    """What one session heard of its speakers, and the names they got.

    `heard` is the newest voice of every speaker; it is in memory only.
    """

    heard: dict[str, SpeakerVoice] = field(default_factory=dict)
    _recognised: dict[str, str] = field(default_factory=dict)
    _told: dict[str, str] = field(default_factory=dict)
    _given: set[str] = field(default_factory=set)

    def name(self, speaker: str, name: str, *, is_recognised: bool, is_told: bool = False) -> None:
        """Take note of a name; one that a person gave stays. `is_told`: words gave it, no voice."""
        self._told.pop(speaker, None)
        if is_told:
            self._told |= {speaker: name} if name else {}
            return
        self._recognised.pop(speaker, None)
        if is_recognised and name:
            self._recognised[speaker] = name
        elif not is_recognised:
            self._given.add(speaker)

    def tell(self, speaker: str, name: str) -> bool:
        """Whether a name that words give a speaker is news: a person's or a recognised voice's goes before it."""
        if speaker in self._given or speaker in self._recognised:
            return False
        return self._told.get(speaker, "") != name

    def hear(self, voice: SpeakerVoice, known: Collection[KnownVoice]) -> str | None:
        """The speaker's name by voice when it changes, "" to take one back, None when all stays as it is."""
        self.heard[voice.speaker] = voice
        return self._changed(voice.speaker, known)

    def review(self, known: Collection[KnownVoice]) -> dict[str, str]:
        """Names that change, by speaker, now that other voices are known."""
        changes = {s: self._changed(s, known) for s in sorted({*self.heard, *self._recognised})}
        return {speaker: name for speaker, name in changes.items() if name is not None}

    def _changed(self, speaker: str, known: Collection[KnownVoice]) -> str | None:
        if speaker in self._given:
            return None
        present = self._recognised.get(speaker, "")
        voice = self.heard.get(speaker)
        if voice is None:
            # Named before the gateway began anew, and not heard since.
            found = present if any(one.name == present for one in known) else ""
        else:
            found = whose(voice, known, present)
        return found if found != present else None


def whose(voice: SpeakerVoice, known: Collection[KnownVoice], present: str = "") -> str:
    """Name of the remembered voice that this one is; "" for nobody's, or when too little was heard.

    `present` is the name found before. Voices that another model made are not compared.
    """
    if voice.speech_s < MIN_SPEECH_S:
        return ""
    unit = np.asarray(voice.embedding, np.float32)
    alike = {one.name: float(one.embedding @ unit) for one in known if one.space_id == voice.space_id}
    best = max(alike, key=lambda name: alike[name], default="")
    if best and alike[best] >= MIN_SIMILARITY:
        return best
    return present if alike.get(present, -1.0) >= KEEP_SIMILARITY else ""
