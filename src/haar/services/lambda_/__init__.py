"""AWS Lambda."""

from haar.services.lambda_.checks import check
from haar.services.service import Service

service = Service("lambda", check=check, large=frozenset(("CreateFunction", "UpdateFunctionCode", "PublishLayerVersion")))

from haar.services.lambda_ import (  # noqa: E402
    aliases,  # noqa: F401 - they register their operations
    asynchronous,
    codesigning,  # noqa: F401
    codeurls,
    concurrency,  # noqa: F401
    configuration,  # noqa: F401
    containerimages,
    development,
    eventconfigs,  # noqa: F401
    functions,  # noqa: F401
    insights,
    invocations,  # noqa: F401
    layerpermissions,  # noqa: F401
    layers,  # noqa: F401
    ledger,
    management,  # noqa: F401
    mappings,  # noqa: F401
    packages,
    permissions,  # noqa: F401
    pollers,
    provisioned,
    recordings,
    resourcepolicies,  # noqa: F401
    snapstart,
    streaming,  # noqa: F401
    tags,  # noqa: F401
    urlroute,
    urls,  # noqa: F401
    versions,  # noqa: F401
)

service.routes += [codeurls.CodeRoute(), development.DebugRoute(), insights.InsightsRoute(), urlroute.FunctionUrlRoute()]
service.background += [asynchronous.run, containerimages.run, packages.sweep, pollers.run, provisioned.run, snapstart.run]
service.background += [development.run, ledger.run, recordings.run]
