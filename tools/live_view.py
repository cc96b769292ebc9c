"""What a terminal shows while a file is transcribed: the last words, the guess in grey, progress and lag."""

from collections import deque
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from protos.media.v1 import media_pb2
from protos.session.v1 import session_pb2
from services.gateway.transcript import plain
from services.runtime import wire
from services.runtime.percept import SAMPLE_RATE

LINES = 8
COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "red")


class LiveView:
    """A `with` block that draws on the terminal; call `take` with every event."""

    def __init__(self, console: Console, duration_s: float | None) -> None:
        self._duration_s = duration_s
        self._finals: dict[str, media_pb2.Transcript] = {}
        self._order: deque[str] = deque(maxlen=LINES)
        self._partial = ""
        self._screen = ""
        self._trouble = ""
        self._names: dict[str, str] = {}
        self._colours: dict[str, str] = {}
        self._received_s = 0.0
        self._sent_s = 0.0
        self._live = Live(console=console, transient=True, refresh_per_second=8, get_renderable=self._draw)

    def __enter__(self) -> "LiveView":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()

    def sent(self, sample: int) -> None:
        """Tell how much was sent."""
        self._sent_s = sample / SAMPLE_RATE

    def trouble(self, sentence: str) -> None:
        """Show what is wrong; "" when it is right again."""
        self._trouble = sentence

    def take(self, event: session_pb2.Event) -> None:
        """Show one event."""
        match event.WhichOneof("event"):
            case "partial":
                self._partial = plain(wire.transcript_from_proto(event.partial).text)
            case "utterance":
                name = event.utterance.utterance_id
                if name not in self._finals:
                    self._order.append(name)
                    self._partial = ""
                self._finals[name] = event.utterance
            case "screen":
                self._screen = plain(" | ".join(region.text for region in event.screen.regions if region.text))
            case "speaker_name":
                self._names[event.speaker_name.speaker] = event.speaker_name.name
            case "progress":
                self._received_s = event.progress.received_sample / SAMPLE_RATE
                self._trouble = ""
            case "expert_status":
                self._trouble = "" if event.expert_status.is_available else event.expert_status.message

    def _draw(self) -> Group:
        lines = [self._line(self._finals[name]) for name in self._order]
        if self._screen:
            lines.append(Text(f"screen: {self._screen}", style="dim", no_wrap=True, overflow="ellipsis"))
        lines.append(Text(self._partial or " ", style="bright_black"))
        if self._trouble:
            lines.append(Text(self._trouble, style="red"))
        return Group(*lines, self._bar())

    def _line(self, utterance: media_pb2.Transcript) -> Text:
        colour = self._colours.setdefault(utterance.speaker, COLOURS[len(self._colours) % len(COLOURS)])
        name = plain(self._names.get(utterance.speaker) or utterance.speaker)
        line = Text(f"{name}: " if name else "", style=f"bold {colour}")
        line.append(plain(wire.transcript_from_proto(utterance).text), style=colour)
        return line

    def _bar(self) -> Table:
        row = Table.grid(padding=(0, 1))
        lag_s = max(0.0, self._sent_s - self._received_s)
        cells = [f"{_clock(self._received_s)} / {_clock(self._duration_s) if self._duration_s else '?'}"]
        row.add_row(
            ProgressBar(total=self._duration_s, completed=self._received_s, width=40), *cells, f"lag {lag_s:.1f} s"
        )
        return row


def _clock(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    return f"{minutes}:{second:02}"
