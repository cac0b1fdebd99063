"""What can be wrong with a template."""


class TemplateError(Exception):
    """A template that cannot be read, or that does more than it may."""


class TooManySteps(TemplateError):
    """A rendering that takes more steps than it was given."""
