"""Velocity, as API Gateway's mapping templates have it: pure, and bounded in time and space."""

from haar.services.apigateway.vtl.errors import TemplateError, TooManySteps
from haar.services.apigateway.vtl.template import Template
from haar.services.apigateway.vtl.values import Nothing, Tool, Variables

__all__ = ["Nothing", "Template", "TemplateError", "TooManySteps", "Tool", "Variables"]
