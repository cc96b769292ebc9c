"""Which language is spoken: one answer per utterance, with inertia."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

# So sure must the first utterance be to set the language, and a later one to change it.
SURE_FIRST, SURE_CHANGE = 0.5, 0.8
# A shorter utterance changes nothing: "okay" is the same in ten languages.
MIN_SPEECH_S = 1.0
# The English recogniser writes other languages with a lower mean log-probability than this.
DOUBTFUL_LOG_PROB = -0.5
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
            return LanguageState(**json.loads(data))
        except TypeError as error:
            raise ValueError(str(error)) from error

    def to_bytes(self) -> bytes:
        """For a checkpoint."""
        return json.dumps(asdict(self)).encode()

    def heard(self, speech_s: float) -> "LanguageState":
        """After so much speech whose language was not looked at."""
        return LanguageState(self.language, self.unchecked_s + speech_s)

    def needs_check(self, english_log_prob: float, speech_s: float) -> bool:
        """Whether an utterance that the English recogniser wrote with this mean score needs a look."""
        if self.language != "en":
            return True
        if speech_s < MIN_SPEECH_S:
            return False
        return english_log_prob < DOUBTFUL_LOG_PROB or self.unchecked_s + speech_s > RECHECK_SPEECH_S

    def checked(self, probabilities: Mapping[str, float], speech_s: float) -> tuple[str, "LanguageState"]:
        """The utterance's language and the state after it; `probabilities` come most likely first."""
        best, probability = next(iter(probabilities.items()))
        if self.language in ("", best):
            known = probability >= SURE_FIRST and speech_s >= MIN_SPEECH_S
            return best, LanguageState(best if known else self.language)
        if probability >= SURE_CHANGE and speech_s >= MIN_SPEECH_S:
            return best, LanguageState(best)
        return self.language, LanguageState(self.language)
