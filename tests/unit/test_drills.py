"""A drill's Prometheus asks for the same as the shipped one, only faster."""

import yaml

from tests.drills.prometheus import SHIPPED, configuration, faster
from tests.drills.screen import busy_queues

RULES = (SHIPPED / "alerts.yml").read_text()


def test_every_wait_and_every_range_is_a_sixth_and_no_threshold_is_changed() -> None:
    rules = 'expr: sum(increase(a[5m])) > 50 and b{x="1m"} > 300\nfor: 1m\n'
    assert faster(rules) == 'expr: sum(increase(a[50s])) > 50 and b{x="1m"} > 300\nfor: 10s\n'


def test_no_wait_of_the_shipped_rules_is_forgotten() -> None:
    rules = [rule for group in yaml.safe_load(faster(RULES))["groups"] for rule in group["rules"]]
    assert all(rule.get("for", "0s").endswith("s") for rule in rules)
    assert "m]" not in faster(RULES)


def test_every_shipped_job_is_scraped_where_the_drill_says() -> None:
    targets = {"heroes-worker": "w:1", "rabbitmq": "r:2", "rabbitmq-queues": "r:3"}
    config = configuration((SHIPPED / "prometheus.yml").read_text(), targets, "drill")
    seen = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
    assert seen == {name: [target] for name, target in targets.items()}
    assert config["scrape_configs"][-1]["params"]["vhost"] == ["drill"]


def test_of_many_queues_the_fullest_are_shown_and_the_others_counted() -> None:
    rows = [f"heroes.commands.{number:02}  {number}  1  1" for number in range(16)]
    shown = busy_queues(["queue  ready  unacked  consumers", *rows, "dead letters: 0"])
    assert shown[0].startswith("queue")
    assert [row.split()[1] for row in shown[1:4]] == ["13", "14", "15"]
    assert shown[-2:] == ["dead letters: 0", "(left out: 13 more queues with 91 messages)"]
