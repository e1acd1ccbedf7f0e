"""Keeps Python's garbage collector off what a worker never lets go, and so off the way of the commands.

For a whole process, by whoever runs one: never by a library, nor by a test with a worker in its own process.
"""

import gc

_NEW_OBJECTS = 20_000
_OLDER = 20


def spare_what_stays() -> None:
    """What is there now is never looked at again; cycles made from now on are found after more objects than usual.

    By default the collector goes through what is new after some hundred objects (700; 2 000 in newer versions), several
    times for a few commands, and now and then through all that was ever imported, which takes a tenth of a second.
    Both push the program itself out of the processor's caches.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, _OLDER, _OLDER)
