"""What a decoding works on: the graph beside the acoustic inputs, checked against the model."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import kaldifst

from steps.acoustic.inputs import AcousticInputs
from steps.base.errors import InputError
from steps.base.files import read_json
from steps.hmm.joins import Rate, rate_in, tree_hash, tree_phones
from steps.lang.fst_arrays import FstArrays, read_fst, to_arrays, to_fst
from steps.lang.symbols import read_symbols
from steps.lang.table_hash import PHONES, WORDS, check_labels, check_same, words_hash
from steps.search.beam import penalised


@dataclass(frozen=True, kw_only=True)
class DecodingInputs(AcousticInputs):
    """What is decoded with what.

    Parameters
    ----------
    graph_dir : Path
        Graph directory.
    """

    graph_dir: Path

    @cached_property
    def about(self) -> dict[str, Any]:
        """The graph's description."""
        return read_graph_json(self.graph_dir)

    @cached_property
    def graph(self) -> FstArrays:
        """HCLG."""
        path, words = self.graph_dir / "HCLG.fst", self.graph_dir / "words.txt"
        arrays = to_arrays(read_fst(path, "steps.make_graph"))
        check_labels(arrays.olabel, path, words)
        return arrays

    @cached_property
    def words(self) -> dict[int, str]:
        """Word-id -> word."""
        return {number: word for word, number in read_symbols(self.graph_dir / "words.txt").items()}

    def penalised_graph(self, insertion_penalty: float) -> kaldifst.StdVectorFst:
        """HCLG with an insertion penalty; the last one is kept."""
        if insertion_penalty not in self._penalised:
            self._penalised.clear()
            self._penalised[insertion_penalty] = to_fst(penalised(self.graph, insertion_penalty))
        return self._penalised[insertion_penalty]

    @cached_property
    def _penalised(self) -> dict[float, kaldifst.StdVectorFst]:
        return {}

    def check(self) -> None:
        """Check that the graph belongs to the model.

        Raises
        ------
        InputError
            When the graph was made for another tree, number of transition-ids, frame rate or other phones, or its
            words.txt is of another graph.
        """
        about, transitions, tree = self.about, self.description.transitions, tree_hash(self.model_dir)
        advice = "make a graph for this model with steps.make_graph"
        if about["tree"] != tree or about["transition_ids"] != transitions.num_tids:
            raise InputError(
                f"{self.graph_dir}: the graph has {about['transition_ids']} transition-ids of tree {about['tree']}, "
                f"but the model {self.model_dir} has {transitions.num_tids} of tree {tree}; {advice}"
            )
        if (rate := rate_in(about)) != transitions.rate:
            raise InputError(
                f"{self.graph_dir}: the graph has a {_words(rate)}, but the states of the model {self.model_dir} have "
                f"a {_words(transitions.rate)}; {advice}"
            )
        description, words = self.graph_dir / "graph.json", self.graph_dir / "words.txt"
        phones = tree_phones(self.model_dir)
        check_same(PHONES, description, about.get("phones"), self.model_dir / "tree.json", phones, advice)
        if "words" in about:
            check_same(WORDS, description, about["words"], words, words_hash(words), "make the graph again")


def _words(rate: Rate) -> str:
    return f"skip of {rate.skip} and a self_loop_scale of {rate.self_loop_scale:g}"


def read_graph_json(graph: Path) -> dict[str, Any]:
    """Read the description of a graph directory: its language model, tree and number of transition-ids."""
    if not (graph / "graph.json").is_file():
        raise InputError(f"{graph}: not a graph directory, it has no graph.json; make one with steps.make_graph")
    about: dict[str, Any] = read_json(graph / "graph.json", "lm", "tree", "transition_ids")
    return about
