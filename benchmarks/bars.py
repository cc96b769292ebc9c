"""Measured values as bars in an SVG picture: a table at a glance."""

from collections.abc import Mapping
from html import escape

_COLOURS = ("#2a7", "#36c", "#c60", "#999", "#a3c")
_WIDTH, _LEFT, _ROOM, _BAR, _GAP = 760, 190, 90, 14, 10


def bars(title: str, groups: Mapping[str, Mapping[str, float]], unit: str) -> str:
    """One group of bars for each label, one bar for each series in it; all to one scale that begins at 0."""
    series = list(dict.fromkeys(name for values in groups.values() for name in values))
    most = max(value for values in groups.values() for value in values.values())
    parts, y = [_text(10, 22, f"{title}, {unit}", size=15)], 34
    for number, name in enumerate(series):
        x = _LEFT + number * 180
        parts += [_bar(x, y, 12, number), _text(x + 18, y + 11, name)]
    y += 30
    for label, values in groups.items():
        parts.append(_text(10, y + _BAR * len(values) / 2 + 4, label))
        for name, value in values.items():
            length = value / most * (_WIDTH - _LEFT - _ROOM)
            parts += [_bar(_LEFT, y, length, series.index(name)), _text(_LEFT + length + 6, y + 11, f"{value:g}")]
            y += _BAR
        y += _GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" font-family="sans-serif" font-size="12">'
    )
    return "\n".join([head, f'<rect width="{_WIDTH}" height="{y}" fill="#fff"/>', *parts, "</svg>"]) + "\n"


def _bar(x: float, y: float, length: float, series: int) -> str:
    return f'<rect x="{x:.0f}" y="{y:.0f}" width="{length:.1f}" height="12" fill="{_COLOURS[series % len(_COLOURS)]}"/>'


def _text(x: float, y: float, words: str, size: int = 12) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" fill="#333">{escape(words)}</text>'
