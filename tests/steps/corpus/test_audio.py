import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from steps.base.errors import InputError
from steps.corpus.audio import AudioSource, audio_info, check_audio, parse_wav_entry, read_audio, resample
from tests.steps.corpus.conftest import RATE, noise


def source(path: Path) -> AudioSource:
    return AudioSource(path=path)


@pytest.fixture
def wav(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(), RATE)
    return path


@pytest.mark.parametrize("suffix", ["wav", "flac", "nist", "au"])
def test_reads_the_samples_that_were_written(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, noise(), RATE, format=suffix.upper())
    samples, rate = read_audio(source(path))
    assert rate == RATE
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples, noise()[:, 0])
    assert audio_info(source(path)).seconds == 0.5


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_sample_formats(tmp_path, subtype):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(), RATE, subtype=subtype)
    np.testing.assert_allclose(read_audio(source(path))[0], noise()[:, 0], atol=0.02)


def test_a_name_that_tells_of_another_format(tmp_path, wav):
    for name in ("a.raw", "a.mp3"):
        shutil.copy(wav, tmp_path / name)
        assert len(read_audio(source(tmp_path / name))[0]) == RATE // 2


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [(0.1, 0.2, 800, 1600), (0.1, -1, 800, 4000), (None, None, 0, 4000), (0.25, 0.9, 2000, 4000)],
)
def test_segments(wav, start, end, first, last):
    samples, _ = read_audio(source(wav), start=start, end=end)
    np.testing.assert_array_equal(samples, noise()[first:last, 0])


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (0.2, 0.2, r"a\.wav: the segment goes from 0\.2 s to 0\.2 s; it has to end after its start"),
        (-0.1, 0.2, r"a\.wav: the segment goes from -0\.1 s to 0\.2 s; .* start at 0 or later"),
        (0.6, -1, r"a\.wav: the segment from 0\.6 s to its end is not within its recording of 0\.500 s"),
        (0.1, 1.2, r"a\.wav: the segment from 0\.1 s to 1\.2 s is not within its recording of 0\.500 s"),
    ],
)
def test_segments_refused(wav, start, end, message):
    with pytest.raises(InputError, match=message):
        read_audio(source(wav), start=start, end=end)


def test_channels(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(channels=2), RATE)
    for channel in (0, 1):
        np.testing.assert_array_equal(read_audio(source(path), channel)[0], noise(channels=2)[:, channel])
    for function in (read_audio, check_audio):
        with pytest.raises(InputError, match=r"a\.wav: the audio has 2 channels; choose one in reco2file_and_channel"):
            function(source(path))
        with pytest.raises(InputError, match=r"a\.wav: channel 3 is asked for, but the audio has 2 channels"):
            function(source(path), 2)


def test_the_channel_of_audio_that_has_only_one_is_that_one(wav):
    np.testing.assert_array_equal(read_audio(source(wav), 1)[0], noise()[:, 0])


def write_missing(path: Path) -> None:
    assert not path.exists()


def write_empty(path: Path) -> None:
    path.touch()


def write_no_samples(path: Path) -> None:
    soundfile.write(path, noise(0), RATE, format="WAV")


def write_text(path: Path) -> None:
    path.write_text("these are words\n" * 100)


def write_folder(path: Path) -> None:
    path.mkdir()


def write_nan(path: Path) -> None:
    samples = noise()
    samples[[1000, 2000]] = np.nan
    soundfile.write(path, samples, RATE, subtype="FLOAT", format="WAV")


def write_infinite(path: Path) -> None:
    samples = noise()
    samples[3000] = -np.inf
    soundfile.write(path, samples, RATE, subtype="DOUBLE", format="WAV")


def cut(path: Path, **options: str) -> None:
    """Two of three seconds, in a file whose header announces three."""
    soundfile.write(path, noise(3), RATE, **options)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])


def write_truncated_wav(path: Path) -> None:
    cut(path, format="WAV")


def write_truncated_flac(path: Path) -> None:
    cut(path, format="FLAC")


def write_damaged_flac(path: Path) -> None:
    soundfile.write(path, noise(3), RATE, format="FLAC")
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes(content[:half] + bytes(200) + content[half + 200 :])


@pytest.mark.parametrize("function", [read_audio, check_audio])
@pytest.mark.parametrize(
    ("write", "message"),
    [
        (write_missing, "there is no such audio file"),
        (write_folder, "there is no such audio file"),
        (write_empty, "the audio file is empty"),
        (write_no_samples, "the audio file holds no samples"),
        (write_text, "not an audio file that libsndfile can read (Format not recognised.)"),
        (
            write_truncated_wav,
            "the audio file is truncated: its header announces 24000 samples (3.000 s), but 15992 (",
        ),
        (write_truncated_flac, "the audio file is truncated or damaged (Error : flac decoder lost sync.): its header"),
        (write_damaged_flac, "the audio file is truncated or damaged (Error : unknown error in flac decoder.): its"),
        (write_nan, "2 samples are NaN or infinite, the first at 0.125 s"),
        (write_infinite, "1 samples are NaN or infinite, the first at 0.375 s"),
    ],
)
def test_bad_audio(tmp_path, function, write, message):
    path = tmp_path / "bad"
    write(path)
    with pytest.raises(InputError) as error:
        function(source(path))
    assert str(error.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    ("start", "end", "first", "last"), [(2.79, 4.015, 22320, 32120), (0, 2.03, 0, 16240), (3.03, 4.055, 24240, 32440)]
)
def test_times_become_samples_by_rounding(tmp_path, start, end, first, last):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(5), RATE)
    samples, _ = read_audio(source(path), start=start, end=end)
    np.testing.assert_array_equal(samples, noise(5)[first:last, 0])


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFF000])
def test_a_wav_whose_writer_did_not_know_its_length_is_whole(wav, size):
    content = bytearray(wav.read_bytes())
    assert content[36:40] == b"data"
    content[40:44] = struct.pack("<I", size)
    wav.write_bytes(content)
    np.testing.assert_array_equal(read_audio(source(wav))[0], noise()[:, 0])


