import json
import shutil

import numpy as np
import pytest

from steps.ali.directory import read_aligned
from steps.align import align_data
from steps.alignment_report import alignment_report
from steps.base.cli import command
from steps.base.errors import InputError
from steps.corpus.tables import read_table, write_table
from steps.hmm.transitions import read_transition_model, split_phones
from steps.hmm.viterbi import AlignOptions
from steps.lang.symbols import read_symbols


@pytest.fixture(scope="module")
def wrong(work, tmp_path_factory):
    """Dev with a word too few in one transcript, other words in a second, far too many in a third."""
    path = tmp_path_factory.mktemp("wrong")
    data = shutil.copytree(work / "data/dev", path / "dev")
    texts = read_table(data / "text")
    lacking = next(u for u, text in texts.items() if len(text.split()) == 3)
    texts[lacking] = " ".join(texts[lacking].split()[:2])
    changed = next(u for u, text in texts.items() if len(text.split()) == 2 and u != lacking)
    said = texts[changed].split()
    texts[changed] = next(t for t in texts.values() if len(t.split()) == 2 and not set(said) & set(t.split()))
    failing = next(u for u in texts if u not in (lacking, changed))
    texts[failing] = "fa " * 300
    write_table(data / "text", texts)
    align_data(data, work / "lang", work / "mono", path / "ali", AlignOptions(retry_beam=1e5))
    return path, lacking, changed, failing


def test_command(work, wrong, tmp_path, capsys):
    path, lacking, changed, failing = wrong
    data = path / "dev"
    out = tmp_path / "report"
    command(alignment_report, [str(path / "ali"), str(work / "lang"), str(out), "--data", str(data), "--worst", "3"])
    report = json.loads((out / "report.json").read_text())
    assert (report["aligned"], list(report["failed"]), report["left_out"]) == (34, [failing], [])
    scores = [row["score"] for row in report["utterances"]]
    assert scores == sorted(scores)
    assert {row["utterance"] for row in report["utterances"][:2]} == {lacking, changed}
    forced = {row["utterance"]: row["forced_silence"] for row in report["utterances"]}
    assert max(forced, key=forced.get) == lacking
    assert forced[lacking] > 0.1
    assert list(report["doubtful"]) == [changed]
    assert "does the transcript match the audio?" in report["doubtful"][changed]
    text = (out / "report.md").read_text()
    for by in ("score", "forced silence", "stretched phones"):
        assert f"## The 3 worst of 34 utterances by {by}\n" in text
    by_silence = text.split("by forced silence\n\n")[1].splitlines()[2]
    assert by_silence.startswith(f"| {lacking} ")
    long = {row["utterance"]: row["stretched"]["frames"] / row["stretched"]["usual"] for row in report["utterances"]}
    stretched = text.split("by stretched phones\n\n")[1].splitlines()[2:5]
    worst = sorted(long.values(), reverse=True)[:3]
    assert [long[line.split("|")[1].strip()] for line in stretched] == worst
    for utterance in (lacking, changed):
        assert any(line.startswith(f"| {utterance} ") for line in text.splitlines())
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert [failing, report["failed"][failing]] in cells
    assert [changed, report["doubtful"][changed]] in cells
    said = capsys.readouterr().out
    assert f"{path / 'ali'}: 34 utterances aligned (0." in said
    assert ", 1 failed; a frame's score " in said


def test_figures(work, ali, tmp_path):
    alignment_report(ali, work / "lang", tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    model, aligned = read_transition_model(ali), read_aligned(ali)
    names = {number: name for name, number in read_symbols(work / "lang/phones.txt").items()}
    phones = {u: [(names[p], n) for p, _, n in split_phones(model, found.tids)] for u, found in aligned.items()}
    lasting = {row["phone"]: [] for row in report["phones"]}
    for found in phones.values():
        for phone, frames in found:
            lasting[phone].append(frames)
    for row in report["phones"]:
        frames = lasting[row["phone"]]
        assert (row["count"], row["median"]) == (len(frames), np.median(frames))
        assert row["mean"] == pytest.approx(np.mean(frames), abs=0.006)
        for state in row["states"]:
            assert state["count"] <= row["count"]
        total = sum(state["count"] * state["mean"] for state in row["states"])
        assert total == pytest.approx(sum(frames), rel=0.005)
    for row in report["utterances"]:
        found, scores = phones[row["utterance"]], aligned[row["utterance"]].log_posteriors
        assert row["frames"] == len(scores)
        assert row["score"] == pytest.approx(scores.mean(), abs=1e-4)
        assert row["silence"] == pytest.approx(sum(n for p, n in found if p == "SIL") / len(scores), abs=1e-4)
        stretch = [(n / np.median(lasting[phone]), phone, n) for phone, n in found if phone != "SIL"]
        longest = row["stretched"]
        assert (longest["frames"] / longest["usual"], longest["phone"], longest["frames"]) in stretch
        assert longest["frames"] / longest["usual"] == max(stretch)[0]
    scores = np.concatenate([found.log_posteriors for found in aligned.values()])
    assert report["score"] == pytest.approx(scores.mean(), abs=1e-3)
    assert report["frames"] == len(scores)
    assert "recording" not in (tmp_path / "report.md").read_text()


def test_what_was_left_out(work, ali, tmp_path):
    data = shutil.copytree(work / "data/dev", tmp_path / "dev")
    for name, value in (("wav.scp", read_table(data / "wav.scp")["dev-00"]), ("text", "bad"), ("utt2spk", "synth")):
        write_table(data / name, read_table(data / name) | {"dev-short": value})
    (data / "spk2utt").unlink()
    alignment_report(ali, work / "lang", tmp_path / "report", data)
    assert json.loads((tmp_path / "report/report.json").read_text())["left_out"] == ["dev-short"]
    text = (tmp_path / "report/report.md").read_text()
    assert "## Left out: no transcript, or shorter than a frame\n\ndev-short\n" in text


def test_an_utterance_of_silence_alone(work, tmp_path):
    feats = shutil.copytree(work / "feats/dev", tmp_path / "feats")
    write_table(feats / "text", read_table(work / "data/dev/text") | {"dev-00": ""})
    align_data(feats, work / "lang", work / "mono", tmp_path / "ali", AlignOptions(retry_beam=1e4))
    alignment_report(tmp_path / "ali", work / "lang", tmp_path / "report")
    rows = json.loads((tmp_path / "report/report.json").read_text())["utterances"]
    [row] = [row for row in rows if row["utterance"] == "dev-00"]
    assert (row["silence"], row["stretched"]) == (1.0, None)


def test_bad_inputs(work, ali, tmp_path):
    with pytest.raises(InputError, match=r"mono: not an alignment directory, it has no ali\.scp; make one"):
        alignment_report(work / "mono", work / "lang", tmp_path)
    with pytest.raises(InputError, match=r"words\.txt: there is no such file"):
        alignment_report(ali, tmp_path, tmp_path)
    with pytest.raises(InputError, match=r"train: there is no utterance 'dev-00', which is aligned; is it"):
        alignment_report(ali, work / "lang", tmp_path, work / "data/train")
    folder = shutil.copytree(ali, tmp_path / "ali")
    (folder / "failed.json").unlink()
    with pytest.raises(InputError, match=r"ali/failed\.json is missing; make .*ali again"):
        alignment_report(folder, work / "lang", tmp_path)
    assert not (tmp_path / "report.md").exists()
