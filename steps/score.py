"""Score what was decoded: word error rates, their details and the closing table."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from steps.base.cli import command
from steps.base.errors import InputError
from steps.base.files import write_json
from steps.base.output import writing
from steps.corpus.data_dir import left_out
from steps.corpus.spelling import say_respelled
from steps.corpus.tables import read_table
from steps.scoring.decodings import Decoding, find_decodings
from steps.scoring.details import alignment_text, trn
from steps.scoring.report import Row, key, make_row, merge, read_results, table
from steps.scoring.wer import Score, score_characters
from steps.scoring.wer import score as score_words


def score(data: Path, exp: Path) -> None:
    """Score every decoded set against its reference.

    Finds the directories of steps.decode and steps.tune, EXP/MODEL/*, by their decode.json, and compares their
    hypotheses (text) with DATA/SET/text. Those of role pass (a first pass for speaker adaptation) are left out. Writes
    beside them wer.txt (every error in its place), ref.trn and hyp.trn (for sclite) and score.json; joins the rows of
    all sets into EXP/results.json, where rows of other models, sets and language models stay; and prints these as a
    table. The model with the lowest error rate on the sets of role tune (dev) is chosen.

    CER is the error rate of characters: letters, all else that stands in a word, and the single space between words.

    Parameters
    ----------
    data
        folder of data directories
    exp
        folder of the models

    Raises
    ------
    InputError
        When nothing was decoded of this data.
    """
    found = find_decodings(data, exp)
    references = {name: Reference.read(data / name / "text") for name in sorted({k.set for k in found})}
    hypotheses = {k: read_table(decoding.directory / "text") for k, decoding in found.items()}
    scored = {k: found[k] for k in found if is_of(references[k.set], hypotheses[k], found[k].directory)}
    if not scored:
        raise InputError(f"{exp}: all that was decoded is of other data than {data}; decode again")
    rows = [score_directory(references[k.set], hypotheses[k], decoding) for k, decoding in scored.items()]
    dev = {k.set for k, decoding in scored.items() if decoding.role == "tune"}
    old = [row for row in read_results(exp / "results.json") if key(row) not in found]
    results = merge(old, rows, dev)
    write_json(exp / "results.json", results)
    print(table(results))
    print("\nDetails:", *(f"{scored[k].directory}/wer.txt" for k in sorted(scored)), exp / "results.json", sep="\n  ")


class Reference(NamedTuple):
    """The transcripts of a set, their file, and those of the utterances that could not be used (see `left_out`)."""

    path: Path
    text: dict[str, str]
    left_out: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> "Reference":
        """Read the file and what lies beside it."""
        return cls(path, read_table(path), left_out(path.parent))


def is_of(reference: Reference, hypothesis: Mapping[str, str], directory: Path) -> bool:
    """Whether all that was decoded stands in a set's transcripts; says so where it does not."""
    unknown = sorted(set(hypothesis) - set(reference.text))
    if unknown:
        print(
            f"{directory}: not scored, it was decoded from other data: {len(unknown)} of its utterances, the first is "
            f"{unknown[0]}, are not in {reference.path}"
        )
    return not unknown


def score_directory(reference: Reference, hypothesis: Mapping[str, str], decoding: Decoding) -> Row:
    """Score one set and write the details beside its hypotheses.

    Raises
    ------
    InputError
        When no utterance was decoded, or a reference is empty.
    """
    directory, path, texts = decoding.directory, reference.path, {**reference.text, **reference.left_out}
    if not hypothesis:
        raise InputError(f"{directory / 'text'}: no utterance was decoded; see what the decoding of {path.parent} said")
    try:
        result, characters = score_words(texts, hypothesis), score_characters(texts, hypothesis).total
    except InputError as error:
        raise InputError(f"{directory / 'text'} against {path}: {error}") from error
    if result.missing:
        print(f"{directory}: {_missing(result)}")
    say_respelled(directory / "text", result.respelled, path)
    row = make_row(result, characters, decoding.about)
    write_json(directory / "score.json", {**row, "sentence_errors": result.sentence_errors})
    for name, content in [
        ("wer.txt", alignment_text(result, characters)),
        ("ref.trn", trn(texts)),
        ("hyp.trn", trn({utt: hypothesis.get(utt, "") for utt in texts})),
    ]:
        with writing(directory / name) as part:
            part.write_text(content, encoding="utf-8")
    return row


def _missing(result: Score) -> str:
    missing, utts = result.missing, len(result.alignments)
    names = " ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
    return f"{len(missing)} of {utts} utterances have no hypothesis and count as deleted: {names}"


if __name__ == "__main__":
    command(score)
