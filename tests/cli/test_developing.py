"""haar dev, haar replay, haar usage."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_commands import haar
from tests.support.platform import RunningPlatform

from haar.cli.dev import Guess, guessed, installed
from haar.cli.usage import PRICES, Row, Tariff, merged, read_prices

WAIT_SECONDS = 60
PYTHON = "def handler(event, context):\n    print('saw', event)\n    return 'VERSION'\n"


@contextmanager
def developing(platform: RunningPlatform, *arguments: str) -> Iterator[list[str]]:
    """`haar dev` in a process of its own, and the lines that it prints."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "HAAR_"))}
    command = [sys.executable, "-m", "haar", "dev", *arguments, "--data", str(platform.data)]
    lines: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env) as running:
        assert running.stdout is not None
        reader = threading.Thread(target=lambda out: lines.extend(out), args=(running.stdout,), daemon=True)
        reader.start()
        try:
            until(lambda: any("Ctrl-C ends this" in line for line in lines) or running.poll() is not None, lines)
            assert running.poll() is None, lines
            yield lines
        finally:
            running.send_signal(signal.SIGINT)
            running.send_signal(signal.SIGTERM)  # whoever is impatient
            running.wait(WAIT_SECONDS)
            reader.join(WAIT_SECONDS)


def until(done: Callable[[], bool], shown: Any) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not done():
        assert time.monotonic() < end, shown
        time.sleep(0.1)


def test_the_next_invocation_runs_what_was_saved(platform: RunningPlatform, tmp_path: Path, name: str) -> None:
    code = tmp_path / "code"
    (code / "lib").mkdir(parents=True)
    code.chmod(0o700)
    (code / "app.py").write_text("import lib.words\n" + PYTHON.replace("'VERSION'", "lib.words.WORD"))
    (code / "lib" / "words.py").write_text("WORD = 'one'\n")
    functions = platform.client("lambda")

    def run() -> Any:
        return json.loads(functions.invoke(FunctionName=name, Payload=b'{"a": 1}')["Payload"].read())

    with developing(platform, str(code), "--name", name, "--env", "COLOUR=blue") as lines:
        assert f"{name} runs {code} ({installed('python')}, app.handler)" in "".join(lines)
        assert run() == "one" and run() == "one"
        for word in ("two", "three", "four"):
            (code / "lib" / "words.py").write_text(f"WORD = {word!r}\n")
            assert run() == word
        (code / "lib" / "words.py").unlink()
        assert "No module named 'lib'" in run()["errorMessage"]
        (code / "lib" / "words.py").write_text("WORD = 'last'\n")
        assert run() == "last"
        until(lambda: any("saw {'a': 1}" in line for line in list(lines)), lines)
        assert list((platform.data / "dev").glob("*.live"))
        shown = functions.get_function_configuration(FunctionName=name)
        assert shown["Environment"] == {"Variables": {"COLOUR": "blue"}} and shown["Timeout"] == 30
    assert any("keeps the code as it is now" in line for line in lines) and not list((platform.data / "dev").glob("*"))
    (code / "lib" / "words.py").write_text("WORD = 'unheard'\n")
    until(lambda: run() == "last", "the code that the directory had at the end")
    functions.delete_function(FunctionName=name)


def test_a_mount_ends_with_its_process(platform: RunningPlatform, tmp_path: Path, make_function: Callable[..., str]) -> None:
    name = make_function(platform, PYTHON.replace("VERSION", "deployed"))
    functions = platform.client("lambda")
    arn = functions.get_function_configuration(FunctionName=name)["FunctionArn"]
    (tmp_path / "app.py").write_text(PYTHON.replace("VERSION", "mounted"))
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        (platform.data / "dev").mkdir(exist_ok=True)
        file = platform.data / "dev" / f"{name}.json"
        file.write_text(json.dumps({"arn": arn, "directory": str(tmp_path), "pid": process.pid}))
        until(lambda: functions.invoke(FunctionName=name)["Payload"].read() == b'"mounted"', "not mounted")
        process.kill()
    until(lambda: functions.invoke(FunctionName=name)["Payload"].read() == b'"deployed"', "still mounted")
    assert not file.with_suffix(".live").exists()
    cached = platform.data / "cache" / "code"
    until(lambda: not any(b"mounted" in path.read_bytes() for path in cached.glob("*/app.py")), "a copy of the directory is left")


