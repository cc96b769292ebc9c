"""One page from one seed: sites, applications and whole desktops, as HTML with marked elements."""

import random
from dataclasses import dataclass
from pathlib import Path

from tools.train_gui.desktop import desktop, dialog, popup
from tools.train_gui.pen import Pen


@dataclass(frozen=True, slots=True)
class Page:
    """A page to draw; sizes in CSS pixels, `scale` is pixels of the picture for each."""

    html: str
    width_px: int
    height_px: int
    scale: float
    has_focus: bool


_SIZES = (
    (1280, 720),
    (1280, 720),
    (1280, 768),
    (1366, 768),
    (1440, 900),
    (1600, 900),
    (1024, 768),
    (1920, 1080),
    (960, 720),
)


def page(
    seed: int,
    packages: Path,
    *,
    held_out: bool = False,
    size: tuple[int, int] | None = None,
    disabled_share: float = 0.06,
) -> Page:
    """The page of this seed; `held_out` draws it with the framework and the icons kept for measuring.

    The same seed and packages give the same page. Raises FileNotFoundError where packages are missing.
    """
    rng = random.Random(f"gui-{seed}-{held_out}")
    pen = Pen(rng, packages, held_out=held_out, disabled_share=disabled_share)
    width, height = size or rng.choice(_SIZES)
    scale = 1.0 if size else rng.choice((1.0, 1.0, 1.0, 1.0, 1.25, 1.5))
    if rng.random() < 0.27:
        body = desktop(pen, lambda: content(pen))
    else:
        body = _site(pen)
        if rng.random() < 0.16:
            body += dialog(pen, lambda: _blocks(pen, 1))
        if rng.random() < 0.12:
            body += popup(pen)
    look = pen.framework
    root = look.dark if pen.is_dark and look.dark else rng.choice(look.roots)
    # A framework's dark style needs its own colours; ours are only laid over looks that have none.
    is_ours = look.name == "house"
    css = f"<style>{_base(pen, is_ours)}{look.css}</style>"
    # The direction is not the document's: a document from right to left is photographed some pixels aside.
    html = (
        f'<!doctype html><html lang="{pen.language}" {root}><head><meta charset="utf-8">'
        f'{pen.fonts()}{pen.sheets()}{css}</head><body class="{"bp6-dark" if look.name == "blueprint-bp6-dark" else ""}"><div dir="{pen.direction}">{body}</div></body></html>'
    )
    return Page(html, width, height, scale, rng.random() < 0.35)


def _site(pen: Pen) -> str:
    rng = pen.rng
    head = pen.any(lambda: _bar(pen), lambda: _bar(pen), lambda: pen.menu_bar(), lambda: "")
    below = pen.any(lambda: "", lambda: "", pen.toolbar, pen.tabs, pen.links)
    side = f'<div class="t-side">{_side(pen)}</div>' if rng.random() < 0.5 else ""
    right = f'<div class="t-side">{_blocks(pen, 1)}</div>' if rng.random() < 0.15 else ""
    columns = rng.choice((1, 1, 1, 2, 2, 3))
    main = [f'<div class="t-main">{_blocks(pen, rng.randrange(3, 8))}</div>' for _ in range(columns)]
    order = [side, *main, right]
    foot = f'<div class="t-bar">{pen.links()}{pen.toolbar()}</div>' if rng.random() < 0.2 else ""
    return f'{head}{below}<div class="t-columns">{"".join(order)}</div>{foot}'


def _bar(pen: Pen) -> str:
    rng = pen.rng
    parts = [
        pen.any(pen.link, pen.link, pen.button, pen.icon, pen.icon, pen.input, pen.select, pen.badge, pen.links)
        for _ in range(rng.randrange(2, 8))
    ]
    last = pen.avatar() if rng.random() < 0.6 else ""
    spring = '<span style="flex:1"></span>' if rng.random() < 0.5 else ""
    return f'<div class="t-bar">{pen.icon()}<b>{pen.label()}</b>{parts[0]}{spring}{"".join(parts[1:])}{last}</div>'


def _side(pen: Pen) -> str:
    return "".join(
        pen.any(pen.menu, pen.menu, pen.button, pen.links, lambda: _tree(pen), pen.input, lambda: _people(pen))
        for _ in range(pen.rng.randrange(1, 4))
    )


def content(pen: Pen) -> str:
    """What stands in a window."""
    return _blocks(pen, pen.rng.randrange(1, 4))


