"""The names of all figures that alerts and dashboard may ask for, each with its labels."""

import re

WORKER = {
    "worker_commands_total": {"type", "settlement"},
    "worker_retries_total": {"cause"},
    "worker_dead_letters_total": {"reason"},
    "worker_misrouted_total": set[str](),
    "worker_step_seconds_bucket": {"step", "le"},
    "worker_critical_seconds_bucket": {"le"},
    "worker_queue_age_seconds_bucket": {"le"},
    "worker_in_flight": set[str](),
    "worker_lanes_waiting": set[str](),
    "worker_prefetch_full": {"queue"},
    "worker_events_published_total": {"type"},
    "worker_confirm_seconds_bucket": {"le"},
    "worker_publish_failures_total": {"exchange"},
    "worker_unpublished_rows": set[str](),
    "worker_unpublished_oldest_seconds": set[str](),
    "worker_gate_closed": set[str](),
    "worker_gate_closed_seconds_total": set[str](),
    "worker_pool_in_use": set[str](),
    "worker_pool_size": set[str](),
    "worker_events_owed": set[str](),
    "worker_permits_slow": set[str](),
    "worker_swept_total": set[str](),
    "worker_pruned_total": set[str](),
    "worker_sweeper_last_success_timestamp_seconds": set[str](),
    "worker_reconnects_total": {"connection"},
    "worker_queues_attached": set[str](),
    "worker_queues_expected": set[str](),
    "worker_ready": {"part"},
    "worker_build_info": {"version", "python", "faststream", "aio_pika"},
}
PROCESS = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
RABBITMQ_QUEUES = {
    "rabbitmq_detailed_queue_messages_ready",
    "rabbitmq_detailed_queue_messages_unacked",
    "rabbitmq_detailed_queue_consumers",
}
RABBITMQ_NODE = {
    "rabbitmq_alarms_memory_used_watermark",
    "rabbitmq_alarms_free_disk_space_watermark",
    "rabbitmq_process_resident_memory_bytes",
    "rabbitmq_resident_memory_limit_bytes",
    "rabbitmq_disk_space_available_bytes",
    "rabbitmq_disk_space_available_limit_bytes",
}
PROMETHEUS = {"up"}
KNOWN = {*WORKER, *PROCESS, *RABBITMQ_QUEUES, *RABBITMQ_NODE, *PROMETHEUS}

_NAMED_BY_PATTERN = re.compile(r'__name__=~"([^"]+)"')
_TEXT = re.compile(r'"[^"]*"')
_LABELS = re.compile(r"\b(?:by|on)\s*\([^)]*\)|\{[^}]*\}|\[[^\]]*\]")
_NAME = re.compile(r"\b(?:up|(?:worker|rabbitmq|process)_[a-z_]+)\b")


def asked_for(expression: str) -> set[str]:
    """The figures in a query; those of a pattern are all that fit it, of which there must be some."""
    found = set(_NAME.findall(_LABELS.sub(" ", _TEXT.sub("", expression))))
    for pattern in _NAMED_BY_PATTERN.findall(expression):
        fitting = {name for name in KNOWN if re.fullmatch(pattern, name)}
        found |= fitting or {pattern}
    return found
