"""The files of a scored decode directory, in the forms of Kaldi's and NIST's scripts."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from steps.base.fields import split_fields
from steps.corpus.spelling import nfc
from steps.scoring.normalisation import Slot, Word
from steps.scoring.tables import Group, Table, group_errors
from steps.scoring.wer import Counts, Score, WordAlignment

NOTHING = "***"  # where a word was inserted or deleted, as in Kaldi's files

_TRN_ID = str.maketrans("()", "[]")  # sclite takes the last "(" of a line for the id's


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


def wer_text(score: Score, characters: Counts, remarks: Sequence[str], tables: Iterable[Table]) -> str:
    """Write the file ``wer``: Kaldi's lines first, then remarks, tables and all utterances with their errors marked.

    Parameters
    ----------
    score : Score
        Of words.
    characters : Counts
    remarks : sequence of str
        Lines such as that of the interval.
    tables : iterable of Table

    Example
    -------
    >>> from steps.scoring.wer import score
    >>> result = score({"u1": "A B C"}, {"u1": "B D C E"})
    >>> print(wer_text(result, result.total, ["one utterance"], []))
    %WER 100.00 [ 3 / 3, 2 ins, 1 del, 0 sub ]
    %SER 100.00 [ 1 / 1 ]
    %CER 100.00 [ 3 / 3, 2 ins, 1 del, 0 sub ]
    one utterance
    <BLANKLINE>
    # utterance: [errors/words] (REFERENCE->HYPOTHESIS), * where a word was inserted or deleted
    u1: [3/3] (A->*) B (*->D) C (*->E)
    <BLANKLINE>
    """
    utts = len(score.alignments)
    parts = [
        "\n".join(
            [
                rate("%WER", score.total),
                f"%SER {100 * score.sentence_errors / utts:.2f} [ {score.sentence_errors} / {utts} ]",
                rate("%CER", characters),
                *remarks,
            ]
        ),
        *(table.text(most=50) for table in tables if table.rows),
    ]
    if score.missing:
        parts.append(
            "\n".join([f"# no hypothesis, counted as deleted: {len(score.missing)} utterances", *score.missing])
        )
    if score.above:
        parts.append(
            "\n".join(
                [
                    "# utterances whose errors exceed the edit distance, which compute-wer counts, and by how many",
                    *(f"{utterance} {more}" for utterance, more in score.above.items()),
                ]
            )
        )
    title = "# utterance: [errors/words] (REFERENCE->HYPOTHESIS), * where a word was inserted or deleted"
    parts.append("\n".join([title, *(_marked(u, found, score.counts[u]) for u, found in score.alignments.items())]))
    return "\n\n".join(parts) + "\n"


def _marked(utterance: str, found: WordAlignment, counts: Counts) -> str:
    words = [
        ref or hyp if letter in "CO" else f"({ref or '*'}->{hyp or '*'})"
        for (ref, hyp), letter in zip(found.pairs, found.letters, strict=True)
    ]
    return f"{utterance}: [{counts.errors}/{counts.words}] {' '.join(words)}"


def per_utt_text(score: Score) -> str:
    """Write what Kaldi's ``wer_per_utt_details.pl`` does: reference, hypothesis, operations and counts of each one.

    Example
    -------
    >>> from steps.scoring.wer import score
    >>> print(per_utt_text(score({"u1": "THE CAT SAT"}, {"u1": "CAT SET"})), end="")
    u1 ref  THE  CAT  SAT
    u1 hyp  ***  CAT  SET
    u1 op    D    C    S
    u1 #csid 1 1 0 1
    """
    lines = []
    for utterance, found in score.alignments.items():
        rows: list[list[str]] = [[f"{utterance} ref"], [f"{utterance} hyp"], [f"{utterance} op "]]
        for (ref, hyp), letter in zip(found.pairs, found.letters, strict=True):
            texts = (ref or NOTHING, hyp or NOTHING, letter)
            width = max(map(len, texts))
            rows[0].append(texts[0].ljust(width))
            rows[1].append(texts[1].ljust(width))
            rows[2].append(letter.center(width))
        counts = score.counts[utterance]
        lines += ["  ".join(row).rstrip(" ") for row in rows]
        lines.append(
            f"{utterance} #csid {counts.correct} {counts.substitutions} {counts.insertions} {counts.deletions}"
        )
    return "".join(line + "\n" for line in lines)


def per_group_text(name: str, score: Score, groups: Mapping[str, str]) -> str:
    """Write what Kaldi's ``wer_per_spk_details.pl`` does: counts (raw) and percentages (sys) of each group.

    Parameters
    ----------
    name : str
        What the groups are, such as SPEAKER.
    score : Score
    groups : mapping of str to str
        Utterance -> its group; "-" is that of others.
    """
    found = group_errors(score, groups)
    width = max(len(label) for label, _ in [(name, None), *found])
    columns = ["id ", "#SENT", "#WORD", "Corr", "Sub", "Ins", "Del", "Err", "S.Err"]
    lines = [name.ljust(width) + "".join(column.rjust(9) for column in columns)]
    for label, errors in found:
        lines += _raw_and_percent(label.ljust(width), errors)
    return "".join(line + "\n" for line in lines)


def _raw_and_percent(label: str, found: Group) -> list[str]:
    c, words = found.counts, max(found.counts.words, 1)
    raw = [c.correct, c.substitutions, c.insertions, c.deletions, c.errors]
    share = 100 * found.wrong_utterances / found.utterances
    size = f"{found.utterances:9d}{c.words:9d}"
    return [
        f"{label}      raw{size}" + "".join(f"{number:9d}" for number in raw) + f"{found.wrong_utterances:9d}",
        f"{label}      sys{size}" + "".join(f"{100 * number / words:9.2f}" for number in raw) + f"{share:9.2f}",
    ]


def ops_text(score: Score) -> str:
    """Write what Kaldi's ``wer_ops_details.pl`` does: each operation with its words and how often it happened.

    Example
    -------
    >>> from steps.scoring.wer import score
    >>> print(ops_text(score({"u1": "THE CAT"}, {"u1": "CAT SET"})), end="")
    correct CAT CAT 1
    deletion THE *** 1
    insertion *** SET 1
    """
    names = {"C": "correct", "S": "substitution", "I": "insertion", "D": "deletion", "O": "correct"}
    counted = Counter(
        (names[letter], ref or NOTHING, hyp or NOTHING)
        for found in score.alignments.values()
        for (ref, hyp), letter in zip(found.pairs, found.letters, strict=True)
    )
    ranked = sorted(counted.items(), key=lambda item: (item[0][0], -item[1], item[0]))
    return "".join(f"{' '.join(operation)} {number}\n" for operation, number in ranked)


def trn(texts: Mapping[str, str]) -> str:
    r"""Write transcripts as sclite's ``trn``: ``words (utterance-id)``; compare them with ``sclite -s -i wsj``.

    sclite gives some characters a meaning that they do not have here: after ``;`` come a word's attributes, ``{``
    opens alternatives, ``@`` stands for no word, and a word in parentheses is optional. ``;`` can be escaped by a
    backslash; the others cannot, and become full-width characters, ``｛``, ``＠`` and ``（）``. Words are written
    composed (NFC), because sclite compares bytes.

    Parameters
    ----------
    texts : mapping of str to str
        Utterance id to its words; may be empty.

    Example
    -------
    >>> trn({"spk-2": "", "spk-1": r"YES; {NO"})
    'YES\\; ｛NO (spk-1)\n(spk-2)\n'
    """
    return _trn({utterance: map(_trn_word, split_fields(nfc(text))) for utterance, text in texts.items()})


def reference_trn(references: Mapping[str, Sequence[Slot]]) -> str:
    """Write normalised references, with alternatives as ``{ OKAY / O.K. }`` and optional words as ``(UH)``.

    Score such ones with ``sclite -D``, which does not count optional words as errors (but one that is inserted as a
    correct word of the reference, so that the number of words there depends on the hypothesis).
    """
    return _trn({utterance: map(_trn_slot, slots) for utterance, slots in references.items()})


def hypothesis_trn(hypotheses: Mapping[str, Sequence[Word]]) -> str:
    """Write normalised hypotheses."""
    return _trn({utterance: map(_optional_word, words) for utterance, words in hypotheses.items()})


def _trn(words: Mapping[str, Iterable[str]]) -> str:
    lines = ([*words[utterance], f"({utterance.translate(_TRN_ID)})"] for utterance in sorted(words))
    return "".join(" ".join(line) + "\n" for line in lines)


def _trn_slot(slot: Slot) -> str:
    alternatives = [" ".join(map(_optional_word, words)) or "@" for words in slot]
    return alternatives[0] if len(slot) == 1 else f"{{ {' / '.join(alternatives)} }}"


def _optional_word(word: Word) -> str:
    return f"({_trn_word(word.text)})" if word.optional else _trn_word(word.text)


def _trn_word(word: str) -> str:
    if word.startswith("(") and word.endswith(")"):
        word = f"（{word[1:-1]}）"
    return "＠" if word == "@" else word.replace("\\", r"\\").replace(";", r"\;").replace("{", "｛")
