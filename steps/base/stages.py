"""The runner behind run.sh: it reads a plan (see `steps.base.plan`) and runs the stages that are not done."""

import argparse
import ctypes
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from nnet.errors import naming
from steps.base.environment import environment
from steps.base.errors import InputError, os_error_text
from steps.base.ledger import Ledger, only_run
from steps.base.output import fingerprint, writing
from steps.base.plan import Stage, read_plan, steps_of

GRACE = 20.0  # seconds that an interrupted stage has to end

CONTINUE = "the same command (without --stage) continues from here"

_libc = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def _end_with_runner() -> None:
    """End the process that calls this when the runner ends, even by SIGKILL: no stage goes on writing without it."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def run_stage(stage: Stage, ledger: Ledger, key: str, run_command: Sequence[str]) -> None:
    """Run a stage, show its output and write it to ``exp/log``, and enter the stage as done.

    The entry says when and with what it was run: `run_command` is the command line of run.sh.

    The stage has a session of its own, so Ctrl-C reaches the runner alone. The runner lets the stage save what it can
    and then ends it with all processes that it started.

    Raises
    ------
    InputError
        When the stage fails; its own message has been printed before.
    """
    log = ledger.work / "exp" / "log" / f"{ledger.entry_path(stage).stem}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    ledger.entry_path(stage).unlink(missing_ok=True)
    start, started = time.monotonic(), datetime.now()
    made_with = {"command": list(run_command), **environment()}
    with naming(log), log.open("w", encoding="utf-8") as file:
        print("# python", shlex.join(stage.command), file=file, flush=True)
        process = subprocess.Popen(
            [sys.executable, "-u", *stage.command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            # progress bars and errors go to stderr: past the log on a terminal, into it everywhere else
            stderr=None if sys.stderr.isatty() else subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            preexec_fn=_end_with_runner,
        )
        with process:
            try:
                for line in process.stdout or ():
                    print("  " + line, end="", flush=True)
                    file.write(line)
                    file.flush()
            except BaseException:
                remaining = _end(process)
                print(remaining, end="")
                file.write(remaining)
                raise
    if process.returncode:
        raise InputError(
            f"stage {stage.name} {_ending(process.returncode)} (log: {log}); when the cause is fixed, {CONTINUE}"
        )
    now = datetime.now()
    with writing(ledger.entry_path(stage)) as part:
        entry = {"key": key, "run": fingerprint(key, now.isoformat()), "seconds": round(time.monotonic() - start, 1)}
        entry |= {"started": started.isoformat(timespec="seconds"), "ended": now.isoformat(timespec="seconds")}
        entry |= {"command": stage.command, "made_with": made_with}
        part.write_text(json.dumps(entry, indent=1))


def _end(process: "subprocess.Popen[str]") -> str:
    """Interrupt a stage as Ctrl-C would, then kill all that it started; return the rest of its output."""
    process.send_signal(signal.SIGINT)
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return process.stdout.read() if process.stdout else ""


def _ending(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    memory = "; the machine may be out of memory" if -status == signal.SIGKILL else ""
    return f"was ended by {signal.Signals(-status).name}{memory}"


def run(stages: Sequence[Stage], ledger: Ledger, chosen: range, forced: range, run_command: Sequence[str] = ()) -> None:
    """Run what is not done among the `chosen` positions of the plan, and the `forced` ones even if they are done."""
    begin = time.monotonic()
    for position, (stage, key) in enumerate(ledger.keys(stages[: chosen.stop], chosen.start)):
        where = f"{stage.number:<2} {stage.name:8} {ledger.relative(stage.output)}"
        if position < chosen.start:
            if not key:
                raise InputError(f"stage {stage.name} has not been run, or {stage.output} is gone: start with it")
            continue
        if ledger.entry(stage).get("key") == key and position not in forced:
            print(f"{where}: done, skipped")
            continue
        print(where, flush=True)
        run_stage(stage, ledger, key, run_command)
        print(f"{where}: {ledger.entry(stage)['seconds']:.1f} s")
    print(f"finished in {time.monotonic() - begin:.1f} s", flush=True)


def show(stages: Sequence[Stage], ledger: Ledger) -> None:
    """Print the stages and which are done."""
    for stage, key in ledger.keys(stages):
        entry = ledger.entry(stage)
        status = "not done" if not entry else "done" if entry["key"] == key else "to be done again"
        seconds = f"{entry['seconds']:8.1f} s" if entry else " " * 10
        print(f"{stage.number:<2} {stage.name:8} {status:16} {seconds}  {ledger.relative(stage.output)}")


def main() -> None:
    """Read the plan from standard input and do what the options say."""
    parser = argparse.ArgumentParser(description="Run the stages of a plan (called by run.sh).")
    parser.add_argument("work", type=Path)
    parser.add_argument("run_command", nargs="*", help="the command line of run.sh, after --, for the stages' entries")
    parser.add_argument("--stage")
    parser.add_argument("--stop-stage")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `run.sh --list | head` ends quietly
    try:
        stages = read_plan(sys.stdin.read())
        ledger = Ledger(options.work)
        forced = steps_of(stages, options.stage) if options.stage else range(0)
        stop = steps_of(stages, options.stop_stage).stop if options.stop_stage else len(stages)
        chosen = range(forced.start, stop)
        if not chosen:
            raise InputError(f"--stop-stage {options.stop_stage} comes before --stage {options.stage}")
        if options.list:
            show(stages, ledger)
        elif options.dry_run:
            for stage in stages[chosen.start : chosen.stop]:
                print(f"{stage.number} {stage.name}: python {shlex.join(stage.command)}")
        else:
            with only_run(ledger.work):
                run(stages, ledger, chosen, forced, options.run_command)
    except InputError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {os_error_text(error)}")
    except KeyboardInterrupt:
        print(f"interrupted; {CONTINUE}", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
