"""CloudWatch: metrics that applications put and that haar's own services measure."""

from haar.services.service import Service

service = Service("cloudwatch", signing_name="monitoring")

from haar.services.cloudwatch import alarms, listing, measures, metricdata, putting, states, statistics, sweep

service.background += [measures.run, sweep.run, states.keep_evaluating, states.keep_acting]
