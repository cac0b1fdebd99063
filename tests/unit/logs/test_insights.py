"""The query language of Logs Insights."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haar.services.logs.insights.commands import Query
from haar.services.logs.insights.syntax import Malformed
from haar.services.logs.insights.values import Row, Time, pointer, read_pointer

MESSAGES = [json.dumps({"n": n, "level": ["INFO", "ERROR"][n % 2], "user": {"id": f"u{n % 3}"}, "ok": n % 2 == 0}) for n in range(6)]
REPORT = (
    "REPORT RequestId: 1-2\tDuration: 12.34 ms\tBilled Duration: 13 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB\t"
    "Init Duration: 99.50 ms\t\n"
)
TEXT = "user=ada, method:login, latency := 25"


def ask(query: str, messages: list[str] | None = None, limit: int = 100) -> list[dict[str, str]]:
    """The rows without their @ptr, of events a second apart, the latest first."""
    read = Query(query, limit)
    for at, message in reversed(list(enumerate(MESSAGES if messages is None else messages))):
        if read.first.full():
            break
        read.first.push(Row({"@timestamp": Time(1_700_000_000_000 + at * 1000), "@message": message, "@logStream": "s"}))
    read.first.end()
    return [{name: value for name, value in row if name != "@ptr"} for row in read.shown()]


def column(query: str, messages: list[str] | None = None) -> list[str]:
    """The only column."""
    return [next(iter(row.values()), "") for row in ask(query, messages)]


@pytest.mark.parametrize(
    ("test", "wanted"),
    [
        ("n > 3", ["5", "4"]),
        ("n >= 4 or n = 0", ["5", "4", "0"]),
        ("not n < 5", ["5"]),
        ("level = 'ERROR' and n != 3", ["5", "1"]),
        ('level like "ERR"', ["5", "3", "1"]),
        ("level like /^(?<kind>E)/", ["5", "3", "1"]),
        ("level =~ /(?i)info/", ["4", "2", "0"]),
        ("level not like /O$/", ["5", "3", "1"]),
        ("n in [1, '2', 9]", ["2", "1"]),
        ("n not in [0, 1, 2, 3]", ["5", "4"]),
        ("`user.id` = 'u1'", ["4", "1"]),
        ("user.id = 'u1'", ["4", "1"]),
        ("ok = true", ["4", "2", "0"]),
        ("ok = 0", ["5", "3", "1"]),
        ("ispresent(nothing)", []),
        ("n * 2 + 1 = 7", ["3"]),
        ("n % 2 = 1 and n ^ 2 > 8", ["5", "3"]),
        ("-n = -(2)", ["2"]),
        ("strlen(level) = 5", ["5", "3", "1"]),
        ("strcontains(@message, 'u2')", ["5", "2"]),
        ("isempty(nothing) and n < 1", ["0"]),
        ("greatest(n, 3) = 3 # all that are not above", ["3", "2", "1", "0"]),
        ("NOT (n > 0)", ["0"]),
    ],
)
def test_filters(test: str, wanted: list[str]) -> None:
    assert column(f"filter {test}\n| display n") == wanted


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("toupper('a') as x", "A"),
        ("concat(level, '-', n) as x", "ERROR-1"),
        ("substr(level, 1, 2) as x", "RR"),
        ("replace(level, 'R', 'r') as x", "ErrOr"),
        ("trim('  x ') as x", "x"),
        ("coalesce(nothing, level) as x", "ERROR"),
        ("n / 4 as x", "0.25"),
        ("n / 0 as x", None),
        ("floor(2.5) + ceil(2.5) + abs(-1) as x", "6"),
        ("sqrt(16) as x", "4"),
        ("datefloor(@timestamp, 1h) as x", "2023-11-14 22:00:00.000"),
        ("bin(1m) as x", "2023-11-14 22:13:00.000"),
        ("dateceil(@timestamp, 1d) as x", "2023-11-15 00:00:00.000"),
        ("toMillis(@timestamp) as x", "1700000001000"),
        ("fromMillis(0) as x", "1970-01-01 00:00:00.000"),
        ("@timestamp as x", "2023-11-14 22:13:21.000"),
        ("isIpv4InSubnet('10.0.0.7', '10.0.0.0/8') as x", "1"),
        ("if(n > 0, 'some', 'none') as x", "some"),
    ],
)
def test_values(expression: str, wanted: str | None) -> None:
    rows = ask(f"fields {expression} | filter n = 1 | display x")
    assert rows == [{} if wanted is None else {"x": wanted}]


def test_statistics() -> None:
    assert ask("stats count(*), sum(n), avg(n) as mean, min(n), max(n) by level | sort level") == [
        {"level": "ERROR", "count(*)": "3", "sum(n)": "9", "mean": "3", "min(n)": "1", "max(n)": "5"},
        {"level": "INFO", "count(*)": "3", "sum(n)": "6", "mean": "2", "min(n)": "0", "max(n)": "4"},
    ]
    assert ask("stats count(nothing), count_distinct(user.id), pct(n, 50), stddev(n), earliest(n), latest(n), sum(n)/count(*) as mean") == [
        {
            "count(nothing)": "0",
            "count_distinct(user.id)": "3",
            "pct(n, 50)": "2",
            "stddev(n)": "1.7078",
            "earliest(n)": "0",
            "latest(n)": "5",
            "mean": "2.5",
        }
    ]
    assert ask("stats count(*) as c by bin(2s) | sort c desc, bin(2s) asc | limit 1 | display c") == [{"c": "2"}]
    assert ask("filter n > 100 | stats count(*) as c, max(n) as m") == [{"c": "0"}]
    assert ask("filter n > 100 | stats count(*) by level") == []


def test_sorting_limiting_and_once_only() -> None:
    assert column("fields n | sort n asc | limit 2") == ["0", "1"]
    assert column("fields n | limit 2 | sort n asc") == ["4", "5"]
    assert column("fields n | dedup level") == ["5", "4"]
    assert column("fields n | sort level desc, n desc | limit 1") == ["4"]
    assert ask("filter n = 1") == [{"@timestamp": "2023-11-14 22:13:21.000", "@message": MESSAGES[1]}]


def test_parsing() -> None:
    glob = 'parse @message "user=*, method:*, latency := *" as who, @method, took | filter took > 20 | display who, @method, took'
    assert ask(glob, [TEXT, "nothing of it"]) == [{"who": "ada", "@method": "login", "took": "25"}]
    regex = r"parse @message /user=(?<who>\w+).*:= (?<took>\d+)/ | stats sum(took) by who"
    assert ask(regex, [TEXT, TEXT]) == [{"who": "ada", "sum(took)": "50"}]
    assert ask('parse "user=*," as who | display who', [TEXT]) == [{"who": "ada"}]


def test_lambdas_own_lines() -> None:
    rows = ask(
        "filter @type = 'REPORT' | display @requestId, @duration, @billedDuration, @memorySize, @maxMemoryUsed, @initDuration", [REPORT]
    )
    assert rows == [
        {
            "@requestId": "1-2",
            "@duration": "12.34",
            "@billedDuration": "13",
            "@memorySize": "128000000",
            "@maxMemoryUsed": "40000000",
            "@initDuration": "99.5",
        }
    ]
    line = '2026-01-01T00:00:00.000Z\t01234567-89ab-cdef-0123-456789abcdef\tINFO\t{"a": {"b": [7]}}'
    assert ask("display @requestId, a.b.0", [line]) == [{"@requestId": "01234567-89ab-cdef-0123-456789abcdef", "a.b.0": "7"}]


@pytest.mark.parametrize(
    ("query", "start", "message"),
    [
        ("bogus x", 0, "unexpected symbol found bogus"),
        ("fields foo(n)", 7, "Invalid function: foo"),
        ("filter n >", 10, "unexpected symbol found, expected a field"),
        ("stats n", 7, "stats needs a function over rows"),
        ("fields n | limit 20000", 22, "limit must be between 1 and 10000"),
        ("fields n,", 9, "unexpected symbol found, expected a field"),
        ("filter n like /(/", 14, None),
        ("filter n like /(?=a)/", 14, None),
        ('parse @message "*" as a, b', 26, "parse needs as many names as its pattern has *"),
        ("filter " + "(" * 200, None, "the expression is nested too deeply"),
        ("fields n" + " | fields n" * 40, None, "A query has at most 30 commands"),
        ("fields strlen()", 7, "Invalid number of arguments for function strlen"),
        ("stats pct(n, 200)", 6, "Invalid arguments for function pct"),
    ],
)
def test_what_cannot_be_read(query: str, start: int | None, message: str | None) -> None:
    with pytest.raises(Malformed) as refused:
        Query(query, 10)
    assert message is None or refused.value.message == message
    assert start is None or refused.value.start == start


@given(
    st.lists(
        st.sampled_from(["fields", "filter", "stats", "|", "n", "(", ")", "'", '"', "/", "by", "as", "*", ",", "count", "5m", "#", " "])
    )
)
def test_nothing_else_is_raised(parts: list[str]) -> None:
    try:
        ask(" ".join(parts))
    except Malformed:
        pass


def test_pointers() -> None:
    assert read_pointer(pointer("/a", "s", 5, 7)) == ("/a", "s", 5, 7)
    bad: Any
    for bad in ("", "AAAA", "!!", "W10="):
        assert read_pointer(bad) is None


def test_what_is_kept_has_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    from haar.services.logs.insights import commands

    monkeypatch.setattr(commands, "MAX_ROWS", 10)
    monkeypatch.setattr(commands, "MAX_BYTES", 100)

    def rows(query: str, size: int) -> list[str]:
        read = Query(query, 1000)
        for n in range(200):
            if read.first.full():
                break
            read.first.push(Row({"n": n}, size))
        read.first.end()
        return [dict(row)["n"] for row in read.shown()]

    assert rows("fields n", 20) == ["0", "1", "2", "3", "4"], "as many as fit"
    assert rows("fields n | sort n desc", 0) == [str(n) for n in range(199, 189, -1)], "the first of all"
    assert rows("fields n | sort n desc", 20) == ["199", "198", "197", "196", "195"]
