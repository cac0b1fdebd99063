"""A function's settings: checked as AWS checks them, and shown as its configuration. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from haar.execution.runtimes import Runtime, UnknownRuntime, resolve, version_of
from haar.services.lambda_.containerimages import override
from haar.services.lambda_.errors import invalid, refused
from haar.services.lambda_.names import LATEST, FunctionName
from haar.services.lambda_.packages import MAX_UNZIPPED
from haar.services.lambda_.records import Settings, Version, timestamp

MAX_ENVIRONMENT_BYTES = 4096
MAX_TAGS = 50
RESERVED_KEYS = frozenset(
    (
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
    )
)
REFUSED = {
    "FileSystemConfigs": "file systems for functions",
    "TenancyConfig": "tenant isolation",
    "CapacityProviderConfig": "capacity providers",
    "DurableConfig": "durable functions",
    "AcceleratorConfig": "accelerators",
    "RuntimeConfig": "runtime settings",
    "PublishTo": "the $LATEST.PUBLISHED version",
}


def check(input: Mapping[str, Any]) -> None:
    """Raises what AWS answers for settings that it would not take."""
    for member, what in REFUSED.items():
        if input.get(member):
            raise refused(what)
    check_environment(input.get("Environment", {}).get("Variables"))
    vpc = input.get("VpcConfig", {})
    if bool(vpc.get("SubnetIds")) != bool(vpc.get("SecurityGroupIds")):
        raise invalid("SubnetIds and SecurityIds must coexist or be both empty list.")


def check_unpacked(settings: Settings) -> None:
    """Raises when the function and its layers are too large together."""
    layers = sum(layer.unpacked for layer in settings.layers)
    if layers > MAX_UNZIPPED:
        raise invalid(f"Layers consume more than the available size of {MAX_UNZIPPED} bytes")
    size = settings.code_unpacked + layers
    if settings.layers and size > MAX_UNZIPPED:
        raise invalid(
            f"Function code combined with layers exceeds the maximum allowed size of {MAX_UNZIPPED} bytes. The actual size is {size} bytes."
        )


def check_environment(variables: Mapping[str, str] | None) -> None:
    cannot = "Lambda was unable to configure your environment variables because the environment variables you have provided"
    if reserved := [key for key in variables or () if key in RESERVED_KEYS]:
        raise invalid(
            f"{cannot} contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}"
        )
    measured = json.dumps(variables or {}, separators=(",", ":"), ensure_ascii=False)
    if len(measured.encode()) > MAX_ENVIRONMENT_BYTES:
        raise invalid(f"{cannot} exceeded the 4KB limit. String measured: {measured}")


def check_tags(tags: Mapping[str, str]) -> None:
    """Of tags that a request adds."""
    if any(key.lower().startswith("aws:") for key in tags):
        raise invalid("System tags cannot be added/updated by requester.")
    check_tag_count(tags)


def check_tag_count(tags: Mapping[str, str]) -> None:
    if len(tags) > MAX_TAGS:
        raise invalid("Number of tags exceeds resource tag limit.")


def change(settings: Settings, input: Mapping[str, Any]) -> None:
    """Writes what the input sets into the settings. Raises for what does not go with what they are already."""
    plain = {
        "Runtime": "runtime",
        "Handler": "handler",
        "Role": "role",
        "Description": "description",
        "Timeout": "timeout",
        "MemorySize": "memory",
        "KMSKeyArn": "kms",
    }
    for member, attribute in plain.items():
        if member in input:
            setattr(settings, attribute, input[member])
    if "ImageConfig" in input and settings.image is not None:
        override(settings.image, input["ImageConfig"])
    if "Environment" in input:
        settings.environment = dict(input["Environment"].get("Variables", {}))
    if input.get("Architectures"):
        settings.architecture = input["Architectures"][0]
    if "DeadLetterConfig" in input:
        settings.dead_letter = input["DeadLetterConfig"].get("TargetArn", "")
    if "EphemeralStorage" in input:
        settings.ephemeral = input["EphemeralStorage"]["Size"]
    if "TracingConfig" in input:
        settings.tracing = input["TracingConfig"].get("Mode", settings.tracing)
    if "SnapStart" in input:
        settings.snap_start = input["SnapStart"].get("ApplyOn", settings.snap_start)
    if "VpcConfig" in input:
        settings.vpc = dict(input["VpcConfig"]) if input["VpcConfig"].get("SubnetIds") else {}
    if "LoggingConfig" in input:
        _change_logging(settings, input["LoggingConfig"])


def _change_logging(settings: Settings, logging: Mapping[str, Any]) -> None:
    settings.log_format = logging.get("LogFormat", settings.log_format)
    if settings.log_format != "JSON" and ("ApplicationLogLevel" in logging or "SystemLogLevel" in logging):
        raise invalid(
            'LogLevel is not supported when LogFormat is set to "Text". Remove LogLevel from your request or change the LogFormat to '
            '"Json" and try again.'
        )
    settings.log_group = logging.get("LogGroup", settings.log_group)
    if settings.log_format == "JSON":
        settings.application_level = logging.get("ApplicationLogLevel", settings.application_level or "INFO")
        settings.system_level = logging.get("SystemLogLevel", settings.system_level or "INFO")
    else:
        settings.application_level = settings.system_level = ""


def configuration(name: FunctionName, version: Version, *, state: bool = True) -> dict[str, Any]:
    """FunctionConfiguration; `name` is qualified as the answer's FunctionArn shall be. Lists leave the state out."""
    settings = version.settings
    logging = {"LogFormat": settings.log_format, "LogGroup": settings.log_group or f"/aws/lambda/{name.name}"}
    if settings.log_format == "JSON":
        logging |= {"ApplicationLogLevel": settings.application_level, "SystemLogLevel": settings.system_level}
    shown: dict[str, Any] = {
        "FunctionName": name.name,
        "FunctionArn": name.qualified,
        "Role": settings.role,
        "CodeSize": settings.code_size,
        "Description": settings.description,
        "Timeout": settings.timeout,
        "MemorySize": settings.memory,
        "LastModified": timestamp(version.modified),
        "CodeSha256": settings.code_sha256,
        "Version": version.version,
        "TracingConfig": {"Mode": settings.tracing},
        "RevisionId": version.revision,
        "PackageType": "Zip" if settings.image is None else "Image",
        "Architectures": [settings.architecture],
        "EphemeralStorage": {"Size": settings.ephemeral},
        "SnapStart": {
            "ApplyOn": settings.snap_start,
            "OptimizationStatus": "On" if settings.snap_start != "None" and version.version != LATEST else "Off",
        },
        "LoggingConfig": logging,
    }
    if settings.environment is not None:
        shown["Environment"] = {"Variables": settings.environment}
    if settings.dead_letter:
        shown["DeadLetterConfig"] = {"TargetArn": settings.dead_letter}
    if settings.kms:
        shown["KMSKeyArn"] = settings.kms
    if settings.layers:
        shown["Layers"] = [{"Arn": layer.arn, "CodeSize": layer.size} for layer in settings.layers]
    if settings.vpc is not None:
        shown["VpcConfig"] = {"SubnetIds": [], "SecurityGroupIds": [], "VpcId": "", "Ipv6AllowedForDualStack": False} | settings.vpc
    if (image := settings.image) is not None:
        overrides = {"EntryPoint": image.entry_point, "Command": image.command, "WorkingDirectory": image.working_directory}
        if any(overrides.values()):
            shown["ImageConfigResponse"] = {"ImageConfig": {member: value for member, value in overrides.items() if value}}
    else:
        shown |= {"Runtime": settings.runtime, "Handler": settings.handler}
    return shown | _state(name, version) if state else shown


