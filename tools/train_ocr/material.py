"""What the lines say: sentences and code that lie in Python itself, names of CLDR, made figures, paths, addresses."""

import random
import re
import string
from functools import cache
from pathlib import Path
from pydoc_data import topics

from tools.train_script.material import text as name_of

_SENTENCE_WORDS = (2, 16)
# Modules of the standard library whose lines of code are shown.
_MODULES = (
    "argparse asyncio/base_events calendar email/message fractions http/client json/encoder logging/handlers mailbox "
    "ssl statistics tarfile typing urllib/parse zipfile"
).split()
_ENDINGS = ("com", "org", "net", "io", "fr", "de", "co.uk", "edu")
_SUFFIXES = ("py", "txt", "json", "log", "png", "toml", "html", "csv", "tar.gz", "pdf", "mp4")


def text(chance: random.Random) -> str:
    """What one line says; never empty, single spaces."""
    more = (_names, _identifiers, _figures, _figures, _path, _ideographs, _ideographs)
    kinds = (_prose, _prose, _prose, _title, _code, _code, *more)
    said = " ".join(chance.choice(kinds)(chance).split())
    return said or _prose(chance)


@cache
def _words() -> list[str]:
    """Words of Python's own reference, in their order."""
    text = " ".join(topics.topics[name] for name in sorted(topics.topics))
    return [
        word
        for word in text.split()
        if re.fullmatch(r"[\x21-\x7e]{1,18}", word) and not re.search(r"[*=`_-]{3}|``", word)
    ]


@cache
def _plain_words() -> list[str]:
    return sorted({word for word in _words() if word.isalpha() and len(word) > 2})


@cache
def _code_lines() -> list[str]:
    library = Path(random.__file__).parent
    lines = [line.strip() for name in _MODULES for line in (library / f"{name}.py").read_text().splitlines()]
    return [line for line in lines if 6 < len(line) < 110 and line.isascii() and '"""' not in line]


def _prose(chance: random.Random) -> str:
    words = _words()
    first = chance.randrange(len(words) - _SENTENCE_WORDS[1])
    return " ".join(words[first : first + chance.randint(*_SENTENCE_WORDS)]).replace("`", "'")


def _title(chance: random.Random) -> str:
    words = chance.choices(_plain_words(), k=chance.randint(1, 4))
    return chance.choice((str.title, str.upper, str.lower, str.capitalize))(" ".join(words))


def _code(chance: random.Random) -> str:
    return chance.choice(_code_lines())


def _names(chance: random.Random) -> str:
    return name_of("Latn", chance)


def _ideographs(chance: random.Random) -> str:
    return name_of("Hani", chance)


def _identifiers(chance: random.Random) -> str:
    def one() -> str:
        words = [word.lower() for word in chance.choices(_plain_words(), k=chance.randint(1, 3))]
        kind = chance.randrange(6)
        if kind == 0:
            return "_".join(words)
        if kind == 1:
            return "-".join(words)
        if kind == 2:
            return "_".join(words).upper()
        if kind == 3:
            return words[0] + "".join(word.title() for word in words[1:]) + str(chance.randrange(10_000))
        letters = string.ascii_letters + string.digits + (string.punctuation.replace("`", "") if kind == 4 else "")
        return "".join(chance.choices(letters, k=chance.randint(4, 14)))

    return " ".join(one() for _ in range(chance.choice((1, 1, 2, 3))))


def _path(chance: random.Random) -> str:
    words = [word.lower() for word in chance.choices(_plain_words(), k=4)]
    host = f"{words[0]}-{words[1]}.{chance.choice(_ENDINGS)}"
    file = f"{words[2]}_{chance.randrange(100)}.{chance.choice(_SUFFIXES)}"
    return chance.choice(
        (
            f"/usr/{words[0]}/{words[1]}/{file}",
            f"C:\\{words[0].title()}\\{words[1].title()} {words[3]}\\{file}",
            f"https://{host}/{words[2]}?{words[3]}={chance.randrange(1000)}",
            f"{words[2]}.{words[3]}@{host}",
            f"{words[2]}/{words[3]}#{chance.randrange(10_000)}",
            file,
        )
    )


def _figures(chance: random.Random) -> str:
    day, month, year = chance.randint(1, 28), chance.randint(1, 12), chance.randint(1985, 2035)
    kinds = (
        lambda: f"{chance.randrange(10 ** chance.randint(1, 8)):,}",
        lambda: f"{chance.uniform(0, 10 ** chance.randint(1, 5)):,.2f}",
        lambda: f"{chance.choice('$€£')}{chance.uniform(1, 9999):,.2f}",
        lambda: f"{chance.uniform(-50, 150):.1f}%",
        lambda: f"{year}-{month:02}-{day:02}",
        lambda: f"{day}.{month}.{year}",
        lambda: f"{month}/{day}/{year % 100:02}",
        lambda: f"{chance.randrange(24):02}:{chance.randrange(60):02}",
        lambda: f"{chance.randint(1, 12)}:{chance.randrange(60):02} {chance.choice(('AM', 'PM'))}",
        lambda: ".".join(str(chance.randrange(256)) for _ in range(4)),
        lambda: f"v{chance.randrange(30)}.{chance.randrange(20)}.{chance.randrange(20)}",
        lambda: f"+{chance.randint(1, 99)} {chance.randint(100, 999)} {chance.randrange(10**7):07}",
        lambda: f"{chance.getrandbits(chance.choice((24, 32, 64))):x}",
        lambda: f"{chance.randint(1, 900)} {chance.choice(('MB', 'GB', 'ms', 'km', 'kg', 'px', 's', 'h', 'min'))}",
        lambda: f"{chance.choice(('Q', 'H', 'FY', 'No. ', '#'))}{chance.randint(1, 99)}",
        lambda: f"({chance.randrange(100)})",
    )
    return " ".join(chance.choice(kinds)() for _ in range(chance.choice((1, 1, 2, 3, 4))))
