"""The states of functions that are created and changed: as users of AWS meet them, with the settings that users have."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.services.lambda_.conftest import zip_of
from tests.support.identity import LAMBDA, refused
from tests.support.platform import RunningPlatform

SETTLE_SECONDS = 3.0
"""Longer than users have it: a busy machine may be slow between two requests."""
CANNOT = "The operation cannot be performed at this time."
HANDLER = zip_of(app_py="def handler(event, context):\n    return event\n")


@pytest.fixture(scope="module")
def settling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    running = RunningPlatform(tmp_path_factory.mktemp("settling"), environment={"HAAR_SETTLE_SECONDS": str(SETTLE_SECONDS)}).start()
    yield running
    running.stop()


@pytest.fixture
def create(settling: RunningPlatform, name: str) -> Callable[..., Any]:
    def make(**more: Any) -> Any:
        role = settling.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=LAMBDA)["Role"]["Arn"]
        settings = {"Runtime": "python3.12", "Role": role, "Handler": "app.handler", "Code": {"ZipFile": HANDLER}}
        return settling.client("lambda").create_function(FunctionName=name, **settings | more)

    return make


def test_a_function_is_pending_until_it_is_active(settling: RunningPlatform, create: Callable[..., Any], name: str) -> None:
    lambda_ = settling.client("lambda")
    started = time.monotonic()
    made = create()
    assert (made["State"], made["StateReasonCode"]) == ("Pending", "Creating") and "LastUpdateStatus" not in made
    pending = ("ResourceConflictException", f"{CANNOT} The function is currently in the following state: Pending", 409)
    assert refused(lambda_.update_function_configuration, FunctionName=name, Timeout=4) == pending
    assert refused(lambda_.update_function_code, FunctionName=name, ZipFile=HANDLER) == pending
    assert refused(lambda_.publish_version, FunctionName=name) == pending
    assert lambda_.invoke(FunctionName=name, Payload=b"1")["Payload"].read() == b"1"  # kinder than AWS
    shown = lambda_.get_function(FunctionName=name)["Configuration"]
    assert (shown["State"], shown["LastUpdateStatus"]) == ("Active", "Successful") and "StateReason" not in shown
    assert time.monotonic() - started >= SETTLE_SECONDS * 0.9
    lambda_.update_function_configuration(FunctionName=name, Timeout=4)


def test_an_update_is_in_progress_until_it_is_successful(settling: RunningPlatform, create: Callable[..., Any], name: str) -> None:
    lambda_ = settling.client("lambda")
    arn = create()["FunctionArn"]
    lambda_.get_waiter("function_active_v2").wait(FunctionName=name)
    changed = lambda_.update_function_configuration(FunctionName=name, Timeout=5)
    assert (changed["State"], changed["LastUpdateStatus"], changed["LastUpdateStatusReasonCode"]) == ("Active", "InProgress", "Creating")
    busy = ("ResourceConflictException", f"{CANNOT} An update is in progress for resource: {arn}", 409)
    assert refused(lambda_.update_function_code, FunctionName=name, ZipFile=HANDLER) == busy
    assert refused(lambda_.publish_version, FunctionName=name) == busy
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=name)
    assert lambda_.get_function_configuration(FunctionName=name)["Timeout"] == 5
    lambda_.update_function_code(FunctionName=name, ZipFile=HANDLER)


def test_the_revision_of_an_answer_is_of_the_moment(settling: RunningPlatform, create: Callable[..., Any], name: str) -> None:
    lambda_ = settling.client("lambda")
    revisions = [create()["RevisionId"], lambda_.get_function_configuration(FunctionName=name)["RevisionId"]]
    revisions.append(lambda_.update_function_configuration(FunctionName=name, Timeout=5, RevisionId=revisions[1])["RevisionId"])
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=name)
    stale = refused(lambda_.update_function_configuration, FunctionName=name, Timeout=6, RevisionId=revisions[2])
    assert (stale[0], stale[2]) == ("PreconditionFailedException", 412)
    revisions.append(lambda_.get_function_configuration(FunctionName=name)["RevisionId"])
    lambda_.update_function_configuration(FunctionName=name, Timeout=6, RevisionId=revisions[3])
    assert len(set(revisions)) == 4


def test_a_change_that_is_refused_holds_nothing(settling: RunningPlatform, create: Callable[..., Any], name: str) -> None:
    lambda_ = settling.client("lambda")
    create()
    lambda_.get_waiter("function_active_v2").wait(FunctionName=name)
    assert refused(lambda_.update_function_code, FunctionName=name, ZipFile=b"no zip")[0] == "InvalidParameterValueException"
    lambda_.publish_version(FunctionName=name)  # and publishing changes nothing of $LATEST
    lambda_.update_function_configuration(FunctionName=name, Timeout=5)


def test_a_deleted_function_is_not_changing(settling: RunningPlatform, create: Callable[..., Any], name: str) -> None:
    lambda_ = settling.client("lambda")
    made = create()
    lambda_.delete_function(FunctionName=name)
    assert refused(lambda_.get_function, FunctionName=name)[0] == "ResourceNotFoundException"
    settings = {key: made[key] for key in ("Runtime", "Role", "Handler")}
    assert lambda_.create_function(FunctionName=name, Code={"ZipFile": HANDLER}, **settings)["State"] == "Pending"
    lambda_.get_waiter("function_active_v2").wait(FunctionName=name)


def test_a_killed_platform_starts_with_functions_that_have_settled(
    fresh_platform: Callable[..., RunningPlatform], name: str, tmp_path: Path
) -> None:
    running = fresh_platform(environment={"HAAR_SETTLE_SECONDS": "600"})
    role = running.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=LAMBDA)["Role"]["Arn"]
    settings = {"Runtime": "python3.12", "Role": role, "Handler": "app.handler", "Code": {"ZipFile": HANDLER}}
    assert running.client("lambda").create_function(FunctionName=name, **settings)["State"] == "Pending"
    running.kill()
    running.start()
    assert running.client("lambda").get_function_configuration(FunctionName=name)["State"] == "Active"


def test_a_new_version_is_pending(settling: RunningPlatform, create: Callable[..., Any], name: str) -> None:
    lambda_ = settling.client("lambda")
    create()
    lambda_.get_waiter("function_active_v2").wait(FunctionName=name)
    published = lambda_.publish_version(FunctionName=name)
    assert (published["Version"], published["State"], published["StateReasonCode"]) == ("1", "Pending", "Creating")
    lambda_.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="1")
    again = lambda_.publish_version(FunctionName=name)
    assert (again["Version"], again["State"], again["LastUpdateStatus"]) == ("1", "Active", "Successful")
