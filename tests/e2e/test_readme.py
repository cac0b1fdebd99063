"""What README and the examples' READMEs tell a new user to type, typed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.platform import RunningPlatform

ROOT = Path(__file__).parents[2]


def shell(script: str, platform: RunningPlatform, directory: Path) -> str:
    """Runs the lines in bash, stopping at the first that fails; what they print."""
    described = platform.described
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
        "AWS_ENDPOINT_URL": described["endpoint"],
        "AWS_ACCESS_KEY_ID": described["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": described["secret_access_key"],
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_PAGER": "",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "NO_PROXY": "localhost,127.0.0.1",
    }
    script = script.replace("/tmp/", f"{directory}/").replace("(cd /tmp ", f"(cd {directory} ").replace(":4566", f":{platform.port}")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, env=environment, cwd=ROOT, timeout=110, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def block(path: Path, after: str) -> str:
    text = path.read_text()
    found = re.search(r"```sh\n(.*?)```", text[text.index(after) :], re.DOTALL)
    assert found is not None
    return found[1]


def test_the_first_function(platform: RunningPlatform, tmp_path: Path) -> None:
    said = shell(block(ROOT / "README.md", "## A first function"), platform, tmp_path)
    assert "hello, haar\n" in said
    assert "REPORT RequestId:" in said
    gone = "aws apigateway delete-rest-api --rest-api-id $(aws apigateway get-rest-apis --query 'items[?name==`hello`].id' --output text)\n"
    gone += "aws lambda delete-function --function-name hello\n"
    shell(gone, platform, tmp_path)


@pytest.mark.parametrize(
    ("example", "shown"),
    [
        ("db-api", '"text": "hello"'),
        ("dynamodb-manager", '"name": "Bob"'),
        ("users", "Success. Added 3 people to users."),
    ],
)
def test_an_example(platform: RunningPlatform, tmp_path: Path, example: str, shown: str) -> None:
    script = block(ROOT / "examples" / example / "README.md", "```sh")
    # version 1 of the CLI, which the tests install, has no such option
    script = script.replace(" --cli-binary-format raw-in-base64-out", "")
    # curl resolves *.localhost by itself
    said = shell(script, platform, tmp_path)
    assert shown.replace(" ", "") in said.replace(" ", "").replace("\\", "")


def test_the_bookstore(platform: RunningPlatform, tmp_path: Path) -> None:
    script = """
    eval "$(examples/bookstore/deploy.sh)"
    curl -sf -X POST $URL/books -d '{"title":"Emma"}'
    ID=$(curl -sf $URL/books | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["id"])')
    curl -sf -X PUT $URL/books/$ID -d '{"title":"Persuasion"}'
    curl -sf $URL/
    curl -sf -X DELETE $URL/books/$ID
    curl -s -o /dev/null -w 'status %{http_code}\\n' $URL/books/$ID
    examples/bookstore/remove.sh
    """
    said = shell(script, platform, tmp_path)
    assert "<li>Persuasion</li>" in said and "status 404" in said
