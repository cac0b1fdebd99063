"""The service object that the security token service's operation modules register with."""

from haar.services.service import Service

service = Service("sts")