def _state(name: FunctionName, version: Version) -> dict[str, Any]:
    """The state of a version, its last update, and its runtime."""
    runtime: dict[str, Any] = {}
    if version.settings.image is None:
        runtime["RuntimeVersionConfig"] = _runtime_version(name.region, version.settings.runtime)
    if version.preparing == "create":
        return pending(runtime)
    shown: dict[str, Any] = {"State": "Active", "LastUpdateStatus": "Successful"}
    if version.failed:
        shown |= {
            "LastUpdateStatus": "Failed",
            "LastUpdateStatusReason": version.failed_reason,
            "LastUpdateStatusReasonCode": version.failed_code,
        }
        if version.failed == "create":
            shown |= {"State": "Failed", "StateReason": version.failed_reason, "StateReasonCode": version.failed_code}
    if version.preparing:
        shown = in_progress(shown)
    return shown | runtime


def runtime_version_arn(region: str, runtime: str) -> str:
    """As logs have it; of a runtime that is not installed, one of its own."""
    try:
        found = resolve(runtime)
    except UnknownRuntime:
        found = Runtime("provided", "", exact=False)
    return version_of(runtime, found, region)[1]


def _runtime_version(region: str, runtime: str) -> dict[str, Any]:
    """The ARN of the version that is installed (another stands in for one that is not: the log says so); `Error` when none can."""
    shown: dict[str, Any] = {"RuntimeVersionArn": runtime_version_arn(region, runtime)}
    try:
        resolve(runtime)
    except UnknownRuntime as error:
        shown["Error"] = {"ErrorCode": "RuntimeNotInstalled", "Message": str(error)}
    return shown


def pending(shown: dict[str, Any]) -> dict[str, Any]:
    """The answer to CreateFunction: active when it is next asked for."""
    shown.pop("LastUpdateStatus", None)
    return shown | {"State": "Pending", "StateReason": "The function is being created.", "StateReasonCode": "Creating"}


def in_progress(shown: dict[str, Any]) -> dict[str, Any]:
    """The answer to an update: successful when it is next asked for."""
    return shown | {
        "LastUpdateStatus": "InProgress",
        "LastUpdateStatusReason": "The function is being created.",
        "LastUpdateStatusReasonCode": "Creating",
    }


def shown_version(name: FunctionName, version: Version) -> FunctionName:
    """The name under which a version is shown: unqualified for $LATEST."""
    return name.at("" if version.version == LATEST else version.version)
