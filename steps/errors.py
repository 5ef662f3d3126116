"""The error that a user can cause and can mend."""


class InputError(Exception):
    """Something in the user's files, options or machine is wrong.

    The message names the file, line or utterance, the values that disagree, and what to do. Commands print it as
    ``error: MESSAGE`` and exit with status 1; any other exception is a bug and shows its traceback.
    """
