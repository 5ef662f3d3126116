"""The corpora of `tests.bench.accuracy`, with a quarter of the training data held out of training."""

import hashlib
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from steps.corpus.data_dir import DataDir, read_data_dir, subset, write_data_dir
from steps.corpus.split import normalise_transcript

RUN = Path(__file__).parents[2] / "run.sh"
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
HELD = "held"  # the name of the held-out set

RECIPES = {f"asterisk_{language}": ["asterisk", "--language", language] for language in ("en", "es", "fr", "it", "ru")}
RECIPES |= {"an4": ["an4"], "festvox_ru": ["festvox_ru"]}
CORPORA = (*RECIPES,)


def given_sets(corpus: str, workdir: Path, an4: Path | None) -> list[str]:
    """Prepare a corpus and hold a quarter of its training data out; return the options of recipes/custom for it.

    Parameters
    ----------
    corpus : str
        One of `CORPORA`.
    workdir : Path
        Where data goes.
    an4 : Path, optional
        The folder of AN4, where it is at hand; the others are downloaded.
    """
    source, split = workdir / "source" / corpus, workdir / "split" / corpus
    if not (split / HELD / "wav.scp").is_file():
        own = ["--corpus", str(an4.resolve())] if an4 and corpus == "an4" else []
        command = [RUN, "--recipe", *RECIPES[corpus], *own, "--workdir", source, "--nj", "1"]
        run_logged([*command, "--stop-stage", "data"], source.with_suffix(".log"))
        train = read_data_dir(source / "data/train")
        held = held_out(train, by_speaker=corpus == "an4")
        write_data_dir(split / "train", subset(train, sorted(set(train.text) - set(held))))
        write_data_dir(split / HELD, subset(train, held))
    sets = {"--train": split / "train", "--dev": source / "data/dev", "--test": split / HELD}
    sets |= {"--lexicon": source / "data/local/dict"}
    return [str(part) for option in sets.items() for part in option]


def held_out(train: DataDir, by_speaker: bool) -> list[str]:
    """A quarter of the training utterances: of the speakers, or of the sentences, those whose hash comes first."""
    unit = {utt: train.utt2spk[utt] if by_speaker else normalise_transcript(text) for utt, text in train.text.items()}
    chosen = set(first_quarter(unit.values()))
    return sorted(utterance for utterance in unit if unit[utterance] in chosen)


def first_quarter(names: Iterable[str]) -> list[str]:
    """A quarter of different names, rounded down: those whose hash comes first.

    Example
    -------
    >>> first_quarter("abcdefgh")
    ['d', 'f']
    """
    ordered = sorted(set(names), key=lambda name: hashlib.sha256(name.encode()).digest())
    return ordered[: len(ordered) // 4]


def run_logged(command: Iterable[object], log: Path) -> None:
    """Run a command with one thread; its output goes to the end of a log, which the error names."""
    log.parent.mkdir(parents=True, exist_ok=True)
    words = [str(word) for word in command]
    with log.open("a", encoding="utf-8") as output:
        output.write(f"$ {' '.join(words)}\n")
        output.flush()
        done = subprocess.run(words, stdout=output, stderr=subprocess.STDOUT, check=False, env=ONE_THREAD)
    if done.returncode:
        raise SystemExit(f"error: {' '.join(words)} ended with {done.returncode}; see {log}")
