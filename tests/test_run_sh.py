"""The plan of run.sh: which commands each choice of options runs, and on what."""

from itertools import pairwise
from pathlib import Path

import pytest

from steps.base.plan import STAGES
from tests.scripts import RECIPES, ROOT, call, plan, refused


def test_run_sh_reads_like_a_table_of_contents():
    lines = (ROOT / "run.sh").read_text().splitlines()
    assert len(lines) < 120
    assert max(map(len, lines)) <= 120


def test_the_stages_of_the_main_job():
    commands = plan()
    assert list(dict.fromkeys(name for name, _, _ in commands)) == [
        *("data", "feats", "lang", "mono", "tri", "lda_mllt", "sat", "align", "nnet", "graph", "decode", "score")
    ]
    assert commands[0] == ("data", "local.asterisk", [f"{ROOT}/recipes/asterisk/data"])
    assert commands[-1][1:] == (
        "steps.score",
        ["--config", f"{ROOT}/conf/score.yaml", f"{ROOT}/recipes/asterisk/data", f"{ROOT}/recipes/asterisk/exp"],
    )


def test_gmm_systems_up_to_the_one_that_is_asked_for():
    names = list(dict.fromkeys(name for name, _, _ in plan("--gmm", "lda_mllt")))
    assert names[3:7] == ["mono", "tri", "lda_mllt", "align"]
    commands = plan("--gmm", "sat")
    exp = f"{ROOT}/recipes/asterisk/exp"
    [nnet] = [arguments for _, module, arguments in commands if module == "steps.train_nnet"]
    assert nnet[-3:] == [f"{exp}/sat_ali/train_sp", f"{exp}/sat_ali/dev", f"{exp}/lstmp"]
    # each system starts from alignments that an earlier stage has made
    made = []
    for _, module, arguments in commands:
        if module == "steps.train_triphones":
            assert arguments[-2] in made
        made.append(arguments[-1])
    # test is decoded with the transforms of its own first pass, at weights that dev has chosen with those of dev's
    decoded = {
        arguments[-1]: arguments for _, module, arguments in commands if module in ("steps.decode", "steps.tune")
    }
    for name, arguments in decoded.items():
        passes = "sat_fmllr1_bigram" if "/second_" in name else "sat_fmllr_bigram"
        adapted = f"{exp}/{passes}/{'test' if name.endswith('_test') else 'dev'}"
        assert ("--speakers" in arguments) == name.startswith(f"{exp}/sat/")
        assert ("--speakers" not in arguments) or arguments[arguments.index("--speakers") + 1] == adapted
    first_passes = {arguments[-1]: arguments[-3:-1] for _, module, arguments in commands if module == "steps.adapt"}
    assert first_passes[f"{exp}/sat_fmllr1_bigram/dev"] == [f"{exp}/sat", f"{exp}/sat_si/tune_bigram_dev"]
    assert first_passes[f"{exp}/sat_fmllr1_bigram/test"] == [f"{exp}/sat", f"{exp}/sat_si/decode_bigram_test"]
    assert first_passes[f"{exp}/sat_fmllr_bigram/test"] == [f"{exp}/sat", f"{exp}/sat/second_bigram_test"]
    # steps.score takes one directory for each model and set
    scored = [name for name in decoded if name.rpartition("/")[2].startswith(("decode_", "tune_"))]
    assert len({(Path(name).parent, name.rpartition("_")[2]) for name in scored}) == len(scored)
    assert "--gmm is 'tri3'; there are mono tri lda_mllt sat" in refused("--gmm", "tri3")


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ("--gmm mono", "0 1 2 3 7 8 10 11 13"),
        ("--gmm tri", "0 1 2 3 4 7 8 10 11 13"),
        ("--gmm sat --realign 2", "0 1 2 3 4 5 6 7 8 9 10 11 13"),
        ("--gmm tri --states chain", "0 1 2 3 4 7 8 10 11 13"),
    ],
)
def test_a_stage_has_the_same_number_in_every_plan(options, numbers, tmp_path):
    for listing in ("--list", "--dry-run"):
        status, out, _ = call(ROOT / "run.sh", *options.split(), listing, "--workdir", tmp_path)
        printed = dict.fromkeys(" ".join(line.replace(":", "").split()[:2]) for line in out.splitlines())
        assert (status, list(printed)) == (0, [f"{number} {STAGES[int(number)]}" for number in numbers.split()])


