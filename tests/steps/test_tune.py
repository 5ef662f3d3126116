import json
import math
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest

from steps.acoustic import model
from steps.acoustic.inputs import AcousticInputs
from steps.ali.directory import read_alignments
from steps.base.errors import InputError
from steps.base.parallel import split_into_blocks
from steps.corpus.tables import read_table
from steps.decode import decode
from steps.hmm.joins import Rate
from steps.scoring.wer import score
from steps.search import decoding
from steps.search.beam import DecodingScales
from steps.tune import Grid, best_of, search_grid, tune
from tests.steps import synthetic

SMALL = Grid(acoustic_scales=[0.1], insertion_penalties=[0.0])


@pytest.fixture(scope="module")
def tuned(work, tmp_path_factory):
    path = tmp_path_factory.mktemp("tuned") / "tune_dev"
    tune(work / "feats/dev", work / "graph", work / "mono", path, synthetic.GRID)
    return path


def test_best_point(work, tuned):
    found = json.loads((tuned / "tune.json").read_text())
    assert found["best"] in found["grid"]
    assert found["best"]["errors"] == min(point["errors"] for point in found["grid"]) == 0
    points = {(p["acoustic_scale"], p["insertion_penalty"], p["silence_deweight"]) for p in found["grid"]}
    assert len(points) == len(found["grid"])
    # all scales at no penalty and at the best; all penalties at the best scale of no penalty; a GMM has no priors
    assert {(scale, 0.0, 1.0) for scale in synthetic.GRID.acoustic_scales} <= points
    assert {(scale, found["best"]["insertion_penalty"], 1.0) for scale in synthetic.GRID.acoustic_scales} <= points
    assert {penalty for _, penalty, _ in points} == set(synthetic.GRID.insertion_penalties)
    assert {deweight for *_, deweight in points} == {1.0}
    model = {"topo", "tree.json", "transitions.npz"}
    assert {path.name for path in tuned.iterdir()} == {"text", "decode.json", "ali.ark", "ali.scp", "tune.json"} | model


def test_decoding_with_the_choice_gives_the_same_words(work, tmp_path, tuned):
    decode(work / "feats/dev", work / "graph", work / "mono", tmp_path / "out", tuned=tuned)
    assert (tmp_path / "out/text").read_bytes() == (tuned / "text").read_bytes()
    paths, expected = read_alignments(tuned), read_alignments(tmp_path / "out")
    assert set(paths) == set(expected) != set()
    assert all(np.array_equal(paths[utterance], expected[utterance]) for utterance in expected)
    best = json.loads((tuned / "tune.json").read_text())["best"]
    for folder, role in ((tuned, "tune"), (tmp_path / "out", "test")):
        about = json.loads((folder / "decode.json").read_text())
        for name in ("acoustic_scale", "insertion_penalty", "silence_deweight"):
            assert about[name] == best[name]
        assert about["role"] == role
    result = score(read_table(work / "data/dev/text"), read_table(tuned / "text")).total
    assert (result.errors, result.wer) == (best["errors"], best["wer"])


def test_killed_tuning_goes_on(work, tmp_path, kill, tuned, monkeypatch):
    done = tmp_path / "tune_dev.partial/scales/block.0.json"
    kill("tune", tmp_path / "tune_dev", done.exists)
    calls = []
    real = decoding.search_utterance
    monkeypatch.setattr(decoding, "search_utterance", lambda *arguments: calls.append(1) or real(*arguments))
    tune(work / "feats/dev", work / "graph", work / "mono", tmp_path / "tune_dev", synthetic.GRID)
    assert (tmp_path / "tune_dev/tune.json").read_bytes() == (tuned / "tune.json").read_bytes()
    assert (tmp_path / "tune_dev/text").read_bytes() == (tuned / "text").read_bytes()
    points = len(json.loads((tuned / "tune.json").read_text())["grid"])
    assert len(calls) == 35 * (points + 1) - 32 * 3  # but for the first block at three scales; the best point twice


