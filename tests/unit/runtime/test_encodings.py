"""Sound of existing clients: every encoding gives the samples that went in, however the bytes were cut."""

from itertools import pairwise

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.runtime.encodings import AudioDecoder, Encoding
from services.runtime.stage import MediaError
from tests.conftest import DATA
from tests.media import encoded

RAW = [Encoding.PCM_S16LE, Encoding.MULAW, Encoding.ALAW]
FILES = [
    ("pcm_s16le", "wav", 16_000, "mono", 0.9999),
    ("pcm_s16le", "wav", 44_100, "stereo", 0.999),
    ("pcm_s16le", "wav", 48_000, "mono", 0.999),
    ("pcm_mulaw", "wav", 8_000, "mono", 0.97),
    ("pcm_alaw", "wav", 8_000, "stereo", 0.97),
    ("flac", "flac", 44_100, "stereo", 0.999),
    ("libopus", "ogg", 48_000, "mono", 0.99),
    ("libopus", "ogg", 24_000, "stereo", 0.99),
]


def decoded(decoder: AudioDecoder, data: bytes, cuts: list[int]) -> NDArray[np.float32]:
    edges = [0, *sorted(cuts), len(data)]
    return np.concatenate([*(decoder.push(data[a:b]) for a, b in pairwise(edges)), decoder.flush()])


@pytest.mark.parametrize(("codec", "container", "rate_hz", "layout", "alike"), FILES)
def test_a_file_gives_its_sound_at_16_khz_without_delay(
    speech_s16: NDArray[np.int16], codec: str, container: str, rate_hz: int, layout: str, alike: float
) -> None:
    data = encoded(speech_s16, codec, container, rate_hz, layout)
    heard = decoded(AudioDecoder(Encoding.DETECT), data, [])
    assert abs(len(heard) - len(speech_s16)) <= 16_000 * 0.02
    n = min(len(heard), len(speech_s16))
    assert np.corrcoef(heard[:n], speech_s16[:n])[0, 1] > alike


@pytest.mark.parametrize(("codec", "container", "rate_hz", "layout"), [file[:4] for file in FILES])
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_cuts_change_nothing(codec: str, container: str, rate_hz: int, layout: str, data: st.DataObject) -> None:
    file = _file(codec, container, rate_hz, layout)
    cuts = data.draw(st.lists(st.integers(0, len(file)) | st.integers(0, 200), max_size=30))
    whole = decoded(AudioDecoder(Encoding.DETECT), file, [])
    assert np.array_equal(decoded(AudioDecoder(Encoding.DETECT), file, cuts), whole)


_made: dict[tuple[object, ...], bytes] = {}


def _file(*kind: object) -> bytes:
    if kind not in _made:
        noise = np.random.default_rng(5).normal(0, 3000, 24_000).astype(np.int16)
        _made[kind] = encoded(noise, *kind)
    return _made[kind]


def test_flac_is_lossless() -> None:
    noise = np.random.default_rng(5).integers(-32768, 32767, 50_000).astype(np.int16)
    file = encoded(noise, "flac", "flac")
    assert np.array_equal(decoded(AudioDecoder(Encoding.FLAC), file, [1, 5, 99]), noise / np.float32(32768))


@pytest.mark.parametrize(("encoding", "codec"), [(Encoding.MULAW, "pcm_mulaw"), (Encoding.ALAW, "pcm_alaw")])
def test_every_code_of_g711_means_what_ffmpeg_says(encoding: Encoding, codec: str) -> None:
    every = bytes(range(256))
    decoder = av.CodecContext.create(codec, "r")
    decoder.sample_rate, decoder.layout = 8_000, "mono"
    (frame,) = decoder.decode(av.Packet(every))
    heard = decoded(AudioDecoder(encoding, 16_000), every, [])
    assert np.array_equal(heard, frame.to_ndarray().reshape(-1) / np.float32(32768))


@pytest.mark.parametrize("encoding", RAW)
def test_raw_sound_may_come_with_a_wav_header(speech_s16: NDArray[np.int16], encoding: Encoding) -> None:
    file = (DATA / "speech.wav").read_bytes()
    heard = decoded(AudioDecoder(encoding, 8_000), file, [3])
    assert np.array_equal(heard, speech_s16 / np.float32(32768))


def test_a_header_whose_length_is_not_known_yet_is_no_end() -> None:
    file = bytearray((DATA / "speech.wav").read_bytes())
    at = file.index(b"data") + 4
    file[at : at + 4] = b"\0\0\0\0"
    decoder = AudioDecoder(Encoding.DETECT)
    assert len(decoded(decoder, bytes(file), [])) > 60_000
    assert not decoder.is_cut


