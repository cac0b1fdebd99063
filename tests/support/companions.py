"""Layers with extensions, written in Python."""

import textwrap
from collections.abc import Mapping

from tests.support.functions import Functions

from haar.execution import runtimes

API = """
import http.client, json, os, sys, threading, time
NAME = os.path.basename(sys.argv[0])
def call(method, path, body=None, headers={}):
    link = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    link.request(method, path, body if isinstance(body, (str, type(None))) else json.dumps(body), headers)
    answer = link.getresponse()
    data = answer.read()
    link.close()
    return answer.status, {key.lower(): value for key, value in answer.headers.items()}, json.loads(data or "null")
def register(*events, name=NAME, **headers):
    return call("POST", "/2020-01-01/extension/register", {"events": events}, {"Lambda-Extension-Name": name, **headers})
def identify(*events, name=NAME):
    status, headers, told = register(*events, name=name)
    assert status == 200, told
    return {"Lambda-Extension-Identifier": headers["lambda-extension-identifier"]}
def next_event(me):
    return call("GET", "/2020-01-01/extension/event/next", None, me)[2]
def say(**what):
    print("said " + json.dumps(what), flush=True)
def live(me):
    while True:
        event = next_event(me)
        say(name=NAME, event=event)
        if event["eventType"] == "SHUTDOWN":
            return
"""


def layer(functions: Functions, extensions: Mapping[str, str], files: Mapping[str, str] | None = None) -> str:
    """A layer of extensions: the text of each is Python that finds `API`'s names, unless it begins with `#!`."""
    written = {"python/api.py": API, **(files or {})}
    modes = {}
    for name, text in extensions.items():
        text = textwrap.dedent(text)
        head = f"#!{runtimes.python()} -IS\nimport sys\nsys.path.append(sys.argv[0].rpartition('/')[0] + '/../python')\nfrom api import *\n"
        written[f"extensions/{name}"] = text if text.startswith("#!") else head + text
        modes[f"extensions/{name}"] = 0o755
    return functions.package(written, modes)
