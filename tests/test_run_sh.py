"""The front door: options of run.sh, the installation by path.sh, and the shell scripts' style."""

import os
import shutil
import signal
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RECIPES = [f"recipes/{name}/run.sh" for name in ("asterisk", "an4", "custom", "festvox_ru")]
SCRIPTS = ["run.sh", "options.sh", "path.sh", "tests/run.sh", ".ci/run", *RECIPES]


def call(*command, cwd=ROOT, **env):
    """The status, what was said and what was complained of."""
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout, done.stderr


def plan(*options, script="run.sh", cwd=ROOT, **env):
    """The commands of a dry run: name of the stage, module, arguments."""
    status, out, errors = call(ROOT / script, *options, "--dry-run", cwd=cwd, **env)
    assert (status, errors) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    return [(line[1].removesuffix(":"), line[4], line[5:]) for line in lines]


def refused(*options, script="run.sh", cwd=ROOT):
    status, out, errors = call(ROOT / script, *options, cwd=cwd)
    assert status
    assert out == ""
    assert errors.splitlines()[-1].startswith("error: ")
    return errors


@pytest.mark.skipif(
    shutil.which("shellcheck") is None, reason="shellcheck is not installed: apt-get install shellcheck"
)
def test_shellcheck():
    status, out, _ = call("shellcheck", "--external-sources", *SCRIPTS)
    assert (status, out) == (0, "")


def test_all_scripts_are_checked_and_executable():
    tracked = call("git", "ls-files", "*.sh", ".ci/*")[1].split() if (ROOT / ".git").exists() else []
    assert set(tracked) <= set(SCRIPTS)
    assert {name for name in SCRIPTS if os.access(ROOT / name, os.X_OK)} == set(SCRIPTS) - {"path.sh", "options.sh"}


def test_run_sh_reads_like_a_table_of_contents():
    lines = (ROOT / "run.sh").read_text().splitlines()
    assert len(lines) < 120
    assert max(map(len, lines)) <= 120


# ------------------------------------------------------------------------------------------------ options of run.sh


def test_the_stages_of_the_main_job():
    commands = plan()
    assert list(dict.fromkeys(name for name, _, _ in commands)) == [
        *("data", "feats", "lang", "mono", "align", "nnet", "graph", "decode", "score")
    ]
    assert commands[0] == ("data", "local.asterisk", [f"{ROOT}/recipes/asterisk/data"])
    assert commands[-1][1:] == ("steps.score", [f"{ROOT}/recipes/asterisk/{name}" for name in ("data", "exp")])


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
    heard = {arguments[-1]: arguments[-3:-1] for _, module, arguments in commands if module == "steps.adapt"}
    assert heard[f"{exp}/sat_fmllr1_bigram/dev"] == [f"{exp}/sat", f"{exp}/sat_si/tune_bigram_dev"]
    assert heard[f"{exp}/sat_fmllr1_bigram/test"] == [f"{exp}/sat", f"{exp}/sat_si/decode_bigram_test"]
    assert heard[f"{exp}/sat_fmllr_bigram/test"] == [f"{exp}/sat", f"{exp}/sat/second_bigram_test"]
    # steps.score takes one directory for each model and set
    scored = [name for name in decoded if name.rpartition("/")[2].startswith(("decode_", "tune_"))]
    assert len({(Path(name).parent, name.rpartition("_")[2]) for name in scored}) == len(scored)
    assert "--gmm is 'tri3'; there are mono tri lda_mllt sat" in refused("--gmm", "tri3")


