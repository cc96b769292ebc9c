"""Which language is spoken: one answer per utterance, with inertia."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

# So sure must an utterance be, and so long, to set the stream's language: "okay" is the same in ten.
SURE, MIN_SPEECH_S = 0.7, 1.0
# Log-odds that speak for the language spoken before, and for English while nothing is known.
INERTIA, ENGLISH_PRIOR = 2.0, 0.7
# The English recogniser's mean log-probability is a witness of its own: English lies above
# NEUTRAL_LOG_PROB, other languages below (English 5th percentile at 3 s -.70, at 8 s -.52; nine
# other languages -.8 to -2.3). WITNESS turns it into log-odds, within +-WITNESS_LIMIT.
# What it says against English counts in proportion below WITNESS_S of speech: there English spreads further down.
NEUTRAL_LOG_PROB, WITNESS, WITNESS_LIMIT, WITNESS_S = -0.6, 10.0, 4.5, 3.0
# English below this is looked at by Whisper as well; of less than MIN_SPEECH_S, whose scores spread further, below the
# second, and then not for its language: babble has such pieces, and so do people who are hardly heard.
DOUBTFUL_LOG_PROB, SHORT_LOG_PROB = -0.5, -0.8
# English that looks fine is still looked at this often, in seconds of speech.
RECHECK_SPEECH_S = 120.0


@dataclass(frozen=True, slots=True)
class LanguageState:
    """The language that the stream is taken to be in ("" until known), and the speech since it was checked."""

    language: str = ""
    unchecked_s: float = 0.0

    @staticmethod
    def from_bytes(data: bytes) -> "LanguageState":
        """Read what `to_bytes` wrote. Raises ValueError."""
        try:
            state = LanguageState(**json.loads(data))
        except TypeError as error:
            raise ValueError(str(error)) from error
        if not (isinstance(state.language, str) and re.fullmatch("[a-z]{0,3}", state.language)):
            raise ValueError(f"language is {state.language!r}, must be empty or a code such as 'en'")
        unchecked = state.unchecked_s
        if type(unchecked) not in (int, float) or not 0 <= unchecked < math.inf:
            raise ValueError(f"unchecked_s is {unchecked!r}, must be seconds, 0 or more")
        return state

    def to_bytes(self) -> bytes:
        """For a checkpoint."""
        return json.dumps(asdict(self)).encode()

    def heard(self, speech_s: float) -> "LanguageState":
        """After so much speech whose language was not looked at."""
        return LanguageState(self.language, self.unchecked_s + speech_s)

    def is_doubtful(self, english_log_prob: float, speech_s: float) -> bool:
        """Whether what the English recogniser wrote with this mean score must be read by Whisper as well."""
        if self.language == "en" and speech_s < MIN_SPEECH_S:
            return english_log_prob < SHORT_LOG_PROB
        return self.language not in ("", "en") or speech_s < MIN_SPEECH_S or english_log_prob < DOUBTFUL_LOG_PROB

    def is_due(self, speech_s: float) -> bool:
        """Whether the language of so much more speech that reads well as English must be looked at."""
        return self.language != "en" or self.unchecked_s + speech_s > RECHECK_SPEECH_S

    def checked(
        self, probabilities: Mapping[str, float], english_log_prob: float, speech_s: float
    ) -> tuple[str, "LanguageState"]:
        """The utterance's language and the state after it, from Whisper's probabilities and the English score."""
        witness = WITNESS * (english_log_prob - NEUTRAL_LOG_PROB)
        witness = max(-WITNESS_LIMIT, min(WITNESS_LIMIT, witness))
        if witness < 0:
            witness *= min(1.0, speech_s / WITNESS_S)
        odds = {code: math.log(max(p, 1e-6)) for code, p in probabilities.items()}
        odds["en"] += witness
        odds[self.language or "en"] += INERTIA if self.language else ENGLISH_PRIOR
        best = max(odds, key=odds.__getitem__)
        if self.language == "en" and speech_s < MIN_SPEECH_S:
            return "en", self.heard(speech_s)
        share = 1 / sum(math.exp(other - odds[best]) for other in odds.values())
        is_sure = share >= SURE and speech_s >= MIN_SPEECH_S
        return best, LanguageState(best if is_sure else self.language)
