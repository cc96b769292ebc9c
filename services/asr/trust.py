"""What is taken for speech, and what is a recogniser's invention."""

import re
import zlib
from difflib import SequenceMatcher

from services.asr.alignment import Hypothesis

# Text that repeats itself shrinks more than this (threshold of openai/whisper's transcribe.py). People
# repeat themselves too, but they come to an end, and two recognisers hear the same; what shrinks more than the second
# nobody says (babble does that).
MAX_COMPRESSION, MAX_ENDED_COMPRESSION = 2.4, 4.0
# Below this mean log-probability of a token the text has nothing to do with the sound.
MIN_LOG_PROB = -1.5
# So little speech, in seconds, is as often a drum or a click: its text must be likelier, and Whisper looks at it.
# Single words cut out of sentences lie above -1.0 there, what Moonshine wrote for drums mostly below.
BLIP_S, MIN_BLIP_LOG_PROB = 0.35, -1.0
# Whisper hears no speech: its probability of that on drums .87 to .92, on single words cut out of sentences at
# most .77; and it is not sure of its text (the same two questions as in transcribe.py).
MAX_NO_SPEECH, SURE_LOG_PROB = 0.8, -0.5
# Two readings of babble share hardly a word; of the hardest clips of speech a third and more.
MIN_AGREEMENT, MIN_GUESS_WORDS = 0.25, 3


def is_invented(text: str, hypothesis: Hypothesis, speech_s: float) -> bool:
    """Whether a transcript of so much speech is a loop, a guess or a noise."""
    loops = compression(text) > (MAX_COMPRESSION if hypothesis.is_cut else MAX_ENDED_COMPRESSION)
    least = MIN_BLIP_LOG_PROB if speech_s < BLIP_S else MIN_LOG_PROB
    return loops or hypothesis.mean_log_prob < least or hears_no_speech(hypothesis)


def hears_no_speech(hypothesis: Hypothesis) -> bool:
    """Whether Whisper, which wrote this, says that there is no speech."""
    return hypothesis.no_speech > MAX_NO_SPEECH and hypothesis.mean_log_prob < SURE_LOG_PROB


def is_guess(one: Hypothesis, other: Hypothesis, one_text: str, other_text: str) -> bool:
    """Whether two recognisers heard different things, and the surer is not sure or says the same again and again.

    Then nothing was said that could be understood.
    """
    surer, text = max((one, one_text), (other, other_text), key=lambda reading: reading[0].mean_log_prob)
    if surer.mean_log_prob >= SURE_LOG_PROB and compression(text) <= MAX_COMPRESSION:
        return False
    return do_differ(one_text, other_text)


def do_differ(one_text: str, other_text: str) -> bool:
    """Whether two readings of more than a word or two have hardly a word in common."""
    first, second = (re.findall(r"[\w']+", text.lower()) for text in (one_text, other_text))
    blocks = SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    agreed = sum(block.size for block in blocks)
    longest = max(len(first), len(second))
    return longest >= MIN_GUESS_WORDS and agreed < MIN_AGREEMENT * longest


def compression(text: str) -> float:
    """How many times shorter zlib makes the text."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))