@pytest.mark.parametrize(
    ("files", "guess"),
    [
        ({"app.py": "def lambda_handler(event, context): ..."}, Guess(installed("python"), "app.lambda_handler")),
        ({"util.py": "x = 1", "work.py": "async def handler(event): ..."}, Guess(installed("python"), "work.handler")),
        ({"index.mjs": "export const handler = async () => 1"}, Guess(installed("nodejs"), "index.handler")),
        ({"index.js": "exports.handler = async () => 1", "index.html": ""}, Guess(installed("nodejs"), "index.handler")),
        ({"app.mjs": "export async function lambdaHandler() {}"}, Guess(installed("nodejs"), "app.lambdaHandler")),
        ({"bootstrap": "#!/bin/sh"}, Guess("provided.al2023", "bootstrap")),
    ],
)
def test_what_is_guessed(tmp_path: Path, files: dict[str, str], guess: Guess) -> None:
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    assert guessed(tmp_path, "", "") == guess
    assert guessed(tmp_path, guess.runtime, "a.b") == Guess(guess.runtime, "a.b")


def test_what_dev_complains_of(platform: RunningPlatform, tmp_path: Path) -> None:
    done = haar("dev", str(tmp_path), "--data", str(platform.data))
    assert done.returncode == 1 and "--handler FILE.FUNCTION" in done.stderr and "Traceback" not in done.stderr
    (tmp_path / "app.py").write_text(PYTHON)
    done = haar("dev", str(tmp_path), "--env", "COLOUR", "--data", str(platform.data))
    assert done.returncode == 1 and "NAME=VALUE" in done.stderr


def test_replay(platform: RunningPlatform, make_function: Callable[..., str]) -> None:
    source = "import os\ndef handler(event, context):\n    return {'got': event, 'colour': os.environ.get('COLOUR')}\n"
    name, data, functions = make_function(platform, source), str(platform.data), platform.client("lambda")
    answer = functions.invoke(FunctionName=name, Payload=b'{"order": 7}')
    request = answer["ResponseMetadata"]["RequestId"]
    same = haar("replay", request, "--data", data)
    assert same.returncode == 0 and "the same result" in same.stdout and '"order": 7' in same.stdout, same.stderr
    assert haar("replay", request, "--event", "--data", data).stdout == '{"order": 7}\n'
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": {"COLOUR": "red"}})
    differs = haar("replay", request, "--data", data)
    assert differs.returncode == 1 and "the results differ" in differs.stdout
    (line,) = [line for line in differs.stdout.splitlines() if "≠" in line]
    assert '"colour": null' in line.partition("≠")[0] and '"colour": "red"' in line.partition("≠")[2]
    assert request in haar("replay", "--data", data).stdout
    missing = haar("replay", "0" * 36, "--data", data)
    assert missing.returncode == 1 and "ResourceNotFoundException" in missing.stderr and "Traceback" not in missing.stderr
    assert "order" not in platform.log.read_text()


