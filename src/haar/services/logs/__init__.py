"""CloudWatch Logs."""

from haar.services.service import Service

service = Service("logs")

from haar.services.logs import events, filters, groups, streams, sweep

service.background.append(sweep.run)
