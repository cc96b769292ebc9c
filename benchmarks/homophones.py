"""Words that sound alike while the screen shows one of them: `python -m benchmarks.homophones`.

Made sentences (tools/train_adapter/voices.py: needs espeak-ng and flite), read by voices that the adapter was not
trained on. Of each pair the screen shows the first word; one sentence says it, another its homophone. Prints how often
the word that was said is chosen

- by the recognised words, where they hold one of the two;
- by the sound: the word whose letters are heard more clearly;
- by both with the screen: its word where it is heard (LEAST_SCORE), else the recognised words.
"""

import json

import numpy as np

from benchmarks.adapters import listen
from services.asr.service import new_expert
from services.decoder.listening import LEAST_SCORE, Listener
from services.runtime.spelling import spelled
from tools.train_adapter.voices import HELD_OUT, Voice, recorded, speak

VOICES = tuple(Voice(engine, name, 1.0, 50) for engine, name in HELD_OUT)
# The screen's word, its homophone, a sentence that says each.
PAIRS = (
    ("knight", "night", "the knight moves two squares and then one", "we worked all night and went home at six"),
    ("cache", "cash", "the server keeps the page in its cache for an hour", "we paid the driver in cash at the door"),
    ("byte", "bite", "every byte of the header is checked twice", "i only had a bite of the sandwich for lunch"),
    ("kernel", "colonel", "the new kernel boots in four seconds", "the colonel saluted and left the room"),
    ("serial", "cereal", "read me the serial number on the back", "they had cereal and milk for breakfast"),
    ("route", "root", "the bus takes another route on sunday", "the dentist looked at the root of the tooth"),
    ("brake", "break", "he replaced the brake on the left wheel", "we take a short break after the second talk"),
    ("flour", "flower", "the recipe needs flour and two eggs", "she put a flower into the vase"),
    ("steel", "steal", "the beams are made of steel and concrete", "nobody would steal that old bicycle"),
    ("plane", "plain", "the plane landed in the storm an hour late", "he wore a plain shirt without any pattern"),
    ("council", "counsel", "the city council voted against the bridge", "her lawyer gave her good counsel that day"),
    ("site", "sight", "the site was down for an hour", "she lost sight of the boat in the fog"),
    ("mussel", "muscle", "he opened the mussel with a small knife", "she pulled a muscle in her leg at the race"),
    ("sail", "sale", "the wind tore the sail of the boat", "the house has been for sale since april"),
    ("pier", "peer", "the boat is at the end of the pier", "each paper is read by a peer before it is printed"),
    ("board", "bored", "the board will meet again on tuesday", "the pupils were bored and looked out"),
)


def main() -> None:
    """Measure and print."""
    expert, random = new_expert(), np.random.default_rng(0)
    right = {way: np.zeros(2, int) for way in ("recognised words", "sound", "words, sound and screen")}
    for voice in VOICES:
        sentences = [text for *_, one, other in PAIRS for text in (one, other)]
        for i, sound in enumerate(speak(voice, sentences)):
            words, is_other = PAIRS[i // 2][:2], i % 2
            clip = listen(expert, "", sentences[i], recorded(sound, random))
            heard = Listener()
            heard.hear("", clip.rows)
            clearness = [heard.find(word, -np.inf).get("", -np.inf) for word in words]
            written = set(spelled(clip.recognised).split())
            by_words = next((k for k, word in enumerate(words) if word in written), None)
            choices = (by_words, int(np.argmax(clearness)), 0 if clearness[0] >= LEAST_SCORE else by_words)
            for counts, choice in zip(right.values(), choices, strict=True):
                counts[is_other] += choice == is_other
    count = len(VOICES) * len(PAIRS)
    for way, (screen, other) in right.items():
        print(json.dumps({"way": way, "screen_word_said": screen / count, "homophone_said": other / count}))


if __name__ == "__main__":
    main()
