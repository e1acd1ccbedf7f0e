"""What a private RabbitMQ node is told: its configuration and its environment.

Invariant: nothing of the machine's own RabbitMQ is read or shared, and the node listens on loopback only.
"""

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from worker.local.probes import free_ports

USER = "heroes"
VIRTUAL_HOST = "heroes"
CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{node.amqp_port}
management.tcp.ip = 127.0.0.1
management.tcp.port = {node.management_port}
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = {node.prometheus_port}
default_user = {user}
default_pass = {node.password}
default_vhost = {virtual_host}
"""
PLUGINS = "[rabbitmq_management,rabbitmq_prometheus].\n"


@dataclass(frozen=True, slots=True)
class Node:
    """One node's identity: name, ports and password are its own and stay the same over restarts."""

    name: str
    amqp_port: int
    management_port: int
    prometheus_port: int
    distribution_port: int
    epmd_port: int
    password: str = field(repr=False)

    @classmethod
    def fresh(cls) -> Self:
        """A node that nobody else can mean."""
        amqp, management, prometheus, distribution, epmd = free_ports(5)
        name, password = f"heroes-{secrets.token_hex(4)}@localhost", secrets.token_hex(16)
        return cls(name, amqp, management, prometheus, distribution, epmd, password)

    @property
    def url(self) -> str:
        """AMQP, with the password."""
        return f"amqp://{USER}:{self.password}@127.0.0.1:{self.amqp_port}/{VIRTUAL_HOST}"

    @property
    def management_url(self) -> str:
        """The management API, with the password."""
        return f"http://{USER}:{self.password}@127.0.0.1:{self.management_port}"

    def write_files(self, folder: Path) -> None:
        """The folder holds the configuration, the plugins and a cookie of its own."""
        (folder / "rabbitmq.conf").write_text(CONFIGURATION.format(node=self, user=USER, virtual_host=VIRTUAL_HOST))
        (folder / "enabled_plugins").write_text(PLUGINS)
        (folder / "advanced.config").write_text("[].\n")
        cookie = folder / ".erlang.cookie"
        cookie.touch(mode=0o600)
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)  # Erlang refuses a cookie that others may read

    def environment(self, folder: Path) -> dict[str, str]:
        """For the server and its tools: the caller's variables, but none that speak of another node."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("RABBITMQ_", "ERL_")) and k != "NOTIFY_SOCKET"}
        return kept | {
            "HOME": str(folder),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self.epmd_port),
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "no-rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(folder / "no-conf.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
