"""A shared screen that somebody works on, made by seed and drawn by Chromium.

Typing, scrolling, pop-ups, a blinking cursor, other pages; lossless or as a video codec shows it.
"""

import io
import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page, sync_playwright

from tools.train_gui.render import ARGUMENTS

Pixels = NDArray[np.uint8]
WIDTH_PX, HEIGHT_PX = 1280, 720
ACTIONS = ("type", "scroll", "popup", "cut", "blink", "rest")
_WORDS = (
    "the of and to in is that for it was on are with they be at one have this from by hot but what some there we can "
    "out other were all your when up use word how said each she which do their time if will way about many then them "
    "would write like these her long make thing see him two has look more day could go come did sound most number who "
    "over know water than call first people may down side been now find head stand own page should country found "
    "answer school grow study still learn plant cover food sun four thought let keep eye never last door between city "
    "tree cross since hard start might story saw far sea draw left late run press close night real life few stop open "
    "seem together next white children begin got walk example ease paper often always music those both mark book "
    "letter until mile river car feet care second group carry took rain eat room friend began idea fish mountain north "
    "once base hear horse cut sure watch colour face wood main budget release review customer invoice deadline Berlin "
    "Lisbon Priya March Tuesday revenue engineer contract shipment warehouse quarterly forecast 2024 17 350 4.5% $1,200"
).split()
Style = tuple[int, str, str, str, str]
# Width of the side bar, font, and colours of text, pane and bar: STYLES[0] were looked at while making it.
STYLES: tuple[tuple[Style, ...], tuple[Style, ...]] = (
    (
        (220, "Liberation Sans, Arial, sans-serif", "#222", "#fff", "#eef1f5"),
        (0, "DejaVu Serif, serif", "#111", "#fdfdf8", "#ddd"),
        (180, "DejaVu Sans, sans-serif", "#e6e6e6", "#1e1e1e", "#2d2d30"),
    ),
    (
        (260, "BPG Sans, sans-serif", "#24292f", "#ffffff", "#f6f8fa"),
        (0, "Liberation Serif, serif", "#333", "#fffaf0", "#c8d6e5"),
        (140, "DejaVu Sans Mono, monospace", "#d4d4d4", "#282c34", "#21252b"),
    ),
)
_ENCODERS = {
    "vp8": ("libvpx", {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}),
    "h264": ("libx264", {"preset": "veryfast", "tune": "zerolatency"}),
}
_PAGE = """<!doctype html><meta charset="utf-8"><style>
* {{ box-sizing: border-box }}
body {{ margin: 0; font: {size}px/1.5 {font}; color: {ink}; background: {paper} }}
header, nav, main, footer, dialog {{ position: fixed; overflow: hidden }}
header {{ inset: 0 0 auto 0; height: 56px; background: {bar}; padding: 14px 24px; font-weight: bold }}
nav {{ inset: 56px auto 0 0; width: {side}px; background: {bar}; padding: 14px }}
nav div {{ padding: 6px 0 }}
main {{ inset: 56px 0 72px {side}px; overflow: auto; padding: 12px 28px }}
td {{ padding: 4px 32px 4px 0 }}
footer {{ inset: auto 0 0 {side}px; height: 72px; border-top: 1px solid #888; padding: 20px 28px; white-space: nowrap }}
#caret {{ display: inline-block; width: 2px; height: 1.2em; vertical-align: text-bottom; background: {ink} }}
dialog {{ inset: auto; margin: 0; width: 420px; padding: 20px; border: 1px solid #888; border-radius: 8px }}
dialog {{ background: {bar}; color: {ink} }}
</style><header>{title}</header><nav>{menu}</nav><main>{body}</main>
<footer><span id="typed">{typed}</span><span id="caret"></span></footer>"""
_POPUP = """([left, top, html]) => {
    const open = document.querySelector('dialog')
    if (open) return open.remove()
    const made = document.createElement('dialog')
    made.innerHTML = html
    made.open = true
    made.style.left = left + 'px'
    made.style.top = top + 'px'
    document.body.append(made)
}"""

_VISIBLE = """() => {
    const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    for (let node; (node = walker.nextNode());) {
        const pane = node.parentElement.closest('header, nav, main, footer, dialog')?.getBoundingClientRect()
        if (!pane) continue
        for (const match of node.data.matchAll(/\\S+/g)) {
            const range = document.createRange()
            range.setStart(node, match.index)
            range.setEnd(node, match.index + match[0].length)
            const at = range.getBoundingClientRect()
            const whole = at.top >= pane.top && at.bottom <= pane.bottom && at.right <= pane.right
            const top = document.elementFromPoint((at.left + at.right) / 2, (at.top + at.bottom) / 2)
            if (whole && top && top.contains(node)) found.push(match[0])
        }
    }
    return found
}"""


