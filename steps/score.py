"""Score what was decoded: word error rates, their details and the closing table."""

from pathlib import Path
from typing import Any

from steps.base.cli import command
from steps.base.errors import InputError
from steps.base.files import read_json, write_json
from steps.base.output import writing
from steps.corpus.data_dir import left_out
from steps.corpus.spelling import say_respelled
from steps.corpus.tables import read_table
from steps.scoring.details import alignment_text, trn
from steps.scoring.report import DECODED, Key, Row, key, make_row, merge, read_results, table
from steps.scoring.wer import Score, confidence_interval, score_characters
from steps.scoring.wer import score as score_words


def score(data: Path, exp: Path) -> None:
    """Score every decoded set against its reference.

    Finds EXP/MODEL/decode_SET and EXP/MODEL/tune_SET (dev, decoded with the best of the tried options) and compares
    their hypotheses (text) with DATA/SET/text. Writes beside them wer.txt (every error in its place), ref.trn and
    hyp.trn (for sclite) and score.json; joins the rows of all sets into EXP/results.json, where rows of other models,
    sets and language models stay; and prints these as a table. The model with the lowest error rate on dev is chosen.

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
    found = find_decoded(data, exp)
    directories = {k: directory for k, directory in found.items() if is_of(data / k.set / "text", directory)}
    if not directories:
        raise InputError(f"{exp}: all that was decoded is of other data than {data}; decode again")
    rows = {k: score_directory(data / k.set / "text", directory) for k, directory in directories.items()}
    dev = {k.set for k, directory in directories.items() if directory.name.startswith("tune_")}
    old = [row for row in read_results(exp / "results.json") if key(row) not in found]
    results = merge(old, [row for row, _ in rows.values()], dev)
    write_json(exp / "results.json", results)
    print(table(results, {k: interval for k, (_, interval) in rows.items()}))
    print("\nDetails:", *(f"{directories[k]}/wer.txt" for k in sorted(directories)), exp / "results.json", sep="\n  ")


def find_decoded(data: Path, exp: Path) -> dict[Key, Path]:
    """Find the finished decoding directories below `exp` whose set has reference transcripts.

    Raises
    ------
    InputError
        When there are none, and when two hold the same set of one model and language model.
    """
    directories: dict[Key, Path] = {}
    for file in sorted(exp.glob("*/*_*/decode.json")):
        directory = file.parent
        unfinished = any(folder.name.endswith((".partial", ".old")) for folder in (directory, directory.parent))
        if unfinished or not directory.name.startswith(("decode_", "tune_")):
            continue
        k = key(read_decode(directory))
        text = data / k.set / "text"
        if not text.exists():
            print(f"{directory}: not scored, there is no {text}")
        elif k in directories:
            raise InputError(
                f"{directories[k]} and {directory} both hold set {k.set} of model {k.model} with language model "
                f"{k.lm}; remove one of them"
            )
        else:
            directories[k] = directory
    if not directories:
        raise InputError(f"{exp}: no model has decoded a set of {data} (MODEL/decode_SET/decode.json); decode first")
    return directories


def is_of(text: Path, directory: Path) -> bool:
    """Whether all that was decoded stands in a set's transcripts; says so where it does not."""
    unknown = sorted(set(read_table(directory / "text")) - set(read_table(text)))
    if unknown:
        print(
            f"{directory}: not scored, it was decoded from other data: {len(unknown)} of its utterances, the first is "
            f"{unknown[0]}, are not in {text}"
        )
    return not unknown


def read_decode(directory: Path) -> dict[str, Any]:
    """Read how a set was decoded.

    Raises
    ------
    InputError
        When decode.json lacks what a result needs.
    """
    decode = read_json(directory / "decode.json")
    lacking = [name for name in DECODED if name not in decode]
    if lacking:
        raise InputError(f"{directory / 'decode.json'}: lacks {', '.join(lacking)}; decode the set again")
    return decode


def score_directory(text: Path, directory: Path) -> tuple[Row, tuple[float, float]]:
    """Score one set and write the details beside its hypotheses.

    Parameters
    ----------
    text : Path
        The set's reference transcripts; those of utterances that could not be used lie beside it (`left_out`).
    directory : Path
        Where the hypotheses are.

    Returns
    -------
    Row
    tuple of float
        The 95 % interval of the word error rate.

    Raises
    ------
    InputError
        When no utterance was decoded, or a reference is empty.
    """
    reference, hypothesis = {**read_table(text), **left_out(text.parent)}, read_table(directory / "text")
    if not hypothesis:
        raise InputError(f"{directory / 'text'}: no utterance was decoded; see what the decoding of {text.parent} said")
    try:
        result, characters = score_words(reference, hypothesis), score_characters(reference, hypothesis).total
    except InputError as error:
        raise InputError(f"{directory / 'text'} against {text}: {error}") from error
    if result.missing:
        print(f"{directory}: {_missing(result)}")
    say_respelled(directory / "text", result.respelled, text)
    row, interval = make_row(result, characters, read_decode(directory)), confidence_interval(result)
    extra = {"wer_95": interval, "sentence_errors": result.sentence_errors}
    write_json(directory / "score.json", {**row, **extra})
    for name, content in [
        ("wer.txt", alignment_text(result, characters)),
        ("ref.trn", trn(reference)),
        ("hyp.trn", trn({utt: hypothesis.get(utt, "") for utt in reference})),
    ]:
        with writing(directory / name) as part:
            part.write_text(content, encoding="utf-8")
    return row, interval


def _missing(result: Score) -> str:
    missing, utts = result.missing, len(result.alignments)
    names = " ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
    return f"{len(missing)} of {utts} utterances have no hypothesis and count as deleted: {names}"


if __name__ == "__main__":
    command(score)
