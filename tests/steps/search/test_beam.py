import math
from dataclasses import replace

import kaldifst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.base.errors import InputError
from steps.hmm.transitions import read_transition_model
from steps.lang.fst_arrays import read_fst, to_arrays, to_fst
from steps.search.beam import DecodingScales, Hypothesis, SearchOptions, penalised, search_utterance

WIDE = SearchOptions(beam=1e4, retry_beam=1e5)


@pytest.fixture(scope="module")
def graph(work):
    return read_fst(work / "graph/HCLG.fst", "")


@pytest.fixture(scope="module")
def model(work):
    return read_transition_model(work / "mono")


def scores(model, frames=30, seed=0):
    return np.random.default_rng(seed).normal(0, 5, (frames, model.num_pdfs)).astype(np.float32)


def test_penalty_counts_words(graph):
    arrays = to_arrays(graph)
    more = penalised(arrays, 2.5)
    np.testing.assert_array_equal(more.weight - arrays.weight > 1, arrays.olabel > 0)
    word = int(arrays.olabel.max())
    costs = []
    for words in ([], [word], [word, word]):
        for each in (arrays, more):
            only = kaldifst.compose(to_fst(each), kaldifst.make_linear_acceptor(words))
            costs.append(kaldifst.get_linear_symbol_sequence(kaldifst.shortest_path(only))[3].value)
    np.testing.assert_allclose(np.subtract(costs[1::2], costs[::2]), [0, 2.5, 5], atol=1e-3)


def test_penalty_makes_fewer_words(graph, model):
    found = [
        len(search_utterance(to_fst(penalised(to_arrays(graph), penalty)), scores(model, 90), 0.5, model, WIDE).words)
        for penalty in (-20, 0, 20)
    ]
    assert found[0] > found[1] > found[2]


def test_scale_of_the_likelihoods(graph, model):
    x = scores(model)
    assert search_utterance(graph, x, 0.3, model, WIDE) == search_utterance(graph, x * 3, 0.1, model, WIDE)
    # something added to all pdfs of a frame changes nothing
    shifted = x + np.arange(len(x), dtype=np.float32)[:, None]
    assert search_utterance(graph, x, 0.3, model, WIDE) == search_utterance(graph, shifted, 0.3, model, WIDE)


def test_unfinished_path_is_told(graph, model):
    arrays = to_arrays(graph)
    endless = to_fst(replace(arrays, final=np.where(np.arange(len(arrays.final)) == 0, 0, np.inf).astype(np.float32)))
    found = search_utterance(endless, scores(model), 1.0, model, SearchOptions())
    assert not found.finished
    assert found.words
    assert search_utterance(graph, scores(model), 1.0, model, SearchOptions()).finished


def test_too_few_frames(graph, model):
    assert search_utterance(graph, scores(model, frames=1), 1.0, model, WIDE).finished is False


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_scores_that_are_not_numbers(graph, model, seed):
    x = scores(model, seed=seed)
    x[seed % 30] = np.nan
    assert search_utterance(graph, x, 1.0, model, WIDE) == Hypothesis([], [], False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((SearchOptions, {"max_active": 20}), "max_active is 20; it has to be above 20"),
        ((SearchOptions, {"beam": -1.0}), "beam is -1.0; it has to be above 0"),
        ((SearchOptions, {"retry_beam": math.inf}), "retry_beam is inf; it has to be a finite number"),
        ((DecodingScales, {"acoustic_scale": -1.0}), "acoustic_scale is -1.0; it has to be above 0"),
        ((DecodingScales, {"insertion_penalty": math.nan}), "insertion_penalty is nan; it has to be a finite number"),
        ((DecodingScales, {"silence_deweight": 0.0}), "silence_deweight is 0.0; it has to be above 0"),
    ],
)
def test_options_out_of_range(options, message):
    kind, values = options
    with pytest.raises(InputError, match=f"^{message}$"):
        kind(**values)


def test_weights_are_ordered_and_hashable():
    ordered = [DecodingScales(0.1), DecodingScales(0.1, 1.0), DecodingScales(0.2)]
    assert sorted({*reversed(ordered)}) == ordered