class Screen:
    """One tab and what happens in it."""

    def __init__(self, tab: Page, seed: int, styles: Sequence[Style] = STYLES[0]) -> None:
        self._tab = tab
        self._random = random.Random(seed)
        self._styles = styles
        self.cut()

    def picture(self) -> Pixels:
        """What the tab shows: (720, 1280, 3) uint8 BGR."""
        data = np.frombuffer(self._tab.screenshot(type="png"), np.uint8)
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)

    def words(self) -> list[str]:
        """The words that are wholly visible, as the page has them."""
        return [str(word) for word in self._tab.evaluate(_VISIBLE)]

    def title(self) -> str:
        """The line at the top."""
        return str(self._tab.evaluate("document.querySelector('header').textContent"))

    def typed(self) -> str:
        """The line at the bottom."""
        return str(self._tab.evaluate("typed.textContent"))

    def act(self, action: str) -> None:
        """Do one of ACTIONS; "rest" is nothing."""
        if action == "scroll":
            self.scroll(self._random.choice((-1, 1, 1)) * self._random.randint(7, 330))
        elif action != "rest":
            {"type": self.type, "popup": self.popup, "cut": self.cut, "blink": self.blink}[action]()

    def type(self) -> None:
        """One to nine letters more in the line at the bottom; a full line is begun anew."""
        letters = f"{self._words(1, 2)} "[: self._random.randint(1, 9)]
        self._tab.evaluate("letters => { typed.textContent += letters }", letters)
        self._tab.evaluate("if (typed.offsetWidth > 700) typed.textContent = ''")

    def scroll(self, by_px: int) -> None:
        """Scroll the pane down by so much, as far as it goes."""
        # a picture taken before it is painted would show the old place
        painted = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))"
        self._tab.evaluate(f"by => {{ document.querySelector('main').scrollTop += by; return {painted} }}", by_px)

    def popup(self) -> None:
        """Open a box with three lines somewhere, or close the one that is open."""
        left, top = self._random.randint(0, 800), self._random.randint(60, 440)
        lines = "".join(f"<div>{self._words(2, 6)}</div>" for _ in range(3))
        self._tab.evaluate(_POPUP, [left, top, lines])

    def blink(self) -> None:
        """Hide or show the cursor."""
        self._tab.evaluate("caret.style.visibility = caret.style.visibility == 'hidden' ? 'visible' : 'hidden'")

    def cut(self) -> None:
        """Another page in another style."""
        side, font, ink, paper, bar = self._random.choice(self._styles)
        rows = "".join("<tr>" + "".join(f"<td>{self._words(1, 2)}</td>" for _ in range(4)) + "</tr>" for _ in range(8))
        blocks = [f"<p>{self._words(30, 70)}.</p>" for _ in range(9)]
        blocks += [f"<table>{rows}</table>", *(f"<h2>{self._words(2, 5)}</h2>" for _ in range(2))]
        self._random.shuffle(blocks)
        menu = "".join(f"<div>{self._words(1, 2)}</div>" for _ in range(9)) if side else ""
        page = _PAGE.format(
            size=self._random.randint(16, 20),
            font=font,
            ink=ink,
            paper=paper,
            bar=bar,
            side=side,
            title=self._words(2, 5),
            menu=menu,
            body="".join(blocks),
            typed=f"{self._words(1, 4)} ",
        )
        self._tab.set_content(page)

    def _words(self, least: int, most: int) -> str:
        words = " ".join(self._random.choices(_WORDS, k=self._random.randint(least, most)))
        return words[0].upper() + words[1:]


@contextmanager
def new_tab() -> Iterator[Page]:
    """A headless tab of 1280 x 720. Raises FileNotFoundError without Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise FileNotFoundError("Chromium is not installed (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield browser.new_page(viewport={"width": WIDTH_PX, "height": HEIGHT_PX})
        browser.close()


def through_codec(pictures: Sequence[Pixels], codec: str = "vp8", repeat: int = 3) -> list[Pixels]:
    """Each picture, shown `repeat` times at 15 frames/s and 1.5 Mbit/s, as a viewer of the video sees it last.

    `codec`: "vp8" or "h264".
    """
    encoder, options = _ENCODERS[codec]
    height, width = pictures[0].shape[:2]
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream(encoder, rate=15, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", 1_500_000
        for number in range(len(pictures) * repeat):
            frame = av.VideoFrame.from_ndarray(pictures[number // repeat], format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as video:
        shown = [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in video.decode(video=0)]
    return shown[repeat - 1 :: repeat]
