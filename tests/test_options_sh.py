"""The command line of run.sh: its help, what is refused, and what paths and names mean."""

import os
import shutil

import pytest

from tests.scripts import RECIPES, ROOT, call, plan, refused


def test_help_lists_what_there_is():
    status, out, _ = call(ROOT / "run.sh", "--help")
    assert status == 0
    for word in (
        "an4 asterisk custom festvox_ru",
        "conf/nnet/lstmp.yaml",
        "--stop-stage",
        "--allow-commands",
        "--oov-to-unk",
    ):
        assert word in out


def test_options_may_be_spelled_with_underscores(tmp_path):
    folder = ["--workdir", tmp_path / "under_score"]
    spelled = plan(*folder, "--oov_to_unk", "--lm_name=trigram", "--nj", "2")
    assert spelled == plan(*folder, "--oov-to-unk", "--lm-name", "trigram", "--nj", "2")
    assert any("--oov-to-unk" in arguments for _, _, arguments in spelled)


def test_the_command_line_is_kept_as_it_was_given():
    """What makes the same results again: paths as given, spelled in one way, without what says where to begin."""
    given = ["--recipe", "an4", "--corpus=docs", "--lm_name", "unigram", "--oov_to_unk", "--seed", "3"]
    given += ["--stage", "nnet", "--stop-stage", "score", "--nj", "2", "--workdir", "my work", "--dry-run"]
    show = 'source ./options.sh "$@"; printf "%s\\n" "${command_line[@]}"'
    status, out, _ = call("bash", "-c", show, "run.sh", *given)
    assert status == 0
    kept = "./run.sh --recipe an4 --corpus docs --lm-name unigram --oov-to-unk --seed 3 --nj 2 --workdir"
    assert out.splitlines() == [*kept.split(), "my work"]
    status, out, _ = call("bash", "-c", show, "run.sh", "--recipe", "custom", "--train", "docs", "--allow-commands")
    assert out.splitlines() == ["./run.sh", "--recipe", "custom", "--train", "docs", "--allow-commands"]


@pytest.mark.parametrize("options", [["--frobnicate"], ["--frobnicate", "3"], ["--frobnicate=3"], ["-x"], ["lstmp"]])
def test_unknown_option_lists_the_known_ones(options):
    errors = refused(*options)
    assert f"error: unknown option '{options[0].partition('=')[0]}'; the known ones are listed above" in errors
    for known in ("--stage", "--stop-stage", "--list", "--dry-run", "--nj", "--nnet", "--corpus", "--workdir"):
        assert f"  {known}" in errors or f", {known}" in errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--nj", "--nj needs a value"),
        ("--nj --list", "--nj needs a value"),
        ("--workdir=", "--workdir needs a value"),
        ("--corpus", "--corpus needs a value (see --help)"),
        ("--corpus nowhere", "--corpus needs a file or directory; there is no 'nowhere'"),
        ("--nnet conf/nnet/none.yaml", "--nnet needs a file or directory; there is no 'conf/nnet/none.yaml'"),
        ("--nnet conf", "no file"),
        ("--nj 0", "--nj '0', --workers '1' and --seed '1' have to be whole numbers"),
        ("--workers x", "--workers 'x' and --seed"),
        ("--nj two", "--nj 'two'"),
        ("--cluster slurm", "--cluster is 'slurm'; there are local, ray, ray://HOST:PORT"),
        ("--init conf", f"--init {ROOT}/conf: no network is there; it has no model.safetensors"),
        ("--init nowhere", "--init needs a file or directory; there is no 'nowhere'"),
        ("--realign x", "--realign is 'x'; it has to be a whole number from 0 to 99"),
        ("--realign -1", "--realign is '-1'"),
        ("--realign=", "--realign needs a value"),
        ("--cmvn utterance", "--cmvn is 'utterance'; there are speaker online global"),
        ("--fmllr --gmm lda_mllt", "--fmllr takes the features of sat; train it with --gmm sat"),
        ("--fmllr --gmm sat --cmvn online", "--cmvn online is for filterbanks, --fmllr takes the features of sat"),
        ("--seed x", "--seed 'x'"),
        ("--seed -1", "--seed '-1' have to be whole numbers"),
        ("--seed 9223372036854775808", "--seed '9223372036854775808' have to be below 2^63"),
        ("--seed 36893488147419103233", "--seed '36893488147419103233' have to be below 2^63"),
        ("--nj 18446744073709551617", "--nj '18446744073709551617', --workers '1'"),
        ("--recipe wsj", "no recipe 'wsj'; there are: an4 asterisk custom festvox_ru"),
        ("--language de", "--language is 'de'; there are en es fr it ru"),
        ("--lm-name quadgram", "--lm-name is 'quadgram'; recipe asterisk has unigram bigram trigram, 1gram to 9gram"),
        ("--lm-name corpus", "--lm-name is 'corpus'; recipe asterisk has unigram bigram trigram, 1gram to 9gram"),
        ("--lm none.arpa", "--lm needs a file or directory; there is no 'none.arpa'"),
        ("--recipe an4 --language en", "recipe an4 has no option --language; it has --corpus"),
        ("--train conf", "recipe asterisk has no option --train; it has --language --corpus"),
        ("--allow-commands", "recipe asterisk has no option --allow-commands"),
        ("--recipe custom --corpus conf", "recipe custom has no option --corpus"),
        (
            "--recipe custom --train conf --dev conf --test conf --test steps/lang",
            "--test: data/lang is taken, rename it",
        ),
        (
            "--gmm mono --stage tri",
            "stage 4 tri is not part of this run; its stages are 0 data, 1 feats, 2 lang, 3 mono, 7",
        ),
        ("--gmm mono --stage 4", "stage 4 tri is not part of this run"),
        (
            "--gmm tri --stage 5",
            "stage 5 lda_mllt is not part of this run; its stages are 0 data, 1",
        ),
        ("--stop-stage report", "stage 14 report is not part of this run"),
        ("--stop-stage 99", "there is no stage '99'"),
        ("--stage score --stop-stage 2", "--stop-stage 2 comes before --stage score"),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(options, message, tmp_path):
    work = tmp_path / "work"
    assert message in refused("--workdir", work, *options.split()).splitlines()[-1]
    assert not work.exists()


