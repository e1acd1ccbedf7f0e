"""A real Prometheus with the shipped alerts and the shipped list of what is scraped, at our own ports.

Everything goes faster, so that a drill takes minutes: what the rules call a minute passes in ten seconds.
"""

import asyncio
import re
import shutil
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.harness.stage import eventually
from worker.local.errors import LocalServicesError
from worker.local.probes import free_ports

SHIPPED = Path(__file__).parents[2] / "deploy" / "prometheus"
FASTER = 6
SCRAPE_SECONDS = 5


def faster(rules: str) -> str:
    """The rules with every `for` and every range so much shorter; thresholds stay."""

    def shorter(found: re.Match[str]) -> str:
        return f"{found[1]}{int(found[2]) * 60 // FASTER}s{found[3]}"

    return re.sub(r"(\[|for: )(\d+)m(\]|$)", shorter, rules, flags=re.MULTILINE)


def configuration(text: str, targets: Mapping[str, str], virtual_host: str) -> dict[str, Any]:
    """The shipped configuration, told where each job's targets really are."""
    config: dict[str, Any] = yaml.safe_load(text)
    config["global"] = {
        "scrape_interval": f"{SCRAPE_SECONDS}s",
        "scrape_timeout": f"{SCRAPE_SECONDS}s",
        "evaluation_interval": "1s",
    }
    for job in config["scrape_configs"]:
        job.pop("dns_sd_configs", None)
        job["static_configs"] = [{"targets": [targets[job["job_name"]]]}]
        if "vhost" in job.get("params", {}):
            job["params"]["vhost"] = [virtual_host]
    return config


@asynccontextmanager
async def prometheus(targets: Mapping[str, str], virtual_host: str, folder: Path) -> AsyncIterator[str]:
    """Its address; everything has been scraped once. Raises: LocalServicesError where there is none."""
    program = shutil.which("prometheus")
    if program is None:
        raise LocalServicesError("Prometheus is not installed: apt-get install prometheus")
    config = configuration((SHIPPED / "prometheus.yml").read_text(), targets, virtual_host)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    (folder / "alerts.yml").write_text(faster((SHIPPED / "alerts.yml").read_text()))
    address = f"127.0.0.1:{free_ports(1)[0]}"
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--web.listen-address={address}",
            stdin=DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            await eventually(lambda: _sees_everything(client, address), "everything is scraped")
        yield f"http://{address}"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _sees_everything(client: httpx.AsyncClient, address: str) -> bool:
    try:
        listed = (await client.get(f"http://{address}/api/v1/targets")).json()["data"]["activeTargets"]
    except (httpx.TransportError, ValueError):  # it does not listen yet, or is not ready
        return False
    return bool(listed) and all(target["health"] == "up" for target in listed)
