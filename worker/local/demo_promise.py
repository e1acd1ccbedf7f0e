"""How the demonstration checks what it shows.

Invariant: a promise that does not hold ends the demonstration with an error; nothing is shown as well that is not.
"""


class BrokenPromiseError(Exception):
    """Something is not as promised; the message tells the promise."""


def require(holds: bool, promise: str) -> None:
    """The promise holds.

    Raises:
        BrokenPromiseError: it doesn't.
    """
    if not holds:
        raise BrokenPromiseError(f"not as promised: {promise}")
