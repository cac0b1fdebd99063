"""Functions whose package is a container image, as a user makes and runs them."""

import base64
import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.services.lambda_.conftest import zip_of
from tests.support.images import Entry, busybox, layout, needs_busybox, needs_tools

pytestmark = [needs_tools, needs_busybox, pytest.mark.sandbox]
CONFIG = {"Entrypoint": ["/boot"], "Cmd": ["first"], "WorkingDir": "/work", "Env": ["ANSWER=echo $GREETING; id -u", "GREETING=hello"]}
WAIT_SECONDS = 60
TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
HTPASSWD = "user:$2b$05$abcdefghijklmnopqrstuuZFBUbfXoM8LFiPx8LYlO/sXZB/Cwk3K"
"""The password is `pass`."""


@pytest.fixture
def make(lambda_: Any, role: str, name: str) -> Iterator[Callable[..., Any]]:
    """make(uri, **settings) -> CreateFunction's answer, once the function is there."""
    made: list[str] = []

    def create(uri: str, *, wait: bool = True, **more: Any) -> Any:
        answer = lambda_.create_function(FunctionName=name, Role=role, PackageType="Image", Code={"ImageUri": uri}, Timeout=10, **more)
        made.append(name)
        if wait:
            settled(lambda_, name)
        return answer

    yield create
    for each in made:
        lambda_.delete_function(FunctionName=each)


def settled(lambda_: Any, name: str) -> Any:
    """The configuration, once nothing is under way."""
    end = time.monotonic() + WAIT_SECONDS
    while (shown := lambda_.get_function_configuration(FunctionName=name))["State"] == "Pending" or shown[
        "LastUpdateStatus"
    ] == "InProgress":
        assert time.monotonic() < end, shown
        time.sleep(0.05)
    return shown


def _reasons(shown: Any) -> tuple[str, str]:
    return shown.get("StateReasonCode", ""), shown.get("LastUpdateStatusReasonCode", "")


