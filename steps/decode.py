"""Decode a data directory."""

from pathlib import Path

from nnet.ranges import Count
from steps.base.cli import command
from steps.base.output import fingerprint, output_dir
from steps.base.parallel import jobs
from steps.search.beam import SearchOptions, Weights
from steps.search.decoding import Source, check_source
from steps.search.directory import decode_into, read_weights


def decode(
    data: Path,
    graph: Path,
    model: Path,
    out: Path,
    weights: Weights = Weights(),
    tuned: Path | None = None,
    search: SearchOptions = SearchOptions(),
    speakers: Path | None = None,
    allow_commands: bool = False,
    nj: Count = 1,
) -> None:
    """Recognise the utterances of any data directory with a trained model and its graph.

    Writes OUT/text (a line an utterance: its id and the words), OUT/decode.json, and OUT/ali.scp with the transition-id
    of each frame, as in an alignment directory. A killed run goes on where it was.

    Parameters
    ----------
    data : Path
        A data directory with audio (features are computed as the model wants them), or features from steps.make_feats.
    graph : Path
        Graph directory, from steps.make_graph.
    model : Path
        Model directory: a GMM system or a network.
    out : Path
        Decode directory to write.
    weights : Weights
        Acoustic scale, insertion penalty and silence deweighting.
    tuned : Path
        Take the weights that steps.tune chose in this directory instead.
    search : SearchOptions
        How wide to search.
    speakers : Path
        Speakers' transforms, from steps.adapt, for a model that was trained with such ones.
    allow_commands : bool
        Run commands in wav.scp.
    nj : int
        Number of processes.
    """
    source = Source(data, graph, model, allow_commands, speakers)
    check_source(source)
    if tuned is not None:
        weights = read_weights(tuned)
    key = fingerprint(data, graph, model / "model.json", *([speakers] if speakers else []), vars(weights), vars(search))
    with output_dir(out, key, mark="decode.json") as folder, jobs(nj) as run:
        decoded = decode_into(folder, out, source, weights, search, run, f"decoding {data.name} with {model.name}")
    speed = decoded.audio_seconds / max(decoded.seconds, 1e-9)
    print(f"{out}: {len(decoded.text)} utterances, {speed:.0f} times real time per core")
    if decoded.unfinished:
        print(f"no complete path, the best unfinished one taken: {' '.join(decoded.unfinished)}")


if __name__ == "__main__":
    command(decode)
