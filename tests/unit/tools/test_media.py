import math
import struct
import wave
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tools.errors import MediaFileError
from tools.media import SAMPLE_RATE, Audio, Picture, probe, read

DATA = Path(__file__).resolve().parents[2] / "data"


def _tone(seconds, rate, hz=440.0, level=0.5):
    return (level * np.sin(2 * math.pi * hz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def _write_audio(path, samples, rate, codec, pts_s=None, sample_format="fltp", layout="mono"):
    """Encode (channels, n) float32; `pts_s` gives the start of each tenth of a second."""
    samples = np.atleast_2d(samples)
    step = rate // 10
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        resampler = av.AudioResampler(stream.codec_context.format or sample_format, layout, rate)
        for number, start in enumerate(range(0, samples.shape[1], step)):
            piece = np.ascontiguousarray(samples[:, start : start + step])
            frame = av.AudioFrame.from_ndarray(piece, "fltp", layout)
            frame.sample_rate = rate
            frame.time_base = Fraction(1, rate)
            frame.pts = start if pts_s is None else round(pts_s[number] * rate)
            for ready in resampler.resample(frame):
                container.mux(stream.encode(ready))
        container.mux(stream.encode(None))


def _write_wav_float(path, samples, rate):
    data = samples.astype("<f4").tobytes()
    header = b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt "
    header += struct.pack("<IHHIIHH", 16, 3, 1, rate, 4 * rate, 4, 32) + b"data" + struct.pack("<I", len(data))
    path.write_bytes(header + data)


def _write_video(path, pictures, fps=10, codec="libx264", sound=None, sound_rate=48_000):
    """Pictures are (height, width, 3) uint8 BGR, one a frame; `sound` is mono float32."""
    with av.open(str(path), "w") as container:
        film = container.add_stream(codec, rate=fps)
        film.height, film.width = pictures[0].shape[:2]
        film.pix_fmt = "yuv420p"
        audio = container.add_stream("libopus", rate=sound_rate, layout="mono") if sound is not None else None
        for picture in pictures:
            container.mux(film.encode(av.VideoFrame.from_ndarray(picture, "bgr24")))
        container.mux(film.encode(None))
        if audio is not None:
            for start in range(0, len(sound), 960):
                piece = np.pad(sound[start : start + 960], (0, max(0, start + 960 - len(sound))))
                frame = av.AudioFrame.from_ndarray((piece[None] * 32767).astype(np.int16), "s16", "mono")
                frame.sample_rate, frame.pts, frame.time_base = sound_rate, start, Fraction(1, sound_rate)
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))


def _flat(level, height=120, width=160):
    return np.full((height, width, 3), level, np.uint8)


def _sound(items):
    """All audio as float32; checks that it has no gap."""
    at = 0
    pieces = []
    for item in items:
        if isinstance(item, Audio):
            assert item.start_sample == at
            at = item.end_sample
            pieces.append(np.frombuffer(item.pcm, "<i2"))
    return np.concatenate(pieces).astype(np.float32) / 32768 if pieces else np.zeros(0, np.float32)


def _pictures(items):
    return [item for item in items if isinstance(item, Picture)]


