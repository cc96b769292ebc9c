"""The space of spelling: how likely each letter is at each moment of an utterance. What was said and what is asked for
meet in it letter by letter, whether or not a recogniser knew the word.
"""

import re

# Rows of this space are log-probabilities of these, in this order; another order or alphabet is another space.
LETTERS = "_'abcdefghijklmnopqrstuvwxyz "
BLANK = 0
SPACE_ID = "spelling:en-29-1"
# Everything else in Latin script is written with other letters or said otherwise than it is written.
_STRANGE = re.compile(r"[^\x00-\x7f]|\d")


def spelled(text: str) -> str:
    """Lower-case letters, apostrophes inside words and single spaces; "" for text with digits or other scripts."""
    if _STRANGE.search(text):
        return ""
    words = (word.strip("'") for word in re.sub("[^a-z']+", " ", text.lower()).split())
    return " ".join(word for word in words if word)
