import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st

from steps.base.errors import InputError
from steps.corpus.data_dir import left_out, read_data_dir, read_utterance_audio
from steps.corpus.validate import find_problems, fix_data_dir
from tests.steps.corpus.conftest import RATE, listed, noise

TEXT = "ann-1 one two\nann-2 three\nbob-1 four\nbob-2 five six\n"
UTT2SPK = "ann-1 ann\nann-2 ann\nbob-1 bob\nbob-2 bob\n"
ALL = ["ann-1", "ann-2", "bob-1", "bob-2"]


def test_a_sound_directory(make_data_dir, tmp_path):
    path = make_data_dir()
    assert find_problems(path) == []
    assert fix_data_dir(path, tmp_path / "fixed") == []
    assert read_data_dir(tmp_path / "fixed").text == read_data_dir(path).text


@pytest.mark.parametrize(
    ("files", "problems", "kept"),
    [
        ({"text": "\ufeff" + TEXT}, ["text:1: begins with a byte order mark (BOM)"], ALL),
        ({"text": TEXT.replace("\n", "\r\n")}, ["text:1: 4 lines end with CRLF"], ALL),
        ({"text": TEXT + "\n"}, ["text:5: the line is blank"], ALL),
        (
            {"text": TEXT.replace("three", "tré").encode("latin-1")},
            ["wav.scp:2: utterance 'ann-2' has no text", "text:2: line 2 is not UTF-8 (byte 0xe9)"],
            ["ann-1", "bob-1", "bob-2"],
        ),
        (
            {"text": "bob-1 four\nann-1 one two\nbob-2 five six\nann-2 three\n"},
            ["text:2: not sorted by code point (LC_ALL=C): 'ann-1' comes after 'bob-1'"],
            ALL,
        ),
        ({"text": TEXT + "bob-2 five six\n"}, ["text:5: duplicate id 'bob-2', first in line 4"], ALL),
        (
            {"text": TEXT.replace("ann-2 three\n", "")},
            ["wav.scp:2: utterance 'ann-2' has no text"],
            ["ann-1", "bob-1", "bob-2"],
        ),
        ({"text": TEXT + "zoe-1 word\n"}, ["text:5: text without audio: 'zoe-1' is not in wav.scp"], ALL),
        (
            {"text": TEXT.replace(" four", "  ")},
            ["text:3: 'bob-1' has an empty transcript"],
            ["ann-1", "ann-2", "bob-2"],
        ),
        (
            {"utt2spk": None},
            ["utt2spk: there is no utt2spk"],
            ALL,
        ),
        (
            {"utt2spk": None, "spk2utt": None},
            ["utt2spk: there is no utt2spk", "spk2utt: there is no spk2utt"],
            ALL,
        ),
        ({"spk2utt": None}, ["spk2utt: there is no spk2utt"], ALL),
        (
            {"spk2utt": "ann ann-1 ann-2\nbob bob-2\nbob bob-1\nzoe zoe-1\n"},
            [
                "spk2utt:2: does not agree with utt2spk: speaker 'bob' lacks bob-1",
                "spk2utt:3: duplicate id 'bob', first in line 2 with another entry",
                "spk2utt:4: does not agree with utt2spk: speaker 'zoe' has also zoe-1",
            ],
            ALL,
        ),
        (
            {"utt2spk": UTT2SPK + "zoe-1 zoe\n", "spk2utt": "ann ann-1 ann-2\nbob bob-1 bob-2\nzoe zoe-1\n"},
            ["utt2spk:5: utterance 'zoe-1' is not in wav.scp"],
            ALL,
        ),
        (
            {"utt2spk": UTT2SPK.replace("bob-2 bob\n", "")},
            [
                "wav.scp:4: utterance 'bob-2' has no speaker in utt2spk",
                "spk2utt:2: does not agree with utt2spk: speaker 'bob' has also bob-2",
            ],
            ALL,
        ),
        (
            {"reco2file_and_channel": "ann-1 ann-1\nann-2 ann-2 C\n"},
            [
                "reco2file_and_channel:1: 'ann-1': 'ann-1' is not 'file channel' with A or B for the channel",
                "reco2file_and_channel:2: 'ann-2': 'ann-2 C' is not 'file channel' with A or B for the channel",
            ],
            ALL,
        ),
    ],
)
def test_problems_of_tables_and_their_repair(make_data_dir, tmp_path, capsys, files, problems, kept):
    path = make_data_dir(**files)
    found = find_problems(path)
    assert [str(problem) for problem in found] == problems
    assert all(problem.fixable and not problem.warning for problem in found)
    changes = fix_data_dir(path, tmp_path / "fixed")
    assert changes == [f"{path}/{problem}: {problem.repair}" for problem in found]
    assert find_problems(tmp_path / "fixed") == []
    capsys.readouterr()
    fixed = read_data_dir(tmp_path / "fixed")
    assert capsys.readouterr().out == ""  # nothing to be said: it is sorted, and has speakers
    assert fixed.utterances == kept
    assert {utt: TEXT.split(f"{utt} ")[1].split("\n")[0] for utt in kept} == fixed.text


