import numpy as np
import pytest
import soundfile

from steps.base.errors import InputError
from steps.corpus.data_dir import DataDir, read_data_dir, read_utterance_audio
from steps.corpus.perturb import change_speed
from steps.perturb_speed import Speeds, perturb_speed

RATE = 8000


@pytest.fixture
def data(tmp_path):
    """A recording of 200 Hz and one of 400 Hz; the utterances are its halves."""
    t = np.arange(RATE) / RATE
    for name, pitch in (("low", 200), ("high", 400)):
        soundfile.write(tmp_path / f"{name}.wav", 0.9 * np.sin(2 * np.pi * pitch * t), RATE)
    whole = DataDir(
        tmp_path / "data",
        {name: str(tmp_path / f"{name}.wav") for name in ("low", "high")},
        {"ann-low": "a b", "bob-high": "c"},
        {"ann-low": "ann", "bob-high": "bob"},
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data/segments").write_text("ann-low low 0.0 0.5\nbob-high high 0.5 1.0\n")
    for name, table in (("wav.scp", whole.wav), ("text", whole.text), ("utt2spk", whole.utt2spk)):
        (tmp_path / "data" / name).write_text("".join(f"{k} {v}\n" for k, v in sorted(table.items())))
    return tmp_path / "data"


def pitch(samples, rate):
    return np.abs(np.fft.rfft(samples * np.hanning(len(samples)))).argmax() * rate / len(samples)


def test_ids_lengths_and_pitch(data, tmp_path):
    perturb_speed(data, tmp_path / "out")
    made = read_data_dir(tmp_path / "out")
    assert made.utterances == sorted(f"{p}{u}" for p in ("", "sp0.9-", "sp1.1-") for u in ("ann-low", "bob-high"))
    assert made.text["sp1.1-ann-low"] == "a b"
    assert made.utt2spk["sp0.9-bob-high"] == "sp0.9-bob"
    original = read_data_dir(data)
    for utterance in original.utterances:
        before, rate = read_utterance_audio(original, utterance)
        same, _ = read_utterance_audio(made, utterance)
        np.testing.assert_allclose(same, before, atol=2**-15)
        for factor in (0.9, 1.1):
            after, rate_after = read_utterance_audio(made, f"sp{factor:g}-{utterance}")
            assert rate_after == rate
            assert len(after) == pytest.approx(len(before) / factor, abs=1)
            assert pitch(after, rate) == pytest.approx(factor * pitch(before, rate), abs=3)


def test_ids_that_are_no_file_names(data, tmp_path):
    for name in ("segments", "text", "utt2spk"):
        table = (data / name).read_text().replace("ann-low", "../ann/low").splitlines(keepends=True)
        (data / name).write_text("".join(sorted(table)))
    perturb_speed(data, tmp_path / "out")
    made = read_data_dir(tmp_path / "out")
    assert "sp0.9-../ann/low" in made.utterances
    assert len(read_utterance_audio(made, "../ann/low")[0]) == RATE / 2
    assert {file.parent for file in tmp_path.rglob("*ann*.wav")} == {tmp_path / "out/audio"}


def test_does_not_depend_on_the_number_of_jobs(data, tmp_path):
    for nj in (1, 2):
        perturb_speed(data, tmp_path / f"out{nj}", nj=nj)
    for file in sorted((tmp_path / "out1/audio").iterdir()):
        assert file.read_bytes() == (tmp_path / "out2/audio" / file.name).read_bytes()


@pytest.mark.parametrize("factors", [[0.0], [-1.0, 1.0], [1.0, 1.0]])
def test_bad_speeds(data, tmp_path, factors):
    with pytest.raises(InputError, match=r"^factors holds .*; each has to be above 0$|^the speeds .* be given once$"):
        perturb_speed(data, tmp_path / "out", Speeds(factors))
    assert not (tmp_path / "out").exists()


def test_other_speed_is_another_length():
    assert len(change_speed(np.zeros(RATE, np.float32), RATE, 1.25)) == 6400
