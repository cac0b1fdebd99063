"""CloudWatch Logs."""

from haar.services.service import Service

service = Service("logs")

from haar.services.logs import events, filters, groups, streams, sweep
from haar.services.logs.insights import queries

service.background.append(sweep.run)
