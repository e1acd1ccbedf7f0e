"""Another entity's house: the generic files of this one, without heroes and with the files of an example in place."""

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
MISSIONS = ROOT / "examples" / "missions" / "house"

# Everything that knows heroes; examples/missions/README.md says what takes the place of each.
ABOUT_HEROES = (
    "contracts/heroes.py",
    "contracts/batch.py",
    "contracts/queries.py",
    "contracts/client",
    "contracts/catalogue.py",
    "worker/heroes.py",
    "worker/batch.py",
    "worker/queries.py",
    "worker/ours.py",
    "worker/operations/send.py",
    "worker/cli.py",
    "worker/local",
    "worker/persistence/migrations/versions/0001_heroes.py",
)


def built(folder: Path) -> Path:
    """The house stands in this folder; a file of heroes that is not there any more is an error here."""
    for room in ("contracts", "worker"):
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ABOUT_HEROES:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(MISSIONS, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder
