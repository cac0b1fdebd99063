"""The service object that IAM's operation modules register with."""

from haar.services.service import Service

service = Service("iam")
