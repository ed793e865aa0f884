"""What the stack refuses or cannot do, said in one line."""


class StackError(RuntimeError):
    """A stack that cannot be started, stopped or reached; the message names the cause and the next step."""
