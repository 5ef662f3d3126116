"""Recordings whose headers cannot be believed, of all formats."""

import contextlib
import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.base.errors import InputError
from steps.corpus.audio import AudioSource, audio_info, check_audio, read_audio
from steps.corpus.mpeg import mpeg_parts
from steps.corpus.ogg import ogg_parts
from steps.corpus.sound import open_sound
from tests.steps.corpus.conftest import noise

RATE = 16000
SECONDS = 3
HEADERS = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "SVX", "NIST", "AVR", "MAT4", "MAT5", "MPC2K", "FLAC", "MP3")
OGG = [("OGG", "VORBIS"), ("OGG", "OPUS")]


def encoded(kind: str, subtype: str | None = None, seconds: float = SECONDS, rate: int = RATE, **options) -> bytes:
    file = io.BytesIO()
    samples = np.resize(0.5 * noise(SECONDS), round(seconds * rate))
    soundfile.write(file, samples, rate, format=kind, subtype=subtype, **options)
    return file.getvalue()


@pytest.fixture
def write(tmp_path):
    def run(content: bytes) -> AudioSource:
        (tmp_path / "a").write_bytes(content)
        return AudioSource(path=tmp_path / "a")

    return run


def decoded(content: bytes) -> np.ndarray:
    return soundfile.read(io.BytesIO(content), dtype="float32")[0]


def without_header_frame(content: bytes) -> bytes:
    return content[content.index(content[:2], 4) :]


