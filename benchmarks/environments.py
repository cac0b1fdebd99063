"""What environments cost, haar alone: cold starts with and without a ready interpreter, SnapStart, large packages, many at once, idle ones,
events and streams. Each part says what it found before the next begins; waits are bounded."""

import base64
import contextlib
import io
import json
import os
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.functions import COLD_STARTS, RUNTIMES, TRUST, zip_of
from benchmarks.load import median
from benchmarks.peers import Target, tree

WAIT_SECONDS = 120.0
REFILL_SECONDS = 1.0
"""After which an interpreter is ready again."""
SLOW_INIT = "import time\ntime.sleep(2)\nimport boto3\ndef handler(event, context):\n    return event\n"
SLEEPER = "import time\ndef handler(event, context):\n    time.sleep(0.3)\n    return event\n"
COUNTER = """
import boto3
TABLE = boto3.client("dynamodb")
def handler(event, context):
    TABLE.update_item(TableName="counted", Key={"k": {"S": "all"}}, UpdateExpression="ADD n :n",
                      ExpressionAttributeValues={":n": {"N": str(len(event.get("Records", [0])))}})
"""
AT_ONCE = 50
LARGE_MB = 245
IDLE, IDLE_SECONDS, IDLE_MEMORY_MB = 200, 15.0, 128
CHANGES, EVENTS, BATCH = 10_000, 1000, 100
KEY = {"AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}], "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}]}

Row = dict[str, Any]


