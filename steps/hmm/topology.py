"""HMM topologies: which states a phone has and how they follow one another, in Kaldi's ``topo`` format."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from steps.base.errors import InputError
from steps.base.output import writing


@dataclass(frozen=True)
class HmmState:
    """One emitting state of a phone.

    Attributes
    ----------
    pdf_class : int
        States of one phone with the same class share a pdf.
    transitions : tuple of (int, float)
        Destination and initial probability; the destination after the last emitting state leaves the phone.
    """

    pdf_class: int
    transitions: tuple[tuple[int, float], ...]


Topology = dict[int, tuple[HmmState, ...]]  # the emitting states of each phone-id


def num_pdf_classes(states: Sequence[HmmState]) -> int:
    """One more than the largest pdf class of a phone's states."""
    return 1 + max(state.pdf_class for state in states)


def left_to_right(num_states: int) -> tuple[HmmState, ...]:
    """Each state loops or goes on to the next (probabilities as Kaldi's gen_topo.pl: 0.75 and 0.25)."""
    return tuple(HmmState(i, ((i, 0.75), (i + 1, 0.25))) for i in range(num_states))


def silence(num_states: int) -> tuple[HmmState, ...]:
    """Kaldi's silence: an entry, an exit, and inner states that may follow one another in any order.

    With fewer than four states there is no inside and the states go from left to right.
    """
    if num_states < 4:
        return left_to_right(num_states)
    last, share = num_states - 1, 1 / (num_states - 1)
    entry = HmmState(0, tuple((dest, share) for dest in range(last)))
    inner = [HmmState(i, tuple((dest, share) for dest in range(1, num_states))) for i in range(1, last)]
    return (entry, *inner, HmmState(last, ((last, 0.75), (num_states, 0.25))))


CHAIN = (HmmState(0, ((1, 0.5), (2, 0.5))), HmmState(1, ((1, 0.5), (2, 0.5))))
"""The states of a phone at a low frame rate: an entry state that can be left at once, and one that loops.

That is the topology of Kaldi's ``gen_topo.py`` for chain models, whose one state has a pdf for its first frame (the
forward pdf) and another for the frames that follow (the self-loop pdf).
"""


def write_topo(
    path: str | Path,
    silence_ids: Sequence[int],
    nonsilence_ids: Sequence[int],
    silence_states: int = 5,
    nonsilence_states: int = 3,
) -> None:
    """Write the topologies of silence and of the other phones, as Kaldi's ``gen_topo.pl`` does."""
    for kind, count in (("silence", silence_states), ("nonsilence", nonsilence_states)):
        if count < 1:
            raise InputError(f"{kind}_states is {count}; a phone needs at least 1 state")
    entries = [(nonsilence_ids, left_to_right(nonsilence_states)), (silence_ids, silence(silence_states))]
    write_entries(path, entries)


def write_entries(path: str | Path, entries: Sequence[tuple[Sequence[int], Sequence[HmmState]]]) -> None:
    """Write a topology file: phone-ids and the states that each of them has."""
    lines = ["<Topology>"]
    for phones, states in entries:
        lines += ["<TopologyEntry>", "<ForPhones>", " ".join(map(str, phones)), "</ForPhones>"]
        for i, state in enumerate(states):
            arcs = " ".join(f"<Transition> {dest} {probability:.6g}" for dest, probability in state.transitions)
            lines.append(f"<State> {i} <PdfClass> {state.pdf_class} {arcs} </State>")
        lines += [f"<State> {len(states)} </State>", "</TopologyEntry>"]
    with writing(path) as part:
        part.write_text("\n".join([*lines, "</Topology>", ""]))


def read_topo(path: str | Path) -> Topology:
    """Read a topology file of Kaldi's, as long as only the last state does not emit.

    Raises
    ------
    InputError
        When the file is not a topology, a phone has a non-emitting state inside or a way back to its first state, or
        the transitions of a state lead nowhere or are no distribution.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: there is no such file; make it with steps.prepare_lang")
    topology: Topology = {}
    for entry in re.findall(r"<TopologyEntry>(.*?)</TopologyEntry>", Path(path).read_text("utf-8"), re.DOTALL):
        phones = re.search(r"<ForPhones>(.*?)</ForPhones>", entry, re.DOTALL)
        states = re.findall(r"<State>\s+\d+(.*?)</State>", entry, re.DOTALL)
        pdf_classes = [re.search(r"<PdfClass>\s+(\d+)", state) for state in states]
        if phones is None or len(states) < 2 or any(c is None for c in pdf_classes[:-1]) or pdf_classes[-1] is not None:
            raise InputError(f"{path}: an entry has no phones, or a state other than the last one does not emit")
        emitting = tuple(
            HmmState(int(pdf_class.group(1)), _transitions(state, len(states) - 1, path))
            for state, pdf_class in zip(states, pdf_classes, strict=True)
            if pdf_class is not None
        )
        if any(dest == 0 for state in emitting[1:] for dest, _ in state.transitions):
            raise InputError(
                f"{path}: a transition leads back to a phone's first state, which graphs here do not allow"
            )
        topology.update({int(phone): emitting for phone in phones.group(1).split()})
    if not topology:
        raise InputError(f"{path}: no <TopologyEntry> found; it should be a topology in Kaldi's text format")
    return dict(sorted(topology.items()))


def _transitions(state: str, last: int, path: str | Path) -> tuple[tuple[int, float], ...]:
    found = re.findall(r"<Transition>\s+(\d+)\s+(\S+)", state)
    transitions = []
    for dest, probability in found:
        if int(dest) > last:
            raise InputError(f"{path}: a transition leads to state {dest}, but the last one is {last}")
        if not re.fullmatch(r"\d*\.?\d+(e-?\d+)?", probability) or not float(probability):
            raise InputError(f"{path}: '{probability}' is not a probability above 0")
        transitions.append((int(dest), float(probability)))
    total = sum(probability for _, probability in transitions)
    if abs(total - 1) > 0.01:
        raise InputError(f"{path}: the transitions of a state sum to {total:g} and not to 1")
    return tuple(transitions)


def silence_phones(lang: Path) -> list[int]:
    """The silence phones of a lang directory."""
    return [int(line) for line in (lang / "phones" / "silence.int").read_text().split()]