@pytest.mark.parametrize("kind", HEADERS)
def test_two_thirds_of_a_file_are_refused_with_both_numbers(write, kind):
    content = encoded(kind)
    source = write(content[: len(content) * 2 // 3])
    for function in (check_audio, read_audio):
        with pytest.raises(InputError, match=r"trunc.*header announces 48000 samples \(3\.000 s\), but \d+ \([12]\.\d"):
            function(source)


@pytest.mark.parametrize("kind", HEADERS)
def test_less_than_half_a_second_missing_is_kept(write, kind):
    content = encoded(kind)
    source = write(content[: len(content) * 24 // 25])
    info, (samples, _) = check_audio(source), read_audio(source)
    assert info.announced == 48000
    assert 40000 < info.frames == len(samples) < 48000
    assert info.missing == (48000 - len(samples)) / RATE
    np.testing.assert_allclose(samples[:40000], decoded(content)[:40000], atol=1e-6)
    tail, _ = read_audio(source, start=2, end=3)
    np.testing.assert_allclose(tail, samples[32000:], atol=1e-6)


@pytest.mark.parametrize(("kind", "subtype"), OGG)
def test_ogg_that_is_cut_off(write, kind, subtype):
    content = encoded(kind, subtype)
    pages = [at for at in range(len(content)) if content.startswith(b"OggS", at)]
    whole = decoded(content)
    with pytest.raises(InputError, match=r"it ends within a page of Ogg that is not the last one, [012]\.\d+ s are"):
        check_audio(write(content[: pages[-1] - 10]))
    if subtype == "VORBIS":  # its last page is short, and its header tells where it ends
        source = write(content[:-10])
        info = check_audio(source)
        assert info.announced == 48000
        assert 0 < info.missing < 0.5
        np.testing.assert_allclose(read_audio(source)[0], whole[: info.frames], atol=1e-6)
    else:
        with pytest.raises(InputError, match=r"truncated: its header announces 48000 samples \(3\.000 s\), but \d+ \("):
            check_audio(write(content[:-10]))
    unmarked = write(content[: pages[-1]])  # between two pages: a writer that does not mark the end, for all one knows
    assert check_audio(unmarked).missing == 0


@pytest.mark.parametrize(("kind", "subtype"), [("MP3", None), ("FLAC", None), *OGG])
def test_files_joined_by_cat(write, kind, subtype):
    content = encoded(kind, subtype)
    one, source = decoded(content), write(3 * content)
    assert audio_info(source).seconds == check_audio(source).seconds == 3 * SECONDS
    samples, _ = read_audio(source)
    np.testing.assert_allclose(samples, np.tile(one, 3), atol=1e-6)
    part, _ = read_audio(source, start=2.5, end=6.5)
    np.testing.assert_allclose(part, samples[40000:104000], atol=1e-6)
    with pytest.raises(InputError, match=r"truncated"):
        check_audio(write(content[: len(content) // 2] + content))
    other = encoded(kind, subtype, rate=24000)
    with pytest.raises(InputError, match=r"its 2 streams differ \(16000 Hz in 1 channel\(s\), 24000 Hz in 1 channel"):
        check_audio(write(content + other))


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("rate", [8000, 11025, 24000, 32000, 44100])
def test_mp3_without_a_header_frame(write, mode, rate):
    content = encoded("MP3", rate=rate, bitrate_mode=mode, compression_level=0.4)
    whole, source = decoded(content), write(without_header_frame(content))
    info = check_audio(source)
    assert SECONDS <= info.seconds < SECONDS + 4 * 1152 / rate  # with what the encoder puts around the sound
    samples, _ = read_audio(source)
    at = int(np.argmax(np.correlate(samples, whole[:4000])))
    np.testing.assert_allclose(samples[at : at + len(whole)][4000:], whole[4000 : len(samples) - at], atol=0.01)


def test_parts_of_mp3_are_those_of_the_whole(write):
    source = write(10 * encoded("MP3"))
    whole, _ = read_audio(source)
    for start in np.arange(2, 20, 0.2013):  # at all places of a frame, which lasts 36 ms
        part, _ = read_audio(source, start=start, end=start + 0.25)
        at = int(start * RATE + 0.5)
        np.testing.assert_allclose(part, whole[at : at + 4000], atol=1e-5)


def test_tags_around_mp3(write):
    content = encoded("MP3")
    tag = b"ID3\x04\0\0\0\0\x02\0" + 64 * b"\xff\xf3\x88\xc4"  # 256 bytes that look like frames
    source = write(2 * (tag + content + b"TAG" + bytes(125)))
    np.testing.assert_allclose(read_audio(source)[0], np.tile(decoded(content), 2), atol=1e-6)


def piped_flac(**options) -> bytes:
    content = bytearray(encoded("FLAC", **options))
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    return bytes(content)


def test_flac_written_through_a_pipe(write):
    source = write(piped_flac())
    assert audio_info(source).seconds == check_audio(source).seconds == SECONDS
    np.testing.assert_array_equal(read_audio(source, start=1, end=2)[0], decoded(encoded("FLAC"))[16000:32000])


def test_flac_written_through_a_pipe_and_cut_off(write):
    content = piped_flac()
    for broken in (content[: len(content) // 2], content[:-3], content[: len(content) // 2] + content):
        source = write(broken)
        for function in (audio_info, check_audio, read_audio):
            with pytest.raises(InputError, match=r"a frame of FLAC without a length in its header, [1-4]\.\d+ s are"):
                function(source)


def test_joined_flac_written_through_a_pipe(write):
    whole = decoded(encoded("FLAC"))
    for content in (2 * piped_flac(), piped_flac() + encoded("FLAC"), encoded("FLAC") + piped_flac()):
        source = write(content)
        assert check_audio(source).seconds == 2 * SECONDS
        np.testing.assert_array_equal(read_audio(source)[0], np.tile(whole, 2))
    blocks = piped_flac(seconds=49152 / RATE)  # three blocks of those that are counted
    assert audio_info(write(2 * blocks)).frames == 2 * 49152


UNSEEKABLE = [("WAV", "GSM610"), ("AIFF", "GSM610"), ("WAV", "G721_32"), ("XI", None), ("AIFF", "DWVW_16")]


@pytest.mark.parametrize(("kind", "subtype"), UNSEEKABLE)
def test_formats_that_cannot_be_sought_in(write, kind, subtype):
    content = encoded(kind, subtype)
    with soundfile.SoundFile(io.BytesIO(content)) as sound:
        whole = np.zeros(sound.frames, np.float32)
        with contextlib.suppress(soundfile.LibsndfileError):  # DWVW: raised when all is read
            sound.read(out=whole)
    source = write(content)
    info = check_audio(source)
    assert (info.frames, info.missing, info.silent) == (len(whole), 0, False)
    np.testing.assert_array_equal(read_audio(source)[0], whole)
    np.testing.assert_array_equal(read_audio(source, start=0.5, end=1)[0], whole[info.rate // 2 : info.rate])


def test_parts_in_any_order(write):
    for kind, subtype in (("WAV", "GSM610"), ("WAV", "PCM_16"), ("FLAC", None)):
        content = encoded(kind, subtype)
        with open_sound(io.BytesIO(content), "a") as sound:
            parts = [sound.read(0, at, at + 1000) for at in (0, 20000, 1000, 0)]
        whole, _ = read_audio(write(content))
        for at, part in zip((0, 20000, 1000, 0), parts, strict=True):
            np.testing.assert_array_equal(part, whole[at : at + 1000])


def zero_sizes(kind: str) -> bytes:
    content = bytearray(encoded(kind))
    if kind == "AU":
        content[8:12] = bytes(4)
    elif kind == "RF64":
        at = content.index(b"ds64")
        content[at + 8 : at + 32] = bytes(24)
    else:
        at = content.index(b"data")
        content[at + 4 : at + 8] = bytes(4)
    return bytes(content)


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64", "AU"])
def test_sizes_of_zero_are_read_to_the_end(write, kind):
    source = write(zero_sizes(kind))
    np.testing.assert_array_equal(read_audio(source)[0], decoded(encoded(kind)))
    assert check_audio(source).seconds == SECONDS


def test_no_samples_and_another_chunk(write):
    header = encoded("WAV", seconds=0)
    content = header + b"LIST" + struct.pack("<I", 12) + bytes(12)
    with pytest.raises(InputError, match="the audio file holds no samples"):
        check_audio(write(content))


def test_a_large_wav_that_is_cut_off(write):
    content = bytearray(encoded("WAV"))
    content[40:44] = struct.pack("<I", 3_000_000_000)
    with pytest.raises(InputError, match=r"header announces 1500000000 samples \(93750\.000 s\), but 48000 \(3\."):
        check_audio(write(bytes(content)))


@pytest.mark.parametrize(
    ("kind", "subtype"), [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", None), ("MP3", None), *OGG]
)
def test_recordings_without_sound(write, kind, subtype):
    for sounding, expected in ((0, True), (2000, False)):
        samples = np.zeros(48000)
        samples[30000 : 30000 + sounding] = 0.5 * noise(3)[:sounding, 0]
        file = io.BytesIO()
        soundfile.write(file, samples, RATE, format=kind, subtype=subtype)
        assert check_audio(write(file.getvalue())).silent == expected


MP3_FILE, OGG_FILE = encoded("MP3", seconds=0.5), encoded("OGG", seconds=0.5)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_bytes_are_cut_into_parts_or_not(data):
    for content, parts in ((MP3_FILE, mpeg_parts), (OGG_FILE, ogg_parts)):
        begin, end = (data.draw(st.integers(0, len(content))) for _ in range(2))
        damaged = content[:begin] + data.draw(st.binary(max_size=300)) + content[end:]
        found = parts(damaged)
        assert found is None or all(part.content and part.missing >= 0 for part in found)
