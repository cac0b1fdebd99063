"""What other services may ask of CloudWatch."""

from haar.services.cloudwatch.measures import Measures, Sample, Subject

__all__ = ["Measures", "Sample", "Subject"]