class Bench:
    def __init__(self, target: Target) -> None:
        self.target = target
        self.functions, self.tables = target.client("lambda"), target.client("dynamodb")
        iam = target.client("iam")
        self.role = iam.create_role(RoleName="environments", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
        allowed = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}}
        iam.put_role_policy(RoleName="environments", PolicyName="tables", PolicyDocument=json.dumps(allowed))

    def make(self, name: str, files: dict[str, str] | None = None, language: str = "Python", package: bytes = b"", **more: Any) -> str:
        runtime, handler, usual = RUNTIMES[language]
        settings = {"Runtime": runtime, "Handler": handler, "Timeout": 60, "MemorySize": 256} | more
        code = {"ZipFile": package or zip_of(files or usual)}
        self.functions.create_function(FunctionName=name, Role=self.role, Code=code, **settings)
        self.functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
        return name

    def call(self, name: str, **more: Any) -> float:
        """Milliseconds of an invocation."""
        begin = time.perf_counter()
        answer = self.functions.invoke(FunctionName=name, Payload=b"{}", **more)
        answer["Payload"].read()
        if "FunctionError" in answer:
            raise RuntimeError(f"{name} failed")
        return (time.perf_counter() - begin) * 1000

    def ready(self, name: str) -> float:
        """The same, once an interpreter is ready."""
        time.sleep(REFILL_SECONDS)
        return self.call(name)

    def cold(self) -> Iterator[Row]:
        for language in RUNTIMES:
            ready, none = [], []
            for number in range(COLD_STARTS):
                first, second = (self.make(f"{kind}-{language}-{number}", language=language) for kind in ("ready", "none"))
                time.sleep(REFILL_SECONDS)
                ready.append(self.call(first))
                none.append(self.call(second))
            what = f"cold start, {language}, median of {COLD_STARTS}"
            yield {"what": f"{what}, an interpreter is ready", "value": median(ready), "unit": "ms"}
            yield {"what": f"{what}, none is ready", "value": median(none), "unit": "ms"}

    def snap_start(self) -> Iterator[Row]:
        name = self.make("snap", {"app.py": SLOW_INIT}, SnapStart={"ApplyOn": "PublishedVersions"})
        version = self.functions.publish_version(FunctionName=name)["Version"]
        self.functions.get_waiter("published_version_active").wait(FunctionName=name, Qualifier=version, WaiterConfig={"Delay": 1})
        taken, restored = [], []
        for number in range(COLD_STARTS):
            self.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=number + 1)  # ends its environments
            time.sleep(REFILL_SECONDS)
            begin = time.perf_counter()
            answer = self.functions.invoke(FunctionName=name, Qualifier=version, LogType="Tail")
            taken.append((time.perf_counter() - begin) * 1000)
            found = re.search(r"\tRestore Duration: ([\d.]+) ms", base64.b64decode(answer["LogResult"]).decode())
            if found is None:
                raise RuntimeError("the environment was not restored")
            restored.append(float(found[1]))
        yield {"what": f"SnapStart, init of 2 s: restored invocation, median of {COLD_STARTS}", "value": median(taken), "unit": "ms"}
        yield {"what": "SnapStart: Restore Duration, median", "value": median(restored), "unit": "ms"}

    def at_once(self) -> Iterator[Row]:
        name = self.make("at-once", {"app.py": SLEEPER}, MemorySize=128)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            begin = time.perf_counter()
            list(pool.map(lambda _: self.call(name), range(AT_ONCE)))
            took = time.perf_counter() - begin
        yield {"what": f"{AT_ONCE} cold invocations at once, all answered (each sleeps 0.3 s)", "value": took, "unit": "s"}

    def packages(self) -> Iterator[Row]:
        small = median([self.ready(self.make(f"small-{number}")) for number in range(5)])
        blob = io.BytesIO()
        with zipfile.ZipFile(blob, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("app.py", SLEEPER.replace("0.3", "0"))
            piece = os.urandom(1 << 16) + bytes((1 << 20) - (1 << 16))
            for number in range(LARGE_MB):
                archive.writestr(f"data/{number}", piece)
        name = self.make("large", package=blob.getvalue())
        first = self.ready(name)
        later = []
        for number in range(5):
            self.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=number + 1)
            later.append(self.ready(name))
        yield {"what": f"package of {LARGE_MB} MB: its first environment costs more by", "value": first - small, "unit": "ms"}
        yield {"what": f"package of {LARGE_MB} MB: later environments cost more by, median", "value": median(later) - small, "unit": "ms"}

    def idle(self) -> Iterator[Row]:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 3 // 4 >> 20
        count = min(IDLE, memory // IDLE_MEMORY_MB - 10)
        name = self.make("idle", MemorySize=IDLE_MEMORY_MB)
        version = self.functions.publish_version(FunctionName=name)["Version"]
        before = self.target.resident_mb()
        at = {"FunctionName": name, "Qualifier": version}
        self.functions.put_provisioned_concurrency_config(**at, ProvisionedConcurrentExecutions=count)
        until(lambda: self.functions.get_provisioned_concurrency_config(**at)["Status"] == "READY")
        time.sleep(3)
        each = (self.target.resident_mb() - before) / count
        begin, used = time.perf_counter(), processor(self.target)
        time.sleep(IDLE_SECONDS)
        share = (processor(self.target) - used) / (time.perf_counter() - begin)
        self.functions.delete_provisioned_concurrency_config(**at)
        yield {"what": "an idle environment, proportional set size", "value": each, "unit": "MB"}
        yield {"what": f"{count} idle environments and haar", "value": share * 100, "unit": "% of one core"}

    def events(self) -> Iterator[Row]:
        self.tables.create_table(TableName="counted", BillingMode="PAY_PER_REQUEST", **KEY)
        stream = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
        self.tables.create_table(TableName="changed", BillingMode="PAY_PER_REQUEST", StreamSpecification=stream, **KEY)
        name = self.make("counter", {"app.py": COUNTER})
        self.call(name)
        begin = time.perf_counter()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: self.functions.invoke(FunctionName=name, InvocationType="Event"), range(EVENTS)))
        until(lambda: self.counted() >= EVENTS + 1)
        took = time.perf_counter() - begin
        yield {"what": f"{EVENTS} asynchronous events, accepted and handled", "value": EVENTS / took, "unit": "events/s"}
        before = self.counted()
        items = [{"PutRequest": {"Item": {"k": {"S": str(number)}}}} for number in range(CHANGES)]
        with ThreadPoolExecutor(4) as pool:
            slices = [items[start : start + 25] for start in range(0, CHANGES, 25)]
            list(pool.map(lambda some: self.tables.batch_write_item(RequestItems={"changed": some}), slices))
        arn = self.tables.describe_table(TableName="changed")["Table"]["LatestStreamArn"]
        begin = time.perf_counter()
        mapping = {"EventSourceArn": arn, "FunctionName": name, "StartingPosition": "TRIM_HORIZON", "BatchSize": BATCH}
        self.functions.create_event_source_mapping(**mapping)
        until(lambda: self.counted() >= before + CHANGES)
        took = time.perf_counter() - begin
        yield {"what": f"a stream of {CHANGES} changes at batches of {BATCH}", "value": CHANGES / took, "unit": "records/s"}

    def counted(self) -> int:
        found = self.tables.get_item(TableName="counted", Key={"k": {"S": "all"}}, ConsistentRead=True)
        return int(found["Item"]["n"]["N"]) if "Item" in found else 0


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"not done within {WAIT_SECONDS:.0f} s")
        time.sleep(0.05)


def processor(target: Target) -> float:
    """Seconds of processor time that the server and all below it have used."""
    total = 0
    for pid in tree(target.process.pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def measure(target: Target, say: Callable[[str], None]) -> list[Row]:
    """Rows of (what, value, unit); a part that fails is said, and has none."""
    bench = Bench(target)
    rows: list[Row] = []
    for part in (bench.cold, bench.snap_start, bench.at_once, bench.packages, bench.idle, bench.events):
        try:
            for row in part():
                rows.append(row)
                say(f"{target.name}: {row['what']}: {row['value']:.2f} {row['unit']}")
        except (TimeoutError, RuntimeError) as error:
            say(f"{target.name}: {part.__name__}: not measured: {error}")
            rows.append({"what": f"{part.__name__}: {error}", "value": None, "unit": "not measured"})
    return rows