@pytest.mark.parametrize("kept", ["all", "those of the second block", "none"])
def test_scores_are_computed_once_where_they_may_be_kept(work, tmp_path, tuned, monkeypatch, kept):
    """Otherwise again for each part of the grid that has new points, and for the best one; the result is the same."""
    inputs = AcousticInputs(data=work / "feats/dev", model_dir=work / "mono")
    dev, pdfs = inputs.features, inputs.model.transitions.num_pdfs
    sizes = [sum(4 * pdfs * len(dev[u]) for u in block) for block in split_into_blocks(list(dev))]
    assert (len(sizes), sizes[0] > sizes[1]) == (2, True)
    limit = {"all": 2 * sizes[0], "none": 2 * sizes[1] - 2}.get(kept, 2 * sizes[0] - 2)
    monkeypatch.setattr(decoding, "KEPT_SCORES", limit)
    scored = []
    real = model._gmm_scores

    def scores(gmms, features):
        scored.extend(features)
        return real(gmms, features)

    monkeypatch.setattr(model, "_gmm_scores", scores)
    tune(work / "feats/dev", work / "graph", work / "mono", tmp_path / "out", synthetic.GRID)
    best = json.loads((tuned / "tune.json").read_text())["best"]
    later = 3 if best["insertion_penalty"] else 2  # penalties, scales again if there is a penalty, the best point
    assert len(scored) == 35 + later * {"all": 0, "none": 35}.get(kept, 32)
    assert (tmp_path / "out/tune.json").read_bytes() == (tuned / "tune.json").read_bytes()


def test_result_does_not_depend_on_the_number_of_processes(work, tmp_path, tuned):
    tune(work / "feats/dev", work / "graph", work / "mono", tmp_path / "out", synthetic.GRID, nj=2)
    for name in ("tune.json", "text", "ali.ark"):
        assert (tmp_path / "out" / name).read_bytes() == (tuned / name).read_bytes()


def test_one_point(work, tmp_path):
    tune(work / "feats/dev", work / "graph", work / "mono", tmp_path / "out", SMALL)
    assert len(json.loads((tmp_path / "out/tune.json").read_text())["grid"]) == 1


def test_utterances_that_could_not_be_used_count_as_deleted(work, tmp_path, copy):
    data = copy("feats/dev/mfcc")
    tune(data, work / "graph", work / "mono", tmp_path / "before", SMALL)
    (data / "left_out").write_text("lost-1 one two three\n")
    tune(data, work / "graph", work / "mono", tmp_path / "out", SMALL)
    before, now = (json.loads((tmp_path / f"{name}/tune.json").read_text())["best"] for name in ("before", "out"))
    assert now["errors"] == before["errors"] + 3


def test_no_penalties(work, tmp_path):
    grid = Grid(acoustic_scales=[0.1, 0.2], insertion_penalties=[], widenings=0)
    tune(work / "feats/dev", work / "graph", work / "mono", tmp_path / "out", grid)
    assert len(json.loads((tmp_path / "out/tune.json").read_text())["grid"]) == 2


def test_empty_grid(work, tmp_path):
    with pytest.raises(InputError, match="the grid of decoding options is empty; give at least one value for each"):
        tune(work / "feats/dev", work / "graph", work / "mono", tmp_path / "out", Grid(acoustic_scales=[]))


@dataclass
class Description:
    """A network on states at one of `skip` frames."""

    skip: int = 1
    loss: str = "cross_entropy"
    is_network: bool = True

    @property
    def transitions(self):
        return SimpleNamespace(rate=Rate(self.skip))


def search(monkeypatch, grid, errors, description=None):
    """The points that are tried, in order, where `errors` gives the errors of a point."""
    tried = []

    def with_points(points, trials, part, scales):
        new = [point for point in scales if point not in points]
        tried.extend(new)
        return points | {point: {**vars(point), "errors": errors(point)} for point in new}

    monkeypatch.setattr("steps.tune.with_points", with_points)
    trials = SimpleNamespace(inputs=SimpleNamespace(description=description or Description()))
    points = search_grid(trials, grid)
    assert list(points) == tried
    return tried, best_of(points)


