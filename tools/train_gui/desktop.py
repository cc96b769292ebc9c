"""Desktops drawn in HTML: wallpaper, task bar, windows with title bars, menu bars, ribbons, dialogs, menus."""

from collections.abc import Callable

from tools.train_gui.pen import Pen


def desktop(pen: Pen, content: Callable[[], str]) -> str:
    """A whole screen with windows that may cover one another."""
    rng = pen.rng
    shown = "".join(_desktop_icon(pen, i) for i in range(rng.randrange(0, 9)))
    if rng.random() < 0.35:
        windows = _window(pen, content, "inset:0 0 44px 0", whole=True)
    else:
        windows = "".join(
            _window(
                pen,
                content,
                f"left:{rng.randrange(0, 45)}%;top:{rng.randrange(2, 40)}%;width:{rng.randrange(32, 75)}%;height:{rng.randrange(40, 85)}%",
            )
            for _ in range(rng.randrange(1, 4))
        )
    extra = popup(pen) if rng.random() < 0.3 else dialog(pen, content) if rng.random() < 0.2 else ""
    return (
        f'<div style="position:fixed;inset:0;background:{pen.scenery()}">{shown}</div>{windows}{_task_bar(pen)}{extra}'
    )


def _desktop_icon(pen: Pen, index: int) -> str:
    size = pen.rng.choice((36, 48, 64))
    icon = pen.svg(size, pen.mark("icon"), coloured=pen.chance(0.6), style="color:#fff")
    return f'<div style="position:absolute;left:{12 + 90 * (index // 6)}px;top:{12 + 100 * (index % 6)}px;width:80px;text-align:center;color:#fff;font-size:12px">{icon}<br>{pen.label()}</div>'


def _task_bar(pen: Pen) -> str:
    rng = pen.rng
    side = rng.choice((20, 22, 24, 28))
    height = rng.choice((40, 44, 44))
    ground = rng.choice(("#111c", "#f3f3f3ee", "#1f2937", "#245edb", "#c0c0c0", "#2d2d2dee"))
    ink = "#111" if ground in ("#f3f3f3ee", "#c0c0c0") else "#fff"
    icons = "".join(pen.svg(side, pen.mark("icon"), coloured=pen.chance(0.5)) for _ in range(rng.randrange(3, 12)))
    tasks = "".join(
        f'<button {pen.mark("button")} style="height:{height - 8}px;width:150px;text-align:start;color:inherit;background:#8884;border:1px solid #8886;overflow:hidden;white-space:nowrap">{pen.svg(16)} {pen.label()}</button>'
        for _ in range(rng.choice((0, 0, 0, 2, 4)))
    )
    tray = "".join(pen.svg(16, pen.mark("icon")) for _ in range(rng.randrange(2, 6)))
    spot = rng.choice(("flex-start", "center"))
    return (
        f'<div style="position:fixed;left:0;right:0;bottom:0;height:{height}px;background:{ground};color:{ink};display:flex;align-items:center;gap:14px;padding:0 10px;font-size:12px">'
        f'<div style="flex:1;display:flex;gap:16px;justify-content:{spot};align-items:center">{icons}{tasks}</div>{tray}<span>{rng.randrange(24)}:{rng.randrange(60):02d}</span></div>'
    )


def _window(pen: Pen, content: Callable[[], str], place: str, *, whole: bool = False) -> str:
    rng = pen.rng
    parts = [_title_bar(pen)]
    if rng.random() < 0.5:
        parts.append(pen.menu_bar())
    kind = rng.random()
    if kind < 0.3:
        parts.append(_ribbon(pen))
    elif kind < 0.55:
        parts.append(pen.toolbar())
    elif kind < 0.75:
        parts.append(_browser_bar(pen))
    side = f'<div class="t-side">{pen.menu()}</div>' if rng.random() < 0.4 else ""
    inside = f'<div class="t-main">{content()}</div>'
    status = (
        f'<div class="t-row" style="padding:2px 8px;border-top:1px solid #8884;font-size:11px"><span>{pen.sentence(2, 5)}</span></div>'
        if rng.random() < 0.4
        else ""
    )
    ground = (
        "#26282d;color:#e4e4e6"
        if pen.is_dark
        else rng.choice(("#fff;color:#111", "#f0f0f0;color:#111", "#ece9d8;color:#111"))
    )
    round_px = 0 if whole else rng.choice((0, 4, 8, 12))
    return (
        f'<div style="position:fixed;{place};background:{ground};border:1px solid #8888;border-radius:{round_px}px;box-shadow:0 6px 28px #0007;overflow:hidden;display:flex;flex-direction:column">'
        f'{"".join(parts)}<div class="t-columns" style="flex:1;overflow:hidden;min-height:0">{side}{inside}</div>{status}</div>'
    )


