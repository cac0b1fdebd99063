"""CloudWatch Logs."""

from haar.services.service import Service

service = Service("logs")

from haar.services.logs import events, filters, groups, streams, sweep  # noqa: E402, F401 - they register their operations

service.background.append(sweep.run)
