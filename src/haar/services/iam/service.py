"""The service object that IAM's operation modules register with."""

from haar.services.iam.names import check
from haar.services.service import Service

service = Service("iam", check=check, only_region="us-east-1")