@pytest.mark.parametrize(("codec", "container"), [("pcm_s16le", "wav"), ("libopus", "ogg")])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.999])
def test_a_file_that_was_cut_off_while_it_came_is_told(codec: str, container: str, share: float) -> None:
    file = _file(codec, container, 48_000, "mono")
    for data, is_cut in ((file, False), (file[: int(share * len(file))], True)):
        decoder = AudioDecoder(Encoding.DETECT)
        decoded(decoder, data, [100, 5_000])
        assert decoder.is_cut is is_cut


def test_a_picture_in_a_flac_file_is_passed_over(speech_s16: NDArray[np.int16]) -> None:
    file = encoded(speech_s16, "flac", "flac")
    picture = bytes([6]) + (3_000_000).to_bytes(3, "big") + bytes(3_000_000)
    assert file[4] == 0
    with_picture = file[:42] + picture + file[42:]
    heard = decoded(AudioDecoder(Encoding.DETECT), with_picture, list(range(0, 3_000_000, 100_000)))
    assert np.array_equal(heard, decoded(AudioDecoder(Encoding.DETECT), file, []))


def test_damage_costs_only_what_is_damaged(speech_s16: NDArray[np.int16]) -> None:
    for codec, container in (("flac", "flac"), ("libopus", "ogg")):
        file = bytearray(encoded(speech_s16, codec, container, 48_000))
        middle = len(file) // 2
        file[middle : middle + 200] = b"\xff" * 200
        heard = decoded(AudioDecoder(Encoding.DETECT), bytes(file), [])
        assert len(heard) > 0.6 * len(speech_s16), codec


@pytest.mark.parametrize(
    ("encoding", "data", "sentence"),
    [
        (Encoding.DETECT, b"This is not sound at all.", "no WAV, FLAC or Ogg"),
        (Encoding.FLAC, b"OggS" + bytes(100), "fLaC"),
        (Encoding.FLAC, b"fLaC\x80\x00\x00\x01\x00", "34"),
        (Encoding.FLAC, b"fLaC\x84\x00\x00\x00", "stream information"),
        (Encoding.FLAC, b"fLaC", "ends before"),
        (Encoding.OGG_OPUS, b"fLaC" + bytes(100), "OggS"),
        (Encoding.OGG_OPUS, b"OggS", "ends before"),
        (Encoding.DETECT, b"RIFF\0\0\0\0WAVEdata\0\0\0\0", "says nothing of its format"),
        (Encoding.DETECT, b"RIFF\0\0\0\0WAVEfmt \x02\0\0\0\0\0", "must have 16"),
        (Encoding.DETECT, b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x03\0\x01\0\x80\x3e\0\0\0\xfa\0\0\x04\0\x20\0", "32 bits"),
        (Encoding.DETECT, b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x01\0\0\0\0\xfa\0\0\x02\0\x10\0", "1 Hz"),
        (Encoding.DETECT, b"RIFF\0\0\0\0WAVE", "ends before"),
    ],
)
def test_what_is_no_sound_gets_a_sentence(encoding: Encoding, data: bytes, sentence: str) -> None:
    with pytest.raises(MediaError, match=sentence):
        decoded(AudioDecoder(encoding), data, [])


@pytest.mark.parametrize("encoding", RAW)
@pytest.mark.parametrize(("rate_hz", "channels"), [(7_999, 1), (1_000_000, 1), (16_000, 9), (16_000, -1)])
def test_raw_sound_needs_a_rate_and_channels_that_can_be(encoding: Encoding, rate_hz: int, channels: int) -> None:
    with pytest.raises(MediaError, match="must"):
        AudioDecoder(encoding, rate_hz, channels)


@pytest.mark.parametrize("encoding", RAW)
def test_only_a_file_needs_no_rate(encoding: Encoding) -> None:
    assert len(decoded(AudioDecoder(encoding), (DATA / "speech.wav").read_bytes(), [])) > 60_000
    with pytest.raises(MediaError, match="0 Hz"):
        decoded(AudioDecoder(encoding), bytes(100), [])


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(list(Encoding)),
    st.sampled_from([b"", b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEfmt ", b"fLaC", b"OggS\0\x02", b"fLaC\0\0\0\x22"]),
    st.binary(max_size=2_000),
    st.lists(st.integers(0, 2_000), max_size=5),
)
def test_any_bytes_give_finite_sound_or_a_sentence(
    encoding: Encoding, head: bytes, tail: bytes, cuts: list[int]
) -> None:
    data = head + tail
    try:
        heard = decoded(AudioDecoder(encoding, 16_000), data, [min(cut, len(data)) for cut in cuts])
    except MediaError as error:
        assert " " in str(error)
    else:
        assert np.isfinite(heard).all()
