import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import kaldifst
import librosa
import numpy as np
import pytest
import soundfile
from praatio import textgrid

from steps.align import align_data
from steps.align_files import WIDE, align_files, read_words
from steps.base.cli import command
from steps.base.errors import InputError
from steps.base.output import only_writer
from steps.corpus.ctm import read_ctm
from steps.corpus.spelling import WordTable
from steps.corpus.tables import read_table, write_table
from steps.export_ctm import export_ctm
from steps.hmm.training_graph import TrainingLexicon
from tests.steps import synthetic


@pytest.fixture
def write(work, tmp_path):
    """Write an utterance of dev as audio and transcript and give the two paths."""
    texts = read_table(work / "data/dev/text")

    def run(utterance, name, change=lambda samples: samples, rate=synthetic.RATE, text=None):
        audio, transcript = tmp_path / name, (tmp_path / name).with_suffix(".txt")
        samples, _ = soundfile.read(work / f"data/dev/{utterance}.wav")
        soundfile.write(audio, change(samples), rate)
        transcript.write_text(texts[utterance] if text is None else text, encoding="utf-8")
        return str(audio), str(transcript)

    return run


def at_44100(samples):
    faster = librosa.resample(samples, orig_sr=synthetic.RATE, target_sr=44100)
    return np.stack([0.5 * faster, 0.9 * faster], axis=1)