def _title_bar(pen: Pen) -> str:
    rng = pen.rng
    ground = rng.choice(
        (
            "#8882",
            "#8882",
            pen.accent,
            "linear-gradient(90deg,#0a246a,#a6caf0);color:#fff",
            "linear-gradient(#f6f5f4,#dad6d2);color:#222",
            "transparent",
        )
    )
    ink = "color:#fff;" if ground == pen.accent else ""
    title = f'<span style="flex:1;text-align:{rng.choice(("start", "center"))};overflow:hidden;white-space:nowrap">{pen.sentence(1, 5)}</span>'
    kind = rng.randrange(3)
    if kind == 0:  # three coloured dots
        ends = "".join(
            f'<span {pen.mark("button")} style="width:12px;height:12px;border-radius:50%;background:{colour};flex:none"></span>'
            for colour in ("#ff5f57", "#febc2e", "#28c840")
        )
        return f'<div style="display:flex;gap:8px;align-items:center;padding:7px 10px;background:{ground};{ink}">{ends}{title}</div>'
    if kind == 1:  # raised or flat boxes with glyphs
        edge = rng.choice(("1px outset #fff", "0", "1px solid #8886"))
        fill = rng.choice(("#c0c0c0", "transparent", "#8883"))
        wide = rng.choice((18, 22, 30, 46))
        ends = "".join(
            f'<button {pen.mark("button")} style="all:unset;box-sizing:border-box;width:{wide}px;height:{max(16, wide * 2 // 3)}px;border:{edge};background:{fill};text-align:center;font:12px/1 sans-serif;flex:none">{glyph}</button>'
            for glyph in ("&#8211;", "&#9633;", "&#10005;")
        )
        return f'<div style="display:flex;gap:2px;align-items:center;padding:2px 4px;background:{ground};{ink}">{pen.svg(16, pen.mark("icon"))}&nbsp;{title}{ends}</div>'
    ends = "".join(pen.svg(rng.choice((14, 16)), pen.mark("icon")) for _ in range(3))
    return f'<div style="display:flex;gap:16px;align-items:center;padding:6px 12px;background:{ground};{ink}">{title}{ends}</div>'


def _browser_bar(pen: Pen) -> str:
    tabs = "".join(
        f'<span {pen.mark("tab", "selected" if i == 0 else "")} style="padding:6px 10px;max-width:180px;width:180px;overflow:hidden;white-space:nowrap;border-radius:8px 8px 0 0;background:{"#8883" if i == 0 else "transparent"}">{pen.svg(14)} {pen.sentence(1, 4)}</span>'
        for i in range(pen.rng.randrange(1, 6))
    )
    shape = pen.rng.choice((4, 99))
    field = f'<input {pen.mark("input")} value="https://{pen.rng.choice(("example.org", "intranet", "docs.example.com"))}/{pen.label()}" style="flex:1;min-width:0;border:1px solid #8886;border-radius:{shape}px;padding:4px 12px;background:#8881;color:inherit;font:13px sans-serif">'
    ends = "".join(pen.svg(18, pen.mark("icon")) for _ in range(pen.rng.randrange(1, 5)))
    starts = "".join(pen.svg(18, pen.mark("icon")) for _ in range(3))
    return f'<div style="display:flex;padding:4px 4px 0;font-size:12px">{tabs}</div><div style="display:flex;gap:12px;align-items:center;padding:5px 10px;border-bottom:1px solid #8883">{starts}{field}{ends}</div>'