def test_realignment_with_the_network():
    exp = f"{ROOT}/recipes/asterisk/exp"

    def outputs(commands, *stages):
        return [arguments[-1] for name, _, arguments in commands if name in stages]

    once, commands = plan("--gmm", "tri"), plan("--gmm", "tri", "--realign", "2")
    names = list(dict.fromkeys(name for name, _, _ in commands))
    assert names[4:9] == ["tri", "align", "nnet", "realign1", "realign2"]
    # what was trained without is not trained again
    assert [line for line in commands if line[0] in names[:7]] == [line for line in once if line[0] in names[:7]]
    alignments = [f"{exp}/{ali}/{name}" for ali in ("lstmp_ali", "lstmp_realign1_ali") for name in ("train_sp", "dev")]
    assert outputs(commands, "realign1") == [*alignments[:2], f"{exp}/lstmp_realign1"]
    assert outputs(commands, "realign2") == [*alignments[2:], f"{exp}/lstmp_realign2"]
    # each aligns with the network of the round before, and is compared with what trained that one
    models, data, before = {}, {}, {}
    for name, module, arguments in commands:
        if module == "steps.align":
            models[arguments[-1]], data[arguments[-1]] = arguments[-2], arguments[-4]
            if name.startswith("realign"):
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


def test_every_module_is_there():
    for script in RECIPES:
        for _, module, _ in plan(script=script):
            assert (ROOT / f"{module.replace('.', '/')}.py").exists()


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
        ("--corpus", "--corpus needs a file or directory; there is no ''"),
        ("--corpus nowhere", "--corpus needs a file or directory; there is no 'nowhere'"),
        ("--nnet conf/nnet/none.yaml", "--nnet needs a file or directory; there is no 'conf/nnet/none.yaml'"),
        ("--nnet conf", "no file"),
        ("--nj 0", "--nj '0', --workers '1' and --seed '1' have to be whole numbers"),
        ("--workers x", "--workers 'x' and --seed"),
        ("--nj two", "--nj 'two'"),
        ("--cluster slurm", "--cluster is 'slurm'; there are local, ray, ray://HOST:PORT"),
        ("--realign x", "--realign is 'x'; it has to be a whole number from 0 to 99"),
        ("--realign -1", "--realign is '-1'"),
        ("--realign=", "--realign needs a value"),
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
        ("--recipe an4 --language en", "recipe an4 has no option --language, but --corpus"),
        ("--train conf", "recipe asterisk has no option --train, but --language --corpus"),
        ("--allow-commands", "recipe asterisk has no option --allow-commands"),
        ("--recipe custom --corpus conf", "recipe custom has no option --corpus"),
        (
            "--recipe custom --train conf --dev conf --test conf --test steps/lang",
            "--test: data/lang is taken, rename it",
        ),
        ("--stage tri", "there is no stage 'tri'; the stages are 0 data, 1 feats, 2 lang, 3 mono, 4 align, 5 nnet,"),
        ("--stop-stage 99", "there is no stage '99'"),
        ("--stage score --stop-stage 2", "--stop-stage 2 comes before --stage score"),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(options, message, tmp_path):
    work = tmp_path / "work"
    assert message in refused("--workdir", work, *options.split()).splitlines()[-1]
    assert not work.exists()


@pytest.mark.parametrize("name", ["mono", "tri_ali", "graph_mine", "lstmp_realign1", "lstmp_ali", "my_realign12"])
def test_a_network_cannot_take_the_place_of_another_directory(tmp_path, name):
    file = tmp_path / f"{name}.yaml"
    file.write_text("")
    assert f"--nnet {file}: no file, or exp/{name} is taken" in refused("--nnet", file)


def test_a_ready_language_model_cannot_have_the_name_of_a_trained_one(tmp_path):
    (tmp_path / "bigram.arpa.gz").write_text("")
    assert "results would call it bigram" in refused("--lm", tmp_path / "bigram.arpa.gz")


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


def test_the_highest_seed():
    commands = plan("--seed", str(2**63 - 1))
    assert {a[a.index("--seed") + 1] for _, _, a in commands if "--seed" in a} == {str(2**63 - 1)}


def test_test_sets_are_named_as_the_data_stage_names_them(tmp_path):
    for name in ("train", "dev", "quiet", "noisy"):
        (tmp_path / name).mkdir()
    (tmp_path / "latest").symlink_to("noisy")
    options = ["--train", "train", "--dev", "dev", "--test", "quiet/", "--test", "latest"]
    commands = plan(*options, "--lm-name", "unigram", script="recipes/custom/run.sh", cwd=tmp_path)
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


