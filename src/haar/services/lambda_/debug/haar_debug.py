"""The handler of a Python function that is debugged: waits for the debugger, then loads the function's own handler and runs it."""

import importlib
import os
import subprocess
import sys
from typing import Any
from urllib.parse import urlsplit

PORT = 5678
ROOT = os.environ["LAMBDA_TASK_ROOT"]

os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
sys.path.insert(0, f"{ROOT}/.haar_debug")

import debugpy  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: E402 - mounted, or not there

sys.path.pop(0)
debugpy.listen(("127.0.0.1", PORT), in_process_debug_adapter=True)
_platform = urlsplit(os.environ["AWS_ENDPOINT_URL"]).port
_tunnel = [os.environ["HAAR_DEBUG_PYTHON"], "-I", "-S", f"{ROOT}/.haar_debug/tunnel.py", str(PORT), str(_platform)]
subprocess.Popen(
    [*_tunnel, os.environ.pop("HAAR_DEBUG_TOKEN")],
    stdin=subprocess.DEVNULL,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
)


def handler(event: Any, context: Any) -> Any:
    if not debugpy.is_client_connected():
        print(f"haar: waits for a debugger at {os.environ['HAAR_DEBUG_ADDRESS']}", flush=True)
        debugpy.wait_for_client()
    module, _, name = os.environ["HAAR_DEBUG_HANDLER"].rpartition(".")
    return getattr(importlib.import_module(module.replace("/", ".")), name)(event, context)
