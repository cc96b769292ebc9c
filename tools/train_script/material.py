"""Words of every script from the Unicode CLDR as packed in `babel` (Unicode-3.0), letters from Unicode itself."""

import hashlib
import random
from functools import cache

from babel import Locale

from services.vision.scripts import SCRIPTS, script_of

# Locales whose names of countries, languages, currencies, days and months are written in the script.
LOCALES = {
    "Latn": "en de fr es pt it nl pl cs sv fi hu tr vi ro hr id sw lt et is sq az uz yo ha",
    "Cyrl": "ru uk bg sr mk be kk ky mn tg",
    "Grek": "el",
    "Hebr": "he yi",
    "Arab": "ar fa ur ps ckb ug sd",
    "Deva": "hi mr ne",
    "Beng": "bn as",
    "Guru": "pa",
    "Gujr": "gu",
    "Orya": "or",
    "Taml": "ta",
    "Telu": "te",
    "Knda": "kn",
    "Mlym": "ml",
    "Sinh": "si",
    "Thai": "th",
    "Laoo": "lo",
    "Khmr": "km",
    "Mymr": "my",
    "Tibt": "dz bo",
    "Ethi": "am ti",
    "Geor": "ka",
    "Armn": "hy",
    "Cher": "chr",
    "Hang": "ko",
    "Hani": "zh zh_Hant yue",
    "Jpan": "ja",
}
# Written without spaces between words.
UNSPACED = frozenset({"Thai", "Laoo", "Khmr", "Mymr", "Hani", "Jpan"})
_FOLDED = {"Latn", "Cyrl", "Grek", "Armn"}
_SIGNS = "+-–—=×÷/\\|<>()[]{}%$€£¥#@&*.,:;!?'\"°~^_©→←↑↓✓✗•●○■□▲▼★☰⋮…"


@cache
def words(script: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Words to train on, and one in ten (by its digest) that is held out."""
    found: set[str] = set()
    for name in LOCALES[script].split():
        locale = Locale.parse(name)
        texts = [*locale.territories.values(), *locale.languages.values(), *locale.currencies.values()]
        for kinds in (locale.days, locale.months):
            texts += [text for forms in kinds.values() for text in forms["wide"].values()]
        found |= {word for text in texts for word in text.split() if script_of(word) == script}
    kept = sorted(found)
    is_held = [hashlib.sha256(word.encode()).digest()[0] % 10 == 0 for word in kept]
    return (
        tuple(word for word, held in zip(kept, is_held, strict=True) if not held),
        tuple(word for word, held in zip(kept, is_held, strict=True) if held),
    )


def text(script: str, chance: random.Random, *, held_out: bool = False) -> str:
    """What one line says; "Zyyy" are figures and signs."""
    if script == "Zyyy":
        return _figures(chance)
    pool = words(script)[held_out]
    parts = [chance.choice(pool) for _ in range(chance.choice((1, 1, 2, 2, 3, 4, 5, 7)))]
    if not held_out and chance.random() < 0.25:
        parts = [_letters(script, chance) for _ in parts]
    if chance.random() < 0.25:
        parts.insert(chance.randint(0, len(parts)), _figures(chance)[:6])
    # Names of products stand in Latin letters in every language.
    if script != "Latn" and len(parts) > 2 and chance.random() < 0.2:
        parts.insert(chance.randint(0, len(parts)), chance.choice(words("Latn")[held_out]))
    joint = "" if script in UNSPACED and chance.random() < 0.7 else " "
    line = joint.join(parts)
    if script in _FOLDED and chance.random() < 0.3:
        line = line.upper() if chance.random() < 0.5 else line.lower()
    if script == "Latn" and chance.random() < 0.15:
        line = chance.choice(("_", "-", "/", ".")).join(parts)
    if chance.random() < 0.2:
        line += chance.choice(".,:;!?")
    return line


def _figures(chance: random.Random) -> str:
    kinds = (
        lambda: str(chance.randint(0, 10 ** chance.randint(1, 7))),
        lambda: f"{chance.randint(0, 23)}:{chance.randint(0, 59):02}",
        lambda: f"{chance.randint(1, 28):02}.{chance.randint(1, 12):02}.{chance.randint(1990, 2030)}",
        lambda: f"{chance.uniform(0, 10000):,.2f} {chance.choice('%€$£')}",
        lambda: "".join(chance.choices(_SIGNS, k=chance.randint(1, 5))),
    )
    return " ".join(chance.choice(kinds)() for _ in range(chance.choice((1, 1, 2, 3))))


@cache
def _alphabet(script: str) -> str:
    """The letters of all words; of Hani and Hang, those of the national standards too."""
    letters = {letter for word in words(script)[0] for letter in word}
    if script == "Hani":
        letters |= set(bytes((row, cell)).decode("gb2312") for row in range(0xB0, 0xD7) for cell in range(0xA1, 0xFA))
    if script == "Hang":
        letters |= set(bytes((row, cell)).decode("euc_kr") for row in range(0xB0, 0xC9) for cell in range(0xA1, 0xFF))
    if script == "Jpan":
        letters |= set(map(chr, (*range(0x3041, 0x3094), *range(0x30A1, 0x30F5)))) | set(list(_alphabet("Hani"))[::6])
    return "".join(sorted(letters))


def _letters(script: str, chance: random.Random) -> str:
    if script in ("Hani", "Hang", "Jpan"):
        made = "".join(chance.choices(_alphabet(script), k=chance.randint(1, 6)))
        return made if script_of(made) == script else chance.choice(words(script)[0])
    return chance.choice(words(script)[0])


ALL = (*LOCALES, "Zyyy")
assert set(ALL) == set(SCRIPTS)
