"""Running the load, and what the kernel knows: CPU seconds, syncs, memory."""

import os
import pathlib
import signal
import subprocess
import tempfile
import time

from overlay import run

LOAD = pathlib.Path(os.environ["LOAD"]).resolve()
TICK = os.sysconf("SC_CLK_TCK")


def load(*words):
    """One run of the load; its numbers by name, one dictionary a line."""
    lines = run(LOAD, *words).splitlines()
    return [
        {name: float(value) for name, value in (word.split("=") for word in line.split())}
        for line in lines
    ]


def hold(peer, role, sessions, tls, *login):
    """Opens sessions, and holds them until its input ends."""
    client = subprocess.Popen(
        [LOAD, "idle", role, peer.address, str(sessions), tls, *login],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    said = client.stdout.readline()
    if said.strip() != f"sessions={sessions}":
        raise SystemExit(f"bench: only {said!r} of {sessions} sessions")
    return client


def processes(root):
    """A process and all below it."""
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, look = [], [root]
    while look:
        pid = look.pop()
        found.append(pid)
        look += children.get(pid, [])
    return found


def cpu(root):
    """Seconds of a process, of all below it, and of those that they waited for."""
    ticks = 0
    for pid in processes(root):
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / TICK


def syncs(root, work):
    """How many syncs a piece of work takes in these processes, by strace(1)."""
    with tempfile.NamedTemporaryFile("r") as out:
        words = ["strace", "-f", "-q", "-e", "trace=fsync,fdatasync,sync,syncfs", "-o", out.name]
        for pid in processes(root):
            words += ["-p", str(pid)]
        tracer = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        for pid in processes(root):
            while "TracerPid:\t0\n" in pathlib.Path(f"/proc/{pid}/status").read_text():
                time.sleep(0.01)
        work()
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
        return sum("sync" in line and "resumed" not in line for line in out)


def wait(truth, what, seconds=120):
    deadline = time.monotonic() + seconds
    while not truth():
        if time.monotonic() > deadline:
            raise SystemExit(f"bench: {what} does not end")
        time.sleep(0.02)


def clear(directory):
    for file in directory.iterdir():
        file.unlink()
