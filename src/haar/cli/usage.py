"""`haar usage`: what functions have used in a month, and what AWS would have asked for it."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from haar.cli.clients import ask
from haar.cli.env import describe
from haar.cli.options import Data
from haar.cli.say import complain, say

PRICES = Path(__file__).with_name("prices.toml")


def add_to(app: typer.Typer) -> None:
    app.command("usage")(usage)


def usage(
    month: Annotated[str, typer.Option(help="Which month: 2026-11. (default: this one, UTC)", show_default=False)] = "",
    prices: Annotated[Path, typer.Option(help="The free tier and the prices; copy the default and change it.")] = PRICES,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data: Data = None,
) -> None:
    """Shows requests and GB-seconds of every function in a month, and what AWS would have asked for them.

    The figures are those of the REPORT lines: the billed duration times the memory size.
    """
    tariff = read_prices(prices)
    found = ask(describe(data), f"/_haar/lambda/usage?month={month}" if month else "/_haar/lambda/usage")
    rows = merged(found["Functions"])
    bill = tariff.bill(rows)
    if as_json:
        shown = [{"FunctionArn": row.arn, "Requests": row.requests, "Errors": row.errors, "GBSeconds": row.gb_seconds} for row in rows]
        say(json.dumps({"Month": found["Month"], "Functions": shown, "ListPrice": bill.list_price, "AfterFreeTier": bill.after_free}))
        return
    width = max([len("function"), *(len(row.label) for row in rows)])
    say(f"{'function':<{width}}  {'requests':>12}  {'errors':>9}  {'GB-seconds':>14}  {'list price':>12}")
    for row in rows:
        cost = f"${tariff.list_price([row]):,.4f}"
        say(f"{row.label:<{width}}  {row.requests:>12,}  {row.errors:>9,}  {row.gb_seconds:>14,.3f}  {cost:>12}")
    requests, errors = sum(row.requests for row in rows), sum(row.errors for row in rows)
    seconds = sum(row.gb_seconds for row in rows)
    say(f"{found['Month']:<{width}}  {requests:>12,}  {errors:>9,}  {seconds:>14,.3f}  {f'${bill.list_price:,.4f}':>12}")
    say(
        f"\nThe free tier of {tariff.free_requests:,.0f} requests and {tariff.free_seconds:,.0f} GB-seconds leaves ${bill.after_free:,.2f}."
    )


@dataclass(frozen=True, slots=True)
class Row:
    """A function on one architecture."""

    arn: str
    architecture: str
    requests: int
    errors: int
    gb_seconds: float

    @property
    def label(self) -> str:
        _, _, _, region, _, _, name = self.arn.split(":", 6)
        return f"{name} ({region}{', arm64' if self.architecture == 'arm64' else ''})"


def merged(found: Sequence[Mapping[str, Any]]) -> list[Row]:
    """A row a function and architecture, whatever memory it had."""
    rows: dict[tuple[str, str], Row] = {}
    for each in found:
        key = each["FunctionArn"], each["Architecture"]
        before = rows.get(key, Row(*key, 0, 0, 0.0))
        rows[key] = Row(
            *key, before.requests + each["Requests"], before.errors + each["Errors"], round(before.gb_seconds + each["GBSeconds"], 6)
        )
    return list(rows.values())


@dataclass(frozen=True, slots=True)
class Bill:
    list_price: float
    after_free: float


@dataclass(frozen=True, slots=True)
class Tariff:
    free_requests: float
    free_seconds: float
    million_requests: float
    gb_second: Mapping[str, Sequence[tuple[float, float]]]
    """By architecture: up to so many GB-seconds a month, at this price for one."""

    def list_price(self, rows: Sequence[Row]) -> float:
        return self._price(sum(row.requests for row in rows), self._seconds(rows))

    def bill(self, rows: Sequence[Row]) -> Bill:
        """The free GB-seconds go to the dearest architecture first."""
        seconds, free = self._seconds(rows), self.free_seconds
        for architecture in sorted(seconds, key=lambda each: -self.gb_second[each][0][1]):
            spent = min(free, seconds[architecture])
            seconds[architecture] -= spent
            free -= spent
        requests = sum(row.requests for row in rows)
        return Bill(self.list_price(rows), self._price(max(0.0, requests - self.free_requests), seconds))

    def _seconds(self, rows: Sequence[Row]) -> dict[str, float]:
        found: dict[str, float] = {}
        for row in rows:
            architecture = row.architecture if row.architecture in self.gb_second else next(iter(self.gb_second))
            found[architecture] = found.get(architecture, 0.0) + row.gb_seconds
        return found

    def _price(self, requests: float, seconds: Mapping[str, float]) -> float:
        total = requests / 1e6 * self.million_requests
        for architecture, amount in seconds.items():
            reached = 0.0
            for end, price in self.gb_second[architecture]:
                total += max(0.0, min(amount, end) - reached) * price
                reached = end
        return total


def read_prices(file: Path) -> Tariff:
    """The tariff that a file has; complains of one that has none."""
    try:
        written = tomllib.loads(file.read_text())
        tiers = {name: [(float(end), float(price)) for end, price in lines] for name, lines in written["prices"]["gb_second"].items()}
        if not tiers or not all(tiers.values()):
            raise ValueError("prices.gb_second is empty")
        free, prices = written["free"], written["prices"]
        return Tariff(float(free["requests"]), float(free["gb_seconds"]), float(prices["million_requests"]), tiers)
    except OSError as error:
        raise complain(f"{file} cannot be read: {error.strerror}") from None
    except KeyError as error:
        raise complain(f"{file}: {error} is missing ({PRICES} has all that is needed)") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise complain(f"{file}: {error} ({PRICES} shows how it is written)") from None
