"""G: the language model as an acceptor of word sequences."""

import subprocess
import sys
from pathlib import Path

import kaldifst

from steps.errors import InputError
from steps.lang.symbols import BACKOFF
from steps.output import writing


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
