"""The environment variables of a function (https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html)."""

from collections.abc import Mapping

from haar.execution.contract import FunctionSpec, SessionKeys
from haar.execution.runtimes import Runtime
from haar.execution.sandbox import LIBRARY_PATH

PATH = "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin"


def variables(
    spec: FunctionSpec, runtime: Runtime, keys: SessionKeys, stream: str, image: Mapping[str, str] | None = None
) -> dict[str, str]:
    """All of them; the function's own cannot replace what Lambda reserves. `image` is what a container image sets.

    The box adds addresses and directories.
    """
    major = runtime.version.partition(".")[0]
    defaults = {"LANG": "en_US.UTF-8", "TZ": ":UTC", "PATH": PATH, "LD_LIBRARY_PATH": LIBRARY_PATH}
    if runtime.kind == "node":
        defaults["NODE_PATH"] = (
            f"/opt/nodejs/node{major}/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task"
        )
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
