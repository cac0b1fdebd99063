"""DynamoDB."""

from haar.services.dynamodb import batches, control, items, jobs, queries  # noqa: F401 - they register their operations
from haar.services.dynamodb.face import service

service.background.append(jobs.run_clearing)

__all__ = ["service"]