def test_modules_of_the_current_directory_are_not_taken_for_ours(tmp_path):
    """Kaldi's recipes have folders steps and local as well."""
    for name in ("steps", "local"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong one')")
    assert plan(cwd=tmp_path, PYTHONPATH=str(tmp_path)) == plan()


# --------------------------------------------------------------------------------------------- installation by path.sh

# stands for python3 and for .venv/bin/python, notes what it is called for
PYTHON = r"""#!/bin/bash
echo "$*" >> "$CALLS"
case "$*" in
  *version_info*) [[ -z ${OLD-} ]] ;;
  --version) echo "Python 3.9.2" ;;
  *ensurepip*) [[ -z ${NO_VENV-} ]] ;;
  *"import pip"*) [[ -e ${0%/*}/pip ]] ;;
  "-m venv --clear .venv") rm -rf .venv && mkdir -p .venv/bin && cp "$0" .venv/bin/python && touch .venv/bin/pip ;;
  "-m pip install"*) sleep "${SLOW:-0}"; [[ -z ${NO_NETWORK-} ]] ;;
esac
"""


@pytest.fixture
def machine(tmp_path):
    """A machine with a copy of path.sh in a path with a space; calling it sources path.sh as a script does."""

    class Machine:
        project = tmp_path / "a project"
        calls = tmp_path / "calls"
        bin = tmp_path / "bin"

        def command(self, more="echo entered"):
            return ["bash", "-c", f'set -euo pipefail; source "$0"; {more}', str(self.project / "path.sh")]

        def env(self, **env):
            return {"PATH": str(self.bin), "CALLS": str(self.calls), **env}

        def __call__(self, more="echo entered", **env):
            done = subprocess.run(
                self.command(more), env=self.env(**env), cwd=tmp_path, capture_output=True, text=True, timeout=60
            )
            return done.returncode, done.stdout, done.stderr

        def installs(self):
            lines = self.calls.read_text().splitlines() if self.calls.exists() else []
            self.calls.unlink(missing_ok=True)
            return [line.partition("check ")[2] for line in lines if line.startswith("-m pip install")]

    result = Machine()
    result.project.mkdir()
    result.bin.mkdir()
    for tool in ("bash", "realpath", "dirname", "cmp", "flock", "mkdir", "rm", "cp", "sleep", "touch", "cat"):
        (result.bin / tool).symlink_to(shutil.which(tool))
    shutil.copy(ROOT / "path.sh", result.project)
    (result.project / "requirements.txt").write_text("torch==2.13.0\n")
    (result.project / "requirements-test.txt").write_text("pytest==9.2.0\n")
    (result.bin / "python3").write_text(PYTHON)
    (result.bin / "python3").chmod(0o755)
    return result


def test_packages_are_installed_once(machine):
    status, out, errors = machine()
    assert (status, out) == (0, "entered\n")
    assert errors == "Installing requirements.txt into .venv (once, a few minutes)\n"
    assert machine.installs() == ["--requirement=requirements.txt"]
    assert machine() == (0, "entered\n", "")
    assert machine.installs() == []


def test_what_is_entered(machine):
    _, out, _ = machine('echo "$(command -v python)|$PYTHONPATH|$PWD"', PYTHONPATH="/somewhere/else")
    assert out == f"{machine.project}/.venv/bin/python|{machine.project}|{machine.project.parent}\n"


def test_packages_of_the_tests_come_on_top(machine):
    more = "install requirements.txt requirements-test.txt"
    machine()
    machine.installs()
    assert machine(more)[0] == 0
    assert machine.installs() == ["--requirement=requirements.txt --requirement=requirements-test.txt"]
    assert machine() == (0, "entered\n", "")
    assert machine(more) == (0, "", "")
    assert machine.installs() == []


def test_changed_requirements_are_installed(machine):
    machine()
    for content in ("torch==2.13.0\ntqdm==4.70.1\n", "torch==2.13.0\n"):
        machine.installs()
        (machine.project / "requirements.txt").write_text(content)
        assert machine()[0] == 0
        assert len(machine.installs()) == 1


def test_an_installation_leaves_what_cdpath_leads_to_alone(machine, tmp_path):
    other = tmp_path / "other/.venv/.installed/requirements.txt"
    other.parent.mkdir(parents=True)
    other.write_text("another project's")
    assert machine(CDPATH=str(tmp_path / "other"))[:2] == (0, "entered\n")
    assert other.read_text() == "another project's"


def test_a_new_python_makes_the_environment_again(machine):
    machine()
    machine.installs()
    (machine.project / ".venv/bin/pip").unlink()  # looked for where the new python's packages go
    assert machine()[0] == 0
    assert "-m venv --clear .venv" in machine.calls.read_text()
    assert len(machine.installs()) == 1


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"OLD": "1"}, "error: Python 3.10 or newer is needed; python3 is Python 3.9.2\n"),
        ({"NO_VENV": "1"}, "error: Python's venv module is missing; install it with: apt-get install python3-venv\n"),
    ],
)
def test_unfit_python(machine, env, message):
    assert machine(**env) == (1, "", message)
    assert not (machine.project / ".venv").exists()


