"""Mission commands and events: the vocabulary that publishers and consumers share. Takes the place of heroes.py."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints
from typing_extensions import override

from contracts.envelope import NO_NUL, Command, Data

Title = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NO_NUL)]
MissionId = Annotated[int, Field(ge=1, le=2**63 - 1)]


class PlanMissionData(Data):
    """What a new mission is about."""

    title: Title


class FinishMissionData(Data):
    """Which mission is done."""

    mission_id: MissionId


class PlanMission(Command):
    """Asks for a new mission; its id comes back in the event `mission.planned`."""

    type: Literal["mission.plan"]
    data: PlanMissionData


class FinishMission(Command):
    """Asks for the end of a mission: `mission.finished`, once."""

    type: Literal["mission.finish"]
    data: FinishMissionData

    @property
    @override
    def ordering_key(self) -> str:
        return str(self.data.mission_id)


COMMANDS: tuple[type[Command], ...] = (PlanMission, FinishMission)
