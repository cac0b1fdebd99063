"""`make bench`: haar and its peers side by side, in one run on one machine; prints tables and writes benchmarks/results/latest.json."""

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from tests.support.postgresql import running_postgresql

from benchmarks import apis, curve, environments, functions, peers, tables, websockets

WIDTH = 160
RESULTS = Path(__file__).with_name("results")
PEERS = {
    "haar": peers.haar,
    "dynalite": peers.dynalite,
    "dynamodb-local": peers.dynamodb_local,
    "ministack": peers.ministack,
    "moto": peers.moto,
}
JAVA = ("java", "mvn")
"""What DynamoDB Local needs; without them it is left out."""
DISK = "/var/tmp"
"""Where a PostgreSQL of our own has its files: on a disk, unlike /tmp on many machines."""
WITH_FUNCTIONS = ("haar", "ministack")
"""moto runs functions in Docker only; the others have none."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="in turns over the peers; the median counts")
    parser.add_argument("--sizes", default="300,10240", help="of items in bytes, comma separated")
    parser.add_argument("--connections", default="1,16,64", help="comma separated")
    there = [name for name in PEERS if name != "dynamodb-local" or all(map(shutil.which, JAVA))]
    parser.add_argument("--peers", default=",".join(there), help="which of " + ", ".join(PEERS))
    parser.add_argument("--postgresql", default="", help="postgresql://… of an empty database, or `own`: measures haar on it too")
    parser.add_argument("--only", choices=["tables", "functions", "apis", "curve", "websockets"], default=None)
    asked = parser.parse_args()
    say = Console(stderr=True).print
    signal.signal(signal.SIGTERM, _ended)
    report: dict[str, Any] = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": platform.platform(),
        "cores": os.cpu_count(),
    }
    with contextlib.ExitStack() as running:
        targets = [running.enter_context(PEERS[name]()) for name in asked.peers.split(",")]
        if asked.postgresql:
            url = running.enter_context(running_postgresql(DISK)) if asked.postgresql == "own" else asked.postgresql
            targets.insert(1, running.enter_context(peers.haar(url)))
        time.sleep(2)
        report["servers"] = [
            {"name": t.name, "version": t.version, "ready_seconds": t.ready_seconds, "idle_mb": t.resident_mb()} for t in targets
        ]
        if asked.only in (None, "tables"):
            report["tables"] = []
            for size in map(int, asked.sizes.split(",")):
                report["tables"] += tables.measure(
                    targets, size, [int(n) for n in asked.connections.split(",")], asked.seconds, asked.rounds, say
                )
        if asked.only in (None, "functions"):
            report["functions"] = {t.name: functions.measure(t, asked.seconds, say) for t in targets if t.name in WITH_FUNCTIONS}
            report["environments"] = {t.name: environments.measure(t, say) for t in targets if t.name == "haar"}
        if asked.only in (None, "websockets"):
            report["websockets"] = {t.name: websockets.measure(t, say) for t in targets if t.name == "haar"}
        if asked.only in (None, "apis"):
            report["apis"] = {t.name: apis.measure(t, asked.seconds, asked.rounds, say) for t in targets if t.name in WITH_FUNCTIONS}
        if asked.only in (None, "curve"):
            report["curve"] = curve.measure(targets[0], asked.seconds, say)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latest.json").write_text(json.dumps(report, indent=2))
    show(report, Console(width=WIDTH))
    return 0


def _ended(number: int, frame: Any) -> None:
    """Leaves no server running when it is told to end."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def show(report: dict[str, Any], console: Console) -> None:
    names = [server["name"] for server in report["servers"]]
    servers = Table("server", "ready, s", "idle memory, MB", title=f"{report['cores']} cores, {report['at']}")
    for server in report["servers"]:
        servers.add_row(f"{server['name']} {server['version']}", f"{server['ready_seconds']:.2f}", f"{server['idle_mb']:.0f}")
    console.print(servers)
    if "tables" in report:
        shown = Table("requests/s", "bytes", "clients", *names, *(f"haar : {name}" for name in names[1:]))
        for row in report["tables"]:
            rates = row["rates"]
            cells = [f"{rates[name]:,.0f}" if rates[name] else "refused" for name in names]
            ratios = [f"× {rates['haar'] / rates[name]:.1f}" if rates[name] and rates["haar"] else "" for name in names[1:]]
            shown.add_row(row["operation"], str(row["bytes"]), str(row["connections"]), *cells, *ratios)
        console.print(shown)
    if "curve" in report:
        shown = Table("items in the table", "GetItem, requests/s", "PutItem, requests/s")
        for row in report["curve"]["items"]:
            shown.add_row(f"{row['items']:,}", f"{row['GetItem']:,.0f}", f"{row['PutItem']:,.0f}")
        console.print(shown)
    for kind in ("functions", "environments", "apis", "websockets"):
        if not report.get(kind):
            continue
        shown = Table(kind, *report[kind])
        for rows in zip(*report[kind].values(), strict=True):
            cells = ("none" if row["value"] is None else f"{row['value']:,.2f}" for row in rows)
            shown.add_row(f"{rows[0]['what']}, {rows[0]['unit']}", *cells)
        console.print(shown)


if __name__ == "__main__":
    sys.exit(main())
