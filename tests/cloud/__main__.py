"""``make demo-cloud``: Turnout as Terraform plans it, on this machine; what runs as whom, and two pushes to it."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from html import unescape
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from local.demo.shown import console, step
from tests.cloud.plan import Plan
from tests.cloud.shop import FILES, Shop
from tests.cloud.stack import CHANNEL, Cloud
from tests.waiting import wait_until
from turnout.core.run import Run

DONE = {"WRITE": "writes", "READ": "reads", "DESCRIBE": "sees"}


def main() -> int:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="turnout-cloud-") as home:
        step(
            "Terraform plans environments/dev; Kafka, PostgreSQL, Cloud Storage, GitHub and Slack are started"
        )
        with Cloud(Path(home)) as cloud:
            step("The tables are made, then the functions, the dispatcher and the clock begin")
            cloud.start()
            console.print(parts(cloud))
            shop = Shop.cloned(cloud)
            step("A push that breaks a test")
            failing = followed(
                shop, "Sell at half the price", "def total(prices):\n    return sum(prices) / 2\n"
            )
            step("A push that mends it")
            mended = followed(shop, "Sell at the price", FILES["cart.py"])
            step("Slack, and the books")
            wait_until(lambda: "is running" not in str(shop.messages()), 60, "Slack is told")
            for each in shop.messages():
                console.print(f"  #{CHANNEL}: {escape(unescape(each['text']))}")
            account = json.loads(cloud.turnout("audit", "--json"))
            console.print(f"  unaccounted: {account['unaccounted']}")
            outcomes = [run.outcome.value if run.outcome else "" for run in (failing, mended)]
    good = outcomes == ["failure", "success"] and account["unaccounted"] == 0
    console.print(f"\n{'[green]✔[/]' if good else '[red]✘[/]'} in {time.monotonic() - began:.0f} s")
    return 0 if good else 1


def parts(cloud: Cloud) -> Table:
    found = Table("part, where", "runs as", "on Kafka", box=None, header_style="bold")
    plan = cloud.plan
    for name, service in sorted(plan.services.items()):
        where = cloud.fronts[name].url.removeprefix("http://")
        found.add_row(f"{name}\n{where}", short(service.part.account), rules(plan, service.part.account))
    found.add_row("dispatcher", short(plan.dispatcher.account), rules(plan, plan.dispatcher.account))
    found.add_row("migrate", short(plan.migration.account), "")
    found.add_row("agents' jobs", "nobody", "each has its attempt's pass")
    return found


def short(account: str) -> str:
    return account.partition("@")[0]


def rules(plan: Plan, account: str) -> str:
    held: dict[str, set[str]] = {}
    for rule in plan.rules:
        if rule.principal == f"User:{account}" and rule.kind != "cluster":
            name = f"every {rule.kind}" if rule.name == "*" else rule.name
            held.setdefault(DONE[rule.operation], set()).add("agent.<kind>" if tasks(name) else name)
    return "; ".join(f"{verb} {', '.join(sorted(names))}" for verb, names in sorted(held.items()))


def tasks(name: str) -> bool:
    return name.startswith("agent.") and name not in ("agent.results", "agent.report", "agent.logs")


def followed(shop: Shop, message: str, cart: str) -> Run:
    (run,) = shop.ended([shop.push(message, cart__py=cart)])
    console.print(f"  run {run.id[:12]}: {run.outcome}")
    for name, stage in run.stages.items():
        for task in stage.tasks.values():
            for attempt in task.attempts:
                said = attempt.result.summary if attempt.result else ""
                console.print(f"    {name}, attempt {attempt.number}: {escape(said)}")
    return run


if __name__ == "__main__":
    sys.exit(main())
