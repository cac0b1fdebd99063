"""What other services may ask of CloudWatch."""

from haar.services.cloudwatch.measures import Measures, Sample, Subject
from haar.services.cloudwatch.records import Dimensions

__all__ = ["Dimensions", "Measures", "Sample", "Subject"]
