"""Decode a data directory."""

from pathlib import Path

from nnet.ranges import Count
from steps.base.cli import command
from steps.base.output import fingerprint, output_dir
from steps.base.parallel import jobs
from steps.scoring.decodings import Role
from steps.search.beam import DecodingScales, SearchOptions
from steps.search.decoding import Task
from steps.search.directory import decode_into, read_scales
from steps.search.inputs import DecodingInputs


def decode(
    data: Path,
    graph: Path,
    model: Path,
    out: Path,
    scales: DecodingScales = DecodingScales(),
    tuned: Path | None = None,
    search: SearchOptions = SearchOptions(),
    speakers: Path | None = None,
    also: list[Path] | None = None,
    role: Role = "test",
    allow_commands: bool = False,
    nj: Count = 1,
) -> None:
    """Recognise the utterances of any data directory with a trained model and its graph.

    Writes OUT/text (a line an utterance: its id and the words), OUT/decode.json, and OUT/ali.scp with the transition-id
    of each frame, as in an alignment directory. A killed run continues where it stopped.

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
    scales : DecodingScales
        Acoustic scale, insertion penalty and silence deweighting.
    tuned : Path
        Take the scales that steps.tune chose in this directory instead.
    search : SearchOptions
        How wide to search.
    speakers : Path
        Speakers' transforms, from steps.adapt, for a model that was trained with such ones.
    also : list of Path
        Further networks on the same states and features, whose outputs are averaged with those of MODEL.
    role : str
        Purpose of the decoding, for steps.score: test, a result; tune, a result on the set that scales were chosen on;
        pass, a pass for steps.adapt, which is not scored.
    allow_commands : bool
        Run commands in wav.scp.
    nj : int
        Number of processes.
    """
    inputs = DecodingInputs(
        data=data,
        graph_dir=graph,
        model_dir=model,
        allow_commands=allow_commands,
        speakers=speakers,
        also=tuple(also or ()),
    )
    inputs.check()
    if tuned is not None:
        scales = read_scales(tuned)
    key = fingerprint(data, graph, *inputs.model_files, *([speakers] if speakers else []), vars(scales), vars(search))
    with output_dir(out, key, mark="decode.json") as folder, jobs(nj, inputs) as run:
        task = Task([scales], search, folder, alignments=True)
        decoded = decode_into(out, inputs, task, role, run, f"decoding {data.name} with {inputs.name}")
    speed = decoded.audio_seconds / max(decoded.seconds, 1e-9)
    print(f"{out}: {len(decoded.text)} utterances, {speed:.0f} times real time per core")
    if decoded.unfinished:
        print(f"no complete path, the best unfinished one taken: {' '.join(decoded.unfinished)}")


if __name__ == "__main__":
    command(decode)
