import hashlib
from dataclasses import replace

import numpy as np
import pytest

from steps.ali.directory import read_alignments
from steps.base.errors import InputError
from steps.base.parallel import jobs
from steps.feats.reader import training_options
from steps.gmm.transforms import Transform
from steps.gmm.triphones import (
    AlignedTrainingInputs,
    LdaOptions,
    convert,
    estimate_lda_transform,
    leaf_gaussians,
    tree_statistics,
    triphone_tree,
)
from steps.hmm.topology import left_to_right, silence_phones
from steps.hmm.transitions import read_transition_model, split_phones, transition_model
from steps.hmm.tree import Question, read_tree, write_tree
from steps.tree.growing import TreeOptions
from steps.tree.stats import TreeStats
from tests.steps.triphones import random_table, tree_of


@pytest.fixture(scope="module")
def aligned(work):
    return inputs_of(work, work / "feats/train")


def inputs_of(work, feats):
    options, ali = training_options(feats, "mfcc"), work / "mono_ali"
    return AlignedTrainingInputs(feats, work / "lang", work / "mono_ali", options, ali=ali, transforms=ali)


@pytest.fixture(scope="module")
def stats(aligned):
    with jobs(1, aligned) as run:
        return tree_statistics(aligned, None, run)


def frames(aligned):
    """Transition-ids and features of all utterances, one after the other."""
    parts = [aligned.read(block, Transform()) for block in aligned.blocks()]
    return [{u: x for part in parts for u, x in part[i].items()} for i in range(2)]


def test_converted_alignments_say_the_same_in_other_ids(work):
    source = read_transition_model(work / "mono_ali")
    table = random_table(source.topology, 50, np.random.default_rng(0))
    tree = tree_of(table)
    target = transition_model(source.topology, tree)
    silence = silence_phones(work / "lang")
    for tids in read_alignments(work / "mono_ali").values():
        converted = convert(tids, source, tree, target, silence)
        for name in ("tid_to_phone", "tid_to_hmm_state", "tid_to_next"):
            np.testing.assert_array_equal(getattr(target, name)[converted], getattr(source, name)[tids])
        phones = [0, *(phone for phone, _, _ in split_phones(source, tids)), 0]
        for i, (phone, first, length) in enumerate(split_phones(source, tids), start=1):
            left, right = (0, 0) if phone in silence else (phones[i - 1], phones[i + 1])
            classes = source.tid_to_pdf_class[tids[first : first + length]]
            expected = [table[left, phone, right, int(pdf_class)] for pdf_class in classes]
            np.testing.assert_array_equal(target.tid_to_pdf[converted[first : first + length]], expected)
        back = convert(converted, target, read_tree(work / "mono/tree.json"), source, silence)
        np.testing.assert_array_equal(back, tids)


def test_first_gaussians_are_those_of_their_leaves(work, aligned, stats):
    source = read_transition_model(work / "mono_ali")
    tree = triphone_tree(
        stats, source.topology, aligned.silence, TreeOptions(num_leaves=40, min_gain=20), work / "lang"
    )
    assert 28 < tree.num_pdfs <= 40
    target = transition_model(source.topology, tree)
    gmms = leaf_gaussians(stats, tree)
    tids, features = frames(aligned)
    converted = [convert(t, source, tree, target, aligned.silence) for t in tids.values()]
    pdfs = target.tid_to_pdf[np.concatenate(converted)]
    x = np.concatenate(list(features.values())).astype(np.float64)
    for pdf in range(tree.num_pdfs):
        own = x[pdfs == pdf] if (pdfs == pdf).any() else x  # SPN was never spoken
        np.testing.assert_allclose(gmms.means[pdf, 0], own.mean(0), atol=1e-6)
        np.testing.assert_allclose(gmms.variances[pdf, 0], np.maximum(own.var(0), 0.01), atol=1e-5)
    assert not (pdfs == tree.pdfs[aligned.silence[1]][0]).any()


def lang_of(folder, **files):
    """A lang directory with sets of phones and nothing else."""
    (folder / "phones").mkdir()
    for name, content in files.items():
        (folder / "phones" / f"{name}.int").write_text(content)
    return folder