def _ribbon(pen: Pen) -> str:
    rng = pen.rng
    names = [pen.label() for _ in range(rng.randrange(4, 9))]
    tabs = "".join(
        f'<span {pen.mark("tab", "selected" if i == 1 else "")} style="padding:5px 12px;{f"border-bottom:2px solid {pen.accent};font-weight:600" if i == 1 else ""}">{name}</span>'
        for i, name in enumerate(names)
    )

    def large() -> str:
        return f'<span {pen.mark("button")} style="display:inline-flex;flex-direction:column;align-items:center;padding:4px 6px;font-size:11px;gap:3px">{pen.svg(rng.choice((24, 28, 32)), style=f"color:{pen.accent}")}<span>{pen.label()}</span></span>'

    def small() -> str:
        rows = "".join(
            f'<span {pen.mark("button")} style="display:flex;gap:5px;align-items:center;padding:1px 5px;font-size:11px">{pen.svg(14)}{pen.label()}</span>'
            for _ in range(rng.randrange(2, 4))
        )
        return f'<span style="display:inline-flex;flex-direction:column;align-items:flex-start">{rows}</span>'

    def tiny() -> str:
        rows = "".join(
            "<div class='t-row' style='gap:7px'>"
            + "".join(pen.svg(16, pen.mark("icon")) for _ in range(rng.randrange(3, 7)))
            + "</div>"
            for _ in range(2)
        )
        return f"<span style='padding:4px'><select {pen.mark('select')} style='font-size:11px;width:110px'><option>{pen.font}</option></select>{rows}</span>"

    groups = "".join(
        f'<div style="padding:3px 7px;border-inline-end:1px solid #8884;text-align:center"><div style="display:flex;align-items:flex-start;min-height:60px">{"".join(pen.any(large, large, small, tiny) for _ in range(rng.randrange(1, 4)))}</div><small style="font-size:10px">{pen.label()}</small></div>'
        for _ in range(rng.randrange(2, 7))
    )
    return f'<div style="display:flex;font-size:12px;flex-wrap:nowrap;overflow:hidden">{tabs}</div><div style="display:flex;background:#8881;border-bottom:1px solid #8884;overflow:hidden;white-space:nowrap">{groups}</div>'


def dialog(pen: Pen, content: Callable[[], str]) -> str:
    """A dialog above the page; what it does not cover stays on the screen, dimmed."""
    rng = pen.rng
    width = rng.randrange(280, 620)
    over = '<div class="t-over"></div>' if rng.random() < 0.7 else ""
    inside = (
        content()
        if rng.random() < 0.4
        else f"<p>{pen.sentence()}</p>{pen.any(pen.input, pen.checkbox, pen.select, lambda: '')}"
    )
    ends = "".join(pen.button() for _ in range(rng.randrange(1, 4)))
    return (
        f'{over}<div class="t-panel" style="left:{rng.randrange(5, 55)}%;top:{rng.randrange(8, 45)}%;width:{width}px;max-height:70%;z-index:50">{_title_bar(pen)}'
        f'<div style="padding:14px">{inside}<div class="t-row" style="justify-content:{rng.choice(("flex-end", "center", "flex-start"))}">{ends}</div></div></div>'
    )


def popup(pen: Pen) -> str:
    """An open menu: a context menu or what a menu bar or a select unfolds."""
    rng = pen.rng
    rows = ""
    for i in range(rng.randrange(3, 13)):
        if i and pen.chance(0.15):
            rows += '<div style="height:1px;background:#8885;margin:3px 0"></div>'
        state = "selected" if pen.chance(0.1) else ""
        shade = f"background:{pen.accent};color:#fff" if state else ""
        key = (
            f'<span style="opacity:.6;margin-inline-start:auto">Ctrl+{rng.choice("ABCDEFGHSVXZ")}</span>'
            if pen.chance(0.4)
            else ""
        )
        icon = pen.svg(14) if pen.chance(0.4) else ""
        rows += f'<div {pen.mark("menu item", state)} style="display:flex;gap:9px;align-items:center;padding:{pen.pad_px // 2 + 2}px 12px;white-space:nowrap;{shade}">{icon}{pen.label()}{key}</div>'
    return f'<div class="t-panel" style="left:{rng.randrange(2, 75)}%;top:{rng.randrange(3, 50)}%;min-width:{rng.randrange(140, 280)}px;z-index:60;padding:3px 0">{rows}</div>'