def test_recordings_of_all_kinds(work, tmp_path, write, capsys, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    files = [*write("dev-00", "plain.wav"), *write("dev-00", "two channels.flac", at_44100, 44100)]
    out = tmp_path / "out"
    command(align_files, ["--model", str(work / "mono"), *files, "--out", str(out)])
    said = capsys.readouterr().out
    seconds = soundfile.info(files[0]).duration
    assert f"{files[0]}: {seconds:.2f} s\n" in said
    assert f"{files[2]}: {seconds:.2f} s, 2 channels averaged, resampled from 44100 Hz to 8000 Hz\n" in said
    words = read_ctm(out / "words.ctm")
    plain, other = words["plain", "1"], words["two_channels", "1"]
    assert [word.text for word in plain] == (tmp_path / "plain.txt").read_text().split()
    for one, again in zip(plain, other, strict=True):
        assert one.text == again.text
        assert (one.start, one.end) == pytest.approx((again.start, again.end), abs=0.021)
    rows = [line.split() for line in said.splitlines()]
    for word in plain:
        assert [word.text, f"{word.start:.2f}", f"{word.end:.2f}", f"{word.confidence:.2f}"] in rows
    grids = {path.name for path in (out / "textgrid").iterdir()}
    assert grids == {"plain.TextGrid", "two_channels.TextGrid"}
    grid = textgrid.openTextgrid(str(out / "textgrid/plain.TextGrid"), includeEmptyIntervals=False)
    assert [entry.label for entry in grid.getTier("words").entries] == [word.text for word in plain]
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("pause", ["zeros", "quiet"])
def test_pauses_of_any_length(work, tmp_path, pause):
    texts, ids = read_table(work / "data/dev/text"), ["dev-00", "dev-01", "dev-02", "dev-03"]
    random, samples, spans, words = np.random.default_rng(0), [], [], []
    for utterance, seconds in zip(ids, (30, 0.5, 10, 3), strict=True):
        rest = random.integers(-1, 2, int(seconds * synthetic.RATE)) / 32768
        speech, _ = soundfile.read(work / f"data/dev/{utterance}.wav")
        begin = (sum(map(len, samples)) + len(rest)) / synthetic.RATE
        spans += [(begin, begin + len(speech) / synthetic.RATE)] * len(texts[utterance].split())
        samples += [rest if pause == "quiet" else 0 * rest, speech]
        words += texts[utterance].split()
    soundfile.write(tmp_path / "long.wav", np.concatenate(samples), synthetic.RATE)
    (tmp_path / "long.txt").write_text(" ".join(words))
    align_files([tmp_path / "long.wav", tmp_path / "long.txt"], model=work / "mono", out=tmp_path / "out")
    [found] = read_ctm(tmp_path / "out/words.ctm").values()
    assert [word.text for word in found] == words
    for word, (start, end) in zip(found, spans, strict=True):
        assert start - 0.05 < word.start < word.end < end + 0.05, word


def test_another_transcript_is_doubtful(work, tmp_path, write, capsys):
    texts = read_table(work / "data/dev/text")
    right_text = texts["dev-00"]
    other = next(t for t in texts.values() if len(t.split()) == len(right_text.split()) and t != right_text)
    right, wrong = write("dev-00", "right.wav"), write("dev-00", "wrong.wav", text=other)
    align_files([*map(Path, right), *map(Path, wrong)], model=work / "mono", out=tmp_path / "out")
    warnings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert warnings[0].startswith(f"warning: {wrong[0]} is doubtful: from ")


def test_what_else_is_in_the_directory_stays(work, tmp_path, write):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    for utterance in ("dev-01", "dev-02"):
        files = write(utterance, f"{utterance}.wav")
        align_files([tmp_path / name for name in files], model=work / "mono", out=tmp_path / "out")
    assert (tmp_path / "out/mine.txt").read_text() == "mine"
    assert len(list((tmp_path / "out/textgrid").iterdir())) == 2


def test_same_as_the_alignment_of_a_data_directory(work, tmp_path, write):
    files = write("dev-04", "dev-04.wav", text="deaf")
    (tmp_path / "data").mkdir()
    tables = {"wav.scp": files[0], "text": "deaf", "utt2spk": "dev-04"}
    for name, value in tables.items():
        write_table(tmp_path / "data" / name, {"dev-04": value})
    align_data(tmp_path / "data", work / "lang", work / "mono", tmp_path / "ali", WIDE)
    export_ctm(tmp_path / "ali", work / "lang", tmp_path / "expected")
    command(align_files, [*files, "--model", str(work / "mono"), "--out", str(tmp_path / "out")])
    for name in ("words.ctm", "phones.ctm", "textgrid/dev-04.TextGrid"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "expected" / name).read_bytes()


def test_a_recording_that_does_not_fit_is_named(work, tmp_path, write, capsys):
    long = write("dev-03", "long.wav", text="fa " * 500)
    good = write("dev-01", "good.wav")
    arguments = ["--model", str(work / "mono"), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as stop:
        command(align_files, [*long, *good, *arguments])
    assert stop.value.code.startswith(f"error: 1 of 2 recordings could not be aligned:\n{long[0]}: ")
    assert stop.value.code.endswith(" frames, but its shortest state path takes 3000")
    assert f"\n{good[0]}\nword " in capsys.readouterr().out
    assert set(read_ctm(tmp_path / "out/words.ctm")) == {("good", "1")}
    with pytest.raises(InputError, match="1 of 1 recordings could not be aligned"):
        align_files([tmp_path / "long.wav", tmp_path / "long.txt"], model=work / "mono", out=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_textgrid_that_cannot_be_written_is_listed_and_the_others_are_written(work, tmp_path, write, capsys):
    files = [*write("dev-00", "a.wav"), *write("dev-01", "b.wav")]
    taken = tmp_path / "out/textgrid/a.TextGrid"
    taken.mkdir(parents=True)
    with pytest.raises(SystemExit) as stop:
        command(align_files, [*files, "--model", str(work / "mono"), "--out", str(tmp_path / "out")])
    message = f"error: 1 of 2 recordings have no TextGrid: it could not be written:\n{files[0]}: "
    assert stop.value.code.startswith(message)
    assert stop.value.code.endswith(f"{taken}: Is a directory")
    assert sorted(path.name for path in (tmp_path / "out/textgrid").iterdir()) == ["a.TextGrid", "b.TextGrid"]
    assert set(read_ctm(tmp_path / "out/words.ctm")) == {("a", "1"), ("b", "1")}
    assert f"\n{files[2]}\nword " in capsys.readouterr().out


def test_names_that_no_table_or_file_can_hold(work, tmp_path, write):
    long = "я" * 124  # the file system takes the audio's name, and not that of the TextGrid
    files = [*write("dev-00", f"{long}.wav"), *write("dev-01", "b.wav"), *write("dev-02", "c.wav")]
    files[2] = (tmp_path / "b.wav").rename(tmp_path / os.fsdecode(b"caf\xe9.wav"))
    arguments = [*files, "--model", work / "mono", "--out", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-m", "steps.align_files", *arguments],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONUTF8": "1"},  # as path.sh has it
        capture_output=True,
        check=True,
    )
    names = sorted(path.name for path in (tmp_path / "out/textgrid").iterdir())
    assert names[:2] == ["c.TextGrid", r"caf\xe9.TextGrid"]
    assert re.fullmatch("я{114}~[0-9a-f]{16}.TextGrid", names[2])
    assert r"named caf\xe9 in the CTM files; its TextGrid is caf\xe9.TextGrid" in done.stdout.decode("utf-8", "replace")
    assert set(read_ctm(tmp_path / "out/words.ctm")) == {(long, "1"), (r"caf\xe9", "1"), ("c", "1")}


def test_a_second_command_into_the_same_directory_is_refused(work, tmp_path, write):
    files = write("dev-00", "a.wav")
    message = rf"out: another command is writing it \(process {os.getpid()}\); wait for it, or give another place"
    with only_writer(tmp_path / "out"), pytest.raises(InputError, match=message):
        align_files([Path(file) for file in files], model=work / "mono", out=tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "Bad, dab cab",
            r"^/.*a\.txt: no pronunciation for Bad,, dab; add them to the lexicon, or take them as <UNK> with --oov-to-"
            r"unk\. The lexicon has bad for Bad,$",
        ),
        ("dab", r"^/.*a\.txt: no pronunciation for dab; add them .* with --oov-to-unk$"),
        (" \n", r"a\.txt: there is no word in it$"),
    ],
)
def test_transcripts_that_cannot_be(work, tmp_path, write, text, message):
    write("dev-00", "a.wav", text=text)
    with pytest.raises(InputError, match=message):
        align_files([tmp_path / "a.wav", tmp_path / "a.txt"], model=work / "mono", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_words_taken_as_the_unknown_word(work, tmp_path, write, capsys):
    files = write("dev-00", "a.wav", text="bad dab")
    arguments = [*files, "--model", str(work / "mono"), "--out", str(tmp_path / "out"), "--oov-to-unk"]
    command(align_files, [*arguments, "--align.retry-beam", "1e4"])  # nothing was trained for the unknown word's phone
    assert f"{files[1]}: taken as the unknown word: dab\n" in capsys.readouterr().out
    assert [word.text for word in read_ctm(tmp_path / "out/words.ctm")["a", "1"]] == ["bad", "dab"]


def test_files_that_cannot_be(work, tmp_path, write):
    def fails(names, message):
        with pytest.raises(InputError, match=message):
            align_files([tmp_path / name for name in names], model=work / "mono", out=tmp_path / "out")

    write("dev-00", "a.wav")
    fails(["a.wav"], r"^1 files are given, .*AUDIO TEXT AUDIO TEXT \.\.\.; the last one is .*a\.wav$")
    fails(
        ["a.txt", "a.wav"], r"a\.wav: not text in UTF-8 \(byte \d+\); the recording comes first, then its transcript$"
    )
    fails(["a.wav", "none.txt"], r"none\.txt: cannot be read \(No such file or directory\)")
    fails(["none.wav", "a.txt"], r"none\.wav: there is no such audio file")
    fails(["a.txt", "a.txt"], r"a\.txt: not an audio file that libsndfile can read")
    (tmp_path / "b").mkdir()
    fails(["a.wav", "a.txt", "b/a.flac", "a.txt"], r"a\.wav and .*b/a\.flac would both be called a; rename one of them")
    write("dev-00", "short.wav", lambda samples: samples[:150])
    fails(["short.wav", "a.txt"], r"short\.wav: it lasts 0\.019 s, which is less than a frame's 0\.025 s$")
    write("dev-00", "zeros.wav", lambda samples: 0 * samples)
    fails(["zeros.wav", "a.txt"], r"zeros\.wav: there is no sound in it: \(almost\) all its samples are zeros$")
    write("dev-00", "phases.wav", lambda samples: np.stack([samples, -samples], axis=1))
    fails(["phases.wav", "a.txt"], r"phases\.wav: its 2 channels hold sound, but cancel each other when .* averaged")
    assert not (tmp_path / "out").exists()


def test_lang_directory(work, tmp_path, write, copy):
    model = copy("mono")  # whose lang directory is not beside it
    files = write("dev-00", "a.wav")
    arguments = [*files, "--out", str(tmp_path / "out"), "--model"]
    with pytest.raises(
        SystemExit, match=r"error: .*mono: the lang directory that it was trained with is not at .*lang any"
    ):
        command(align_files, [*arguments, str(model)])
    about = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps({key: value for key, value in about.items() if key != "lang"}))
    with pytest.raises(SystemExit, match=r"does not say which lang directory it was trained with; give it with --lang"):
        command(align_files, [*arguments, str(model)])
    command(align_files, [*arguments, str(model), "--lang", str(work / "lang")])
    assert (tmp_path / "out/words.ctm").exists()
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(
        SystemExit, match=r"error: .*lang: not a model directory, it has no model\.json; train one first"
    ):
        command(align_files, [*arguments, str(work / "lang")])
    with pytest.raises(SystemExit, match="the following arguments are required: model"):
        command(align_files, [*files, "--out", str(tmp_path / "out")])


def test_words_of_a_transcript_in_another_unicode_form(tmp_path, capsys):
    lexicon = TrainingLexicon(kaldifst.StdVectorFst(), WordTable({"\u00e9t\u00e9": 1, "5\u00a0000": 2}))
    transcript = tmp_path / "one.txt"
    transcript.write_text("e\u0301te\u0301\n 5\u00a0000 e\u0301te\u0301")
    assert read_words(transcript, lexicon) == "e\u0301te\u0301 5\u00a0000 e\u0301te\u0301"
    assert f"{transcript}: 1 words are in another Unicode form" in capsys.readouterr().out
    transcript.write_text("5 000")
    with pytest.raises(InputError, match="no pronunciation for 000, 5"):
        read_words(transcript, lexicon)
