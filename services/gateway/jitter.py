"""When a received picture is given to its decoder: with its own last packet, not with the next picture's first.

A screen sends few pictures: what aiortc does costs a fifth of a second and more, and the last picture before a screen
rests would wait until something moves.
"""

from typing import Any

import aiortc.rtcrtpreceiver
from aiortc.jitterbuffer import JitterBuffer, JitterFrame


class WholePictures(JitterBuffer):
    """The last packet of a picture is marked (RFC 3550, 5.1; RFC 7741 for VP8, RFC 6184 for H.264)."""

    def _remove_frame(self, sequence_number: int) -> JitterFrame | None:
        frame = super()._remove_frame(sequence_number)
        if frame is not None or not self._is_video or self._origin is None:
            return frame
        packets: list[Any] = []
        for count in range(self.capacity):
            packet: Any = self._packets[(self._origin + count) % self.capacity]
            if packet is None or (packets and packet.timestamp != packets[0].timestamp):
                return None
            packets.append(packet)
            if packet.marker:
                self.remove(len(packets))
                return JitterFrame(b"".join(part._data for part in packets), packet.timestamp)
        return None


def give_pictures_away_whole() -> None:
    """Make all receivers of this process use it: aiortc has no setting."""
    receiver: Any = aiortc.rtcrtpreceiver
    receiver.JitterBuffer = WholePictures
