"""What is taken for speech, and what is a recogniser's invention."""

import zlib

from services.asr.alignment import Hypothesis

# Text that repeats itself shrinks more than this (threshold of openai/whisper's transcribe.py). People
# repeat themselves too, but they come to an end; what shrinks more than the second nobody says (babble does that).
MAX_COMPRESSION, MAX_ENDED_COMPRESSION = 2.4, 4.0
# Below this mean log-probability of a token the text has nothing to do with the sound.
MIN_LOG_PROB = -1.5
# So little speech, in seconds, is as often a drum or a click: its text must be likelier, and Whisper looks at it.
# Single words cut out of sentences lie above -1.0 there, what Moonshine wrote for drums mostly below.
BLIP_S, MIN_BLIP_LOG_PROB = 0.35, -1.0
# Whisper hears no speech: its probability of that on drums .87 to .92, on single words cut out of sentences at
# most .77; and it is not sure of its text (the same two questions as in transcribe.py).
MAX_NO_SPEECH, SURE_LOG_PROB = 0.8, -0.5


def is_invented(text: str, hypothesis: Hypothesis, speech_s: float) -> bool:
    """Whether a transcript of so much speech is a loop, a guess or a noise."""
    loops = compression(text) > (MAX_COMPRESSION if hypothesis.is_cut else MAX_ENDED_COMPRESSION)
    least = MIN_BLIP_LOG_PROB if speech_s < BLIP_S else MIN_LOG_PROB
    return loops or hypothesis.mean_log_prob < least or hears_no_speech(hypothesis)


def hears_no_speech(hypothesis: Hypothesis) -> bool:
    """Whether Whisper, which wrote this, says that there is no speech."""
    return hypothesis.no_speech > MAX_NO_SPEECH and hypothesis.mean_log_prob < SURE_LOG_PROB


def compression(text: str) -> float:
    """How many times shorter zlib makes the text."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))
