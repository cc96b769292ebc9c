"""Draws single elements of one page: every choice comes from the page's own random numbers."""

import html
import random
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from tools.train_gui import sources
from tools.train_gui.frameworks import FAMILIES, HELD_OUT_FRAMEWORK, HELD_OUT_ICONS, Framework
from tools.train_gui.words import FONT_OF, LABELS, PROSE, RIGHT_TO_LEFT

ICON_FOLDERS = {
    "bootstrap-icons": "package/icons",
    "@tabler/icons": "package/icons",
    "ionicons": "package/dist/svg",
    "heroicons": "package",
    "@primer/octicons": "package/build/svg",
    "@fluentui/svg-icons": "package/icons",
    "@phosphor-icons/core": "package/assets",
    "feather-icons": "package/dist/icons",
    "lucide-static": "package/icons",
    "@material-design-icons/svg": "package",
    "remixicon": "package/icons",
    "@twemoji/svg": "package",
    "flag-icons": "package/flags",
}
COLOURED = ("@twemoji/svg", "flag-icons")
_FONTS = tuple(
    source.name.split("/")[1] for source in sources.FONTS if source.name.split("/")[1] not in FONT_OF.values()
)


@cache
def icon_files(packages: Path, name: str) -> tuple[Path, ...]:
    """The SVG files of one icon package. Raises FileNotFoundError where it was not fetched."""
    folder = packages / sources.named(name).folder / ICON_FOLDERS[name]
    found = tuple(sorted(path for path in folder.rglob("*.svg") if path.stat().st_size < 6000))
    if not found:
        raise FileNotFoundError(f"no icons in {folder}: run `python -m tools.train_gui fetch`")
    return found


@cache
def photos(packages: Path) -> tuple[Path, ...]:
    """The photographs of the packages."""
    found: list[Path] = []
    for source, folder in ((sources.PHOTOS[0], "skimage/data"), (sources.PHOTOS[1], "sklearn/datasets/images")):
        found += [
            path
            for path in sorted((packages / source.folder / folder).glob("*.*g"))
            if path.stat().st_size > 50_000 and path.stem not in ("page", "text")
        ]
    return tuple(found)


