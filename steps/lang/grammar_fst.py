"""G: the language model as an acceptor of word sequences."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import kaldifst
import numpy as np
from numpy.typing import NDArray

from steps.base.errors import InputError
from steps.base.files import read_json
from steps.base.output import writing
from steps.lang.fst_arrays import read_fst, to_arrays
from steps.lang.symbols import BACKOFF
from steps.lang.table_hash import WORDS, check_labels, check_same, words_hash


def grammar_fst(arpa: str | Path, words: str | Path, path: str | Path) -> kaldifst.StdVectorFst:
    """Convert an ARPA file to G, as Kaldi's ``arpa2fst --disambig-symbol=#0`` does (through kaldilm).

    The back-off arcs take #0 and give nothing; ``<s>`` and ``</s>`` are the start and the final states.

    Parameters
    ----------
    arpa : path
        A language model all of whose words are in words.txt (see `steps.lang.arpa.restrict`).
    words : path
        words.txt.
    path : path
        Where to write G, sorted by input label.

    Raises
    ------
    InputError
        With kaldilm's own words, when it refuses the model or a part of it.
    """
    with writing(path) as part:
        # in a process of its own: it logs to the stderr of the process, below Python
        run = subprocess.run(
            [sys.executable, "-m", "kaldilm", "--disambig-symbol", BACKOFF, "--read-symbol-table", words, arpa, part],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
        complaints = [line for line in run.stderr.splitlines() if line.startswith(("[W]", "[E]", "[F]"))]
        if run.returncode or complaints or not part.exists():
            said = "; ".join(complaints[:3]) or run.stderr[-500:].strip()
            raise InputError(f"{arpa}: kaldilm cannot make a graph of this language model: {said}")
        fst = kaldifst.StdVectorFst.read(str(part))
        if fst is None:
            raise InputError(f"{path}: the graph could not be written; is the disk full?")
        return fst


def read_grammar(grammar: Path, lang: Path) -> tuple[kaldifst.StdVectorFst, dict[str, Any]]:
    """Open G for the words of a lang directory.

    Parameters
    ----------
    grammar : Path
        From steps.train_lm, or a directory of Kaldi's with a G.fst, which is called by its name.
    lang : Path
        Has to number the words as the one of the language model's training.

    Returns
    -------
    fst : StdVectorFst
    about : dict
        What lm.json says.

    Raises
    ------
    InputError
        When G is missing or damaged, or its numbers are of other words than words.txt in `lang`.
    """
    path, description, words = grammar / "G.fst", grammar / "lm.json", lang / "words.txt"
    fst = read_fst(path, "steps.train_lm")
    about = read_json(description, "lm") if description.is_file() else {"lm": grammar.resolve().name}
    advice = "make the language model again with this lang directory"
    check_labels(to_arrays(fst).ilabel, path, words)
    if "words" in about:
        check_same(WORDS, words, words_hash(words), description, about["words"], advice)
    elif (table := grammar / "words.txt").is_file():
        check_same(WORDS, words, words_hash(words), table, words_hash(table), advice)
    elif (arpa := grammar / "lm.arpa").is_file():
        if not _is_grammar_of(fst, arpa, words):
            raise InputError(f"{path} is not {arpa} in the numbers of {words}; {advice}")
    else:
        check_same(WORDS, words, words_hash(words), path, None, advice)
    return fst, about


def _is_grammar_of(fst: kaldifst.StdVectorFst, arpa: Path, words: Path) -> bool:
    """Whether a G is what comes of an ARPA file and words.txt, whatever its order."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            again = grammar_fst(arpa, words, Path(folder, "G.fst"))
        except InputError:  # there are words in it that words.txt lacks
            return False
    (labels, weights), (expected, wanted) = map(_sorted_arcs, (fst, again))
    return np.array_equal(labels, expected) and np.allclose(weights, wanted, atol=1e-4)


def _sorted_arcs(fst: kaldifst.StdVectorFst) -> tuple[NDArray[Any], NDArray[Any]]:
    arrays = to_arrays(fst)
    order = np.lexsort([arrays.weight, arrays.ilabel])
    return arrays.ilabel[order], arrays.weight[order]
