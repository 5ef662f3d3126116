"""A user's own Kaldi data directories, lexicon and language model, taken as they are."""

import gzip
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from local.dict_dir import spell, write_dict_dir
from local.summary import print_summary
from nnet.ranges import Count
from steps.base.cli import command
from steps.base.errors import InputError
from steps.base.fields import split_fields, with_other_spaces
from steps.base.output import only_writer, output_dir, writing
from steps.corpus.audio import parse_wav_entry
from steps.corpus.checks import Problem
from steps.corpus.data_dir import LEFT_OUT, DataDir, left_out, read_data_dir, write_data_dir
from steps.corpus.spelling import spellings
from steps.corpus.validate import examine, write_repaired
from steps.lang.arpa import read_arpa
from steps.lang.lexicon import read_dict_dir
from steps.lang.lexicon_file import read_any_lexicon
from steps.lang.lines import open_plain
from steps.lang.symbols import UNK

DICT_FILES = ("silence_phones.txt", "nonsilence_phones.txt", "optional_silence.txt")
Examined = tuple[list[Problem], DataDir]  # from steps.corpus.validate.examine
SHOWN = 20  # changes that are printed for a set


def name_sets(train: Path, dev: Path, test: Sequence[Path], data: Path) -> dict[str, Path]:
    """Name the sets: train, dev, and each test set by its directory.

    Raises
    ------
    InputError
        When two names are equal, a directory is missing, or one lies where the copies go.
    """
    if not test:
        raise InputError("no test set is given: --test DIR, once or more")
    sets = {"train": train, "dev": dev}
    for path in test:
        name = path.resolve().name
        if name in sets or name == "local":
            clash = f"that of {sets[name]}" if name in sets else "taken"
            raise InputError(
                f"the test set {path} would be named '{name}', which is {clash}; results go by these names: rename one"
            )
        sets[name] = path
    for path in sets.values():
        if not path.is_dir():
            raise InputError(f"{path}: there is no such data directory")
        if path.resolve().is_relative_to(data.resolve()):
            raise InputError(f"{path} lies in {data}, where the copies are written; give another --workdir")
    return sets


def check_sets(sets: Mapping[str, Path], allow_commands: bool, nj: int) -> dict[str, Examined]:
    """Examine the sets; stop, with a list of all of them, when there are problems that cannot be repaired.

    Raises
    ------
    InputError
        Also when a set has no text.
    """
    examined = {name: examine(path, allow_commands, nj=nj) for name, path in sets.items()}
    lines = []
    for name, path in sets.items():
        problems = examined[name][0]
        lines += [f"{path}/{problem}" for problem in problems if not (problem.fixable or problem.warning)]
        if not (path / "text").is_file():
            lines.append(f"{path}/text: there is no such file: nothing to train on or to score with")
    if lines:
        raise InputError(f"{len(lines)} problems cannot be repaired:\n" + "\n".join(f"  {line}" for line in lines))
    return examined


def copy_set(examined: Examined, target: Path) -> DataDir:
    """Write a repaired copy whose audio paths are absolute, telling what was changed, left out or is doubtful."""
    problems, data = examined
    shutil.rmtree(target, ignore_errors=True)
    changes = write_repaired(problems, data, target)
    fixed = read_data_dir(target)
    fixed = replace(fixed, wav={recording: _absolute(entry, data.path) for recording, entry in fixed.wav.items()})
    write_data_dir(target, fixed)
    for change in changes[:SHOWN]:
        print(change)
    if len(changes) > SHOWN:
        print(
            f"{data.path}: {len(changes) - SHOWN} changes more; 'python -m steps.validate_data {data.path}' lists them"
        )
    for problem in problems:
        if problem.warning and not problem.fixable:
            print(f"{data.path}/{problem}")
    if lost := sorted(left_out(target)):
        share = f"{len(lost)} of {len(lost) + len(fixed.utterances)} utterances"
        use = "are not trained on" if target.name == "train" else "count as deleted words in the results"
        names = " ".join(lost[:SHOWN]) + (f" ... (all in {target}/{LEFT_OUT})" if len(lost) > SHOWN else "")
        print(f"{data.path}: {share} cannot be used and {use}: {names}")
    return fixed


def _absolute(entry: str, base: Path) -> str:
    path = parse_wav_entry(entry, base).path
    return entry if path is None else str(path.absolute())


def copy_lm(model: Path, folder: Path) -> list[str]:
    """Copy an ARPA model, gzipped or not, to ``folder/NAME.arpa.gz``.

    Returns
    -------
    list of str
        The words that it knows, without the tags of sentence limits and unknown words.

    Raises
    ------
    InputError
        When there is no such file, or as `steps.lang.arpa.read_arpa`.
    """
    if not model.is_file():
        raise InputError(f"{model}: there is no such language model")
    words = read_arpa(model).vocabulary
    name = model.name.removesuffix(".gz").removesuffix(".arpa")
    with writing(folder / f"{name}.arpa.gz") as part, open_plain(model) as content:
        part.write_bytes(gzip.compress(content.read(), mtime=0))
    return sorted(words - {UNK, UNK.lower()})


