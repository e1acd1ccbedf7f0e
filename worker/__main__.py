"""The `heroes` program, also as `python -m worker`: without the worker's libraries it says what to install."""

import sys

_USAGE = 2


def main() -> None:
    """Runs the command line."""
    try:
        from worker import cli  # here, where its absence can be told
    except ModuleNotFoundError as missing:
        sys.stderr.write(f"{missing.name} is missing, which comes with the worker: pip install '.[worker]'\n")
        sys.exit(_USAGE)
    cli.main()


if __name__ == "__main__":
    main()
