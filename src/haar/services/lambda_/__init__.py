"""AWS Lambda."""

from haar.services.lambda_.checks import check
from haar.services.service import Service

service = Service("lambda", check=check, large=frozenset(("CreateFunction", "UpdateFunctionCode", "PublishLayerVersion")))

from haar.services.lambda_ import (
    aliases,
    asynchronous,
    codesigning,
    codeurls,
    concurrency,
    configuration,
    containerimages,
    development,
    eventconfigs,
    functions,
    insights,
    invocations,
    layerpermissions,
    layers,
    ledger,
    management,
    mappings,
    packages,
    permissions,
    pollers,
    provisioned,
    recordings,
    resourcepolicies,
    snapstart,
    streaming,
    tags,
    urlroute,
    urls,
    versions,
)

service.routes += [codeurls.CodeRoute(), development.DebugRoute(), insights.InsightsRoute(), urlroute.FunctionUrlRoute()]
service.background += [asynchronous.run, containerimages.run, packages.sweep, pollers.run, provisioned.run, snapstart.run]
service.background += [development.run, ledger.run, recordings.run]
