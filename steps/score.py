"""Score what was decoded: word error rates, their details and the closing table."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from steps.base.cli import command
from steps.base.errors import InputError
from steps.base.files import write_json, write_text
from steps.corpus.spelling import say_respelled
from steps.corpus.tables import read_table
from steps.scoring.decodings import Decoding, find_decodings
from steps.scoring.files import hypothesis_trn, ops_text, per_group_text, per_utt_text, reference_trn, wer_text
from steps.scoring.normalisation import Normalisation, Normaliser, Slot, Word
from steps.scoring.report import Row, key, make_row, merge, read_results, table
from steps.scoring.sets import (
    ReferenceSet,
    numbers_of,
    read_reference_set,
    words_of_graph,
    words_of_training,
)
from steps.scoring.significance import matched_pairs, score_interval
from steps.scoring.tables import (
    Table,
    by_band,
    by_group,
    by_length,
    by_word,
    one_sided,
    out_of_vocabulary,
    substitutions,
)
from steps.scoring.wer import Score, count_characters, respelled, score_normalised


def score(data: Path, exp: Path, normalisation: Normalisation = Normalisation()) -> None:
    """Score every decoded set against its reference.

    Finds the directories of steps.decode and steps.tune, EXP/MODEL/*, by their decode.json, and compares their
    hypotheses (text) with DATA/SET/text. Those of role pass (a pass that only adapts to speakers) are left out. Writes
    beside them wer (rates, tables and every error in its place), per_utt, per_spk, per_X for each file utt2X or spk2X
    of DATA/SET, ops, ref.trn and hyp.trn (for sclite) and summary.json; joins the rows of all sets into
    EXP/results.json, where rows of other models, sets and language models stay; and prints these as a table. The model
    with the lowest error rate on the sets of role tune (dev) is chosen; of each other model the table says whether it
    differs from the chosen one, by the matched-pairs test (steps.compare shows more).

    The alignment is that of NIST's sclite. CER is the error rate of characters: letters, all else that stands in a
    word, and the single space between words.

    Parameters
    ----------
    data
        folder of data directories
    exp
        folder of the models
    normalisation : Normalisation
        What counts as the same word.

    Raises
    ------
    InputError
        When nothing was decoded of this data.
    """
    normaliser = Normaliser(normalisation)
    found = find_decodings(data, exp)
    sets = {name: read_reference_set(data / name) for name in sorted({k.set for k in found})}
    hypotheses = {k: read_table(decoding.directory / "text") for k, decoding in found.items()}
    scored = {k: found[k] for k in found if is_of(sets[k.set], hypotheses[k], found[k].directory)}
    if not scored:
        raise InputError(f"{exp}: all that was decoded is of other data than {data}; decode again")
    training = words_of_training(data, normaliser)
    references = {
        name: {utt: normaliser.reference(text) for utt, text in reference.all_texts.items()}
        for name, reference in sets.items()
    }
    scores, rows = {}, []
    for k, decoding in scored.items():
        hypothesis = {utt: normaliser.hypothesis(text) for utt, text in hypotheses[k].items()}
        scores[k] = score_texts(references[k.set], hypothesis, decoding, sets[k.set].path)
        say_respelled(decoding.directory / "text", respelled(sets[k.set].text, hypotheses[k]), sets[k.set].path)
        rows.append(write_details(sets[k.set], scores[k], decoding, normaliser, training))
        write_transcripts(decoding.directory, references[k.set], hypothesis)
    dev = {k.set for k, decoding in scored.items() if decoding.role == "tune"}
    old = [row for row in read_results(exp / "results.json") if key(row) not in found]
    letters = {k: {utt: a.letters for utt, a in result.alignments.items()} for k, result in scores.items()}
    results = merge(old, rows, dev, lambda one, other: p_of(letters[one], letters[other]))
    write_json(exp / "results.json", results)
    print(table(results))
    print("\nDetails:", *(f"{scored[k].directory}/wer" for k in sorted(scored)), exp / "results.json", sep="\n  ")


def p_of(first: Mapping[str, str], second: Mapping[str, str]) -> float | None:
    """The p of the matched-pairs test between two systems; None where fewer segments have errors than it needs."""
    utterances = sorted(first)
    test = matched_pairs(*([letters[utterance] for utterance in utterances] for letters in (first, second)))
    return test.p if test.has_enough else None


def is_of(reference: ReferenceSet, hypothesis: Mapping[str, str], directory: Path) -> bool:
    """Whether all that was decoded stands in a set's transcripts; says so where it does not."""
    unknown = sorted(set(hypothesis) - set(reference.text))
    if unknown:
        print(
            f"{directory}: not scored, it was decoded from other data: {len(unknown)} of its utterances, the first is "
            f"{unknown[0]}, are not in {reference.path}"
        )
    return not unknown


def score_texts(
    reference: Mapping[str, Sequence[Slot]], hypothesis: Mapping[str, Sequence[Word]], decoding: Decoding, path: Path
) -> Score:
    """Score the words of one set, and print how many utterances have no hypothesis.

    Raises
    ------
    InputError
        When no utterance was decoded.
    """
    directory = decoding.directory
    if not hypothesis:
        raise InputError(f"{directory / 'text'}: no utterance was decoded; see what the decoding of {path.parent} said")
    try:
        result = score_normalised(reference, hypothesis)
    except InputError as error:
        raise InputError(f"{directory / 'text'} against {path}: {error}") from error
    if not result.total.words:
        raise InputError(f"{path}: none of its transcripts has a word, so there is no error rate")
    if result.missing:
        names = " ".join(result.missing[:5]) + (" ..." if len(result.missing) > 5 else "")
        total = f"{len(result.missing)} of {len(result.alignments)} utterances"
        print(f"{directory}: {total} have no hypothesis and count as deleted: {names}")
    return result


def write_details(
    reference: ReferenceSet, result: Score, decoding: Decoding, normaliser: Normaliser, training: set[str] | None
) -> Row:
    """Write the files that show the errors of a scored directory, and give its row of the results."""
    directory, characters = decoding.directory, count_characters(result)
    interval = score_interval(result, reference.utt2spk)
    row = make_row(result, characters, decoding.about, interval)
    tables = list(error_tables(reference, result, decoding, normaliser, training))
    summary = {**row, "sentence_errors": result.sentence_errors, "drawn": interval.drawn, "above": result.above}
    write_json(directory / "summary.json", summary | {"tables": [table._asdict() for table in tables]})
    write_text(directory / "wer", wer_text(result, characters, [interval.text], tables))
    write_text(directory / "per_utt", per_utt_text(result))
    write_text(directory / "ops", ops_text(result))
    for name, groups in ({"spk": reference.utt2spk} | reference.groups).items():
        if groups:
            write_text(directory / f"per_{name}", per_group_text(_heading(name), result, groups))
    return row


def write_transcripts(
    directory: Path, reference: Mapping[str, Sequence[Slot]], hypothesis: Mapping[str, Sequence[Word]]
) -> None:
    """Write the normalised texts for NIST's sclite."""
    write_text(directory / "ref.trn", reference_trn(reference))
    write_text(directory / "hyp.trn", hypothesis_trn({utt: hypothesis.get(utt, ()) for utt in reference}))


def _heading(group: str) -> str:
    return "SPEAKER" if group == "spk" else group.upper()


def error_tables(
    reference: ReferenceSet, result: Score, decoding: Decoding, normaliser: Normaliser, training: set[str] | None
) -> Iterator[Table]:
    """Give the tables of a set's errors; without rows those of what is not known."""
    for name, values in ({"speaker": reference.utt2spk} | reference.groups).items():
        if values:
            yield by_group(f"errors by {name}", result, values)
    yield by_length(result)
    directory, about = reference.path.parent, decoding.about
    seconds = numbers_of(about, directory, "utt2dur")
    rates = {utt: result.counts[utt].words / s for utt, s in seconds.items() if utt in result.counts and s > 0}
    yield by_band("errors by speaking rate, words a second", result, rates, "{:.2f}".format)
    noise = numbers_of(about, directory, "utt2snr")
    yield by_band("errors by signal-to-noise ratio, dB", result, noise, "{:.1f}".format)
    yield substitutions(result)
    yield one_sided(result, "I")
    yield one_sided(result, "D")
    yield by_word(result, training)
    if (vocabulary := words_of_graph(about, normaliser)) is not None:
        yield out_of_vocabulary(result, vocabulary)


if __name__ == "__main__":
    command(score)