@pytest.mark.parametrize(
    "entry",
    [
        "{}",
        "flac -c -d -s {} |",
        "flac -d -c {}|",
        "flac -cds {} |",
        "/usr/bin/flac {} --silent --decode --stdout |",
        "cat {} |",
        "cat '{}' |",
    ],
)
def test_entries_that_are_files(tmp_path, entry):
    assert parse_wav_entry(entry.format("/corpus/a.flac"), tmp_path) == source(Path("/corpus/a.flac"))


@pytest.mark.parametrize(
    "entry",
    [
        "flac -d {} |",  # writes a file
        "flac -c -d --skip=100 {} |",
        "flac -c -d -F {} |",
        "flac -c -d {} {} |",
        "cat -n {} |",
        "cat {} | cat |",
        "cat < {} |",
        "sph2pipe -f wav {} |",
        "cat '{} |",
        "|",
    ],
)
def test_entries_that_are_commands(tmp_path, entry):
    entry = entry.replace("{}", "a.wav")
    command = parse_wav_entry(entry, tmp_path)
    assert command == AudioSource(command=entry.removesuffix("|").strip())
    with pytest.raises(InputError, match=r"\|' is a command, which is run only with --allow-commands"):
        read_audio(command)


def test_relative_paths_are_from_here_and_then_from_the_data_dir(tmp_path, monkeypatch):
    here, data = tmp_path / "here", tmp_path / "data"
    here.mkdir()
    data.mkdir()
    monkeypatch.chdir(here)
    assert parse_wav_entry("a b.wav", data).path == Path("a b.wav")
    (data / "a b.wav").touch()
    assert parse_wav_entry("a b.wav", data).path == data / "a b.wav"
    assert parse_wav_entry("cat 'a b.wav' |", data).path == data / "a b.wav"
    (here / "a b.wav").touch()
    assert parse_wav_entry("a b.wav", data).path == Path("a b.wav")


def test_commands_are_run_when_allowed(tmp_path):
    path = tmp_path / "it's a.wav"
    soundfile.write(path, noise(), RATE)
    for entry in (f'cat "{path}" | cat |', f'head -c 1000000 "{path}" |', f'cat "{path}"|cat|cat|'):
        samples, rate = read_audio(parse_wav_entry(entry, tmp_path), start=0.1, end=0.2, allow_commands=True)
        np.testing.assert_array_equal(samples, noise()[800:1600, 0])
        assert rate == RATE


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("no-such-program x |", "'no-such-program x |': no-such-program cannot be run (No such file or directory)"),
        ("cat /no/such/file | cat |", "'cat /no/such/file | cat |': cat ended with status 1: cat: /no/such/file: "),
        ("true |", "'true |': the command wrote nothing"),
        ("echo words |", "'echo words |': not an audio file that libsndfile can read (Format not recognised.)"),
        ("cat < a.wav |", "'cat < a.wav |' needs a shell, which is not used: only programs, arguments and pipes are"),
        ("cat a.wav; rm a.wav |", "'cat a.wav; rm a.wav |' needs a shell"),
        ("cat a.wav && rm a.wav |", "'cat a.wav && rm a.wav |' needs a shell"),
        ("cat 'a.wav |", "'cat 'a.wav |' needs a shell"),
        ("|", "' |' needs a shell"),
    ],
)
def test_commands_that_fail(tmp_path, entry, message):
    with pytest.raises(InputError) as error:
        read_audio(parse_wav_entry(entry, tmp_path), allow_commands=True)
    assert str(error.value).startswith(message)


def test_no_shell_sees_a_command(tmp_path):
    source = parse_wav_entry(f"echo $(touch {tmp_path}/made) |", tmp_path)
    with pytest.raises(InputError, match="needs a shell"):
        read_audio(source, allow_commands=True)
    with pytest.raises(InputError, match="not an audio file"):
        read_audio(parse_wav_entry(f"echo `touch {tmp_path}/made` |", tmp_path), allow_commands=True)
    assert not (tmp_path / "made").exists()


def test_resampling_keeps_a_tone():
    tone = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000).astype(np.float32)
    there = resample(tone, 16000, 8000)
    assert there.dtype == np.float32
    np.testing.assert_allclose(there[500:-500], tone[::2][500:-500], atol=1e-3)
    assert resample(tone, 8000, 8000) is tone
