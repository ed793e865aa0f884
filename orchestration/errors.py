"""Errors that a user can cause: one clear line, no traceback."""


class UserError(Exception):
    """What was expected and what was found, in one line; the command line ends with exit code 2."""


class GateShutError(UserError):
    """A cut must not be published: names the checks that hold the gate shut."""
