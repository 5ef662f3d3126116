"""The lexicon as a transducer from phones to words, with optional silence between words."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import kaldifst

from steps.base.errors import InputError
from steps.base.files import read_json
from steps.base.output import writing
from steps.lang.fst_arrays import read_fst
from steps.lang.lexicon_file import Entry
from steps.lang.symbols import BACKOFF
from steps.lang.table_hash import PHONES, WORDS, check_same, lang_tables

EPS = 0


def lexicon_fst(
    lexicon: Iterable[Entry],
    phones: Mapping[str, int],
    words: Mapping[str, int],
    sil_prob: float,
    sil_phone: str,
    sil_disambig: str | None = None,
) -> kaldifst.StdVectorFst:
    """Make L, or L with disambiguation symbols, as Kaldi's make_lexicon_fst.py does.

    Parameters
    ----------
    lexicon : iterable of Entry
        With the symbols of `add_lex_disambig` for L_disambig.
    phones, words : mapping
        Symbol tables.
    sil_prob : float
        Probability of silence at the start and after each word; 0 makes an L without optional silence.
    sil_phone : str
        The optional silence.
    sil_disambig : str, optional
        The disambiguation symbol that follows optional silence. Given, the result is L_disambig, and the back-off
        symbol #0 passes through it.

    Returns
    -------
    StdVectorFst
        Phones in, words out; arcs sorted by output label for composition with G.
    """
    fst = kaldifst.StdVectorFst()
    if sil_prob > 0:
        start, loop, silence = (fst.add_state() for _ in range(3))
        sil_cost, no_sil_cost = -math.log(sil_prob), -math.log(1 - sil_prob)
        ends = [(loop, no_sil_cost), (silence, sil_cost)]  # where a word ends, and what that costs
        for state, cost in ends:
            fst.add_arc(start, kaldifst.StdArc(EPS, EPS, cost, state))
        _add_chain(fst, silence, _ids(phones, [sil_phone] + ([sil_disambig] if sil_disambig else [])), [(loop, 0.0)])
    else:
        start = loop = fst.add_state()
        ends = [(loop, 0.0)]
    fst.start = start
    fst.set_final(loop, 0.0)
    for entry in lexicon:
        _add_chain(fst, loop, _ids(phones, entry.phones), ends, words[entry.word], -math.log(entry.prob))
    if sil_disambig:
        kaldifst.add_self_loops(fst, [phones[BACKOFF]], [words[BACKOFF]])
    kaldifst.arcsort(fst, sort_type="olabel")
    return fst


def _ids(phones: Mapping[str, int], symbols: Iterable[str]) -> list[int]:
    return [phones[symbol] for symbol in symbols]


def _add_chain(
    fst: kaldifst.StdVectorFst,
    source: int,
    ilabels: list[int],
    ends: list[tuple[int, float]],
    olabel: int = EPS,
    cost: float = 0.0,
) -> None:
    """Add a path from `source` to each of `ends`, its output label and cost on the first arc."""
    for ilabel in ilabels[:-1]:
        state = fst.add_state()
        fst.add_arc(source, kaldifst.StdArc(ilabel, olabel, cost, state))
        source, olabel, cost = state, EPS, 0.0
    for end, end_cost in ends:
        fst.add_arc(source, kaldifst.StdArc(ilabels[-1], olabel, cost + end_cost, end))


def read_lexicon_fst(lang: Path, name: str) -> kaldifst.StdVectorFst:
    """Open an L of a lang directory, whose words.txt and phones.txt have to be those that it was made with.

    Parameters
    ----------
    lang : Path
        Its lang.json has their hashes; a directory of Kaldi's has none, and its L is not checked.
    name : {'L.fst', 'L_disambig.fst'}

    Raises
    ------
    InputError
        When L is missing or damaged, or a table has been changed.
    """
    fst = read_fst(lang / name, "steps.prepare_lang")
    description = lang / "lang.json"
    made_with = read_json(description).get("tables") if description.is_file() else None
    if made_with is not None:
        found, advice = lang_tables(lang), "make the lang directory again"
        check_same(PHONES, description, made_with["phones"], lang / "phones.txt", found["phones"], advice)
        check_same(WORDS, description, made_with["words"], lang / "words.txt", found["words"], advice)
    return fst


def write_fst(path: str | Path, fst: kaldifst.StdVectorFst) -> None:
    """Write a graph in OpenFst's format."""
    with writing(path) as part:
        if not fst.write(str(part)):
            raise InputError(f"{path}: the graph could not be written; is the disk full?")
