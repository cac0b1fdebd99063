"""The environment variables of a function (https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html)."""

import re
from collections.abc import Mapping

from haar.execution.contract import FunctionSpec, SessionKeys
from haar.execution.runtimes import Runtime
from haar.execution.sandbox import LIBRARY_PATH

CREDENTIALS_URI = "http://127.0.0.1:9001/2021-03-23/credentials"
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
PATH = "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin"


def variables(
    spec: FunctionSpec, runtime: Runtime, keys: SessionKeys, stream: str, image: Mapping[str, str] | None = None
) -> dict[str, str]:
    """All of them; the function's own cannot replace what Lambda reserves. `image` is what a container image sets.

    The box adds addresses and directories.
    """
    named = re.search(r"\d+(\.\d+)?", spec.runtime)
    asked = named[0] if named else runtime.version  # layers are made for what was asked for
    defaults = {"LANG": "en_US.UTF-8", "TZ": ":UTC", "PATH": PATH, "LD_LIBRARY_PATH": LIBRARY_PATH}
    if runtime.kind == "node":
        defaults["NODE_PATH"] = (
            f"/opt/nodejs/node{asked.partition('.')[0]}/node_modules:/opt/nodejs/node_modules"
            ":/var/runtime/node_modules:/var/runtime:/var/task"
        )
    if runtime.kind == "ruby":
        versions = dict.fromkeys((f"{asked}.0", f"{runtime.version}.0"))
        defaults["GEM_PATH"] = ":".join(f"/var/task/vendor/bundle/ruby/{version}:/opt/ruby/gems/{version}" for version in versions)
        defaults["RUBYLIB"] = "/var/task:/var/runtime/lib:/opt/ruby/lib"
    if runtime.kind == "python":
        defaults["PYTHONPATH"] = "/var/runtime"
    reserved = {
        "AWS_REGION": spec.region,
        "AWS_DEFAULT_REGION": spec.region,
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret,
        "AWS_SESSION_TOKEN": keys.token,
        "AWS_LAMBDA_FUNCTION_NAME": spec.name,
        "AWS_LAMBDA_FUNCTION_VERSION": spec.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory_mb),
        "AWS_LAMBDA_LOG_GROUP_NAME": spec.log_group or f"/aws/lambda/{spec.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": stream,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": "169.254.79.129:2000",
        "_AWS_XRAY_DAEMON_ADDRESS": "169.254.79.129",
        "_AWS_XRAY_DAEMON_PORT": "2000",
    }
    if spec.log_format == "JSON":
        reserved |= {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": spec.application_level or "INFO"}
    if image is not None:
        return {"PATH": PATH, **image, **dict(spec.environment), **reserved}
    reserved["_HANDLER"] = spec.handler
    if runtime.kind != "provided":
        reserved["AWS_EXECUTION_ENV"] = f"AWS_Lambda_{spec.runtime}"
    return {**defaults, **dict(spec.environment), **reserved}


def snapped(told: Mapping[str, str], token: str) -> dict[str, str]:
    """The same for SnapStart: a process that lives on in others asks for its credentials when it needs them."""
    found = {name: value for name, value in told.items() if name not in KEYS}
    return found | {
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": CREDENTIALS_URI,
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": token,
    }


def restored(spec: FunctionSpec, told: Mapping[str, str]) -> dict[str, str]:
    """Those that a restored environment has of its own."""
    own = dict(spec.environment)
    return {name: value for name, value in told.items() if name.startswith("AWS_") and name not in own}