def copy_dict_dir(source: Path, target: Path) -> str:
    """Copy a Kaldi dict directory with all its files.

    Raises
    ------
    InputError
        When files that it needs are missing; all are listed. Also as `steps.lang.lexicon.read_dict_dir`.
    """
    missing = [name for name in DICT_FILES if not (source / name).is_file()]
    if not any((source / name).is_file() for name in ("lexicon.txt", "lexiconp.txt")):
        missing.insert(0, "lexicon.txt or lexiconp.txt")
    if missing:
        raise InputError(f"{source}: not a dict directory, it lacks {', '.join(missing)}")
    read_dict_dir(source)  # errors then name this directory, not the copy
    with output_dir(target) as part:
        for file in sorted(source.iterdir()):
            if file.is_file():
                shutil.copyfile(file, part / file.name)
    return f"lexicon: {source} as it is"


def prepare_dict(lexicon: Path | None, text: Mapping[str, str], lm_words: Sequence[str], target: Path) -> str:
    """Write the dict directory: from a dict directory, a lexicon file, or by graphemes.

    Parameters
    ----------
    lexicon : Path, optional
        A dict directory or a file in a form of `steps.lang.lexicon_file.read_any_lexicon`.
    text : mapping
        The training text, whose words are spelled when there is no lexicon.
    lm_words : sequence of str
        More words to spell: those of the language model.
    target : Path
        The dict directory.

    Returns
    -------
    str
        What was done, in a line.
    """
    if lexicon is not None and lexicon.is_dir():
        return copy_dict_dir(lexicon, target)
    if lexicon is not None:
        entries, form = read_any_lexicon(lexicon)
        words = len({entry.word for entry in entries})
        note = f"lexicon: {words} words, {len(entries)} pronunciations of {lexicon}, read as {form}"
    else:
        spoken = spellings(sorted({word for transcript in text.values() for word in split_fields(transcript)}))
        entries = spell(spoken, "the training text")
        entries += spell((word for word in lm_words if word not in spoken), "the language model")
        note = f"lexicon: {len(entries)} words of the training text and language model, by graphemes"
        if spaced := with_other_spaces(entry.word for entry in entries):
            note += f"; {len(spaced)} of them with a space within that is not ASCII's, such as {spaced[0]}"
    shutil.rmtree(target, ignore_errors=True)  # a dict directory that was copied may have held more files
    write_dict_dir(target, entries)
    return note


def prepare_custom(
    data: Path,
    train: Path,
    dev: Path,
    test: Sequence[Path],
    lexicon: Path | None = None,
    lm: Path | None = None,
    allow_commands: bool = False,
    nj: int = 1,
) -> None:
    """Check and copy data directories; write a dict directory and the language model beside them.

    Parameters
    ----------
    data : Path
        Gets ``train``, ``dev``, the test sets by their directories' names, ``local/dict`` and ``local/lm``.
    train, dev, test, lexicon, lm, allow_commands, nj
        See `custom`.

    Raises
    ------
    InputError
        When names clash, or there are problems that cannot be repaired; all are listed.
    """
    sources = name_sets(train, dev, test, data)
    examined = check_sets(sources, allow_commands, nj)
    shutil.rmtree(data / "local/lm", ignore_errors=True)
    lm_words = copy_lm(lm, data / "local/lm") if lm else []
    _remove_earlier(data, sources)
    sets = {name: copy_set(examined[name], data / name) for name in sources}
    note = prepare_dict(lexicon, sets["train"].text, lm_words, data / "local/dict")
    for name in list(sets)[1:]:
        shared = sorted(set(sets[name].spk2utt) & set(sets["train"].spk2utt))
        if shared:
            print(f"warning: {len(shared)} speakers of {name} are in train as well: {' '.join(shared[:SHOWN])}")
    print_summary(sets, note, allow_commands)


def _remove_earlier(data: Path, sets: Mapping[str, Path]) -> None:
    """Remove the sets that an earlier call wrote and this one does not, so that nothing uses them any longer."""
    listed = data / "local/sets"
    for name in listed.read_text(encoding="utf-8").split("\n") if listed.is_file() else []:
        if name and name not in sets:
            shutil.rmtree(data / name, ignore_errors=True)
    with writing(listed) as part:
        part.write_text("".join(f"{name}\n" for name in sets), encoding="utf-8")


def custom(
    data: Path,
    train: Path | None = None,
    dev: Path | None = None,
    test: list[Path] | None = None,
    lexicon: Path | None = None,
    lm: Path | None = None,
    allow_commands: bool = False,
    nj: Count = 1,
) -> None:
    """Prepare a corpus of your own: Kaldi data directories for training, tuning and tests.

    Parameters
    ----------
    data : Path
        Where the checked and repaired copies and local (the dict directory, the language model) are written.
    train : Path
        Data directory for training: wav.scp, text, utt2spk, and segments with reco2file_and_channel if there are any.
    dev : Path
        Data directory for choices, such as scales.
    test : list of Path
        Data directory for tests; give it again for more of them, which go by their directories' names.
    lexicon : Path, optional
        A file of 'word phone phone ...', also with probabilities, CMUdict, a dictionary of Sphinx or MFA, or a Kaldi
        dict directory; without it, words are spelled in graphemes.
    lm : Path, optional
        A language model in ARPA format, plain or gzipped.
    allow_commands : bool
        Run the commands in wav.scp.
    nj : int
        Number of processes that check audio.
    """
    if train is None or dev is None:
        raise InputError("give the data directories: --train DIR --dev DIR --test DIR [--test DIR2 ...]")
    with only_writer(data):
        prepare_custom(data, train, dev, test or [], lexicon, lm, allow_commands, nj)


if __name__ == "__main__":
    command(custom)
