"""Talking to the person at the terminal."""

import sys

import typer


def say(text: str) -> None:
    print(text, flush=True)


def hint(text: str) -> None:
    """Says on standard error what is no part of the answer."""
    print(f"haar: {text}", file=sys.stderr, flush=True)


def complain(text: str, code: int = 1) -> typer.Exit:
    """Says what is wrong on standard error; raise what it answers."""
    hint(text)
    return typer.Exit(code)