def _blocks(pen: Pen, count: int) -> str:
    made = (
        lambda: _table(pen),
        lambda: _form(pen),
        lambda: _form(pen),
        lambda: f'<div class="t-prose"><h2>{pen.label()}</h2>{pen.text()}{pen.text()}</div>',
        lambda: _talk(pen),
        lambda: _code(pen),
        lambda: _cards(pen),
        lambda: _mixed(pen),
        lambda: _mixed(pen),
        lambda: _settings(pen),
        lambda: _gallery(pen),
        lambda: _sheet(pen),
        lambda: pen.choices("tab", pen.framework.tabs, [pen.label() for _ in range(pen.rng.randrange(3, 9))]),
        lambda: f"<div>{pen.tabs()}{_form(pen)}</div>",
        lambda: pen.buttons(),
        lambda: _board(pen),
        lambda: _player(pen),
        lambda: _pages(pen),
    )
    return "".join(pen.any(*made) for _ in range(count))


def _mixed(pen: Pen) -> str:
    made = (
        pen.button,
        pen.button,
        pen.checkbox,
        pen.checkbox,
        pen.icon,
        pen.link,
        pen.select,
        pen.select,
        pen.input,
        pen.slider,
        pen.badge,
        pen.avatar,
    )
    return '<div class="t-row t-wrap">' + "".join(pen.any(*made) for _ in range(pen.rng.randrange(4, 16))) + "</div>"


def _form(pen: Pen) -> str:
    rng = pen.rng
    fields = [
        pen.any(pen.input, pen.input, pen.input, pen.select, pen.select, pen.checkbox, pen.checkbox, pen.slider)
        for _ in range(rng.randrange(2, 9))
    ]
    columns = rng.choice((1, 1, 2, 3))
    ends = pen.buttons() + (pen.link() if rng.random() < 0.4 else "")
    return (
        f'<div class="t-card {pen.framework.card}" style="max-width:{rng.randrange(260, 900)}px"><h3>{pen.label()}</h3>'
        f'<div style="display:grid;gap:8px;grid-template-columns:repeat({columns},minmax(0,1fr))">{"".join(fields)}</div>{ends}</div>'
    )


def _settings(pen: Pen) -> str:
    control = (pen.checkbox, pen.checkbox, pen.select, pen.slider, pen.button, pen.link)
    rows = "".join(
        f'<div class="t-setting"><span>{pen.icon() if pen.chance(0.3) else ""} {pen.label()}<br><small>{pen.sentence()}</small></span>{pen.any(*control)}</div>'
        for _ in range(pen.rng.randrange(3, 9))
    )
    return f'<div class="t-card {pen.framework.card}">{rows}</div>'


def _table(pen: Pen) -> str:
    rng = pen.rng
    kinds = [
        rng.choice(
            (
                pen.number,
                pen.number,
                pen.label,
                pen.link,
                pen.checkbox_alone,
                pen.button,
                pen.icon,
                pen.badge,
                pen.avatar,
            )
        )
        for _ in range(rng.randrange(3, 9))
    ]
    head = "".join(f"<th>{pen.label()}</th>" for _ in kinds)
    rows = "".join(
        "<tr>" + "".join(f"<td>{kind()}</td>" for kind in kinds) + "</tr>" for _ in range(rng.randrange(3, 16))
    )
    return f'<table class="{pen.framework.table}"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _sheet(pen: Pen) -> str:
    columns = pen.rng.randrange(6, 16)
    head = "<tr><th></th>" + "".join(f"<th>{chr(65 + i)}</th>" for i in range(columns)) + "</tr>"
    rows = "".join(
        f"<tr><th>{i + 1}</th>"
        + "".join(f"<td>{pen.number() if pen.chance(0.6) else ''}</td>" for _ in range(columns))
        + "</tr>"
        for i in range(pen.rng.randrange(6, 24))
    )
    return f'<div class="t-row">{pen.toolbar()}</div><div class="t-row" style="width:60%">{pen.input()}</div><table class="t-sheet">{head}{rows}</table>'


def _cards(pen: Pen) -> str:
    def card() -> str:
        picture = pen.image(pen.rng.randrange(140, 260), pen.rng.randrange(80, 180)) if pen.chance(0.55) else ""
        end = pen.any(pen.button, pen.link, pen.buttons, pen.toolbar, pen.badge)
        return f'<div class="t-card {pen.framework.card}" style="width:{pen.rng.randrange(190, 300)}px">{picture}<h4>{pen.label()}</h4><p>{pen.sentence()}</p><div class="t-row">{end}</div></div>'

    return '<div class="t-row t-wrap">' + "".join(card() for _ in range(pen.rng.randrange(2, 7))) + "</div>"


def _board(pen: Pen) -> str:
    tiles = "".join(
        f'<div class="t-card {pen.framework.card}"><small>{pen.label()}</small><h3>{pen.number()}</h3>{pen.chart(pen.rng.randrange(160, 420), pen.rng.randrange(80, 220))}</div>'
        for _ in range(pen.rng.randrange(1, 4))
    )
    return f'<div class="t-row t-wrap">{tiles}</div>'


