"""CloudWatch: metrics that applications put and that haar's own services measure."""

from haar.services.service import Service

service = Service("cloudwatch", signing_name="monitoring")

from haar.services.cloudwatch import listing, measures, metricdata, putting, statistics, sweep

service.background += [measures.run, sweep.run]
