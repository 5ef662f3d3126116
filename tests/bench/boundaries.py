"""How well forced alignments agree with a corpus's phone labels: ``python -m tests.bench.boundaries --workdir DIR``.

DIR is the work directory of recipes/festvox_ru (or of a corpus prepared in the same way): data/local/phones holds all
utterances with the phones of their labels as words, pauses included, data/local/reference/phones.ctm the times of
these. Each model in DIR/exp aligns the same phones, so that boundaries are compared one to one; what cannot be aligned
is counted. The labels were made by a machine as well: this tells how two aligners agree, not which of them is right.

The last line is JSON: for mono, tri, sat and the network, null where there is no such model, the shares of boundaries
within 10, 20 and 50 ms of the labels', the median of the distances and the mean of the signed offsets, both in ms, and
the shares after that mean is taken away: where in a frame the labels put a boundary is not known.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from steps.acoustic.adapting import adapt_to
from steps.acoustic.aligning import AlignmentInputs
from steps.ali.boundaries import TOLERANCES_MS, Agreement, agreement, boundary_offsets
from steps.ali.directory import read_aligned
from steps.align import align_data
from steps.base.errors import InputError
from steps.corpus.ctm import Token, read_ctm
from steps.hmm.transitions import read_transition_model, split_phones
from steps.hmm.viterbi import AlignOptions
from steps.lang.symbols import read_symbols
from steps.prepare_lang import prepare_lang


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=Path, required=True, help="holds data/ and exp/")
    parser.add_argument("--nnet", default="lstmp", help="the network's name in exp/ (default: lstmp)")
    parser.add_argument("--nj", type=int, default=1, help="number of processes")
    args = parser.parse_args()
    data, exp = args.workdir / "data", args.workdir / "exp"
    reference = {utt: phones for (utt, _), phones in read_ctm(data / "local/reference/phones.ctm").items()}
    models = {name: exp / name for name in ("mono", "tri", "sat")} | {"nnet": exp / args.nnet}
    rows: dict[str, tuple[int, Agreement]] = {}
    with tempfile.TemporaryDirectory() as folder:
        lang = phone_lang(data, Path(folder, "lang"))
        for name, model in models.items():
            if (model / "model.json").is_file():
                hypothesis = align_phones(data / "local/phones", lang, model, Path(folder, name), args.nj)
                offsets = [boundary_offsets(reference[utt], phones) for utt, phones in hypothesis.items()]
                rows[name] = len(hypothesis), agreement(np.concatenate(offsets))
    print_table(reference, rows)
    print(json.dumps({name: figures(rows[name][1]) if name in rows else None for name in models}))


def phone_lang(data: Path, lang: Path) -> Path:
    """Make the language directory of phones as words, in which they are numbered as in the models' own."""
    prepare_lang(data / "local/phones", data / "local/dict_phones", lang, sil_prob=0)
    ours, theirs = (_phones(folder) for folder in (lang, data / "lang"))
    if ours != theirs:
        raise InputError(f"{data}/local/dict_phones has {len(ours)} phones, not the {len(theirs)} of {data}/lang")
    return lang


def _phones(lang: Path) -> dict[int, str]:
    return {number: phone for phone, number in read_symbols(lang / "phones.txt").items() if phone[0] not in "<#"}


def align_phones(data: Path, lang: Path, model: Path, ali: Path, nj: int) -> dict[str, list[Token]]:
    """Align a data directory and give each utterance's phones with their times."""
    inputs = AlignmentInputs(data=data, lang=lang, model_dir=model)
    adapted = adapt_to(inputs, ali.with_name(f"{ali.name}_adapted"), AlignOptions(), nj=nj)
    align_data(data, lang, model, ali, speakers=adapted.speakers if adapted else None, nj=nj)
    names, aligned, transitions = _phones(lang), read_aligned(ali), read_transition_model(ali)
    found = {}
    for utterance, tids in aligned.tids.items():
        edge = partial(aligned.times.boundary, frames=len(tids))
        phones = split_phones(transitions, tids)
        found[utterance] = [Token(names[phone], edge(first), edge(first + n)) for phone, first, n in phones]
    return found


def print_table(reference: Mapping[str, Sequence[Token]], models: Mapping[str, tuple[int, Agreement]]) -> None:
    """Print each model's number of aligned utterances and its agreement."""
    total = sum(len(phones) - 1 for phones in reference.values())
    print(f"\n{len(reference)} utterances with {total} boundaries between labels; within")
    within = "".join(f"{f'{ms} ms':>9}" for ms in TOLERANCES_MS)
    print(f"{'model':8}{'utterances':>12}{'boundaries':>12}{within}{'median':>11}{'mean':>11}{within} of the mean")
    for name, (utterances, found) in models.items():
        shares, of_mean = ("".join(f"{x:9.1%}" for x in part.values()) for part in (found.within, found.within_of_mean))
        offsets = f"{found.median_ms:8.1f} ms{found.mean_ms:+8.1f} ms"
        print(f"{name:8}{utterances:12}{found.boundaries:12}{shares}{offsets}{of_mean}")


def figures(found: Agreement) -> dict[str, float]:
    """A model's numbers for programs."""
    within = {str(ms): round(share, 4) for ms, share in found.within.items()}
    within |= {f"{ms}_of_mean": round(share, 4) for ms, share in found.within_of_mean.items()}
    return {**within, "median_ms": round(found.median_ms, 2), "mean_ms": round(found.mean_ms, 2)}


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(f"error: {error}") from error