@pytest.mark.parametrize(
    ("files", "problems"),
    [
        (
            {"utt2spk": UTT2SPK.replace("ann-1 ann", "ann-1 Ann Smith").replace("ann-2 ann", "ann-2 Ann Doe")},
            [
                "utt2spk:1: 'ann-1' has more than one speaker: 'Ann Smith'; give one, a name without a space",
                "utt2spk:2: 'ann-2' has more than one speaker: 'Ann Doe'; give one, a name without a space",
            ],
        ),
        ({"text": TEXT + "bob-2 seven\n"}, ["text:5: duplicate id 'bob-2', first in line 4 with another entry"]),
        (
            {"utt2spk": UTT2SPK + "bob-2 ann\n"},
            ["utt2spk:5: duplicate id 'bob-2', first in line 4 with another entry"],
        ),
        (
            {"utt2spk": UTT2SPK.replace("bob-2 bob\n", ""), "spk2utt": "ann ann-1 ann-2\nbob bob-1\n"},
            ["wav.scp:4: utterance 'bob-2' has no speaker in utt2spk"],
        ),
        (
            {"utt2spk": None, "spk2utt": "ann ann-1 ann-2 bob-1\nbob bob-1\n"},
            [
                "wav.scp:3: utterance 'bob-1' has several speakers in spk2utt",
                "wav.scp:4: utterance 'bob-2' has no speaker in spk2utt",
            ],
        ),
        (
            {"spk2utt": "ann ann-1 ann-2 bob-1\nbob bob-2\n"},
            [
                "spk2utt:1: does not agree with utt2spk: speaker 'ann' has also bob-1; remove spk2utt, if utt2spk is "
                "right"
            ],
        ),
    ],
)
def test_what_only_the_user_can_know_is_not_repaired(make_data_dir, tmp_path, files, problems):
    path = make_data_dir(**files)
    found = find_problems(path)
    assert [str(problem) for problem in found if problem.choice] == problems
    assert not any(problem.fixable or problem.warning for problem in found if problem.choice)
    with pytest.raises(InputError) as stop:
        fix_data_dir(path, tmp_path / "fixed")
    listed = "\n".join(f"  {path}/{problem}" for problem in problems)
    assert f"{path}: cannot be repaired before you choose what is right in " in str(stop.value)
    assert str(stop.value).endswith(f":\n{listed}")
    assert not (tmp_path / "fixed").exists()
    if "spk2utt" not in str(problems):  # read_data_dir takes utt2spk alone
        with pytest.raises(InputError):
            read_data_dir(path)


def test_a_damaged_file_of_segments_does_not_make_recordings_utterances(make_data_dir, tmp_path):
    path = make_data_dir(segments="ann-1\n", text=None)
    with pytest.raises(InputError, match=r"no utterance would remain:\n(.*\n)*.*/segments:1: 'ann-1' has 1 field"):
        fix_data_dir(path, tmp_path / "fixed")


def test_an_utterance_of_two_speakers_is_refused_on_reading(make_data_dir):
    path = make_data_dir(utt2spk=None, spk2utt="ann ann-1 ann-2 bob-1\nbob bob-1 bob-2\n")
    with pytest.raises(InputError, match=r"data/spk2utt: 'bob-1' has more than one speaker: ann, bob; "):
        read_data_dir(path)


