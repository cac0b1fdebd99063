"""The service object, apart from the operations that register themselves on it."""

from haar.services.apigateway.checks import check
from haar.services.service import Service

service = Service("apigateway", check=check)
