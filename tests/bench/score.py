"""How long the scoring of a large set takes: ``python -m tests.bench.score [UTTERANCES]``.

Writes references and hypotheses of 15 words an utterance (100,000 utterances, of 200 speakers, one word in ten wrong),
scores them with all files in a process of its own with one thread, and prints its seconds and its peak memory; the same
for jiwer's word error rate alone, which writes no file and has no alignment of sclite's. The last line is JSON.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORDS, SPEAKERS, VOCABULARY, WRONG = 15, 200, 5000, 0.1

JIWER = """
import sys, jiwer
texts = [dict(line.rstrip("\\n").split(" ", 1) for line in open(path, encoding="utf-8")) for path in sys.argv[1:]]
print(jiwer.wer(list(texts[0].values()), [texts[1][u] for u in texts[0]]))
"""


def write_set(folder: Path, utterances: int, seed: int = 1) -> None:
    """Write a data directory ``data/test`` and a decode directory ``exp/model/decode_test``."""
    draw = random.Random(seed)
    words = [f"word{k}" for k in range(VOCABULARY)]
    data, decode = folder / "data/test", folder / "exp/model/decode_test"
    data.mkdir(parents=True)
    decode.mkdir(parents=True)
    with (
        (data / "text").open("w") as references,
        (data / "utt2spk").open("w") as speakers,
        (decode / "text").open("w") as hypotheses,
    ):
        for k in range(utterances):
            speaker = f"s{k * SPEAKERS // utterances:04}"
            reference = draw.choices(words, k=WORDS)
            references.write(f"{speaker}-{k:07} {' '.join(reference)}\n")
            speakers.write(f"{speaker}-{k:07} {speaker}\n")
            hypotheses.write(f"{speaker}-{k:07} {' '.join(recognised(reference, words, draw))}\n")
    about = {"model": "model", "set": "test", "lm": "none", "role": "test", "seconds": 1.0, "acoustic_scale": 0.1}
    about |= {"insertion_penalty": 0.0, "seed": 1, "utts": utterances}
    (decode / "decode.json").write_text(json.dumps(about))


def recognised(reference: list[str], words: list[str], draw: random.Random) -> list[str]:
    """What a recogniser might make of it: words exchanged, lost and added."""
    hypothesis = []
    for word in reference:
        kind = draw.random() / WRONG
        if kind >= 0.4:
            hypothesis.append(word if kind >= 1 else draw.choice(words))
        elif kind < 0.2:
            hypothesis += [word, draw.choice(words)]
    return hypothesis


def measured(command: list[str]) -> tuple[float, float]:
    """Run a command and give its seconds and its peak memory in GB; no command before it may have had more."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("utterances", type=int, nargs="?", default=100_000)
    utterances = parser.parse_args().utterances
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_set(folder, utterances)
        texts = [str(folder / part / "text") for part in ("data/test", "exp/model/decode_test")]
        jiwer, jiwer_gb = measured([sys.executable, "-c", JIWER, *texts])
        seconds, gb = measured([sys.executable, "-m", "steps.score", str(folder / "data"), str(folder / "exp")])
        files = sorted(path.name for path in (folder / "exp/model/decode_test").iterdir())
    print(f"{utterances} utterances: {seconds:.1f} s and {gb:.2f} GB with the files {' '.join(files)}")
    print(f"jiwer's rate alone: {jiwer:.1f} s, {jiwer_gb:.2f} GB")
    figures = {"seconds": round(seconds, 1), "gb": round(gb, 2), "over_jiwer": round(seconds / jiwer, 2)}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
