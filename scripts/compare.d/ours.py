"""Ours: the site of scripts/class, furnished anew for each dialogue."""

import pathlib
import random
import shutil
import subprocess

from dialogue import put_letters
from overlay import is_free, run

HERE = pathlib.Path(__file__).resolve().parent.parent
PORTS = {
    "smtp": 2525,
    "submission": 2587,
    "submissions": 2465,
    "pop3": 2110,
    "pop3s": 2995,
    "imap": 2143,
    "imaps": 2993,
}
# What the runner of the tests has unless a dialogue sets it.
DEFAULTS = {"failure_delay": "0s", "apop": "yes", "vrfy": "no", "expn": "no", "old_verbs": "no"}


class Ours:
    def __init__(self, base):
        self.site = base / "site"
        for _ in range(10):
            # Below the ports that the kernel gives to clients.
            offset = random.randrange(8_000, 29_000)
            if all(is_free(at + offset) for at in PORTS.values()):
                break
        if not self.start(str(offset)):
            raise SystemExit("compare: scripts/class does not start")
        self.address = ",".join(f"{role}=127.0.0.1:{at + offset}" for role, at in PORTS.items())
        self.stop()
        self.pristine = (self.site / "etc/buzon.conf").read_text()
        self.tls = self.site / "tls"

    def start(self, *words):
        done = subprocess.run([HERE / "class", "start", "-1", self.site, *words], check=False)
        return done.returncode == 0

    def stop(self):
        run(HERE / "class", "stop", self.site)

    def furnish(self, site):
        """A fresh site at work, with what the dialogue wants."""
        etc, mail = self.site / "etc", self.site / "mail"
        without = ("submissions ", "pop3s ", "imaps ") if site.get("certificate", "") == "none" else ()
        lines = [line for line in self.pristine.splitlines(True) if not line.startswith(without)]
        (etc / "buzon.conf").write_text("".join(lines))
        (etc / "users").write_text("".join(f"{n}:{{PLAIN}}{p}\n" for n, p in site.users))
        (etc / "aliases").write_text("".join(f"{line}\n" for line in site.aliases))
        shutil.rmtree(mail)
        mail.mkdir()
        for name, _ in site.users:
            (mail / name).mkdir()
        put_letters(site, lambda user: mail / user)
        keys = {"hostname": site.hostname, "domains": " ".join(site.domains)}
        keys |= DEFAULTS | site.settings
        if not self.start(*(f"{key}={value}" for key, value in keys.items())):
            raise SystemExit("compare: scripts/class does not start")
