"""The graph of one transcript: every way its words can be pronounced, as transition-ids."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import kaldifst
import numpy as np
from numpy.typing import NDArray

from steps.base.errors import InputError
from steps.base.fields import split_fields
from steps.corpus.spelling import WordTable
from steps.hmm.graph import expand_phones, with_costs
from steps.hmm.transitions import TransitionModel
from steps.hmm.tree import Tree
from steps.lang.fst_arrays import FstArrays, to_fst
from steps.lang.lexicon_fst import read_lexicon_fst
from steps.lang.lines import listing
from steps.lang.symbols import RESERVED, UNK, read_symbols


@dataclass(frozen=True)
class TrainingLexicon:
    """The pronunciations of a lang directory, from which transcripts are compiled.

    Attributes
    ----------
    fst : StdVectorFst
        L without disambiguation symbols, phones in, words out.
    words : WordTable
        Word, in any Unicode form, to word-id, of the words in the lexicon.
    oov_to_unk : bool
        Whether words without a pronunciation are taken as <UNK>, or refused.
    """

    fst: kaldifst.StdVectorFst
    words: WordTable[int]
    oov_to_unk: bool = False

    def word_ids(self, utterance: str, text: str) -> list[int]:
        """Word-ids of a transcript.

        Raises
        ------
        InputError
            Naming the words without a pronunciation, when they are not taken as <UNK> or the lexicon has no <UNK>.
        """
        missing = sorted({word for word in split_fields(text) if word not in self.words})
        if missing and not (self.oov_to_unk and UNK in self.words):
            instead = f"{UNK}, which needs one itself" if self.oov_to_unk else f"{UNK} with --oov-to-unk"
            raise InputError(
                f"utterance {utterance}: no pronunciation for {listing(missing)}; "
                f"add them to the lexicon, or take them as {instead}"
            )
        return [self.words[word] if word in self.words else self.words[UNK] for word in split_fields(text)]


def read_training_lexicon(lang: str | Path, oov_to_unk: bool = False) -> TrainingLexicon:
    """Read ``L.fst`` and ``words.txt`` of a lang directory."""
    lang = Path(lang)
    words = {word: i for word, i in read_symbols(lang / "words.txt").items() if word not in RESERVED}
    return TrainingLexicon(read_lexicon_fst(lang, "L.fst"), WordTable(words), oov_to_unk)


def training_graph(
    word_ids: Sequence[int], lexicon: kaldifst.StdVectorFst, tree: Tree, model: TransitionModel
) -> FstArrays:
    """Compile a transcript (Kaldi's ``compile-train-graphs``); transition costs are left out, see `searchable`."""
    transcript = kaldifst.make_linear_acceptor(list(word_ids))
    # L is sorted by words already: to sort it again for each transcript would take longer than all the rest
    phones = kaldifst.StdVectorFst(kaldifst.compose(lexicon, transcript))
    return expand_phones(phones, [], tree, model, optimise=False)


def searchable(graph: FstArrays, costs: NDArray[Any]) -> tuple[kaldifst.StdVectorFst, NDArray[Any]]:
    """Make a training graph ready for the search with the few transition-ids that it uses.

    Returns
    -------
    fst : StdVectorFst
        The graph with transition costs, its input labels 1, 2, ... for the ids below.
    tids : (K,) int array
        The transition-ids, ascending.
    """
    tids = np.unique(graph.ilabel[graph.ilabel > 0])
    local = np.where(graph.ilabel > 0, 1 + np.searchsorted(tids, graph.ilabel), 0)
    return to_fst(replace(with_costs(graph, costs), ilabel=local)), tids