def test_what_the_repair_says(make_data_dir, tmp_path):
    path = make_data_dir(text="bob-1 four\nann-1 one\n\nann-2\nbob-1 four\n", utt2spk=None, spk2gender="ann f\nbob m\n")
    assert fix_data_dir(path, tmp_path / "fixed") == [
        f"{path}/wav.scp:4: utterance 'bob-2' has no text: utterance dropped",
        f"{path}/text:2: not sorted by code point (LC_ALL=C): 'ann-1' comes after 'bob-1': file sorted",
        f"{path}/text:3: the line is blank: rewritten",
        f"{path}/text:4: 'ann-2' has an empty transcript: utterance dropped",
        f"{path}/text:5: duplicate id 'bob-1', first in line 1: line dropped",
        f"{path}/utt2spk: there is no utt2spk: made from spk2utt",
        f"{path}/spk2gender: not copied",
    ]
    assert read_data_dir(tmp_path / "fixed").utt2spk == {"ann-1": "ann", "bob-1": "bob"}


def test_only_utterances_of_the_set_are_left_out(make_data_dir, tmp_path):
    corpus = TEXT + "eve-1 seven\nzoe-1 eight\nzoe-2 nine\n"
    path = make_data_dir(text=corpus, utt2spk=UTT2SPK + "zoe-1 zoe\n")
    (path / "ann-1.wav").write_bytes(b"no audio")
    changes = fix_data_dir(path, tmp_path / "fixed")
    assert f"{path}/text:5: text without audio: 'eve-1' is not in wav.scp: line dropped" in changes
    assert left_out(tmp_path / "fixed") == {"ann-1": "one two", "zoe-1": "eight"}
    segments = "ann-1 bob-1 0 0.2\neve-1 bob-1 7 9\nzoe-1 ann-9 0 1\nzoe-2\n"
    path = make_data_dir("segmented", text=corpus, segments=segments, utt2spk="ann-1 ann\neve-1 eve\nzoe-1 zoe\n")
    fix_data_dir(path, tmp_path / "fixed-segments")
    lost = left_out(tmp_path / "fixed-segments")
    assert {"eve-1": "seven", "zoe-1": "eight", "zoe-2": "nine"}.items() <= lost.items()
    assert "ann-1" not in lost


def test_segments(make_data_dir, tmp_path):
    segments = [
        "a ann-1 0 0.2",
        "b ann-1 0.3 0.8",  # up to half a second too long, as Kaldi allows
        "c ann-1 0.2 0.2",
        "d ann-1 0.5 -1",
        "e ann-2 0.1 1.2",
        "f zoe-1 0 1",
        "g bob-1 0 x",
        "h bob-1 0",
        "i gone 0 1",
    ]
    ids = "abcdefghi"
    path = make_data_dir(
        segments="\n".join(segments) + "\n",
        text="".join(f"{utt} word\n" for utt in ids),
        utt2spk="".join(f"{utt} x\n" for utt in ids),
        spk2utt=f"x {' '.join(ids)}\n",
    )
    with (path / "wav.scp").open("a") as file:
        file.write("gone gone.wav\n")
    found = find_problems(path)
    assert [str(problem) for problem in found] == [
        "wav.scp:2: warning: recording 'ann-2' is in no usable segment",
        "wav.scp:3: warning: recording 'bob-1' is in no usable segment",
        "wav.scp:4: warning: recording 'bob-2' is in no usable segment",
        "wav.scp:5: 'gone': gone.wav: there is no such audio file",
        "segments:3: 'c': the segment goes from 0.2 s to 0.2 s; it has to end after its start, and start at 0 or later",
        "segments:4: 'd': the segment from 0.5 s to its end is not within its recording of 0.500 s",
        "segments:5: 'e': the segment from 0.1 s to 1.2 s is not within its recording of 0.500 s",
        "segments:6: 'f': recording 'zoe-1' is not in wav.scp",
        "segments:7: 'g': 'bob-1 0 x' is not 'recording start end' with times in seconds",
        "segments:8: 'h': 'bob-1 0' is not 'recording start end' with times in seconds",
    ]
    fix_data_dir(path, tmp_path / "fixed")
    assert find_problems(tmp_path / "fixed") == []
    fixed = read_data_dir(tmp_path / "fixed")
    assert fixed.utterances == ["a", "b"]
    assert list(fixed.wav) == ["ann-1"]