def test_recordings_are_nobody_s_but_root_s(platform: RunningPlatform, name: str) -> None:
    import requests
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    iam = platform.client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]

    def get(path: str) -> Any:
        request = AWSRequest("GET", platform.endpoint + path)
        SigV4Auth(Credentials(key["AccessKeyId"], key["SecretAccessKey"]), "lambda", "us-east-1").add_auth(request)
        return requests.get(platform.endpoint + path, headers=dict(request.headers.items()), timeout=30)

    for path, action in (("recordings", "haar:ListRecordings"), ("recordings/x", "haar:GetRecording"), ("usage", "haar:GetUsage")):
        unsigned = requests.get(f"{platform.endpoint}/_haar/lambda/{path}", timeout=30)
        told = {"code": "MissingAuthenticationTokenException", "message": "Missing Authentication Token"}
        assert (unsigned.status_code, unsigned.json()) == (403, told)
        denied = get(f"/_haar/lambda/{path}")
        assert denied.status_code == 403 and action in denied.json()["message"]
    allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "haar:GetUsage", "Resource": "*"}]}
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(allowed))
    assert get("/_haar/lambda/usage").status_code == 200 and get("/_haar/lambda/recordings").status_code == 403
    assert get("/_haar/lambda/usage?month=2026").status_code == 400
    iam.delete_user_policy(UserName=name, PolicyName="p")
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=name)


def test_without_recording(fresh_platform: Callable[..., RunningPlatform], make_function: Callable[..., str]) -> None:
    platform = fresh_platform(environment={"HAAR_RECORD_HOURS": "0"})
    request = platform.client("lambda").invoke(FunctionName=make_function(platform))["ResponseMetadata"]["RequestId"]
    done = haar("replay", request, "--data", str(platform.data))
    assert done.returncode == 1 and "record_hours is 0" in done.stderr


def test_usage(fresh_platform: Callable[..., RunningPlatform], make_function: Callable[..., str], tmp_path: Path) -> None:
    platform = fresh_platform()
    name = make_function(platform, "def handler(event, context):\n    if event: raise ValueError\n", MemorySize=1024)
    functions = platform.client("lambda")
    for payload in (b"0", b"0", b"1"):
        functions.invoke(FunctionName=name, Payload=payload)
    found = json.loads(haar("usage", "--json", "--data", str(platform.data)).stdout)
    (row,) = found["Functions"]
    assert (row["Requests"], row["Errors"]) == (3, 1) and row["GBSeconds"] > 0 and found["AfterFreeTier"] == 0
    platform.stop()
    platform.start()
    done = haar("usage", "--data", str(platform.data))
    assert done.returncode == 0 and f"{name} (us-east-1)" in done.stdout and "The free tier of 1,000,000 requests" in done.stdout
    assert json.loads(haar("usage", "--json", "--data", str(platform.data)).stdout) == found
    assert json.loads(haar("usage", "--json", "--month", "2020-01", "--data", str(platform.data)).stdout)["Functions"] == []
    dear = tmp_path / "prices.toml"
    dear.write_text(
        PRICES.read_text().replace("million_requests = 0.20", "million_requests = 1e9").replace("requests = 1_000_000", "requests = 0")
    )
    assert "leaves $3,000.00" in haar("usage", "--prices", str(dear), "--data", str(platform.data)).stdout
    dear.write_text("[free]\n")
    done = haar("usage", "--prices", str(dear), "--data", str(platform.data))
    assert done.returncode == 1 and "is missing" in done.stderr
    assert "is no month" in haar("usage", "--month", "May", "--data", str(platform.data)).stderr


def test_what_aws_asks() -> None:
    tariff: Tariff = read_prices(PRICES)
    rows = [Row("a", "x86_64", 3_000_000, 0, 500_000.0), Row("b", "arm64", 0, 0, 100_000.0)]
    bill = tariff.bill(rows)
    assert bill.list_price == pytest.approx(0.6 + 500_000 * 0.0000166667 + 100_000 * 0.0000133334)
    assert bill.after_free == pytest.approx(0.4 + 100_000 * 0.0000166667 + 100_000 * 0.0000133334)
    assert tariff.list_price([Row("a", "x86_64", 0, 0, 7e9)]) == pytest.approx(6e9 * 0.0000166667 + 1e9 * 0.000015)
    twice = {"FunctionArn": "a", "Architecture": "x86_64", "Requests": 1, "Errors": 0, "GBSeconds": 0.5}
    assert merged([twice | {"MemorySize": 128}, twice | {"MemorySize": 256}]) == [Row("a", "x86_64", 2, 0, 1.0)]
