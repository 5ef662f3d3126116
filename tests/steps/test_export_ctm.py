import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from praatio import textgrid

from steps.align import align_data
from steps.base.cli import command
from steps.base.errors import InputError
from steps.corpus.ctm import read_ctm
from steps.corpus.tables import read_table, write_table
from steps.export_ctm import export_ctm
from tests.steps import synthetic


@pytest.fixture(scope="module")
def out(work, ali, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "ctm"
    command(export_ctm, [str(ali), str(work / "lang"), str(path)])
    return path


@pytest.fixture(scope="module")
def segmented(work, tmp_path_factory):
    """Three utterances of dev in two recordings, with pauses before and between, and one id with a slash."""
    path = tmp_path_factory.mktemp("segmented") / "data"
    path.mkdir()
    places = {"call/1": ("call", "dev-00", 0.5), "call/2": ("call", "dev-01", 3.0), "talk": ("talk", "dev-02", 1.25)}
    samples = {"call": np.zeros(6 * synthetic.RATE), "talk": np.zeros(4 * synthetic.RATE)}
    tables = {name: {} for name in ("segments", "text", "utt2spk")}
    texts = read_table(work / "data/dev/text")
    for utterance, (recording, source, start) in places.items():
        audio, _ = soundfile.read(work / f"data/dev/{source}.wav")
        begin = round(start * synthetic.RATE)
        samples[recording][begin : begin + len(audio)] = audio
        tables["segments"][utterance] = f"{recording} {start} {start + len(audio) / synthetic.RATE}"
        tables["text"][utterance], tables["utt2spk"][utterance] = texts[source], "synth"
    for recording, audio in samples.items():
        soundfile.write(path / f"{recording}.wav", audio, synthetic.RATE, subtype="FLOAT")
    tables["wav.scp"] = {recording: str(path / f"{recording}.wav") for recording in samples}
    tables["reco2file_and_channel"] = {"call": "call B"}
    for name, table in tables.items():
        write_table(path / name, table)
    align_data(path, work / "lang", work / "mono", path.parent / "ali")
    return path


def fields(path):
    return [line.split() for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_word_and_phone_is_there(work, out):
    texts = read_table(work / "data/dev/text")
    found = {
        recording: [token.text for token in tokens] for (recording, _), tokens in read_ctm(out / "words.ctm").items()
    }
    assert found == {utterance: text.split() for utterance, text in texts.items()}
    for (utterance, channel), phones in read_ctm(out / "phones.ctm").items():
        assert channel == "1"
        assert phones[0].start == 0
        for one, other in itertools.pairwise(phones):
            assert one.end == pytest.approx(other.start)
        samples = soundfile.info(work / f"data/dev/{utterance}.wav").frames
        assert 0 <= samples / synthetic.RATE - phones[-1].end < 0.01 + 1e-9  # up to a shift is in no frame
        assert all(0 < phone.confidence <= 1 for phone in phones)


def test_textgrids_say_the_same(out):
    words, phones = read_ctm(out / "words.ctm"), read_ctm(out / "phones.ctm")
    files = sorted((out / "textgrid").iterdir())
    assert [path.name for path in files] == [f"{recording}.TextGrid" for recording, _ in sorted(words)]
    for path in files[:8]:
        grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True)
        assert grid.tierNames == ("words", "phones")
        for name, tokens in (("words", words), ("phones", phones)):
            entries = grid.getTier(name).entries
            assert [entries[0].start, entries[-1].end] == [0, grid.maxTimestamp]
            assert all(one.end == other.start for one, other in itertools.pairwise(entries))
            spoken = [token for token in tokens[path.stem, "1"] if token.text != "SIL"]
            labelled = [entry for entry in entries if entry.label]
            assert [entry.label for entry in labelled] == [token.text for token in spoken]
            for entry, token in zip(labelled, spoken, strict=True):
                assert (entry.start, entry.end) == pytest.approx((token.start, token.end), abs=2e-4)


def test_times_in_recordings(work, segmented, tmp_path, capsys):
    ali, lang = segmented.parent / "ali", work / "lang"
    command(export_ctm, [str(ali), str(lang), str(tmp_path / "own")])
    command(export_ctm, [str(ali), str(lang), str(tmp_path / "placed"), "--data", str(segmented)])
    assert f"{tmp_path / 'placed'}: " in capsys.readouterr().out
    starts = {"call/1": ("call", "B", 0.5), "call/2": ("call", "B", 3.0), "talk": ("talk", "1", 1.25)}
    for kind in ("words", "phones"):
        expected = []
        for utterance, channel, start, *rest in fields(tmp_path / f"own/{kind}.ctm"):
            recording, place, shift = starts[utterance]
            assert channel == "1"
            expected.append([recording, place, f"{float(start) + shift:.4f}", *rest])
        placed = fields(tmp_path / f"placed/{kind}.ctm")
        assert placed == sorted(expected, key=lambda line: (line[0], line[1], float(line[2])))
    names = {"call%2F1.TextGrid", "call%2F2.TextGrid", "talk.TextGrid"}
    for name in ("own", "placed"):
        assert {path.name for path in (tmp_path / name / "textgrid").iterdir()} == names
        for file in names:  # from the utterance's start on
            assert (tmp_path / "own/textgrid" / file).read_text() == (tmp_path / name / "textgrid" / file).read_text()


def test_some_utterances(work, ali, tmp_path):
    out = tmp_path / "ctm"
    for names in (["dev-03"], ["dev-05", "dev-04"]):  # a second run replaces the first
        command(export_ctm, [str(ali), str(work / "lang"), str(out), *(f"--utterances={name}" for name in names)])
        assert {line[0] for line in fields(out / "words.ctm")} == set(names)
        assert {path.stem for path in (out / "textgrid").iterdir()} == set(names)


def test_bad_inputs(work, ali, segmented, tmp_path):
    lang, out = work / "lang", tmp_path / "ctm"
    with pytest.raises(
        InputError, match=r"mono_ali: there is no utterance 'dev-99' in it, or it could not be aligned$"
    ):
        export_ctm(ali, lang, out, utterances=["dev-01", "dev-99"])
    with pytest.raises(
        InputError, match=r"data: there is no utterance 'dev-00', which is aligned; is it another set's"
    ):
        export_ctm(ali, lang, out, segmented)
    with pytest.raises(InputError, match=r"mfcc: not a data directory, it has no wav\.scp"):
        export_ctm(ali, lang, out, work / "feats/dev/mfcc")
    with pytest.raises(
        InputError, match=r"mono: not an alignment directory, it has no ali\.scp; make one with steps\.al"
    ):
        export_ctm(work / "mono", lang, out)
    with pytest.raises(InputError, match=r"words\.txt: there is no such file"):
        export_ctm(ali, tmp_path, out)
    copy = Path(shutil.copytree(ali, tmp_path / "copy"))
    with pytest.raises(InputError, match=r"copy: is there already, with other things in it; give the name of a new"):
        export_ctm(ali, lang, copy)
    assert (copy / "ali.scp").exists()
    assert not out.exists()
