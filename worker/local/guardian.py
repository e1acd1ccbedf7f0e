"""Ends private servers whose owner was killed: a tiny process that outlives its parent by one clean-up.

Invariant: it is run by path with the standard library alone; it ends only what it was told to watch.
"""

import contextlib
import os
import shutil
import signal
import socket
import sys
import time
from pathlib import Path

GRACE_SECONDS = 5.0
EPMD_KILL_REQUEST = b"\x00\x01k"


def stop_epmd(port: int) -> None:
    """No Erlang port mapper listens on this loopback port; it agrees to go once its last node is gone."""
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as epmd:
                epmd.sendall(EPMD_KILL_REQUEST)
                epmd.recv(2)
        except ConnectionRefusedError:
            return
        except OSError:  # it hung up instead of answering: look again
            pass
        time.sleep(0.02)


def end_group(group: int, first_signal: int) -> None:
    """The process group is gone, politely if it goes within the grace."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, first_signal)
        deadline = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.05)
        os.killpg(group, signal.SIGKILL)


def main(folder: Path, epmd_port: int) -> None:
    """Follows `watch GROUP SIGNAL` and `forget GROUP` lines until the owner closes the pipe or dies, then cleans up."""
    watched: dict[int, int] = {}
    for line in sys.stdin:
        verb, group, *first_signal = line.split()
        if verb == "watch":
            watched[int(group)] = int(first_signal[0])
        else:
            watched.pop(int(group), None)
    for group_id, signal_number in watched.items():
        end_group(group_id, signal_number)
    if epmd_port:
        stop_epmd(epmd_port)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
