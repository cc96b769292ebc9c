"""How pictures of a shared screen are received: at once, and as sharp as the page can send them.

Two rules of aiortc are made for cameras. It gives a picture to its decoder when the next one begins: a screen sends
few, so that costs a tenth of a second and more. And it allows a sender little more than it sent of late: of a screen
that rests that is next to nothing, and after a change it stays illegible for seconds. aiortc has no setting for either.
"""

from typing import Any

import aiortc.rtcrtpreceiver
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rate import RemoteBitrateEstimator

# Senders see by themselves when packets are lost (RFC 3550, 6.4), and then send less than they are allowed.
LEAST_BITRATE = 2_500_000


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


class EnoughForScreens(RemoteBitrateEstimator):
    """Never allows less than a page of text needs."""

    def add(
        self, arrival_time_ms: int, abs_send_time: int, payload_size: int, ssrc: int
    ) -> tuple[int, list[int]] | None:
        """The bits a second that are allowed and to whom, when that is to be told."""
        told = super().add(arrival_time_ms, abs_send_time, payload_size, ssrc)
        return None if told is None else (max(told[0], LEAST_BITRATE), told[1])


def receive_screens() -> None:
    """Make all receivers of this process use both."""
    receiver: Any = aiortc.rtcrtpreceiver
    receiver.JitterBuffer = WholePictures
    receiver.RemoteBitrateEstimator = EnoughForScreens
