"""Keeps Python's garbage collector off what a started worker never lets go, and so off the way of the commands.

For a whole process, by whoever runs one: never by a library, nor by a test with a worker in its own process.
"""

import gc

_NEW_OBJECTS = 20_000
_OLDER = 20


def spare_what_stays() -> None:
    """What is there now is never looked at again; cycles made from now on are found after more objects than usual.

    By default the collector goes through what is new every 700 objects, several times for each command, and now and
    then through all that was ever imported, which takes a tenth of a second and empties the processor's caches.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, _OLDER, _OLDER)
