import numpy as np
import pytest
from PIL import Image

from steps.base.cli import command
from steps.base.errors import InputError
from steps.corpus.ctm import Token
from steps.corpus.data_dir import read_data_dir
from steps.export_ctm import export_ctm
from steps.plot_alignment import plot_alignment
from steps.reporting.alignment_picture import draw, reference_tokens, spectrogram


@pytest.fixture
def arguments(work, ali):
    return [ali, work / "lang", work / "data/dev"]


def test_command_draws_a_picture(work, ali, arguments, tmp_path, capsys):
    export_ctm(ali, work / "lang", tmp_path / "ctm", utterances=["dev-00"])
    sizes = []
    for more in ([], ["--reference", str(tmp_path / "ctm/words.ctm")]):
        out = tmp_path / "pictures" / "dev-00.png"
        command(plot_alignment, [*map(str, arguments), "dev-00", "--out", str(out), *more])
        with Image.open(out) as picture:
            assert picture.format == "PNG"
            assert len(np.unique(np.asarray(picture).reshape(-1, 4), axis=0)) > 100
            sizes.append(picture.height)
    assert sizes[1] > sizes[0]  # a tier more
    assert list(out.parent.iterdir()) == [out]
    assert capsys.readouterr().out.endswith(f"{out} is written\n")


def test_what_the_panels_show():
    rate = 8000
    samples = np.random.default_rng(0).normal(0, 0.1, 5 * rate).astype(np.float32)
    words = [Token("one", 0.5, 2.4, 0.9), Token("two", 2.4, 2.8, 0.2), Token("three", 3.5, 4.75)]
    figure = draw(
        samples, rate, {"words": words, "reference": [Token("one", 0.45, 2.3)]}, (0.0, 5.0), "u: one two three"
    )
    tops = [part.axes[0] for part in figure.subfigs]
    assert [top.get_xlim() for top in tops] == [(0, 2.5), (2.5, 5)]  # at most 4 s in a line
    drawn = [[line.get_xdata()[0] for line in top.lines] for top in tops]
    assert [sorted(times) for times in drawn] == [[*[0.45, 0.5, 2.3, 2.4, 2.4, 2.8][:4], 2.8], [2.4, 2.8, 3.5, 4.75]]
    texts = [[text.get_text() for text in part.axes[1].texts] for part in figure.subfigs]
    assert texts == [["one", "two"], ["two", "three"]]
    [two] = [text for text in figure.subfigs[0].axes[1].texts if text.get_text() == "two"]
    assert two.get_position()[0] == pytest.approx((2.4 + 2.5) / 2)  # in the middle of what is seen of it
    colours = [patch.get_facecolor()[:2] for patch in figure.subfigs[0].axes[1].patches]
    assert colours[0][1] > colours[0][0]  # sure: green
    assert colours[1][0] > colours[1][1]  # not sure: red
    assert [part.axes[2].get_ylabel() for part in figure.subfigs] == ["reference", "reference"]
    assert figure.get_suptitle() == "u: one two three"


def test_spectrogram_shows_a_tone_where_it_is():
    rate = 8000
    seconds = np.arange(rate) / rate
    samples = np.where(seconds > 0.5, np.sin(2 * np.pi * 2000 * seconds), 0).astype(np.float32)
    level, step = spectrogram(samples, rate)
    rows, columns = np.linspace(0, rate / 2, len(level)), np.arange(level.shape[1]) * step
    assert abs(rows[level[:, columns > 0.6].mean(axis=1).argmax()] - 2000) < 100
    loud = columns[level.max(axis=0) > -20]
    assert loud.min() == pytest.approx(0.5, abs=0.006)


def test_reference_of_a_recording_or_an_utterance(tmp_path):
    (tmp_path / "data").mkdir()
    for name, content in {
        "wav.scp": "call c.wav\ntalk t.wav\n",
        "segments": "u1 call 1.5 3.5\nu2 talk 2 3\n",
        "utt2spk": "u1 s\nu2 s\n",
        "reco2file_and_channel": "call call B\n",
    }.items():
        (tmp_path / "data" / name).write_text(content)
    data = read_data_dir(tmp_path / "data")
    reference = tmp_path / "ref.ctm"
    reference.write_text("call A 2 1 wrong\ncall B 0.5 0.5 before\ncall B 1.25 0.5 a\ncall B 3 1 b\ncall B 4 1 after\n")
    assert reference_tokens(reference, "u1", data, 2.0) == [Token("a", -0.25, 0.25), Token("b", 1.5, 2.5)]
    reference.write_text("u1 1 0.5 0.5 a\n")
    assert reference_tokens(reference, "u1", data, 2.0) == [Token("a", 0.5, 1.0)]
    with pytest.raises(InputError, match=r"ref\.ctm: it has neither the recording 'talk' nor the utterance 'u2'$"):
        reference_tokens(reference, "u2", data, 1.0)
    reference.write_text("talk A 2 1 a\ntalk B 2 1 b\n")
    with pytest.raises(InputError, match="recording 'talk' has the channels A and B; say in reco2file"):
        reference_tokens(reference, "u2", data, 1.0)


def test_bad_inputs(work, ali, arguments, tmp_path):
    out = tmp_path / "a.png"
    with pytest.raises(InputError, match=r"mono_ali: there is no utterance 'dev-99' in it, or it could not be aligned"):
        plot_alignment(*arguments, "dev-99", out)
    with pytest.raises(InputError, match=r"a\.pgn: its name has to end in one of .*\.png"):
        plot_alignment(*arguments, "dev-00", tmp_path / "a.pgn")
    with pytest.raises(InputError, match=r"train: there is no utterance 'dev-00', which is aligned; is it"):
        plot_alignment(ali, work / "lang", work / "data/train", "dev-00", out)
    with pytest.raises(InputError, match=r"none\.ctm: there is no such file"):
        plot_alignment(*arguments, "dev-00", out, tmp_path / "none.ctm")
    with pytest.raises(InputError, match=r"utterance dev-00: its part from 9 s to 0\.\d+ s cannot be drawn; it lasts"):
        plot_alignment(*arguments, "dev-00", out, start=9)
    assert not out.exists()
