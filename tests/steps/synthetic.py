"""A language of six sounds, spoken by a synthesiser: small, and easy to recognise without an error."""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from steps import train_triphones as module
from steps.align import align_data
from steps.feats.options import FbankOptions, MfccOptions
from steps.gmm import system
from steps.gmm.em import EmOptions
from steps.gmm.mono import MonoOptions
from steps.gmm.triphones import LdaOptions
from steps.make_feats import make_feats
from steps.make_graph import make_graph
from steps.prepare_lang import prepare_lang
from steps.search import decoding
from steps.train_lm import train_lm
from steps.train_mono import train_mono
from steps.tree.growing import TreeOptions
from steps.tune import Grid, tune

ROOT = Path(__file__).parents[2]
RATE = 8000
TONES = {"A": (300, 900), "B": (500, 2600), "C": (800, 1400), "D": (1200, 3200), "E": (1800, 2400), "F": (250, 3600)}
# a variant, a pair of homophones, a word that is the beginning of another
LEXICON = """<UNK> SPN
bad B A D
cab C A B
cab C E B
deaf D E F
def D E F
face F A C
fa F A
"""
WORDS = ["bad", "cab", "deaf", "face", "fa"]
DICT = {
    "lexicon": LEXICON,
    "silence_phones": "SIL\nSPN\n",
    "nonsilence_phones": "A\nB\nC\nD\nE\nF\n",
    "optional_silence": "SIL\n",
}
SIZES = {"train": 40, "dev": 35}  # more than a block of 32
MONO = MonoOptions(num_iterations=9, max_increase_iteration=5, num_gaussians=45, realign_iterations=[1, 2, 3, 4, 6])
GRID = Grid(acoustic_scales=[0.1, 0.05, 0.2], insertion_penalties=[-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0])


def sound(phone: str, random: np.random.Generator) -> np.ndarray:
    """A tenth of a second, more or less, of two tones in noise."""
    samples = round(RATE * random.uniform(0.08, 0.14))
    seconds = np.arange(samples) / RATE
    tones = sum(np.sin(2 * np.pi * frequency * seconds + random.uniform(0, 6)) for frequency in TONES.get(phone, ()))
    return 0.2 * tones + random.normal(0, 0.003, samples)


def speak(words: list[str], random: np.random.Generator) -> list[tuple[str, np.ndarray]]:
    """The phones of words and their samples, with pauses around them and now and then between them."""
    lines = [line.split() for line in LEXICON.splitlines()]
    phones = ["SIL"]
    for word in words:
        variants = [line[1:] for line in lines if line[0] == word]
        phones += variants[random.integers(len(variants))] + ["SIL"] * int(random.random() < 0.3)
    return [(phone, sound(phone, random)) for phone in [*phones, "SIL"]]


def write_data(path: Path, texts: dict[str, list[str]], seed: int = 0) -> Path:
    """Make a data directory of spoken texts."""
    path.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for utterance, words in texts.items():
        samples = np.concatenate([samples for _, samples in speak(words, random)])
        soundfile.write(path / f"{utterance}.wav", samples, RATE)
    tables = {
        "wav.scp": {utterance: str(path / f"{utterance}.wav") for utterance in texts},
        "text": {utterance: " ".join(words) for utterance, words in texts.items()},
        "utt2spk": dict.fromkeys(texts, "synth"),
        "spk2utt": {"synth": " ".join(sorted(texts))},
    }
    for name, table in tables.items():
        (path / name).write_text("".join(f"{key} {table[key]}\n" for key in sorted(table)))
    return path


def sentences(name: str, count: int, seed: int) -> dict[str, list[str]]:
    """Texts of one to three words."""
    random = np.random.default_rng(seed)
    return {f"{name}-{i:02}": list(random.choice(WORDS, random.integers(1, 4))) for i in range(count)}


def write_corpus(work: Path, **options: Any) -> None:
    """Data, features, lang directory (with options of prepare_lang) and language model."""
    for seed, (name, count) in enumerate(SIZES.items()):
        write_data(work / "data" / name, sentences(name, count, seed), seed)
    (work / "dict").mkdir()
    for name, content in DICT.items():
        (work / "dict" / f"{name}.txt").write_text(content)
    prepare_lang(work / "data/train", work / "dict", work / "lang", **options)
    train_lm(work / "data", work / "lang", work / "lm")
    make_feats(work / "data", work / "feats", MfccOptions(sample_rate=RATE), FbankOptions(sample_rate=RATE))


def train(work: Path) -> None:
    """A monophone model, its graph, and its alignments of the training set."""
    train_mono(work / "feats/train", work / "lang", work / "mono", MONO)
    make_graph(work / "lang", work / "lm", work / "mono", work / "graph")
    align_data(work / "feats/train", work / "lang", work / "mono", work / "mono_ali")


def train_triphones(work: Path, out: Path, feats: Path | None = None, nj: int = 1, **options: Any) -> None:
    """A small triphone model."""
    em = EmOptions(num_iterations=6, max_increase_iteration=4, num_gaussians=60, realign_iterations=[3])
    em = replace(em, **{name: options.pop(name) for name in [*options] if hasattr(em, name)})
    tree = TreeOptions(num_leaves=36, min_gain=20)
    module.train_triphones(
        feats or work / "feats/train", work / "lang", work / "mono_ali", out, tree, em, nj=nj, **options
    )


def slowed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a killer the time to strike."""

    def slow(*arguments: Any) -> Any:
        time.sleep(0.02)
        return function(*arguments)

    return slow


if __name__ == "__main__":
    step, work, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    system.align, decoding.search_utterance = slowed(system.align), slowed(decoding.search_utterance)
    if step == "train_mono":
        train_mono(work / "feats/train", work / "lang", out, MONO)
    elif step == "train_triphones":
        train_triphones(work, out, lda=LdaOptions(dim=12), mllt_iterations=[1, 3])
    else:
        tune(work / "feats/dev", work / "graph", work / "mono", out, GRID)
