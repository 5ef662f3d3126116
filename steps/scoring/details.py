"""The errors of a set for the eye (wer.txt), and its transcripts for NIST's sclite (trn)."""

from collections import Counter
from collections.abc import Iterable, Mapping

from steps.base.fields import split_fields
from steps.corpus.spelling import nfc
from steps.scoring.wer import Counts, Pair, Score, count

_TRN_ID = str.maketrans("()", "[]")  # sclite takes the last "(" of a line for the id's


def alignment_text(result: Score, characters: Counts) -> str:
    """Write all errors where they happened, in icefall's style, then the most frequent ones.

    Parameters
    ----------
    result : Score
        Of words.
    characters : Counts
        The total of `score_characters` of the same set.

    Returns
    -------
    str
        The rates, as Kaldi's ``compute-wer`` prints them; a line ``utt: [errors/words] THE (EDISON->ADDISON) (*->INS)
        (DEL->*)`` for every utterance; and substitutions, deletions and insertions by how often they happened.

    Example
    -------
    >>> from steps.scoring.wer import score
    >>> result = score({"u1": "A B C"}, {"u1": "B D C E"})
    >>> alignment_text(result, result.total).splitlines()[5]
    'u1: [3/3] (A->B) (B->D) C (*->E)'
    """
    total, utts = result.total, len(result.alignments)
    pairs = [pair for pairs in result.alignments.values() for pair in pairs]
    lines = [
        rate("%WER", total),
        f"%SER {100 * result.sentence_errors / utts:.2f} [ {result.sentence_errors} / {utts} ]",
        rate("%CER", characters),
        "",
        "# utterance: [errors/words] (REFERENCE->HYPOTHESIS), * where a word was inserted or deleted",
        *(_aligned(utt, aligned) for utt, aligned in result.alignments.items()),
    ]
    if result.missing:
        lines += ["", f"# no hypothesis, counted as deleted: {len(result.missing)} utterances", *result.missing]
    lines += _most_frequent("substitutions: count, reference -> hypothesis", _substitutions(pairs))
    lines += _most_frequent("deletions: count, word of the reference", (ref for ref, hyp in pairs if not hyp))
    lines += _most_frequent("insertions: count, word of the hypothesis", (hyp for ref, hyp in pairs if not ref))
    return "\n".join(lines) + "\n"


def rate(name: str, counts: Counts) -> str:
    """Give the line that Kaldi's ``compute-wer`` prints.

    Example
    -------
    >>> rate("%WER", Counts(words=8, substitutions=2, insertions=1, deletions=0))
    '%WER 37.50 [ 3 / 8, 1 ins, 0 del, 2 sub ]'
    """
    return (
        f"{name} {counts.wer:.2f} [ {counts.errors} / {counts.words}, "
        f"{counts.insertions} ins, {counts.deletions} del, {counts.substitutions} sub ]"
    )


def _aligned(utt: str, pairs: list[Pair]) -> str:
    counts = count(pairs)
    words = [ref if ref == hyp else f"({ref or '*'}->{hyp or '*'})" for ref, hyp in pairs]
    return f"{utt}: [{counts.errors}/{counts.words}] {' '.join(words)}"


def _substitutions(pairs: Iterable[Pair]) -> Iterable[str]:
    return (f"{ref} -> {hyp}" for ref, hyp in pairs if ref and hyp and ref != hyp)


def _most_frequent(title: str, errors: Iterable[str]) -> list[str]:
    counted = sorted(Counter(errors).items(), key=lambda item: (-item[1], item[0]))
    return ["", f"# {title}", *(f"{number} {error}" for error, number in counted)] if counted else []


def trn(texts: Mapping[str, str]) -> str:
    r"""Write transcripts as sclite's ``trn``: ``words (utterance-id)``; compare them with ``sclite -s -i wsj``.

    sclite gives some characters a meaning that they do not have here: after ``;`` come a word's attributes, ``{``
    opens alternatives, and ``@`` stands for no word. ``;`` can be escaped by a backslash; the other two cannot, and
    become the full-width characters ``｛`` and ``＠``. Words are written composed (NFC), because sclite compares bytes.

    Parameters
    ----------
    texts : mapping of str to str
        Utterance id to its words; may be empty.

    Example
    -------
    >>> trn({"spk-2": "", "spk-1": r"YES; {NO"})
    'YES\\; ｛NO (spk-1)\n(spk-2)\n'
    """
    lines = ([*map(_trn_word, split_fields(nfc(texts[utt]))), f"({utt.translate(_TRN_ID)})"] for utt in sorted(texts))
    return "".join(" ".join(line) + "\n" for line in lines)


def _trn_word(word: str) -> str:
    return "＠" if word == "@" else word.replace("\\", r"\\").replace(";", r"\;").replace("{", "｛")
