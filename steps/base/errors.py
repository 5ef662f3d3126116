"""The error that a user can cause and can mend; and what the operating system's errors say in a line."""

import errno
import os
import traceback
from pathlib import Path

ADVICE = {
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "make room on its disk",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.EAGAIN: "give a smaller --nj",
    errno.ENOMEM: "give a smaller --nj",
    errno.EMFILE: "allow more open files (ulimit -n) or give a smaller --nj",
}


class InputError(Exception):
    """Something in the user's files, options or machine is wrong.

    The message names the file, line or utterance, the values that disagree, and what to do. Commands print it as
    ``error: MESSAGE`` and exit with status 1; any other exception is a bug and shows its traceback.
    """


def os_error_text(error: OSError) -> str:
    """Say in a line which file the operating system refused, why, and what to do; without a file, where it happened.

    Example
    -------
    >>> os_error_text(PermissionError(errno.EACCES, "Permission denied", "data/wav.scp"))
    'data/wav.scp: Permission denied'
    >>> os_error_text(OSError(errno.ENOSPC, "No space left on device", "exp/mono"))
    'exp/mono: No space left on device; make room on its disk'
    """
    reason = error.strerror or str(error) or type(error).__name__
    if error.errno in ADVICE:
        reason += f"; {ADVICE[error.errno]}"
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    places = traceback.extract_tb(error.__traceback__)
    if any(place.filename.endswith("multiprocessing/synchronize.py") for place in places):
        names = ["/dev/shm"]  # where the semaphores are that processes share
    if names:
        return f"{' to '.join(dict.fromkeys(names))}: {reason}"
    return reason + (f" (in {Path(places[-1].filename).name}, line {places[-1].lineno})" if places else "")