class Pen:
    """Elements of one page in one look, one language, one icon set."""

    def __init__(
        self, rng: random.Random, packages: Path, *, held_out: bool = False, disabled_share: float = 0.06
    ) -> None:
        """Choose the look; `held_out` takes the framework and the icons that are never trained on."""
        self.rng = rng
        self._packages = packages
        self._disabled_share = disabled_share
        self._count = 0
        self.is_dark = rng.random() < 0.35
        self.accent = f"hsl({rng.randrange(360)} {rng.randrange(35, 100)}% {rng.randrange(32, 62)}%)"
        self.radius_px = rng.choice((0, 0, 2, 3, 4, 6, 8, 12, 20))
        self.font_px = rng.choice((11, 12, 13, 13, 14, 14, 15, 16, 18))
        self.language = rng.choice(("en",) * 12 + tuple(LABELS))
        self._labels = LABELS[self.language].split(";")
        self.framework = self._choose_framework(held_out)
        trainable = [name for name in ICON_FOLDERS if name not in (*COLOURED, HELD_OUT_ICONS)]
        self._icon_set = HELD_OUT_ICONS if held_out else rng.choice(trainable)
        self._icon_px = rng.choice((12, 14, 16, 16, 18, 20, 20, 24, 24, 28))
        self.font = rng.choice((*_FONTS, "Liberation Sans", "DejaVu Sans", "system-ui", "Liberation Serif"))
        self.pad_px = rng.choice((2, 4, 6, 8, 10, 12))

    def _choose_framework(self, held_out: bool) -> Framework:
        if held_out:
            return FAMILIES[HELD_OUT_FRAMEWORK][0]
        if self.rng.random() < 0.35:
            return self._house_look()
        return self.rng.choice(FAMILIES[self.rng.choice([name for name in FAMILIES if name != HELD_OUT_FRAMEWORK])])

    def any(self, *made: Callable[[], str]) -> str:
        """One of several, by chance."""
        return self.rng.choice(made)()

    def chance(self, probability: float) -> bool:
        """True in this share of cases."""
        return self.rng.random() < probability

    def label(self) -> str:
        """What stands on a control."""
        return self.rng.choice(self._labels)

    def sentence(self, least: int = 4, most: int = 14) -> str:
        """Some running text."""
        if self.language == "en" or self.chance(0.2):
            words = [self.rng.choice(PROSE) for _ in range(self.rng.randrange(least, most))]
            return " ".join(words).capitalize() + self.rng.choice((".", ".", "", "?", ":"))
        return " ".join(self.label() for _ in range(self.rng.randrange(max(1, least // 2), max(2, most // 2))))

    def number(self) -> str:
        """A figure, price, date or name of a file."""
        r = self.rng
        return r.choice(
            (
                str(r.randrange(1000)),
                f"${r.randrange(9999)}.{r.randrange(100):02d}",
                f"{r.random() * 100:.1f}%",
                f"2026-{r.randrange(1, 13):02d}-{r.randrange(1, 29):02d}",
                f"{r.choice(PROSE)}_{r.randrange(99)}.{r.choice(('pdf', 'txt', 'py', 'png', 'docx'))}",
            )
        )

    def mark(self, kind: str, *states: str) -> str:
        """Attributes that tell truth.js of an element."""
        held = " ".join(state for state in states if state)
        return f'data-e="{kind}" data-s="{held}"' if held else f'data-e="{kind}"'

    def svg(self, size_px: int | None = None, mark: str = "", *, coloured: bool = False, style: str = "") -> str:
        """One icon as inline SVG; marked only when `mark` says what it is."""
        size = size_px or self._icon_px
        name = self.rng.choice(COLOURED) if coloured else self._icon_set
        path = self.rng.choice(icon_files(self._packages, name))
        text = path.read_text()
        text = text[text.index("<svg") :]
        head, tail = text.split(">", 1)
        head = re.sub(r'\s(width|height|class|style)="[^"]*"', "", head)
        if "viewBox" not in head:
            head += ' viewBox="0 0 24 24"'
        if "fill=" not in head and "stroke=" not in head:
            head += ' fill="currentColor"'
        # Identifiers of several icons in one page would clash.
        self._count += 1
        tail = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>i{self._count}-", tail)
        return f'{head} {mark} data-icon="{path.stem}" style="width:{size}px;height:{size}px;flex:none;vertical-align:middle;{style}">{tail}'

    def icon(self, size_px: int | None = None) -> str:
        """An icon that stands alone."""
        colour = self.rng.choice(("", "", "", f"color:{self.accent}", "opacity:.6"))
        return self.svg(size_px, self.mark("icon"), style=colour, coloured=self.chance(0.06))

    def body(self, text: str | None = None) -> str:
        """What stands inside a control: text, text with icon, or an icon alone."""
        text = self.label() if text is None else text
        chance = self.rng.random()
        if chance < 0.62:
            return text
        small = self.svg(min(self._icon_px, 20))
        return f"{small} {text}" if chance < 0.8 else f"{text} {small}" if chance < 0.84 else small

    def disabled(self) -> str:
        """The word "disabled" for a few elements."""
        return "disabled" if self.chance(self._disabled_share) else ""

    def button(self, text: str | None = None) -> str:
        """A button of the look."""
        off = self.disabled()
        pattern = self.framework.button
        if self.chance(0.2) and not off and "<button" in pattern:
            pattern = '<a {e} class="{c}" role="button" href="#">{b}</a>'
        return pattern.format(
            e=self.mark("button", off),
            c=self.rng.choice(self.framework.buttons),
            off=off and " disabled",
            b=self.body(text),
        )

    def buttons(self) -> str:
        """Several buttons in a row, joined or apart."""
        made = "".join(self.button() for _ in range(self.rng.randrange(2, 6)))
        return f'<div class="{self.rng.choice(("t-row", "t-row", "t-joined"))}">{made}</div>'

    def input(self) -> str:
        """A field of text, with or without its label."""
        r, off = self.rng, self.disabled()
        if self.chance(0.14):
            field = self.framework.area.format(
                e=self.mark("input", off),
                rows=r.randrange(2, 7),
                off=off and " disabled",
                b=self.sentence() if self.chance(0.6) else "",
            )
        else:
            value = r.choice((f'placeholder="{self.label()}"', f'value="{self.label()} {r.randrange(99)}"', ""))
            if self.chance(0.25):
                value += f' size="{r.choice((4, 8, 12, 30, 50))}"'
            kind = r.choice(("text", "text", "email", "search", "password", "number"))
            field = self.framework.text.format(
                kind=kind, e=self.mark("input", off), value=value, off=off and " disabled"
            )
        if self.chance(0.12) and "textarea" not in field:
            return f'<div class="t-find">{self.svg(16)}{field}</div>'
        return self._labelled(field)

    def select(self) -> str:
        """A closed list of choices."""
        off = self.disabled()
        if self.chance(0.15):
            pattern = '<button {e} class="t-select">{b} <span>&#9662;</span></button>'
            return self._labelled(pattern.format(e=self.mark("select"), b=self.label()))
        pattern = self.framework.select
        return self._labelled(pattern.format(e=self.mark("select", off), off=off and " disabled", b=self.label()))

    def _labelled(self, field: str) -> str:
        chance = self.rng.random()
        if chance < 0.5:
            return f'<div class="t-field"><label>{self.label()}</label>{field}</div>'
        return (
            f'<div class="t-row"><span>{self.label()}</span>{field}</div>' if chance < 0.62 else f"<div>{field}</div>"
        )

    def checkbox(self) -> str:
        """A check box, a radio button or a switch."""
        off, checked = self.disabled(), "checked" if self.chance(0.5) else ""
        forms = self.framework.switches if self.framework.switches and self.chance(0.3) else self.framework.boxes
        if self.chance(0.12):
            forms = ('<span class="t-row"><span {e} class="t-switch {checked}"><i></i></span>{b}</span>',)
        if self.direction == "rtl" and "data-pseudo" in forms[0]:  # not mirrored as the rest is
            return f'<div class="t-row">{self.checkbox_alone()}{self.label()}</div>'
        self._count += 1
        on = bool(checked)
        return self.rng.choice(forms).format(
            e=self.mark("checkbox", checked, off),
            kind=self.rng.choice(("checkbox", "checkbox", "radio")),
            checked=checked and " checked",
            off=off and " disabled",
            b=self.label(),
            id=f"c{self._count}",
            on="ant-checkbox-checked" if on else "",
            on_radio="ant-radio-checked" if on else "",
            on_switch="ant-switch-checked" if on else "",
            on_el="is-checked" if on else "",
        )

    def slider(self) -> str:
        """A slider, level or (in our own look) of any form."""
        at = self.rng.randrange(5, 96)
        if self.chance(0.3):
            track = f'<span {self.mark("slider")} class="t-slider" style="width:{self.rng.randrange(80, 320)}px"><i style="width:{at}%"></i><b style="left:{at}%"></b></span>'
        else:
            off = self.disabled()
            track = self.framework.slider.format(e=self.mark("slider", off), at=at, off=off and " disabled")
        return f'<div class="t-row">{self.label() if self.chance(0.5) else ""}<span style="min-width:120px">{track}</span></div>'

    def link(self) -> str:
        """A link in text."""
        text = self.label() if self.chance(0.6) else self.sentence(1, 5)
        return f'<a {self.mark("link")} class="t-link" href="#">{text}</a>'

    def links(self) -> str:
        """Links in a line or below one another: navigation of a site, crumbs, a footer."""
        made = [self.link() for _ in range(self.rng.randrange(2, 8))]
        if self.chance(0.3):
            return '<div class="t-column">' + "".join(f"<div>{link}</div>" for link in made) + "</div>"
        return '<div class="t-row">' + self.rng.choice((" ", " / ", " · ", " &rsaquo; ", " | ")).join(made) + "</div>"

    def image(self, width_px: int | None = None, height_px: int | None = None) -> str:
        """A photograph, a drawing or a chart."""
        r = self.rng
        w, h = width_px or r.randrange(60, 360), height_px or r.randrange(50, 240)
        round_px = r.choice((0, 0, 4, 8, 999 if abs(w - h) < 10 else 12))
        frame = f"width:{w}px;height:{h}px;border-radius:{round_px}px;flex:none"
        chance = r.random()
        mark = self.mark("image")
        if chance < 0.6:
            photo = r.choice(photos(self._packages))
            zoom, turn = r.randrange(100, 500), r.randrange(360)
            look = f"filter:hue-rotate({turn}deg) saturate({r.random() * 1.6:.2f})" if self.chance(0.6) else ""
            return f'<span {mark} style="display:inline-block;{frame};background:url(file://{photo}) {r.randrange(101)}% {r.randrange(101)}%/{zoom}%;{look}"></span>'
        if chance < 0.8:
            return f'<span {mark} style="display:inline-block;{frame};background:{self.scenery()}"></span>'
        return self.chart(w, h, round_px)

    def avatar(self) -> str:
        """A small picture of somebody."""
        side = self.rng.choice((20, 24, 28, 32, 36, 40, 48))
        if self.chance(0.25):
            return (
                f'<span {self.mark("image")} style="display:inline-flex;width:{side}px;height:{side}px;border-radius:50%;background:{self.colour()};'
                f'color:#fff;align-items:center;justify-content:center;font-size:{side * 0.45:.0f}px;flex:none">{self.label()[:1]}</span>'
            )
        return self.image(side, side)

    def colour(self) -> str:
        """Any colour."""
        return f"hsl({self.rng.randrange(360)} {self.rng.randrange(20, 95)}% {self.rng.randrange(25, 75)}%)"

    def scenery(self) -> str:
        """A CSS background like a wallpaper or a drawing."""
        r = self.rng
        spots = [
            f"radial-gradient(circle at {r.randrange(101)}% {r.randrange(101)}%, {self.colour()} 0, transparent {r.randrange(10, 80)}%)"
            for _ in range(r.randrange(1, 6))
        ]
        stripes = f"repeating-linear-gradient({r.randrange(180)}deg, {self.colour()} 0 {r.randrange(2, 30)}px, {self.colour()} 0 {r.randrange(31, 90)}px)"
        ground = f"linear-gradient({r.randrange(360)}deg, {self.colour()}, {self.colour()}, {self.colour()})"
        return ",".join([*spots, stripes if self.chance(0.25) else ground])

    def chart(self, w: int, h: int, round_px: int = 0) -> str:
        """A chart as SVG."""
        r = self.rng
        n = r.randrange(4, 14)
        heights = [r.random() * h * 0.85 for _ in range(n)]
        colour = self.colour()
        if self.chance(0.5):
            bars = "".join(
                f'<rect x="{i * w / n + 2:.0f}" y="{h - value:.0f}" width="{w / n - 4:.0f}" height="{value:.0f}" fill="{colour}"/>'
                for i, value in enumerate(heights)
            )
        else:
            points = " ".join(f"{i * w / (n - 1):.0f},{h - value:.0f}" for i, value in enumerate(heights))
            bars = f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        grid = "".join(f'<line x1="0" x2="{w}" y1="{h * k // 4}" y2="{h * k // 4}" stroke="#8886"/>' for k in range(5))
        return f'<svg {self.mark("image")} style="width:{w}px;height:{h}px;border-radius:{round_px}px;background:#8881;flex:none" viewBox="0 0 {w} {h}">{grid}{bars}</svg>'

    def choices(self, kind: str, trios: Sequence[tuple[str, str, str]], texts: Sequence[str]) -> str:
        """Tabs or menu items, one of them chosen."""
        container, item, on = self.rng.choice(list(trios))
        chosen = self.rng.randrange(len(texts)) if self.chance(0.85) else -1
        with_icons = self.chance(0.35)
        made = ""
        for i, text in enumerate(texts):
            icon = f"{self.svg(min(self._icon_px, 20))}&nbsp;" if with_icons else ""
            made += item.format(
                e=self.mark(kind, "selected" if i == chosen else ""), on=on if i == chosen else "", b=icon + text
            )
        return container.format(b=made)

    def tabs(self) -> str:
        """A row of tabs."""
        return self.choices("tab", self.framework.tabs, [self.label() for _ in range(self.rng.randrange(2, 8))])

    def menu(self) -> str:
        """Menu items below one another."""
        return self.choices("menu item", self.framework.menus, [self.label() for _ in range(self.rng.randrange(3, 12))])

    def menu_bar(self) -> str:
        """Menu items beside one another, as above a window."""
        texts = [self.label() for _ in range(self.rng.randrange(3, 10))]
        return self.choices("menu item", [('<div class="t-strip">{b}</div>', "<span {e}>{b}</span>", "")], texts)

    def checkbox_alone(self) -> str:
        """A check box without a label, as in tables."""
        checked = "checked" if self.chance(0.4) else ""
        return f'<input type="checkbox" {self.mark("checkbox", checked)} {checked} style="position:static;opacity:1;pointer-events:auto;appearance:auto">'

    def toolbar(self) -> str:
        """Bare icons in a row."""
        gap = self.rng.choice((4, 8, 12, 16))
        size = self.rng.choice((14, 16, 18, 20, 24, 28, 32))
        made = "".join(self.icon(size) for _ in range(self.rng.randrange(3, 12)))
        return f'<div class="t-row" style="gap:{gap}px;flex-wrap:wrap">{made}</div>'

    def badge(self) -> str:
        """A word in a coloured box: no control, and not marked."""
        style = (
            ""
            if self.framework.badge
            else f'style="background:{self.colour()};color:#fff;border-radius:9px;padding:1px 7px;font-size:.8em"'
        )
        return f'<span class="{self.framework.badge}" {style}>{self.label()}</span>'

    def text(self) -> str:
        """A paragraph, sometimes with links in it."""
        parts = [html.escape(self.sentence(6, 20)) for _ in range(self.rng.randrange(1, 5))]
        if self.chance(0.5):
            parts.insert(self.rng.randrange(len(parts) + 1), self.link())
        return f"<p>{' '.join(parts)}</p>"

    def fonts(self) -> str:
        """Style sheets of the page's fonts."""
        names = [self.font] if self.font in _FONTS else []
        if self.language in FONT_OF:
            names.append(FONT_OF[self.language])
        sheets = [self._packages / sources.named(f"@fontsource/{name}").folder / "package" for name in names]
        return "".join(
            f'<link rel="stylesheet" href="file://{sheet}/{weight}.css">'
            for sheet in sheets
            for weight in ("400", "700")
            if (sheet / f"{weight}.css").exists()
        )

    def family(self) -> str:
        """CSS font-family of the page."""
        name = self.font.replace("-", " ").title() if self.font in _FONTS else self.font
        other = (
            FONT_OF.get(self.language, "")
            .replace("-", " ")
            .title()
            .replace(" Jp", " JP")
            .replace(" Sc", " SC")
            .replace(" Kr", " KR")
        )
        quoted = [f'"{each}"' if each != "system-ui" else each for each in (name, other) if each]
        return ",".join([*quoted, "sans-serif"])

    @property
    def direction(self) -> str:
        """Of writing, as CSS has it: "rtl" or "ltr"."""
        return "rtl" if self.language in RIGHT_TO_LEFT else "ltr"

    def sheets(self) -> str:
        """Links to the framework's style sheets."""
        look = self.framework
        if not look.package:
            return ""
        folder = self._packages / sources.named(look.package, look.version).folder
        if missing := [sheet for sheet in look.sheets if not (folder / sheet).is_file()]:
            raise FileNotFoundError(f"{folder} has no {missing[0]}: run `python -m tools.train_gui fetch`")
        return "".join(f'<link rel="stylesheet" href="file://{folder / sheet}">' for sheet in look.sheets)

    def _house_look(self) -> Framework:
        r = self.rng
        edge = r.choice(
            ("1px solid #8888", "1px solid #8884", "2px solid #888a", "1px solid transparent", "1px outset #aaa")
        )
        pad = f"{r.randrange(2, 13)}px {r.randrange(6, 26)}px"
        shade = r.choice(
            ("", "", "box-shadow:0 1px 3px #0005;", "box-shadow:0 2px 6px #0003;", "box-shadow:inset 0 1px 0 #fff8;")
        )
        fill = r.choice(
            (self.accent, self.accent, f"linear-gradient({self.accent}, color-mix(in srgb, {self.accent} 75%, #000))")
        )
        line = r.choice(
            (
                f"border:{edge};",
                f"border:{edge};",
                f"border:0;border-bottom:2px solid {self.accent};",
                "border:0;background:#8882;",
            )
        )
        upper = r.choice(("", "", "", "text-transform:uppercase;letter-spacing:.05em;"))
        field = f"padding:{r.randrange(2, 13)}px {r.randrange(4, 14)}px;border-radius:{self.radius_px}px;background:#8881;color:inherit;font:inherit;{line}"
        css = f"""
        .h0,.h1,.h2,.h3,.h4{{padding:{pad};border-radius:{self.radius_px}px;font:inherit;text-decoration:none;display:inline-block;{shade}{upper}}}
        .h0{{background:{fill};color:#fff;border:1px solid {self.accent}}} .h1{{background:transparent;color:{self.accent};border:1px solid {self.accent}}}
        .h2{{background:#8882;color:inherit;border:{edge}}} .h3{{background:linear-gradient(#fff,#ddd);color:#222;border:1px solid #999}}
        .h4{{background:#8881;color:{self.accent};border:0}}
        [disabled]{{opacity:.45}}
        .hi{{{field}}} .hs{{{field}}}"""
        return Framework(
            "house",
            buttons=("h0", "h1", "h2", "h3", "h4"),
            text='<input type="{kind}" {e} class="hi" {value}{off}>',
            area='<textarea {e} class="hi" rows="{rows}"{off}>{b}</textarea>',
            select='<select {e} class="hs"{off}><option>{b}</option></select>',
            css=css + (f"input{{accent-color:{self.accent}}}" if self.chance(0.6) else ""),
        )