def refused(call: Callable[..., Any], **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return raised.value.response["Error"]["Code"], raised.value.response["Error"]["Message"]


def test_an_image_runs(lambda_: Any, make: Any, invoke: Any, name: str, tmp_path: Path) -> None:
    uri = layout(tmp_path, [busybox()], CONFIG)
    created = make(uri, MemorySize=256)
    assert (created["State"], created["PackageType"], created["CodeSize"]) == ("Pending", "Image", 0)
    assert not {"Runtime", "Handler", "RuntimeVersionConfig", "ImageConfigResponse"} & set(created)
    digest = json.loads((tmp_path / "index.json").read_text())["manifests"][0]["digest"].removeprefix("sha256:")
    assert created["CodeSha256"] == digest
    found = lambda_.get_function(FunctionName=name)
    assert found["Configuration"]["State"] == "Active" and found["Configuration"]["LastUpdateStatus"] == "Successful"
    assert found["Code"] == {"RepositoryType": "ECR", "ImageUri": uri, "ResolvedImageUri": f"{uri}@sha256:{digest}"}
    answer, told = invoke({"a": 1})
    assert "FunctionError" not in answer, told
    assert told["event"] == {"a": 1} and (told["arguments"], told["in"]) == ("first", "/work")
    greeting, uid = told["said"].split()
    assert greeting == "hello" and uid != "0"


def test_image_config_overrides(lambda_: Any, make: Any, invoke: Any, name: str, tmp_path: Path) -> None:
    uri = layout(tmp_path, [busybox()], CONFIG)
    overrides = {"EntryPoint": ["/bin/sh", "/boot"], "Command": ["second", "third"], "WorkingDirectory": "/tmp"}
    assert make(uri, ImageConfig=overrides, Environment={"Variables": {"GREETING": "bye"}})["ImageConfigResponse"] == {
        "ImageConfig": overrides
    }
    told = invoke()[1]
    assert (told["arguments"], told["in"], told["said"].split()[0]) == ("second third", "/tmp", "bye")
    changed = lambda_.update_function_configuration(FunctionName=name, ImageConfig={"Command": ["fourth"]})
    assert changed["ImageConfigResponse"] == {"ImageConfig": {"Command": ["fourth"]}}
    told = invoke()[1]
    assert (told["arguments"], told["in"]) == ("fourth", "/work")
    assert "ImageConfigResponse" not in lambda_.update_function_configuration(FunctionName=name, ImageConfig={})
    for overrides, kind, message in (
        ({"WorkingDirectory": "/nowhere"}, "Runtime.InvalidWorkingDir", "chdir /nowhere: no such file or directory"),
        ({"EntryPoint": ["nothing"]}, "Runtime.InvalidEntrypoint", 'exec: "nothing": executable file not found in $PATH'),
    ):
        lambda_.update_function_configuration(FunctionName=name, ImageConfig=overrides)
        answer, told = invoke()
        assert answer["FunctionError"] == "Unhandled"
        assert told["errorType"] == kind and message in told["errorMessage"]


def test_an_update_takes_the_new_image_and_a_failed_one_leaves_the_old(
    lambda_: Any, make: Any, invoke: Any, name: str, tmp_path: Path
) -> None:
    make(layout(tmp_path, [busybox()], CONFIG))
    published = lambda_.publish_version(FunctionName=name)["CodeSha256"]
    second = layout(tmp_path, [busybox()], CONFIG | {"Cmd": ["newer"]}, tag="v2")
    answer = lambda_.update_function_code(FunctionName=name, ImageUri=second)
    assert answer["LastUpdateStatus"] == "InProgress" and answer["CodeSha256"] != published
    assert settled(lambda_, name)["LastUpdateStatus"] == "Successful"
    assert invoke()[1]["arguments"] == "newer"
    assert invoke(FunctionName=f"{name}:1")[1]["arguments"] == "first"
    foreign = layout(tmp_path, [busybox()], CONFIG, tag="v3", architecture="riscv64")
    lambda_.update_function_code(FunctionName=name, ImageUri=foreign)
    shown = settled(lambda_, name)
    assert (shown["State"], shown["LastUpdateStatus"], shown["LastUpdateStatusReasonCode"]) == ("Active", "Failed", "InvalidImage")
    assert "riscv64" in shown["LastUpdateStatusReason"] and shown["CodeSha256"] == answer["CodeSha256"]
    assert lambda_.get_function(FunctionName=name)["Code"]["ImageUri"] == second
    assert invoke()[1]["arguments"] == "newer"


def test_an_image_that_cannot_be_used_fails_the_function(lambda_: Any, make: Any, name: str, tmp_path: Path) -> None:
    make(layout(tmp_path, [busybox()], CONFIG, architecture="riscv64"))
    shown = lambda_.get_function_configuration(FunctionName=name)
    assert (shown["State"], shown["StateReasonCode"]) == ("Failed", "InvalidImage")
    code, message = refused(lambda_.invoke, FunctionName=name)
    assert code == "ResourceConflictException"
    assert message == "The operation cannot be performed at this time. The function is currently in the following state: Failed"
    lambda_.update_function_code(FunctionName=name, ImageUri=layout(tmp_path, [busybox()], CONFIG, tag="good"))
    assert settled(lambda_, name)["State"] == "Active"


def test_what_is_refused(lambda_: Any, make: Any, role: str, name: str, tmp_path: Path) -> None:
    uri = layout(tmp_path, [busybox()], CONFIG)

    def create(**more: Any) -> tuple[str, str]:
        given = {"FunctionName": name, "Role": role, "PackageType": "Image", "Code": {"ImageUri": uri}} | more
        return refused(lambda_.create_function, **given)

    invalid = "InvalidParameterValueException"
    package = {"ZipFile": zip_of(app_py="")}
    for more in ({"Handler": "app.handler"}, {"Runtime": "python3.12"}):
        told = create(**more)
        assert told == (invalid, "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image.")
    assert create(Code=package) == (invalid, "Please provide ImageUri when creating a function with packageType Image.")
    zipped = {"PackageType": "Zip", "Runtime": "python3.12", "Handler": "app.handler"}
    assert create(**zipped) == (invalid, "Please don't provide ImageUri when creating a function with packageType Zip.")
    for missing in (f"oci:{tmp_path}:other", f"{tmp_path}/nowhere:v1", "127.0.0.1:1/repository:v1"):
        assert create(Code={"ImageUri": missing}) == (invalid, f"Source image {missing} does not exist. Provide a valid source image.")
    for wrong in ("repository", "123456789012.dkr.ecr.us-east-1.amazonaws.com/untagged", "oci:relative:v1", "dir:/etc", "-x/y:z"):
        assert create(Code={"ImageUri": wrong}) == (invalid, f"Source image {wrong} is not valid. Provide a valid source image.")
    elsewhere = "Source image oci:/etc:v1 is of no source that the setting image_sources names"
    assert create(Code={"ImageUri": "oci:/etc:v1"}) == ("AccessDeniedException", elsewhere)
    make(uri)
    assert refused(lambda_.update_function_code, FunctionName=name, **package) == (
        invalid,
        "Please provide ImageUri when updating a function with packageType Image.",
    )
    assert refused(lambda_.update_function_configuration, FunctionName=name, Handler="x")[0] == invalid
    unsigned = "Code signing is not supported for functions created with container images."
    assert refused(lambda_.get_function_code_signing_config, FunctionName=name) == (invalid, unsigned)


def test_a_plain_path_and_a_pull_that_a_kill_interrupts(fresh_platform: Any, tmp_path: Path) -> None:
    uri = layout(tmp_path / "image", [busybox(), [Entry("filler", bytes(200 << 20))]], CONFIG).removeprefix("oci:")
    platform = fresh_platform()
    document = json.dumps({"Version": "2012-10-17", "Statement": [TRUST]})
    role = platform.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    lambda_ = platform.client("lambda")
    lambda_.create_function(FunctionName="f", Role=role, PackageType="Image", Code={"ImageUri": uri})
    code, message = refused(lambda_.invoke, FunctionName="f")
    assert code == "ResourceConflictException" and message.endswith("following state: Pending")
    assert refused(lambda_.update_function_code, FunctionName="f", ImageUri=uri)[0] == "ResourceConflictException"
    platform.kill()
    platform.start()
    lambda_ = platform.client("lambda")
    assert settled(lambda_, "f")["State"] == "Active"
    assert json.loads(lambda_.invoke(FunctionName="f", Payload=b"1")["Payload"].read())["event"] == 1
    assert not list((platform.data / "images").glob("*.partial"))


@pytest.mark.skipif(shutil.which("docker-registry") is None, reason="docker-registry is not installed")
def test_a_registry_with_and_without_credentials(fresh_platform: Any, tmp_path: Path) -> None:
    with registry(tmp_path / "open") as free, registry(tmp_path / "shut", HTPASSWD) as shut:
        uri = layout(tmp_path / "image", [busybox()], CONFIG)
        for host, more in ((free, []), (shut, ["--dest-creds", "user:pass"])):
            subprocess.run(["skopeo", "copy", "-q", "--dest-tls-verify=false", *more, uri, f"docker://{host}/team/app:v1"], check=True)
        auth = tmp_path / "auth.json"
        auth.write_text(json.dumps({"auths": {shut: {"auth": base64.b64encode(b"user:pass").decode()}}}))
        plain, trusted = fresh_platform(), fresh_platform(environment={"HAAR_REGISTRY_AUTH": str(auth)})
        document = json.dumps({"Version": "2012-10-17", "Statement": [TRUST]})
        role = {
            each: each.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=document)["Role"]["Arn"]
            for each in (plain, trusted)
        }

        def create(platform: Any, host: str) -> Any:
            code = {"ImageUri": f"{host}/team/app:v1"}
            platform.client("lambda").create_function(FunctionName="f", Role=role[platform], PackageType="Image", Code=code)
            return platform.client("lambda")

        with pytest.raises(ClientError) as raised:
            create(plain, shut)
        assert raised.value.response["Error"] == {
            "Code": "AccessDeniedException",
            "Message": "Lambda does not have permission to access the ECR image. Check the ECR permissions.",
        }
        for platform, host in ((plain, free), (trusted, shut)):
            lambda_ = create(platform, host)
            assert settled(lambda_, "f")["State"] == "Active"
            code = lambda_.get_function(FunctionName="f")["Code"]
            assert re.fullmatch(rf"{host}/team/app@sha256:[0-9a-f]{{64}}", code["ResolvedImageUri"])
            assert json.loads(lambda_.invoke(FunctionName="f", Payload=b"1")["Payload"].read())["event"] == 1


def _answers(host: str) -> bool:
    name, _, port = host.partition(":")
    with socket.socket() as asking:
        return asking.connect_ex((name, int(port))) == 0


@contextmanager
def registry(directory: Path, htpasswd: str = "") -> Iterator[str]:
    """A registry of container images on this machine; its host and port."""
    directory.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    settings = (
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {directory}/kept}}}}\nhttp: {{addr: '{host}'}}\n"
    )
    if htpasswd:
        (directory / "htpasswd").write_text(htpasswd)
        settings += f"auth: {{htpasswd: {{realm: r, path: {directory}/htpasswd}}}}\n"
    (directory / "config.yml").write_text(settings)
    process = subprocess.Popen(["docker-registry", "serve", str(directory / "config.yml")], stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + WAIT_SECONDS
        while not _answers(host):
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.05)
        yield host
    finally:
        process.kill()
        process.wait()