def far_from(scale, penalty):
    """Errors that grow with the distance from a point."""
    return lambda p: 10**6 * (abs(math.log(p.acoustic_scale / scale)) + abs(p.insertion_penalty - penalty))


def test_a_best_point_inside_widens_nothing(monkeypatch):
    grid = Grid()
    tried, best = search(monkeypatch, grid, far_from(0.1, -0.5))
    assert best == DecodingScales(0.1, -0.5, 1.0)
    expected = [DecodingScales(scale) for scale in grid.acoustic_scales]
    expected += [DecodingScales(0.1, p, d) for p in grid.insertion_penalties for d in grid.silence_deweights]
    expected += [DecodingScales(scale, -0.5) for scale in grid.acoustic_scales]
    assert tried == list(dict.fromkeys(expected))


@pytest.mark.parametrize(
    ("scale", "penalty", "scales", "penalties"),
    [
        (0.33, 0.0, {0.3125, 0.3906}, set()),
        (0.035, 0.0, {0.04, 0.032, 0.0256}, set()),
        (0.1, 3.5, set(), {3.0, 4.0}),
        (0.1, -6.0, set(), {-5.0, -6.0, -7.0}),
        (0.34, -4.9, {0.3125, 0.3906}, {-5.0, -6.0}),
        (100.0, 0.0, {0.3125, 0.3906, 0.4882, 0.6102, 0.7627, 0.9533, 1.192, 1.49}, set()),  # four in two parts
    ],
)
def test_a_best_point_at_the_edge_widens_the_grid(monkeypatch, scale, penalty, scales, penalties):
    grid = Grid()
    tried, best = search(monkeypatch, grid, far_from(scale, penalty))
    found = {point.acoustic_scale for point in tried} - set(grid.acoustic_scales)
    assert sorted(found) == pytest.approx(sorted(scales), rel=1e-3)
    assert {point.insertion_penalty for point in tried} - set(grid.insertion_penalties) == penalties
    assert best == min(tried, key=far_from(scale, penalty))
    tried, _ = search(monkeypatch, replace(grid, widenings=0), far_from(scale, penalty))
    assert {point.acoustic_scale for point in tried} == set(grid.acoustic_scales)
    assert {point.insertion_penalty for point in tried} == set(grid.insertion_penalties)


def test_scales_by_the_rate_of_the_states_and_the_loss(monkeypatch):
    grid = Grid(low_rate_scales={"cross_entropy": [0.1, 0.3, 0.9], "mmi": [0.5, 1.0, 2.0]})
    for description, scales in (
        (Description(), Grid().acoustic_scales),
        (Description(3), [0.1, 0.3, 0.9]),
        (Description(3, "mmi"), [0.5, 1.0, 2.0]),
    ):
        assert grid.scales_for(description) == scales
        tried, _ = search(monkeypatch, grid, far_from(scales[1], 0.0), description)
        assert {point.acoustic_scale for point in tried} == set(scales)
    with pytest.raises(
        InputError, match=r"grid\.low_rate_scales has no scales for networks trained with ctc; add them"
    ):
        grid.scales_for(Description(3, "ctc"))


def test_no_text(work, tmp_path, copy):
    data = copy("feats/dev/mfcc")
    lines = (data / "text").read_text().splitlines()
    (data / "text").write_text("\n".join(lines[1:]) + "\n")
    with pytest.raises(InputError, match="mfcc: utterance dev-00 has no text to count errors against"):
        tune(data, work / "graph", work / "mono", tmp_path / "out", SMALL)
    (data / "text").unlink()
    with pytest.raises(InputError, match="text: there is no such file"):
        tune(data, work / "graph", work / "mono", tmp_path / "out", SMALL)
    assert not (tmp_path / "out").exists()
