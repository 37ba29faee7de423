"""Other people's servers: a package in an overlay of the root, Postfix in one, and small helpers.

A Debian package of a mail server pushes out every other one. So it is installed into an overlay,
whose lower layer is this machine's root and whose upper one is a temporary directory. The mounts are
seen in our own mount namespace only (unshare -m), so nobody else meets them.
"""

import os
import socket
import subprocess
import time


def run(*words, **more):
    return subprocess.run(
        [str(word) for word in words], check=True, text=True, stdout=subprocess.PIPE, **more
    ).stdout


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_free(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def wait_port(port, host="127.0.0.1"):
    for _ in range(300):
        try:
            socket.create_connection((host, port)).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"nobody listens on port {port}")


class Overlay:
    """Packages in an overlay of the root at `base`/root."""

    def __init__(self, base, *packages):
        self.base = base
        self.root = base / "root"
        for part in ("upper", "work", "root"):
            (base / part).mkdir(parents=True)
        layers = f"lowerdir=/,upperdir={base}/upper,workdir={base}/work"
        run("mount", "-t", "overlay", "overlay", "-o", layers, self.root)
        for mount in ("proc", "sys", "dev"):
            run("mount", "--rbind", f"/{mount}", self.root / mount)
        policy = self.root / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        self.inside(
            "apt-get",
            "install",
            "-y",
            "-q",
            "--no-install-recommends",
            *packages,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stderr=subprocess.STDOUT,
        )

    def inside(self, *words, **more):
        return run("chroot", self.root, *words, **more)

    def unmount(self):
        subprocess.run(["umount", "-R", self.root], check=False, stderr=subprocess.DEVNULL)


class Postfix(Overlay):
    """Postfix as Debian has it; its queue and its mailboxes lie on the plain file system."""

    def __init__(self, base, *packages):
        super().__init__(base, "postfix", *packages)
        self.spool, self.mail = base / "spool", base / "mail"
        self.spool.mkdir()
        self.mail.mkdir()
        run("cp", "-a", f"{self.root}/var/spool/postfix/.", self.spool)
        (self.root / "var/vmail").mkdir()
        run("mount", "--bind", self.spool, self.root / "var/spool/postfix")
        run("mount", "--bind", self.mail, self.root / "var/vmail")
        self.master = (self.root / "etc/postfix/master.cf").read_text().splitlines()

    def configure(self, main, listeners):
        """main.cf as it is given; each listener is (port, options) and stands for the one on 25."""
        etc = self.root / "etc/postfix"
        (etc / "main.cf").write_text(main)
        kept = [line.replace(" y ", " n ") for line in self.master if line and line[0] not in "# "]
        first = next(at for at, line in enumerate(kept) if line.startswith("smtp "))
        kept[first : first + 1] = [
            f"127.0.0.1:{port} inet n - n - - smtpd"
            + "".join(f"\n  -o {option}" for option in options)
            for port, options in listeners
        ]
        if not any(line.startswith("postlog") for line in kept):
            kept.append("postlog unix-dgram n - n - 1 postlogd")
        (etc / "master.cf").write_text("\n".join(kept) + "\n")

    def start(self):
        run("chown", "-R", "65534:65534", self.mail)
        self.inside("postfix", "start", stderr=subprocess.DEVNULL)

    def stop(self):
        subprocess.run(
            ["chroot", self.root, "postfix", "stop"], check=False, stderr=subprocess.DEVNULL
        )
