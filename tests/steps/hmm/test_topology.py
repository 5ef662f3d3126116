import pytest

from steps.base.errors import InputError
from steps.hmm.topology import left_to_right, read_topo, silence, write_topo

# what Kaldi's gen_topo.pl prints: steps/utils/gen_topo.pl 3 5 3:4 1:2
KALDI = """<Topology>
<TopologyEntry>
<ForPhones>
3 4
</ForPhones>
<State> 0 <PdfClass> 0 <Transition> 0 0.75 <Transition> 1 0.25 </State>
<State> 1 <PdfClass> 1 <Transition> 1 0.75 <Transition> 2 0.25 </State>
<State> 2 <PdfClass> 2 <Transition> 2 0.75 <Transition> 3 0.25 </State>
<State> 3 </State>
</TopologyEntry>
<TopologyEntry>
<ForPhones>
1 2
</ForPhones>
<State> 0 <PdfClass> 0 <Transition> 0 0.25 <Transition> 1 0.25 <Transition> 2 0.25 <Transition> 3 0.25 </State>
<State> 1 <PdfClass> 1 <Transition> 1 0.25 <Transition> 2 0.25 <Transition> 3 0.25 <Transition> 4 0.25 </State>
<State> 2 <PdfClass> 2 <Transition> 1 0.25 <Transition> 2 0.25 <Transition> 3 0.25 <Transition> 4 0.25 </State>
<State> 3 <PdfClass> 3 <Transition> 1 0.25 <Transition> 2 0.25 <Transition> 3 0.25 <Transition> 4 0.25 </State>
<State> 4 <PdfClass> 4 <Transition> 4 0.75 <Transition> 5 0.25 </State>
<State> 5 </State>
</TopologyEntry>
</Topology>
"""


def test_file_is_kaldis(tmp_path):
    write_topo(tmp_path / "topo", [1, 2], [3, 4])
    assert (tmp_path / "topo").read_text() == KALDI
    topology = read_topo(tmp_path / "topo")
    assert list(topology) == [1, 2, 3, 4]
    assert topology[1] == topology[2] == silence(5)
    assert topology[3] == topology[4] == left_to_right(3)


@pytest.mark.parametrize("states", range(1, 8))
def test_probabilities_sum_to_one_and_every_state_can_leave(states):
    for phone in (silence(states), left_to_right(states)):
        assert len(phone) == states
        for state in phone:
            assert sum(prob for _, prob in state.transitions) == pytest.approx(1)
        reached = {0}
        for _ in range(states + 1):
            reached |= {dest for s in reached if s < states for dest, _ in phone[s].transitions}
        assert reached == set(range(states + 1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (KALDI, "nothing of the kind", "no <TopologyEntry> found; it should be a topology in Kaldi's text format"),
        ("<Transition> 1 0.75 <Transition> 2 0.25", "<Transition> 0 0.75 <Transition> 2 0.25", "leads back to a phone"),
        ("<State> 1 <PdfClass> 1 <Transition> 1 0.75", "<State> 1 <Transition> 1 0.75", "other than the last one does"),
        ("<State> 3 </State>\n", "", "a state other than the last one does not emit"),
        (
            "<Transition> 2 0.75 <Transition> 3",
            "<Transition> 2 0.75 <Transition> 7",
            "leads to state 7, but the last",
        ),
        ("<Transition> 5 0.25", "<Transition> 5 nothing", "'nothing' is not a probability above 0"),
        ("<Transition> 5 0.25", "<Transition> 5 0", "'0' is not a probability above 0"),
        ("<Transition> 5 0.25", "<Transition> 5 0.4", "the transitions of a state sum to 1.15"),
    ],
)
def test_bad_files(tmp_path, old, new, message):
    assert old in KALDI
    (tmp_path / "topo").write_text(KALDI.replace(old, new))
    with pytest.raises(InputError, match=message):
        read_topo(tmp_path / "topo")


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"topo: there is no such file; make it with steps\.prepare_lang"):
        read_topo(tmp_path / "topo")


@pytest.mark.parametrize(("states", "kind"), [((0, 3), "silence_states"), ((5, 0), "nonsilence_states")])
def test_no_states(tmp_path, states, kind):
    with pytest.raises(InputError, match=f"{kind} is 0; a phone needs at least 1 state"):
        write_topo(tmp_path / "topo", [1], [2], *states)