NAMES = ["mono", "tri_ali", "graph_mine", "tree_mono", "lstmp_realign1", "lstmp_ali", "my_realign12", "my_fmllr"]


@pytest.mark.parametrize("name", NAMES)
def test_a_network_cannot_take_the_place_of_another_directory(tmp_path, name):
    file = tmp_path / f"{name}.yaml"
    file.write_text("")
    assert f"--nnet {file}: no file, or exp/{name} is taken" in refused("--nnet", file)


def test_a_network_cannot_have_the_name_of_one_with_another_normalisation(tmp_path):
    (tmp_path / "my_online.yaml").write_text("")
    assert "exp/my_online is taken by --cmvn online" in refused("--nnet", tmp_path / "my_online.yaml")


def test_a_ready_language_model_cannot_have_the_name_of_a_trained_one(tmp_path):
    (tmp_path / "bigram.arpa.gz").write_text("")
    assert "the name bigram is reserved for models trained here" in refused("--lm", tmp_path / "bigram.arpa.gz")


@pytest.mark.parametrize("name", ["news.arpa", "news.arpa.gz", "news.lm.gz"])
def test_ready_language_model(tmp_path, name):
    (tmp_path / name).write_text("")
    for script in ("run.sh", "recipes/an4/run.sh"):
        commands = plan("--lm", name, script=script, cwd=tmp_path)
        assert "--lm" not in commands[0][2]
        lm = next(arguments for _, module, arguments in commands if module == "steps.train_lm")
        assert lm[:2] == ["--lm", str(tmp_path / name)]
        assert lm[-1].endswith("/data/lm_news")
    assert f"--lm {tmp_path / name}" in " ".join(plan("--lm", name, script="recipes/custom/run.sh", cwd=tmp_path)[0][2])


def test_paths_mean_the_same_from_anywhere(tmp_path):
    (tmp_path / "a/corpus").mkdir(parents=True)
    (tmp_path / "a/mine.yaml").write_text("")
    (tmp_path / "b").mkdir()
    script = os.path.relpath(ROOT / "recipes/an4/run.sh", tmp_path / "b")
    here = plan(
        "--corpus", "corpus", "--nnet", "mine.yaml", "--workdir=w", script="recipes/an4/run.sh", cwd=tmp_path / "a"
    )
    away = call(
        script, "--dry-run", "--corpus=../a/corpus", "--nnet=../a/mine.yaml", "--workdir", "../a/w", cwd=tmp_path / "b"
    )
    assert here[0] == ("data", "local.an4", ["--corpus", f"{tmp_path}/a/corpus", f"{tmp_path}/a/w/data"])
    assert away[1].splitlines()[0].split()[4:] == ["local.an4", *here[0][2]]
    assert f"--config {tmp_path}/a/mine.yaml" in away[1]
    for _, _, arguments in here:
        assert not any("/" in argument and not argument.startswith("/") for argument in arguments)


def test_networks_start_from_another_one(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other/model.safetensors").write_text("")
    trained = [
        (name, a) for name, module, a in plan("--realign", "1", "--init", "other", cwd=tmp_path) if "--init" in a
    ]
    assert [name for name, _ in trained] == ["nnet", "realign"]
    assert {a[a.index("--init") + 1] for _, a in trained} == {str(tmp_path / "other")}


def test_recipes_work_in_their_own_folders_and_languages_below():
    assert plan(script="recipes/an4/run.sh")[0][2] == [f"{ROOT}/recipes/an4/data"]
    assert plan("--language", "en")[0][2][-1] == f"{ROOT}/recipes/asterisk/data"
    assert plan("--language", "it")[0][2] == ["--language", "it", f"{ROOT}/recipes/asterisk/it/data"]


@pytest.mark.parametrize("script", RECIPES)
def test_recipes_run_from_symbolic_links_and_with_cdpath(tmp_path, script):
    expected = plan(script=script)
    (tmp_path / "mine.sh").symlink_to(ROOT / script)
    (tmp_path / "recipe").symlink_to((ROOT / script).parent)
    for link in ("mine.sh", "recipe/run.sh"):
        assert plan(script=tmp_path / link) == expected
    # from their folder, where CDPATH has another one of that name and before, nothing may be said either
    folder = (ROOT / script).parent
    (tmp_path / folder.name).mkdir()
    status, out, errors = call(
        f"{folder.name}/run.sh", "--dry-run", cwd=folder.parent, CDPATH=f"{tmp_path}:.", **{"BASH_FUNC_cd%%": NOISY_CD}
    )
    assert (status, errors, len(out.splitlines())) == (0, "", len(expected))


NOISY_CD = """() { echo noise; builtin cd "$@"; }"""


def test_lists_of_the_help_are_names_alone():
    status, out, _ = call(ROOT / "run.sh", "--help", CDPATH="/tmp:/", **{"BASH_FUNC_cd%%": NOISY_CD})
    assert status == 0
    assert "one of conf/nnet/blstm.yaml conf/nnet/blstmp.yaml " in out
    assert "one of: an4 asterisk custom festvox_ru\n" in out


def test_an_option_is_that_of_the_recipe_wherever_that_is_named(tmp_path):
    """Of two recipes that have an option of one name, each has values of its own for it."""
    shutil.copy(ROOT / "options.sh", tmp_path)
    for file, text in {"recipes/a/options": "--mode x|y a", "recipes/b/options": "--mode FILE b"}.items():
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text(f"{text}\n")
    (tmp_path / "conf/nnet").mkdir(parents=True)
    (tmp_path / "conf/nnet/lstmp.yaml").write_text("")
    for recipe in (["--recipe", "a"], ["--recipe=a"]):
        for options in ([*recipe, "--mode", "y"], ["--mode", "y", *recipe]):
            status, out, errors = call("bash", "-c", 'source "$0"; echo "${own[*]}"', tmp_path / "options.sh", *options)
            assert (status, out, errors) == (0, "--mode y\n", "")
    assert call("bash", tmp_path / "options.sh", "--mode", "y", "--recipe", "b")[0] == 2


def test_the_highest_seed():
    commands = plan("--seed", str(2**63 - 1))
    assert {a[a.index("--seed") + 1] for _, _, a in commands if "--seed" in a} == {str(2**63 - 1)}


def test_modules_of_the_current_directory_are_not_taken_for_ours(tmp_path):
    """Kaldi's recipes have folders steps and local as well."""
    for name in ("steps", "local"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong one')")
    assert plan(cwd=tmp_path, PYTHONPATH=str(tmp_path)) == plan()
