"""The kinds of trouble, told apart because each is handled differently.

`TransientError` is tried again, `InputError` becomes a row, `SetupError` stops the run with one line.
Any other exception is a bug of ours and stops the run too.
"""


class LhqError(Exception):
    """Base of every error we raise on purpose; its text says what happened and what to do."""


class TransientError(LhqError):
    """A passing trouble (a host, a disk, a 5xx): the same attempt may succeed later."""


class InputError(LhqError):
    """Something is wrong with this one input: its row records the text, the run goes on."""


class SetupError(LhqError):
    """Something beside the command has to be mended (weights, a damaged file, a full disk): it stops, exit code 1."""


class PluginError(SetupError):
    """Code of another package, which the user installed, did what it must not: its authors are to be told."""


class LockedError(SetupError):
    """Somebody else is writing this part of the dataset."""


class MisuseError(SetupError):
    """The command itself has to be changed (a wrong value, a name of nothing, a place that is taken): exit code 2."""