def test_missing_python(machine):
    (machine.bin / "python3").unlink()
    assert machine() == (1, "", "error: python3 is missing; install it with: apt-get install python3-venv\n")


def test_failed_installation_is_told_and_tried_again(machine):
    status, out, errors = machine(NO_NETWORK="1")
    assert (status, out) == (1, "")
    assert errors.endswith(
        "error: the packages of requirements.txt could not be installed, see above; the same command tries again\n"
    )
    machine.installs()
    assert machine()[0] == 0
    assert len(machine.installs()) == 1


def test_killed_installation_is_done_again(machine):
    process = subprocess.Popen(
        machine.command(), env=machine.env(SLOW="30"), start_new_session=True, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 20
    while not (machine.calls.exists() and "pip install" in machine.calls.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    machine.installs()
    assert machine()[1] == "entered\n"
    assert len(machine.installs()) == 1


def test_two_at_once_install_once(machine):
    both = [
        subprocess.Popen(
            machine.command(), env=machine.env(SLOW="1"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=60) for process in both]
    assert [out for out, _ in said] == ["entered\n"] * 2
    assert sorted(errors.split()[0] for _, errors in said) == ["Installing", "Waiting"]
    assert len(machine.installs()) == 1


def test_with_the_real_python(machine):
    if call("python3", "-c", "import ensurepip")[0]:
        pytest.skip("this Python cannot make environments")
    (machine.project / "requirements.txt").write_text("# nothing, so that no network is needed\n")
    (machine.bin / "python3").unlink()
    env = {"PATH": os.environ["PATH"]}
    status, out, _ = machine("python -c 'import sys; print(sys.prefix)'", **env)
    assert (status, out) == (0, f"{machine.project}/.venv\n")
    assert machine(**env) == (0, "entered\n", "")


@pytest.mark.parametrize("fault", ["import os\n", "x = {  }\n"], ids=["check", "format"])
def test_tests_stop_at_what_ruff_finds(tmp_path, fault):
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests/run.sh", tmp_path / "tests")
    (tmp_path / "path.sh").write_text("install() { :; }\n")
    (tmp_path / "faulty.py").write_text(fault)
    (tmp_path / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
    status, out, _ = call(tmp_path / "tests/run.sh")
    assert status
    assert "faulty.py" in out
    assert "1 passed" not in out
    (tmp_path / "faulty.py").unlink()
    status, out, _ = call(tmp_path / "tests/run.sh")
    assert (status, "1 passed" in out) == (0, True)


@pytest.mark.parametrize("script", ["tests/run.sh", ".ci/run"])
def test_the_tests_are_those_of_the_scripts_own_checkout(tmp_path, script):
    for folder in ("here", "there"):
        (tmp_path / folder / Path(script).parent).mkdir(parents=True)
    for name in ("tests/run.sh", script):
        (tmp_path / "here" / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / "here" / name)
    (tmp_path / "here/path.sh").write_text("echo $PWD; exit\n")
    (tmp_path / "link").symlink_to(tmp_path / "here" / script)
    assert call(script, cwd=tmp_path / "here", CDPATH=str(tmp_path / "there")) == (0, f"{tmp_path}/here\n", "")
    assert call(tmp_path / "link") == (0, f"{tmp_path}/here\n", "")
