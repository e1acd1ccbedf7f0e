"""What this worker is about: missions."""

from contracts.missions import COMMANDS
from worker.entity import Entity
from worker.missions import HANDLERS

OURS = Entity(COMMANDS, HANDLERS)