def _gallery(pen: Pen) -> str:
    w, h = pen.rng.randrange(60, 240), pen.rng.randrange(60, 200)
    return '<div class="t-row t-wrap">' + "".join(pen.image(w, h) for _ in range(pen.rng.randrange(2, 12))) + "</div>"


def _people(pen: Pen) -> str:
    return "".join(
        f'<div class="t-row">{pen.avatar()}<span>{pen.label()}<br><small>{pen.sentence(2, 6)}</small></span></div>'
        for _ in range(pen.rng.randrange(2, 8))
    )


def _talk(pen: Pen) -> str:
    said = "".join(
        f'<div class="t-row" style="align-items:flex-start">{pen.avatar()}<div class="t-bubble"><b>{pen.label()}</b> {pen.text()}</div></div>'
        for _ in range(pen.rng.randrange(2, 6))
    )
    return f'<div>{said}<div class="t-row">{pen.icon()}<div style="flex:1">{pen.input()}</div>{pen.icon()}{pen.button()}</div></div>'


def _tree(pen: Pen) -> str:
    rows = "".join(
        f'<div {pen.mark("menu item")} class="t-item" style="padding-inline-start:{8 + 14 * pen.rng.randrange(4)}px">{pen.svg(12)} {pen.number() if pen.chance(0.5) else pen.label()}</div>'
        for _ in range(pen.rng.randrange(4, 16))
    )
    return f'<div class="t-menu">{rows}</div>'


def _code(pen: Pen) -> str:
    lines = [
        "    " * pen.rng.randrange(4)
        + pen.rng.choice(("def ", "return ", "if ", "self.", "x = ", "# ", ""))
        + pen.sentence(1, 9).lower().replace(" ", pen.rng.choice(("_", ".", "(", " ")))
        for _ in range(pen.rng.randrange(5, 30))
    ]
    return f'<pre class="t-code">{chr(10).join(lines)}</pre>'


def _player(pen: Pen) -> str:
    w = pen.rng.randrange(260, 640)
    return (
        f'<div style="width:{w}px">{pen.image(w, pen.rng.randrange(120, 340))}<div class="t-row">{pen.icon()}'
        f'<span {pen.mark("slider")} class="t-slider" style="flex:1"><i style="width:40%"></i><b style="left:40%"></b></span>{pen.icon()}{pen.icon()}</div></div>'
    )


def _pages(pen: Pen) -> str:
    made = "".join(
        f'<button {pen.mark("button")} class="{pen.framework.buttons[0]}">{i}</button>'
        for i in range(1, pen.rng.randrange(4, 10))
    )
    return f'<div class="t-row">{pen.link() if pen.chance(0.4) else ""}{made}</div>'