def test_realignment_with_the_network():
    exp = f"{ROOT}/recipes/asterisk/exp"

    def outputs(commands, *stages):
        return [arguments[-1] for name, _, arguments in commands if name in stages]

    once, commands = plan("--gmm", "tri"), plan("--gmm", "tri", "--realign", "2")
    names = list(dict.fromkeys(name for name, _, _ in commands))
    assert names[4:8] == ["tri", "align", "nnet", "realign"]
    # what was trained without is not trained again
    assert [line for line in commands if line[0] in names[:7]] == [line for line in once if line[0] in names[:7]]
    alignments = [f"{exp}/{ali}/{name}" for ali in ("lstmp_ali", "lstmp_realign1_ali") for name in ("train_sp", "dev")]
    networks = [f"{exp}/lstmp_realign1", f"{exp}/lstmp_realign2"]
    assert outputs(commands, "realign") == [*alignments[:2], networks[0], *alignments[2:], networks[1]]
    # each aligns with the network of the round before, and is compared with what trained that one
    models, data, before = {}, {}, {}
    for name, module, arguments in commands:
        if module == "steps.align":
            models[arguments[-1]], data[arguments[-1]] = arguments[-2], arguments[-4]
            if name == "realign":
                before[arguments[-1]] = arguments[arguments.index("--before") + 1]
            else:
                assert "--before" not in arguments
        if module == "steps.train_nnet":
            network, training = arguments[-1], [models[ali] for ali in arguments[-3:-1]]
            source = {"lstmp": "tri", "lstmp_realign1": "lstmp", "lstmp_realign2": "lstmp_realign1"}
            assert training == [f"{exp}/{source[Path(network).name]}"] * 2
            assert [data[ali] for ali in arguments[-3:-1]] == arguments[-6:-4]
    earlier = {"lstmp_ali": "tri_ali", "lstmp_realign1_ali": "lstmp_ali"}
    assert before == {
        ali: ali.replace(old, new) for old, new in earlier.items() for ali in alignments if f"/{old}/" in ali
    }
    # the last one is decoded, with the graph of the states that it shares
    assert outputs(commands, "decode")[-2:] == [
        f"{exp}/lstmp_realign2/{decoded}" for decoded in ("tune_bigram_dev", "decode_bigram_test")
    ]
    assert f"{exp}/graph_tri_bigram" in commands[-2][2]
    assert not any("lstmp_realign1/" in path or "lstmp/" in path for path in outputs(commands, "decode"))
    assert plan("--realign", "0") == plan()


def test_a_network_with_another_normalisation_is_trained_beside():
    """The features, GMMs and alignments are the same."""
    commands, online = plan(), plan("--cmvn", "online")
    changed = [(one, other) for one, other in zip(commands, online, strict=True) if one != other]
    assert [one[1] for one, _ in changed] == ["steps.train_nnet", "steps.tune", "steps.decode"]
    for (_, _, one), (_, _, other) in changed:
        renamed = [argument.replace("/lstmp", "/lstmp_online") for argument in one if "conf/nnet" not in argument]
        assert [a for a in other if a not in ("--cmvn", "online") and "conf/nnet" not in a] == renamed
    [arguments] = [arguments for _, module, arguments in online if module == "steps.train_nnet"]
    assert dict(pairwise(arguments))["--cmvn"] == "online"
    assert arguments[-1].endswith("/exp/lstmp_online")


def test_a_network_on_adapted_features():
    exp = f"{ROOT}/recipes/asterisk/exp"
    commands = plan("--gmm", "sat", "--fmllr", "--realign", "1")
    for network, source in (("lstmp_fmllr", "sat_ali"), ("lstmp_fmllr_realign1", "lstmp_fmllr_ali")):
        [arguments] = [a for _, module, a in commands if module == "steps.train_nnet" and a[-1] == f"{exp}/{network}"]
        values = dict(pairwise(arguments))
        assert values["--features-of"] == f"{exp}/sat"
        assert values["--speakers"] == f"{exp}/sat_ali_fmllr/train_sp"
        assert values["--dev-speakers"] == f"{exp}/sat_ali_fmllr/dev"
        assert arguments[-3:-1] == [f"{exp}/{source}/train_sp", f"{exp}/{source}/dev"]
    speakers = {
        arguments[-1]: dict(pairwise(arguments)).get("--speakers")
        for _, module, arguments in commands
        if module in ("steps.align", "steps.tune", "steps.decode")
    }
    assert speakers[f"{exp}/lstmp_fmllr_ali/train_sp"] == f"{exp}/sat_ali_fmllr/train_sp"
    assert speakers[f"{exp}/lstmp_fmllr_ali/dev"] == f"{exp}/sat_ali_fmllr/dev"
    # in decoding, those of sat's last pass
    assert speakers[f"{exp}/lstmp_fmllr_realign1/tune_bigram_dev"] == f"{exp}/sat_fmllr_bigram/dev"
    assert speakers[f"{exp}/lstmp_fmllr_realign1/decode_bigram_test"] == f"{exp}/sat_fmllr_bigram/test"


