"""AN4's GMM systems beside Kaldi's published figures: ``python -m tests.bench.kaldi_an4 --workdir DIR --out OUT``.

Kaldi's recipe trains on all 948 utterances of AN4; recipes/an4 keeps 91 of them for dev. Here the commands of run.sh
train the systems anew on train and dev together, and decode test once, with the acoustic scales and insertion penalties
that dev chose in DIR: the work directory of a finished ``recipes/an4/run.sh --lm-name unigram --gmm sat``. OUT is a
directory to make. The language model is the unigram of all these transcripts.

Kaldi's figures are from its RESULTS file: the corpus's own language model, scales that are the best on test. The last
line is JSON: for each system its WER and Kaldi's, in percent.
"""

import argparse
import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

from steps.base.errors import InputError
from steps.base.files import read_json
from steps.corpus.data_dir import DataDir, read_data_dir, write_data_dir

KALDI = {"mono": 10.61, "tri": 10.48, "sat": 5.95}
RUN = Path(__file__).parents[2] / "run.sh"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=Path, required=True, help="the run with a dev set")
    parser.add_argument("--out", type=Path, required=True, help="where data/ and exp/ of all training data go")
    args = parser.parse_args()
    if not (args.workdir / "exp/sat/tune_unigram_dev/tune.json").is_file():
        raise InputError(f"{args.workdir}: run recipes/an4/run.sh --lm-name unigram --gmm sat there first")
    if args.out.exists():
        raise InputError(f"{args.out}: it is there already; give a directory to make")
    given, out = args.workdir.resolve(), args.out.resolve()
    train, dev = (read_data_dir(given / "data" / name) for name in ("train", "dev"))
    write_data_dir(out / "given/train", union(train, dev))
    for command in plan(given, out):
        print(shlex.join(command), flush=True)
        subprocess.run(command, check=True)
    print(json.dumps(beside_kaldi(read_json(out / "exp/results.json"))))


def union(first: DataDir, second: DataDir) -> DataDir:
    """Both data directories' utterances, which are recordings each; their audio is given by absolute paths."""
    return DataDir(first.path, first.wav | second.wav, first.text | second.text, first.utt2spk | second.utt2spk)


def beside_kaldi(results: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Each system's WER and Kaldi's."""
    wer = {row["model"]: round(row["wer"], 2) for row in results}
    return {name: {"wer": wer[name], "kaldi": published} for name, published in KALDI.items()}


def plan(given: Path, out: Path) -> list[list[str]]:
    """The commands of run.sh that train the GMMs and decode test, with the weights that were chosen in `given`."""
    options = {"--train": out / "given/train", "--dev": given / "data/dev", "--test": given / "data/test"}
    options |= {"--lexicon": given / "data/local/dict", "--lm-name": "unigram", "--gmm": "sat", "--workdir": out}
    asked = [str(word) for option in options.items() for word in option]
    printed = subprocess.run(
        [RUN, "--recipe", "custom", "--dry-run", *asked], check=True, stdout=subprocess.PIPE, text=True
    )
    commands = [shlex.split(line.split(": ", 1)[1]) for line in printed.stdout.splitlines()]
    return [tuned_in(given, out, command) for command in commands if not left_out(Path(command[-1]).relative_to(out))]


def left_out(output: Path) -> bool:
    """Whether a command, by what it writes, has to do with dev or the network."""
    return output.name.endswith(("dev", "train_sp")) or "lstmp" in output.parts


def tuned_in(given: Path, out: Path, command: list[str]) -> list[str]:
    """The command with weights from the run with a dev set."""
    if "--tuned" not in command:
        return command
    k = command.index("--tuned") + 1
    return [*command[:k], str(given / Path(command[k]).relative_to(out)), *command[k + 1 :]]


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(f"error: {error}") from error
