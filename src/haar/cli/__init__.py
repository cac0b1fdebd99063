"""The commands that a person types."""

from haar.cli.app import main

__all__ = ["main"]