def test_states_of_the_networks_own():
    exp = f"{ROOT}/recipes/asterisk/exp"
    as_before = plan("--gmm", "tri", "--realign", "1", "--nnet", f"{ROOT}/conf/nnet/lstmp_30ms.yaml")
    commands = plan("--gmm", "tri", "--realign", "1", "--states", "chain")
    assert plan("--gmm", "tri", "--states", "gmm") == plan("--gmm", "tri")
    # within stage align, after the alignments: the tree and what is converted to its states
    added = [(module, arguments) for name, module, arguments in commands if name == "align"][2:]
    assert added[0] == (
        "steps.build_tree",
        [
            *("--config", f"{ROOT}/conf/tree_30ms.yaml", "--nj", added[0][1][3]),
            f"{ROOT}/recipes/asterisk/data/feats/train_sp",
            f"{ROOT}/recipes/asterisk/data/lang",
            f"{exp}/tri_ali/train_sp",
            f"{exp}/tree_tri",
        ],
    )
    assert added[1:] == [
        ("steps.convert_ali", [f"{exp}/tri_ali/{name}", f"{exp}/tree_tri", f"{exp}/tree_tri_ali/{name}"])
        for name in ("train_sp", "dev")
    ]
    # the network is trained on these, and what it aligns itself is in the same states
    first, second = [arguments[-3:] for _, module, arguments in commands if module == "steps.train_nnet"]
    assert first == [f"{exp}/tree_tri_ali/train_sp", f"{exp}/tree_tri_ali/dev", f"{exp}/lstmp_30ms"]
    assert second == [f"{exp}/lstmp_30ms_ali/train_sp", f"{exp}/lstmp_30ms_ali/dev", f"{exp}/lstmp_30ms_realign1"]
    befores = [a[a.index("--before") + 1] for name, _, a in commands if name == "realign" and "--before" in a]
    assert befores == [f"{exp}/tree_tri_ali/train_sp", f"{exp}/tree_tri_ali/dev"]
    # it has a graph of its own, beside those of the GMM systems, which are decoded as before
    graphs = {arguments[-1]: arguments[-2] for name, _, arguments in commands if name == "graph"}
    assert graphs == {f"{exp}/graph_{states}_bigram": f"{exp}/{states}" for states in ("mono", "tri", "tree_tri")}

    def decoded(plan):
        return {a[-1]: a[-3] for name, _, a in plan if name == "decode"}

    changed = {out: graph for out, graph in decoded(commands).items() if decoded(as_before)[out] != graph}
    assert set(changed) == {f"{exp}/lstmp_30ms_realign1/{out}" for out in ("tune_bigram_dev", "decode_bigram_test")}
    assert set(changed.values()) == {f"{exp}/graph_tree_tri_bigram"}
    said = refused("--states", "own")
    assert "--states is 'own'; there are gmm chain" in said


def test_every_module_is_there():
    for script in RECIPES:
        for _, module, _ in plan(script=script):
            assert (ROOT / f"{module.replace('.', '/')}.py").exists()


def test_test_sets_are_named_as_the_data_stage_names_them(tmp_path):
    for name in ("train", "dev", "quiet", "noisy"):
        (tmp_path / name).mkdir()
    (tmp_path / "latest").symlink_to("noisy")
    options = ["--train", "train", "--dev", "dev", "--test", "quiet/", "--test", "latest"]
    commands = plan(*options, "--gmm", "mono", "--lm-name", "unigram", script="recipes/custom/run.sh", cwd=tmp_path)
    decoded = [arguments[-1] for _, module, arguments in commands if module == "steps.decode"]
    assert [path.rpartition("/")[2] for path in decoded] == ["decode_unigram_quiet", "decode_unigram_noisy"] * 2
    assert commands[0][2].count("--test") == 2


def test_number_of_processes(tmp_path):
    cores = call("env", "-u", "OMP_NUM_THREADS", "nproc")[1].strip()
    for env in ({}, {"OMP_NUM_THREADS": "1"}):
        assert plan(**env)[1][2][2:4] == ["--nj", cores]
    assert plan("--nj", "5")[1][2][2:4] == ["--nj", "5"]


@pytest.mark.parametrize(
    ("options", "workers", "threads"),
    [
        ("--nj 1", "1", "1"),
        ("--nj 5", "2", "2"),
        ("--nj 5 --workers 1", "1", "5"),
        ("--nj 5 --workers 2", "2", "2"),
        ("--nj 8 --workers 4", "4", "2"),
        ("--nj 2 --workers 3", "3", "1"),
    ],
)
def test_number_of_workers(options, workers, threads):
    (arguments,) = [arguments for _, module, arguments in plan(*options.split()) if module == "steps.train_nnet"]
    values = dict(pairwise(arguments))
    assert (values["--workers"], values["--threads"], values["--cluster"]) == (workers, threads, "local")
