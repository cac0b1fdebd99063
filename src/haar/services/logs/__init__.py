"""CloudWatch Logs."""

from haar.services.service import Service

service = Service("logs")

from haar.services.logs import events, filters, groups, livetail, metricfilters, streams, subscriptions, sweep
from haar.services.logs.insights import definitions, queries

service.background.append(sweep.run)
service.background.append(subscriptions.run)
