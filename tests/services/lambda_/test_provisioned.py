"""Provisioned concurrency: environments that are ready before anyone asks."""

import time
from collections.abc import Callable
from typing import Any

from tests.support.identity import refused

Make = Callable[..., Any]
WAIT_SECONDS = 60.0
SOURCE = """
import os, time
MADE = time.time()
KIND = os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]
def handler(event, context):
    return [KIND, MADE]
"""


def until_ready(lambda_: Any, name: str, qualifier: str, status: str = "READY") -> Any:
    end = time.monotonic() + WAIT_SECONDS
    while (got := lambda_.get_provisioned_concurrency_config(FunctionName=name, Qualifier=qualifier))["Status"] != status:
        assert time.monotonic() < end, got
        time.sleep(0.1)
    return got


def test_environments_are_ready(lambda_: Any, function: Make, invoke: Make, name: str) -> None:
    function(SOURCE)
    version = lambda_.publish_version(FunctionName=name)["Version"]
    at = {"FunctionName": name, "Qualifier": version}
    code, message, status = refused(lambda_.get_provisioned_concurrency_config, **at)
    assert (code, status) == ("ProvisionedConcurrencyConfigNotFoundException", 404)
    assert message == "No Provisioned Concurrency Config found for this function"
    put = lambda_.put_provisioned_concurrency_config(**at, ProvisionedConcurrentExecutions=2)
    assert put["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert (put["RequestedProvisionedConcurrentExecutions"], put["Status"]) == (2, "IN_PROGRESS")
    got = until_ready(lambda_, name, version)
    assert (got["AvailableProvisionedConcurrentExecutions"], got["AllocatedProvisionedConcurrentExecutions"]) == (2, 2)
    before = time.time()
    kind, made = invoke(Qualifier=version)[1]
    assert kind == "provisioned-concurrency" and made < before
    assert invoke()[1][0] == "on-demand"
    listed = lambda_.list_provisioned_concurrency_configs(FunctionName=name)["ProvisionedConcurrencyConfigs"]
    assert [one["FunctionArn"].rsplit(":", 1)[1] for one in listed] == [version]
    answer = lambda_.delete_provisioned_concurrency_config(**at)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refused(lambda_.get_provisioned_concurrency_config, **at)[0] == "ProvisionedConcurrencyConfigNotFoundException"
    assert lambda_.list_provisioned_concurrency_configs(FunctionName=name)["ProvisionedConcurrencyConfigs"] == []


def test_an_alias_takes_them_to_its_version(lambda_: Any, function: Make, invoke: Make, name: str) -> None:
    function(SOURCE)
    first = lambda_.publish_version(FunctionName=name)["Version"]
    lambda_.update_function_configuration(FunctionName=name, Description="second")
    second = lambda_.publish_version(FunctionName=name)["Version"]
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion=first)
    lambda_.put_provisioned_concurrency_config(FunctionName=name, Qualifier="live", ProvisionedConcurrentExecutions=1)
    until_ready(lambda_, name, "live")
    lambda_.update_alias(FunctionName=name, Name="live", FunctionVersion=second)
    until_ready(lambda_, name, "live")
    assert invoke(Qualifier=second)[1][0] == "provisioned-concurrency"
    twice = refused(lambda_.put_provisioned_concurrency_config, FunctionName=name, Qualifier=second, ProvisionedConcurrentExecutions=1)
    assert twice == ("ResourceConflictException", "Version is pointed by a Provisioned Concurrency alias", 409)


def test_a_function_that_cannot_start(lambda_: Any, function: Make, name: str) -> None:
    function("raise ValueError('no')")
    version = lambda_.publish_version(FunctionName=name)["Version"]
    lambda_.put_provisioned_concurrency_config(FunctionName=name, Qualifier=version, ProvisionedConcurrentExecutions=1)
    got = until_ready(lambda_, name, version, "FAILED")
    assert got["StatusReason"] == "FUNCTION_ERROR_INIT_FAILURE"
    lambda_.delete_provisioned_concurrency_config(FunctionName=name, Qualifier=version)


def test_what_is_refused(lambda_: Any, function: Make, name: str) -> None:
    function()
    version = lambda_.publish_version(FunctionName=name)["Version"]
    put, one = lambda_.put_provisioned_concurrency_config, {"FunctionName": name, "ProvisionedConcurrentExecutions": 1}
    latest = refused(put, **one, Qualifier="$LATEST")
    message = "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
    assert latest[:2] == ("InvalidParameterValueException", message)
    lambda_.create_alias(FunctionName=name, Name="newest", FunctionVersion="$LATEST")
    assert refused(put, **one, Qualifier="newest") == latest
    assert refused(put, **one, Qualifier="nowhere")[:2][0] == "ResourceNotFoundException"
    assert refused(put, **one, Qualifier="77")[0] == "ResourceNotFoundException"
    lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    more = refused(put, FunctionName=name, Qualifier=version, ProvisionedConcurrentExecutions=2)
    assert more[1] == "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function"
