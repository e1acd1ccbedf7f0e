"""What can come instead of an outcome; each says whether it is safe to send the same command again. It always is."""


class ClientError(Exception):
    """The base of everything below."""


class NotConfirmedError(ClientError):
    """The broker did not confirm the command in time: it may or may not have it. Send the same command again."""

    def __init__(self, command_id: str, why: str) -> None:
        super().__init__(f"command {command_id} was not confirmed: {why}")
        self.command_id = command_id


class NotPreparedError(NotConfirmedError):
    """The broker lacks the exchange that `heroes setup` declares. It does not have the command."""


class OutcomeTimeoutError(ClientError):
    """The broker has the command, and no outcome came in time: unknown. Resending the same command is safe."""

    def __init__(self, command_id: str) -> None:
        super().__init__(
            f"no outcome of command {command_id} yet: is a worker at work? Sending the same command again is safe,"
            " with this very id"
        )
        self.command_id = command_id


class CommandRejectedError(ClientError):
    """A business no: nothing was changed, and the same command gets the same answer for ever."""

    def __init__(self, code: str, detail: str, operation: int | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.operation = operation


class CommandDeadLetteredError(ClientError):
    """The command could not be applied and waits for a person. Nothing was changed."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class QueryFailedError(ClientError):
    """There is no answer: `hero_not_found`, `invalid_query`, `unavailable`, `unprepared` if the broker lacks
    the exchange, or `timeout` if nobody answered."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
