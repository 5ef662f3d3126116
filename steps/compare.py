"""Compare two systems on the same utterances."""

import json as to_json
from dataclasses import asdict
from pathlib import Path

from tabulate import tabulate

from nnet.ranges import Whole
from steps.base.cli import command
from steps.base.errors import InputError
from steps.base.files import read_json
from steps.corpus.tables import read_table
from steps.scoring.comparison import Comparison, Scored, compare_letters, read_scored
from steps.scoring.sets import table_of
from steps.scoring.significance import FEWEST_SEGMENTS, SIGNIFICANT, p_text
from steps.scoring.wer import count


def compare(first: Path, second: Path, data: Path | None = None, most: Whole = 20, json: bool = False) -> None:
    """Say whether two systems differ, by what they recognised in the same utterances.

    Prints both word error rates with their 95 % intervals, their difference with its interval, and the results of two
    tests: NIST's matched-pairs sentence-segment word error test (MAPSSWE, sc_stats -t mapsswe), and a paired
    bootstrap. Then the utterances whose number of errors differs, both hypotheses below the reference.

    Parameters
    ----------
    first : Path
        Decode directory that steps.score has scored.
    second : Path
        Another one of the same set.
    data : Path
        The set's data directory; its utt2spk says the speakers, which the bootstrap draws where there are ten or more.
        Without it, the speakers are those of the features that were decoded.
    most : int
        At most so many utterances are shown, those that differ most; 0 shows none.
    json : bool
        Print one line of JSON instead.

    Raises
    ------
    InputError
        When a directory is not scored, or the two are not of the same utterances.
    """
    systems = [read_scored(directory) for directory in (first, second)]
    if odd := [utt for utt, text in systems[0].transcript.items() if systems[1].transcript.get(utt, text) != text]:
        raise InputError(
            f"{first} and {second} have other references, such as that of utterance {odd[0]}; score both again"
        )
    about = read_json(first / "decode.json") if (first / "decode.json").is_file() else {}
    speakers = data / "utt2spk" if data else table_of(about, "utt2spk")
    utt2spk = read_table(speakers, min_fields=2) if speakers else {}
    found = compare_letters(systems[0].letters, systems[1].letters, utt2spk)
    if json:
        print(to_json.dumps(asdict(found)))
        return
    names = names_of(first, second)
    print(summary(names, found))
    if most:
        print(differences(names, systems, most))


def names_of(first: Path, second: Path) -> list[str]:
    """The models' names where these tell the directories apart, otherwise the directories'."""
    files = [directory / "decode.json" for directory in (first, second)]
    models = [str(read_json(file, "model")["model"]) if file.is_file() else "" for file in files]
    return models if models[0] != models[1] and all(models) else [str(first), str(second)]


def summary(names: list[str], found: Comparison) -> str:
    """Lay out the rates and the tests for reading."""
    sides = [(found.first, found.first_interval), (found.second, found.second_interval)]
    rows = [
        [letter, name, f"{c.wer:.2f}", f"{low:.2f} - {high:.2f}", f"{c.errors} / {c.words}"]
        for letter, name, (c, (low, high)) in zip("AB", names, sides, strict=True)
    ]
    low, high = found.difference_interval
    apart = found.first.errors - found.second.errors
    rows.append(["", "A - B", f"{found.difference:+.2f}", f"{low:+.2f} to {high:+.2f}", f"{apart:+d}"])
    header = ["", "model", "WER %", f"95 %, over {found.drawn}", "errors / words"]
    test = found.test
    verdict = "the systems differ" if found.differ else "no difference is shown"
    why = f"p {'<' if test.p < SIGNIFICANT else '>='} {SIGNIFICANT:g}"
    if not test.has_enough:
        why = f"fewer than {FEWEST_SEGMENTS} segments have errors, too few to test"
    lines = [
        tabulate(rows, header, disable_numparse=True, colalign=("left", "left", "right", "right", "right")),
        "",
        f"matched pairs (MAPSSWE): {test.segments} segments, Z {test.z:.3f}, {p_text(test.p)}",
        f"paired bootstrap: {p_text(found.bootstrap_p)}",
        f"{verdict} (matched pairs: {why})",
    ]
    return "\n".join(lines)


def differences(names: list[str], systems: list[Scored], most: int) -> str:
    """Show the utterances in which the systems' errors differ, those first in which they differ most."""
    errors = [{utt: count([letters]).errors for utt, letters in system.letters.items()} for system in systems]
    apart = {utt: errors[0][utt] - errors[1][utt] for utt in errors[0] if errors[0][utt] != errors[1][utt]}
    better = sum(difference > 0 for difference in apart.values())
    fewer = f"{names[1]} (B) makes fewer errors in {better} utterances, {names[0]} (A) in {len(apart) - better}"
    lines = ["", f"{fewer}, both as many in {len(errors[0]) - len(apart)}"]
    shown = sorted(apart, key=lambda utt: (-abs(apart[utt]), utt))[:most]
    for utt in shown:
        lines += ["", f"{utt}: errors: A {errors[0][utt]}, B {errors[1][utt]}"]
        lines += [f"  ref  {systems[0].reference[utt]}"]
        lines += [f"  {letter}    {system.hypothesis[utt]}" for letter, system in zip("AB", systems, strict=True)]
    if len(apart) > len(shown):
        lines += ["", f"... and {len(apart) - len(shown)} more (--most)"]
    return "\n".join(lines)


if __name__ == "__main__":
    command(compare)
