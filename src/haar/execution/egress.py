"""A way to the internet for an environment, through pasta: connections out, none in, and none to the host itself.

The environment's own address is the host's, so the host's services are out of its reach; its loopback is its own.
"""

import asyncio
import os
import shutil
from pathlib import Path

from haar.execution import processes
from haar.execution.contract import Unavailable
from haar.execution.sandbox import DNS
from haar.execution.spawner import Child, Spawner

READY_SECONDS = 5.0
POLL_SECONDS = 0.005


async def attach(spawner: Spawner, child: Child) -> Child:
    """Gives `child`'s network namespace a way out; ends with `kill` on what is returned. Raises Unavailable."""
    program = shutil.which("pasta")
    if program is None:
        raise Unavailable('egress = "on" needs pasta: apt-get install passt, or set egress = "off"')
    _, *inside = processes.tree(child.pid)
    if not inside:
        raise Unavailable("the sandbox has ended")
    first = inside[0]
    command = [program, "--foreground", "--quiet", "--config-net", "--no-map-gw", "--dns-forward", DNS]
    command += ["-t", "none", "-u", "none", "-T", "none", "-U", "none"]  # by default it forwards ports both ways
    if os.geteuid() == 0:
        command += ["--runas", "0", "--netns-only", "--netns", f"/proc/{first}/ns/net"]
    else:
        command.append(str(first))
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        network = await spawner.spawn(child.id + "-network", command, {"PATH": "/usr/bin:/bin"}, [null])
    finally:
        os.close(null)
    try:
        async with asyncio.timeout(READY_SECONDS):
            while not _routed(first):
                if network.ended.done():
                    raise Unavailable('egress = "on" is not possible here: pasta does not start (may this user open /dev/net/tun?)')
                await asyncio.sleep(POLL_SECONDS)
    except BaseException:
        spawner.kill(network)
        raise
    return network


def _routed(pid: int) -> bool:
    """Whether the network namespace of `pid` has a default route."""
    try:
        lines = Path(f"/proc/{pid}/net/route").read_text().splitlines()[1:]
    except OSError:
        return False
    return any(line.split()[1] == "00000000" for line in lines)