def test_a_16_khz_wav_comes_out_bit_for_bit():
    with wave.open(str(DATA / "speech.wav")) as file:
        truth = file.readframes(file.getnframes())
    assert b"".join(item.pcm for item in read(DATA / "speech.wav")) == truth


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.mp3", "libmp3lame", 44_100),
        ("a.m4a", "aac", 48_000),
        ("a.flac", "flac", 22_050),
        ("a.ogg", "libopus", 48_000),
        ("a.webm", "libopus", 48_000),
        ("a.mka", "pcm_s16le", 8_000),
    ],
)
def test_every_container_gives_the_same_tone_at_its_length(tmp_path, name, codec, rate):
    _write_audio(tmp_path / name, _tone(2, rate), rate, codec)
    sound = _sound(read(tmp_path / name))
    assert abs(len(sound) / SAMPLE_RATE - 2) < 0.06
    middle = sound[SAMPLE_RATE // 2 : 3 * SAMPLE_RATE // 2]
    spectrum = np.abs(np.fft.rfft(middle))
    assert abs(int(spectrum.argmax()) - 440) <= 1
    assert abs(np.sqrt(2 * np.mean(middle**2)) - 0.5) < 0.03


def test_stereo_is_mixed_to_the_mean_of_its_channels(tmp_path):
    tone = _tone(1, 16_000)
    _write_audio(tmp_path / "s.flac", np.stack([tone, np.zeros_like(tone)]), 16_000, "flac", layout="stereo")
    sound = _sound(read(tmp_path / "s.flac"))
    np.testing.assert_allclose(sound, tone / 2, atol=1e-3)


def test_nan_becomes_silence_and_infinity_full_scale(tmp_path):
    samples = _tone(1, 16_000)
    samples[100:200] = np.nan
    samples[300], samples[301], samples[302] = np.inf, -np.inf, 7.0
    _write_wav_float(tmp_path / "nan.wav", samples, 16_000)
    sound = _sound(read(tmp_path / "nan.wav"))
    assert not sound[100:200].any()
    assert sound[300] > 0.999 and sound[301] == -1 and sound[302] > 0.999
    np.testing.assert_allclose(sound[400:], samples[400:], atol=1e-4)


def test_a_gap_in_the_clock_of_the_file_becomes_silence(tmp_path):
    starts = [i / 10 for i in range(10)] + [3 + i / 10 for i in range(10)]
    _write_audio(tmp_path / "gap.mka", _tone(2, 16_000), 16_000, "pcm_s16le", starts)
    sound = _sound(read(tmp_path / "gap.mka"))
    assert abs(len(sound) / SAMPLE_RATE - 4) < 0.01
    assert not sound[int(1.05 * SAMPLE_RATE) : int(2.95 * SAMPLE_RATE)].any()
    assert np.abs(sound[3 * SAMPLE_RATE :]).mean() > 0.2


def test_a_clock_that_jumps_by_hours_makes_no_hours_of_silence(tmp_path):
    starts = [i / 10 for i in range(10)] + [40_000 + i / 10 for i in range(10)]
    _write_audio(tmp_path / "jump.mka", _tone(2, 16_000), 16_000, "pcm_s16le", starts)
    assert abs(len(_sound(read(tmp_path / "jump.mka"))) / SAMPLE_RATE - 2) < 0.01


def test_many_gaps_make_no_hours_of_silence(tmp_path):
    starts = [3_000.0 * i for i in range(20)]
    _write_audio(tmp_path / "gaps.mka", _tone(2, 16_000), 16_000, "pcm_s16le", starts)
    said = []
    samples = sum(len(item.pcm) // 2 for item in read(tmp_path / "gaps.mka", on_damage=said.append))
    assert abs(samples / SAMPLE_RATE - 3_002) < 0.2  # one gap is silence, all of the sound is there
    (sentence,) = said
    assert "times jump" in sentence


def test_pauses_no_longer_than_what_is_said_are_kept_however_many(tmp_path, monkeypatch):
    monkeypatch.setattr("services.gateway.media.MAX_SILENCE_S", 1.0)
    starts = [0.4 * (i // 2) + 0.1 * (i % 2) for i in range(40)]  # .2 s of sound, .2 s of pause
    _write_audio(tmp_path / "pauses.mka", _tone(4, 16_000), 16_000, "pcm_s16le", starts)
    said = []
    assert abs(len(_sound(read(tmp_path / "pauses.mka", on_damage=said.append))) / SAMPLE_RATE - 7.8) < 0.05
    assert said == []


def test_sound_does_not_depend_on_chunk_size(tmp_path):
    _write_audio(tmp_path / "a.mp3", _tone(1.23, 44_100), 44_100, "libmp3lame")
    whole = _sound(read(tmp_path / "a.mp3", chunk_samples=1_600))
    np.testing.assert_array_equal(whole, _sound(read(tmp_path / "a.mp3", chunk_samples=777)))


def test_pictures_come_when_they_change_and_in_order_with_the_sound(tmp_path):
    pictures = [_flat(30)] * 20 + [_flat(200)] * 20
    _write_video(tmp_path / "v.mkv", pictures, sound=_tone(4, 48_000))
    items = list(read(tmp_path / "v.mkv"))
    ends = [item.end_sample for item in items]
    assert ends == sorted(ends)
    shown = _pictures(items)
    assert [round(picture.start_sample / SAMPLE_RATE, 1) for picture in shown] == [0, 2]
    levels = [cv2.imdecode(np.frombuffer(p.image, np.uint8), cv2.IMREAD_COLOR).mean() for p in shown]
    assert abs(levels[0] - 30) < 4 and abs(levels[1] - 200) < 4
    assert abs(len(_sound(items)) / SAMPLE_RATE - 4) < 0.05
    assert len({picture.frame_id for picture in shown}) == 2


def test_a_picture_comes_at_most_twice_a_second_and_the_last_one_is_not_missed(tmp_path):
    _write_video(tmp_path / "v.mp4", [_flat(10 * i) for i in range(24)], fps=10)
    shown = _pictures(read(tmp_path / "v.mp4"))
    starts = [picture.start_sample / SAMPLE_RATE for picture in shown]
    assert starts == pytest.approx([0, 0.5, 1.0, 1.5, 2.0, 2.3], abs=0.01)


def test_one_typed_letter_is_a_change(tmp_path):
    page = np.full((720, 1280, 3), 255, np.uint8)
    typed = page.copy()
    cv2.putText(typed, "i", (600, 300), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    _write_video(tmp_path / "v.mkv", [page] * 10 + [typed] * 10)
    assert len(_pictures(read(tmp_path / "v.mkv"))) == 2


def test_a_video_without_sound_gives_pictures_alone(tmp_path):
    _write_video(tmp_path / "v.webm", [_flat(99)] * 10, codec="libvpx")
    assert probe(tmp_path / "v.webm").has_audio is False
    assert [type(item) for item in read(tmp_path / "v.webm")] == [Picture]


def test_pictures_can_be_left_out(tmp_path):
    _write_video(tmp_path / "v.mkv", [_flat(99)] * 10, sound=_tone(1, 48_000))
    assert not _pictures(read(tmp_path / "v.mkv", video=False))
    _write_video(tmp_path / "mute.mkv", [_flat(99)] * 10)
    with pytest.raises(MediaFileError, match="no sound"):
        read(tmp_path / "mute.mkv", video=False)


def test_a_turned_phone_picture_stands_upright(tmp_path):
    picture = _flat(0, 120, 160)
    picture[:, :80] = 255  # white on the left
    _write_video(tmp_path / "v.mp4", [picture] * 5)
    data = bytearray((tmp_path / "v.mp4").read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40  # version 0: the matrix begins 40 bytes after the flags
    quarter_turn = (0, 0x10000, 0, -0x10000, 0, 0, 120 << 16, 0, 0x40000000)  # clockwise
    data[matrix : matrix + 36] = struct.pack(">9i", *quarter_turn)
    (tmp_path / "turned.mp4").write_bytes(data)
    image = cv2.imdecode(np.frombuffer(_pictures(read(tmp_path / "turned.mp4"))[0].image, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (160, 120, 3)
    assert image[:70].mean() > 240 and image[90:].mean() < 15  # what was left is now on top


def test_cover_art_is_no_video(tmp_path):
    _write_audio(tmp_path / "a.flac", _tone(1, 16_000), 16_000, "flac")
    done, jpeg = cv2.imencode(".jpg", _flat(128))
    assert done
    with av.open(str(tmp_path / "a.flac")) as source, av.open(str(tmp_path / "cover.mp3"), "w") as target:
        sound = target.add_stream("libmp3lame", rate=16_000, layout="mono")
        cover = target.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 160, 120, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        packet = av.Packet(jpeg.tobytes())
        packet.stream, packet.pts, packet.dts = cover, 0, 0
        target.start_encoding()
        target.mux(packet)
        for frame in source.decode(audio=0):
            target.mux(sound.encode(frame))
        target.mux(sound.encode(None))
    assert probe(tmp_path / "cover.mp3").has_video is False


def test_a_truncated_file_gives_what_is_there_and_says_so(tmp_path):
    _write_audio(tmp_path / "a.mka", _tone(4, 16_000), 16_000, "pcm_s16le")
    whole = (tmp_path / "a.mka").read_bytes()
    (tmp_path / "cut.mka").write_bytes(whole[: len(whole) // 2])
    told = []
    sound = _sound(read(tmp_path / "cut.mka", on_damage=told.append))
    assert 1.5 < len(sound) / SAMPLE_RATE < 2.5
    assert told == ["cut.mka: the file ends early, 2 s of the 4 s that it says it has"]


def test_a_truncated_film_is_told_once_and_a_film_shorter_than_its_sound_is_whole(tmp_path):
    pictures = [np.random.default_rng(i).integers(0, 256, (120, 160, 3), np.uint8) for i in range(30)]
    _write_video(tmp_path / "a.webm", pictures, codec="libvpx", sound=_tone(8, 48_000))
    told = []
    assert len(_sound(read(tmp_path / "a.webm", on_damage=told.append))) / SAMPLE_RATE == pytest.approx(8, abs=0.1)
    assert told == []
    whole = (tmp_path / "a.webm").read_bytes()
    (tmp_path / "cut.webm").write_bytes(whole[: len(whole) // 2])
    list(read(tmp_path / "cut.webm", on_damage=told.append))
    assert len(told) == 1 and "ends early" in told[0] and "of the 8 s" in told[0]


def _streamed(path, codec, rate_hz, options=None):
    """Four seconds written as to a pipe: nothing at the beginning is filled in at the end."""

    class Pipe:
        def __init__(self, file):
            self.write = file.write

    with path.open("wb") as file, av.open(Pipe(file), "w", format=path.suffix[1:], options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate_hz, layout="mono")
        frame = av.AudioFrame.from_ndarray((_tone(4, rate_hz)[None] * 9999).astype(np.int16), "s16", "mono")
        frame.rate = rate_hz
        resampler = av.AudioResampler(stream.format, "mono", rate_hz, frame_size=stream.frame_size or None)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("share", [0.4, 0.5, 0.61])
@pytest.mark.parametrize(
    ("name", "codec", "is_streamed", "sentence"),
    [
        ("a.wav", "pcm_s16le", False, "{} s of the 4 s that it says it has"),
        ("a.mp3", "libmp3lame", False, "{} s of the 4 s that it says it has"),
        ("a.ogg", "libopus", True, "after {} s"),
        ("a.webm", "libopus", True, "after {} s"),
    ],
)
def test_what_was_cut_off_while_it_came_says_so(tmp_path, name, codec, is_streamed, sentence, share):
    path = tmp_path / name
    if is_streamed:
        _streamed(path, codec, 48_000)
    else:
        _write_audio(path, _tone(4, 16_000), 16_000, codec)
    told = []
    list(read(path, on_damage=told.append))
    assert told == []
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    held_s = len(_sound(read(path, on_damage=told.append))) / SAMPLE_RATE
    assert 0.9 < held_s < 3
    # The container's times and the sound's differ by what a codec needs to begin.
    assert told[0] in [f"{name}: the file ends early, {sentence.format(round(held_s + e))}" for e in (-0.1, 0, 0.1)]
    assert len(told) == 1


@pytest.mark.parametrize(
    ("name", "codec", "options"), [("a.wav", "pcm_s16le", {}), ("a.mp3", "libmp3lame", {"write_xing": "0"})]
)
def test_what_was_written_before_its_length_was_known_is_whole(tmp_path, name, codec, options):
    _streamed(tmp_path / name, codec, 16_000, options)
    told = []
    sound = _sound(read(tmp_path / name, on_damage=told.append))
    assert len(sound) / SAMPLE_RATE == pytest.approx(4, abs=0.2) and told == []


def test_a_wav_file_of_which_only_the_header_came_says_so(tmp_path):
    _write_audio(tmp_path / "a.wav", _tone(4, 16_000), 16_000, "pcm_s16le")
    data = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(data[: data.index(b"data") + 8])
    told = []
    with pytest.raises(MediaFileError, match="nothing in .* could be decoded"):
        list(read(tmp_path / "a.wav", on_damage=told.append))
    assert told == ["a.wav: the file ends early, after 0 s"]


def test_damage_in_the_middle_is_left_out_and_told(tmp_path):
    _write_audio(tmp_path / "a.m4a", _tone(10, 48_000), 48_000, "aac")
    data = bytearray((tmp_path / "a.m4a").read_bytes())
    middle = data.index(b"mdat") + len(data) // 3
    data[middle : middle + 3000] = np.random.default_rng(1).integers(0, 256, 3000, np.uint8).tobytes()
    (tmp_path / "a.m4a").write_bytes(data)
    told = []
    sound = _sound(read(tmp_path / "a.m4a", on_damage=told.append))
    # The clock goes on over the hole.
    assert len(sound) / SAMPLE_RATE == pytest.approx(10, abs=0.1)
    assert len(told) == 1 and "damaged" in told[0]


def _text(path):
    path.write_text("This is no media file.\n" * 100)


def _empty(path):
    path.write_bytes(b"")


def _png(path):
    cv2.imwrite(str(path), _flat(128))


def _mp4_without_index(path):
    _write_video(path, [_flat(i) for i in range(0, 200, 10)])
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])


def _wav_without_samples(path):
    _write_wav_float(path, np.zeros(0, np.float32), 16_000)


def _subtitles(path):
    path.write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")


def _playlist(path):
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("a.txt", _text, "not sound or video"),
        ("a.mp4", _text, "not sound or video"),
        ("a.wav", _empty, "is empty"),
        ("a.png", _png, "use `sensorium see`"),
        ("a.mp4", _mp4_without_index, "not sound or video"),
        ("a.wav", _wav_without_samples, "could be decoded"),
        ("a.srt", _subtitles, "neither sound nor video"),
        ("a.m3u8", _playlist, "not sound or video"),
        ("a.wav", Path.mkdir, "is not a file"),
        ("a.wav", lambda path: None, "there is no file"),
    ],
)
def test_what_is_no_media_is_refused_with_a_sentence(tmp_path, name, make, reason):
    make(tmp_path / name)
    with pytest.raises(MediaFileError, match=reason):
        list(read(tmp_path / name))


def test_a_name_that_looks_like_a_protocol_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    odd = Path("concat:a|b.wav")
    odd.write_bytes((DATA / "speech.wav").read_bytes())
    assert _sound(read(odd)).any()
