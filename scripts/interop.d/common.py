"""What all checks use: a site of scripts/class on free ports, programs, comparisons."""

import contextlib
import os
import pathlib
import random
import re
import shutil
import smtplib
import socket
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent.parent
ROOT = os.geteuid() == 0
TRACE = (b"return-path:", b"delivered-to:", b"received:")
CHECKS = []


class Wrong(Exception):
    """What was found instead."""


def check(function):
    CHECKS.append(function)
    return function


def expect(truth, *words):
    if not truth:
        raise Wrong(" ".join(str(word) for word in words))


def same(name, got, wanted):
    """Octet for octet, or the place where they part."""
    if got != wanted:
        at = next(
            (i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted))
        )
        raise Wrong(
            f"{name}: {len(got)} octets, not {len(wanted)}; at {at} {got[at:at + 40]!r},"
            f" not {wanted[at:at + 40]!r}"
        )


def run(*words, stdin=b"", timeout=120, ok=(0,), env=None):
    """A program to its end; what it wrote."""
    done = subprocess.run(
        [str(word) for word in words],
        input=stdin,
        timeout=timeout,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        env={**os.environ, "LC_ALL": "C", **(env or {})},
    )
    if done.returncode not in ok:
        raise Wrong(
            f"{words[0]} ended with {done.returncode}: "
            + done.stdout.decode(errors="replace")[-600:].strip()
        )
    return done.stdout


def until(truth, what, seconds=60, pause=0.02):
    """Asks again until it holds; `what` may be a function that tells what there was instead.

    Who asks before there is anything to ask, a folder or a window, is told Wrong, and asks again.
    """
    deadline = time.monotonic() + seconds
    while True:
        wrong = ""
        try:
            if truth():
                return
        except Wrong as error:
            wrong = f" ({error})"
        if time.monotonic() > deadline:
            raise Wrong(f"not within {seconds} s: {what() if callable(what) else what}{wrong}")
        time.sleep(pause)


class Site:
    """A site of scripts/class in a temporary directory."""

    def __init__(self, *lines):
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="buzon-interop-"))
        self.place.chmod(0o755)
        self.dir = self.place / "site"
        self.home = self.place / "home"
        self.home.mkdir()
        base = {
            "smtp": 2525,
            "submission": 2587,
            "submissions": 2465,
            "pop3": 2110,
            "pop3s": 2995,
            "imap": 2143,
            "imaps": 2993,
            "lmtp": 2024,
        }
        self.socket = self.dir / "run/lmtp"
        for _ in range(20):
            offset = random.randrange(1000, 29000)
            self.ports = {role: port + offset for role, port in base.items()}
            if not all(map(free, self.ports.values())):
                continue
            lmtp = f"lmtp=127.0.0.1:{self.ports['lmtp']} {self.socket}"
            run(HERE / "class", "start", "-1", self.dir, offset, lmtp, *lines)
            break
        self.cert = self.dir / "tls" / "cert.pem"
        self.owner = self.dir.owner()
        if ROOT:
            shutil.chown(self.home, self.owner)
        # Where every account can run it, whatever directory we were built in.
        shutil.copy(program("deliver"), self.place)
        self.deliver = f"{self.place}/deliver -f {self.dir}/etc/buzon.conf"

    def is_mbox(self):
        return "\nmailbox mbox:" in (self.dir / "etc/buzon.conf").read_text()

    def names(self):
        users = (self.dir / "etc/users").read_text()
        return re.findall(r"^([^:\n]+):", users, re.MULTILINE)

    def end(self):
        run(HERE / "class", "stop", self.dir)
        shutil.rmtree(self.place)

    def maildir(self, user):
        return self.dir / "mail" / user / "Maildir"

    def files(self, user):
        return [file for part in ("new", "cur") for file in (self.maildir(user) / part).iterdir()]

    def only_message(self, user):
        """The one message of a box, in wire form, without our trace fields; the box is emptied."""
        files = self.files(user)
        expect(len(files) == 1, len(files), "messages in the box, not 1")
        content = files[0].read_bytes()
        files[0].unlink()
        return untraced(content.replace(b"\n", b"\r\n"))

    def empty(self, user):
        for file in self.files(user):
            file.unlink()

    def send(self, user, message):
        """By Python's library, as the measure of all others."""
        with smtplib.SMTP("127.0.0.1", self.ports["smtp"]) as smtp:
            smtp.ehlo("interop.example.test")
            expect(smtp.mail("sender@example.test")[0] == 250, "MAIL")
            expect(smtp.rcpt(f"{user}@example.test")[0] == 250, "RCPT")
            code, words = smtp.data(message)
            expect(code == 250, code, words)

    def add_user(self, name, extra=""):
        """With the password of all others."""
        with open(self.dir / "etc/users", "a", encoding="ascii") as users:
            users.write(f"{name}:{{PLAIN}}secret::::::{extra}\n")

    def config(self, name, text):
        """A program's configuration, which it wants to be ours alone."""
        file = self.place / name
        file.write_text(text)
        file.chmod(0o600)
        return file

    def as_owner(self, *words):
        """The same program as the owner of the mail."""
        return ["runuser", "-u", self.owner, "--", *words] if ROOT else list(words)


def program(name):
    """One of ours, where scripts/class finds it too."""
    target = HERE.parent / "target"
    builds = [place for place in (target / "release", target / "debug") if (place / name).exists()]
    builds.sort(key=lambda place: -(place / "smtpd").stat().st_mtime)
    for place in (pathlib.Path(os.environ.get("BUZON_BIN", "/nonexistent")), HERE, *builds):
        if (place / name).exists():
            return place / name
    raise Wrong(f"there is no {name}: build it with 'make'")


def free(port):
    with contextlib.closing(socket.socket()) as test:
        test.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            test.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def untraced(wire):
    """Without the fields that our smtpd put in front: Return-Path, Delivered-To, one Received."""
    for name in TRACE:
        expect(wire[: len(name)].lower() == name, "no", name.decode(), "at", wire[:60])
        end = re.search(rb"\r\n(?![ \t])", wire).end()
        wire = wire[end:]
    return wire