def _base(pen: Pen, is_ours: bool) -> str:
    r = pen.rng
    paper = "#%02x%02x%02x" % ((r.randrange(10, 50),) * 3 if pen.is_dark else (r.randrange(232, 256),) * 3)
    ink = "#e4e4e6" if pen.is_dark else "#1b1b1f"
    card = "#2b2d33" if pen.is_dark else r.choice(("#fff", "#fff", "#f6f7fb"))
    ours = (
        f"body{{background:{paper};color:{ink}}}.t-card{{background:{card};border:1px solid #8884;border-radius:{pen.radius_px}px}}"
        if is_ours
        else ""
    )
    bar = r.choice((f"{pen.accent};color:#fff", "#8881", "#8881", "transparent"))
    link = r.choice((f"color:{pen.accent};", f"color:{pen.accent};text-decoration:none;", "")) if is_ours else ""
    side = r.randrange(130, 280)
    # Everything of ours is in t-*: frameworks name their own things otherwise.
    return f"""{ours}
    *,*::before,*::after{{transition:none!important;animation:none!important}}
    html{{overflow:hidden!important}}
    body{{margin:0!important;padding:0!important;font-family:{pen.family()};font-size:{pen.font_px}px;min-height:100vh;max-width:none;width:auto}}
    .t-link{{{link}}} p{{margin:4px 0}} h2,h3,h4{{margin:4px 0;font-size:1.2em}} h2{{font-size:1.5em}}
    .t-row,.t-joined{{display:flex;align-items:center;margin:3px 0}} .t-row{{gap:{r.randrange(3, 18)}px}} .t-wrap{{flex-wrap:wrap}} .t-joined>*{{margin:0}}
    .t-columns{{display:flex;align-items:stretch}} .t-main{{flex:1;min-width:0;overflow:hidden;padding:{pen.pad_px + 4}px;display:flex;flex-direction:column;gap:{pen.pad_px + 4}px;align-items:{r.choice(("flex-start", "flex-start", "stretch"))}}}
    .t-side{{width:{side}px;flex:none;padding:{pen.pad_px}px;border-inline-end:1px solid #8883;background:{r.choice(("transparent", "#8881", "#8882"))};overflow:hidden}}
    .t-bar{{display:flex;align-items:center;gap:{r.randrange(6, 20)}px;padding:{pen.pad_px}px;background:{bar};border-bottom:1px solid #8883}}
    .t-card,.p-card{{padding:{pen.pad_px + 4}px;{r.choice(("", "box-shadow:0 2px 8px #0002;"))}}} .t-prose{{max-width:{r.randrange(420, 900)}px;line-height:1.5}}
    .t-field label{{display:block;font-size:.9em}} .t-find{{position:relative}} .t-find>svg{{position:absolute;left:6px;top:50%;margin-top:-8px;pointer-events:none;z-index:5}} .t-find input{{padding-left:28px!important}}
    .t-tabs{{display:flex;gap:{r.choice((0, 2, 8))}px;border-bottom:1px solid #8885}} .t-tab{{padding:{r.randrange(3, 12)}px {r.randrange(7, 20)}px;color:inherit;text-decoration:none;white-space:nowrap;{r.choice(("", "border:1px solid #8886;border-bottom:0;", "border-radius:8px 8px 0 0;"))}}}
    .t-tab.t-on{{{r.choice((f"border-bottom:3px solid {pen.accent};font-weight:600", f"background:{pen.accent};color:#fff", "background:#8883", f"color:{pen.accent};font-weight:700"))}}}
    .t-menu{{display:block}} .t-item{{display:block;padding:{r.randrange(2, 11)}px {r.randrange(6, 16)}px;color:inherit;text-decoration:none;white-space:nowrap;overflow:hidden}} .t-item.t-on{{background:{r.choice((pen.accent + ";color:#fff", "#8883"))};border-radius:{r.choice((0, 4, 8))}px}}
    .t-strip{{display:flex;flex-wrap:wrap;padding:0 4px}} .t-strip>*{{padding:{r.randrange(2, 9)}px {r.randrange(5, 13)}px;white-space:nowrap;color:inherit;text-decoration:none}}
    .t-setting{{display:flex;justify-content:space-between;align-items:center;gap:16px;padding:8px 0;border-bottom:1px solid #8883}} small{{opacity:.75}}
    .t-bubble{{background:#8882;border-radius:{r.choice((4, 10, 16))}px;padding:6px 10px;max-width:520px}} .t-column{{line-height:{r.choice((1.5, 1.9, 2.4))}}}
    .t-code{{background:{r.choice(("#8882", "#1e1e1e;color:#d4d4d4", "transparent"))};font:{r.choice((11, 12, 13, 14))}px "DejaVu Sans Mono",monospace;padding:8px;margin:0;overflow:hidden}}
    th,td{{padding:{r.randrange(1, 10)}px {r.randrange(4, 14)}px;border-bottom:1px solid #8884;text-align:start}} table{{width:auto;border-collapse:collapse}} .t-sheet td,.t-sheet th{{border:1px solid #8885;padding:1px 6px;font-size:.9em;min-width:56px}}
    .t-switch{{display:inline-block;width:{r.choice((28, 34, 40, 44))}px;height:{r.choice((16, 18, 20, 22))}px;border-radius:12px;background:#8889;position:relative;flex:none}} .t-switch i{{position:absolute;inset:2px auto 2px 2px;aspect-ratio:1;border-radius:50%;background:#fff}} .t-switch.checked{{background:{pen.accent}}} .t-switch.checked i{{left:auto;right:2px}}
    .t-slider{{display:inline-block;position:relative;height:{r.choice((14, 16, 20))}px}} .t-slider::before{{content:"";position:absolute;inset:40% 0;background:#8887;border-radius:3px}} .t-slider i{{position:absolute;top:40%;bottom:40%;left:0;background:{pen.accent}}} .t-slider b{{position:absolute;top:0;height:100%;aspect-ratio:1;transform:translateX(-50%);border-radius:{r.choice((2, 99))}px;background:{r.choice((pen.accent, "#fff;border:1px solid #888"))}}}
    .t-select{{font:inherit;color:inherit;background:#8881;border:1px solid #8888;border-radius:{pen.radius_px}px;padding:{r.randrange(2, 10)}px 10px;min-width:{r.randrange(90, 200)}px;display:inline-flex;justify-content:space-between;gap:12px}}
    .t-over{{position:fixed;inset:0;background:#000{r.choice("3468")};pointer-events:none}} .t-panel{{position:fixed;background:{card};color:{ink};border:1px solid #8886;border-radius:{pen.radius_px}px;box-shadow:0 8px 30px #0006;overflow:hidden}}
    """
