"""What a person reads when the local services can't be brought.

Invariant: the message is one sentence, or one and a log's last lines, that says what to do; no password stands in it.
"""


class LocalServicesError(RuntimeError):
    """No local RabbitMQ or PostgreSQL can be had in the way that was asked for."""