def tree_file(folder, *arguments):
    write_tree(folder / "tree.json", triphone_tree(*arguments))
    return hashlib.sha256((folder / "tree.json").read_bytes()).hexdigest()


def test_sets_of_one_phone_make_the_same_tree(work, aligned, stats, tmp_path):
    topology, options = aligned.aligned_with.topology, TreeOptions(num_leaves=40, min_gain=20)
    singles = lang_of(tmp_path, sets="".join(f"{phone}\n" for phone in topology), extra_questions="")
    hashes = [tree_file(tmp_path, stats, topology, aligned.silence, options, lang) for lang in (work / "lang", singles)]
    assert hashes[0] == hashes[1]


# phones 2 and 4 are one sound at the beginning of a word, 3 and 5 at the end; the left neighbour makes no difference
VARIANTS = {1: left_to_right(1), **{phone: left_to_right(1) for phone in (2, 3, 4, 5)}}
FIRST = np.array([0.0, 10.0, 20.0, 11.0, 21.0]) * 100
POSITIONS = TreeStats(
    1, np.array([[0, phone, 0] for phone in VARIANTS]), np.zeros(5, int), np.full(5, 100.0), FIRST[:, None],
    (FIRST**2 / 100 + 100)[:, None],
)  # fmt: skip


def test_position_is_asked_about_the_phone_itself(tmp_path):
    sets, options = "1\n2 3\n4 5\n", TreeOptions(num_leaves=5, min_gain=20, cluster_thresh=0)
    lang = lang_of(tmp_path, sets=sets, extra_questions="2 4\n3 5\n")
    tree = triphone_tree(POSITIONS, VARIANTS, [1], options, lang)
    begins = Question(1, frozenset({2, 4}), 1, 2), Question(1, frozenset({2, 4}), 3, 4)
    assert tree.pdfs == {1: [0], 2: [begins[0]], 3: [begins[0]], 4: [begins[1]], 5: [begins[1]]}
    assert [tree.pdf([0, phone, 0], 0) for phone in VARIANTS] == [0, 1, 2, 3, 4]
    assert len(transition_model(VARIANTS, tree).states) == 5
    (lang / "phones/extra_questions.int").unlink()
    assert triphone_tree(POSITIONS, VARIANTS, [1], options, lang).pdfs == {1: [0], 2: [1], 3: [1], 4: [2], 5: [2]}


def test_lda_leaves_silence_out(aligned):
    aligned = replace(aligned, options=aligned.options | {"deltas": 0})
    with jobs(1, aligned) as run:
        transform = estimate_lda_transform(aligned, LdaOptions(dim=10, context=2), run)
    assert (transform.context, transform.matrix.shape) == (2, (10, 5 * 13))
    model = aligned.aligned_with
    tids, _ = frames(aligned)
    spliced = [aligned.read(block, Transform(2))[1] for block in aligned.blocks()]
    x = np.concatenate([matrix for part in spliced for matrix in part.values()]).astype(np.float64)
    pdfs = model.tid_to_pdf[np.concatenate(list(tids.values()))]
    speech = ~np.isin(pdfs, model.pdfs_of(aligned.silence))
    y, pdfs = x[speech] @ transform.matrix.T, pdfs[speech]
    within = sum(np.cov(y[pdfs == pdf].T, bias=True) * (pdfs == pdf).mean() for pdf in np.unique(pdfs))
    np.testing.assert_allclose(within, np.eye(10), atol=1e-2)


def test_alignments_of_other_features(work, aligned, tmp_path):
    class Short(Transform):
        def __call__(self, features, speaker):
            return features[:-1]

    with pytest.raises(InputError, match=r"utterance train-00 has \d+ frames, but its features have \d+; ali"):
        aligned.read(["train-00"], Short())


def test_alignments_of_another_set(work):
    other = inputs_of(work, work / "feats/dev")
    with pytest.raises(InputError, match=r"mono_ali: none of the utterances of .*feats/dev is aligned there"):
        other.blocks()