def test_warnings(make_data_dir):
    path = make_data_dir(
        text=None,
        utt2spk="ann-1 z\nann-2 z\nbob-1 b\nbob-2 b\n",
        spk2utt="b bob-1 bob-2\nz ann-1 ann-2\n",
    )
    soundfile.write(path / "bob-2.wav", noise(), 2 * RATE)
    found = find_problems(path)
    assert [str(problem) for problem in found] == [
        "wav.scp: warning: recordings of different sample rates (3 of 8000 Hz, 1 of 16000 Hz); features resample them "
        "to one",
        "text: warning: there is no text: nothing to train on or to score with",
        "utt2spk:3: warning: 'bob-1' of speaker 'b' sorts after 'ann-2' of speaker 'z'; Kaldi wants speakers in the "
        "order of their utterances: make the speaker's id a prefix of the utterance's",
    ]
    assert not any(problem.fixable for problem in found)


def test_many_utterances_of_a_speaker_are_not_all_listed(make_data_dir):
    path = make_data_dir(spk2utt="ann ann-1 ann-2 a b c d e\nbob bob-1 bob-2\n")
    assert listed(path) == ["spk2utt:1: does not agree with utt2spk: speaker 'ann' has also a, b, c and 2 more"]


def test_what_cannot_be_repaired(make_data_dir, tmp_path):
    with pytest.raises(InputError, match="nothing: there is no such directory"):
        find_problems(tmp_path / "nothing")
    path = make_data_dir(wav_scp=None)
    assert listed(path) == ["wav.scp: there is no wav.scp, or no usable line in it"]
    with pytest.raises(
        InputError, match=r"(?s)data: cannot be repaired, no utterance would remain:\n  .*data/wav\.scp: "
    ):
        fix_data_dir(path, tmp_path / "fixed")
    assert not (tmp_path / "fixed").exists()
    with pytest.raises(InputError, match="local: is there already; the repaired copy needs a new directory"):
        fix_data_dir(make_data_dir("other"), make_data_dir("local"))


GOOD = {
    "wav.scp": ["a good.wav", "b good.wav", "r good.wav"],
    "segments": ["a r 0 0.1", "b r 0.1 -1"],
    "reco2file_and_channel": ["r r A"],
    "text": ["a one", "b two"],
    "utt2spk": ["a s", "b s"],
    "spk2utt": ["s a b"],
}
BAD = st.sampled_from(
    [
        "",
        "a",
        "r",
        "a b",
        "b c d",
        "s a",
        "r bad.wav",
        "c cat good.wav | cat |",
        "a r 0.2 0.1",
        "a r 3 4",
        "b r x y",
        "r r C",
    ]
)


@st.composite
def tables(draw: st.DrawFn) -> dict[str, str]:
    """Sound tables from which lines or files are missing, in another order, and with other lines between them."""
    names = draw(st.lists(st.sampled_from(sorted(GOOD)), unique=True, min_size=3))
    few_bad = st.lists(BAD, max_size=2)
    kept = {name: draw(st.sampled_from([GOOD[name], GOOD[name][:-1], GOOD[name][::-1]])) for name in names}
    return {name: "\n".join(kept[name] + (draw(few_bad) if draw(st.booleans()) else [])) for name in names}


@settings(deadline=None)
@given(tables())
@example({name: "\n".join(lines) for name, lines in GOOD.items()})
@example({"wav.scp": "a good.wav", "segments": "", "text": "a x", "utt2spk": "a a", "spk2utt": "a a"})
def test_whatever_the_tables_hold(tmp_path_factory, files):
    path = tmp_path_factory.mktemp("any") / "data"
    path.mkdir()
    soundfile.write(path / "good.wav", noise(), RATE)
    for name, content in files.items():
        (path / name).write_text(content)
    problems = find_problems(path)
    if all(problem.warning for problem in problems):  # whoever is told of no problem can go on
        data = read_data_dir(path)
        for utterance in data.utterances:
            read_utterance_audio(data, utterance)
    fixed = path.parent / "fixed"
    try:
        fix_data_dir(path, fixed)
    except InputError:
        assert not fixed.exists()
        return
    read_data_dir(fixed)
    assert all(problem.warning or "is a command" in problem.message for problem in find_problems(fixed))


def test_spaces_that_separate_no_words_are_warned_of(make_data_dir):
    path = make_data_dir(text=TEXT.replace("three", "5\u00a0000").replace("five six", "no\u3000no"))
    assert listed(path) == [
        "text:2: warning: in 2 transcripts a word holds a space that is not ASCII's, as in '5\\u00a0000', one word"
    ]
