"""Those that are compared: ours, the bare loop, Postfix, Dovecot.

Each has an address, a process, and a Maildir for alice. Ours runs as an administrator would run it:
release build, no transcript, the log in a file, as the others'.
"""

import os
import pathlib
import random
import subprocess

import overlay
from measure import LOAD
from overlay import free_port, run, wait_port

HERE = pathlib.Path(__file__).resolve().parent.parent
BIN = HERE.parent / "target/release"


class Ours:
    """A daemon on a site of scripts/class."""

    offsets = {}

    def __init__(self, base, name, role, site="site", lines=()):
        """`lines` of the configuration are those that the site is furnished with at first."""
        self.site = base / site
        offset = self.offsets.get(self.site) or self.furnish(lines)
        self.port = {"smtp": 2525, "pop3": 2110, "imap": 2143}[role] + offset
        self.address = f"127.0.0.1:{self.port}"
        self.log = open(base / f"{name}.log", "w")
        self.process = subprocess.Popen(
            [BIN / name, "-f", self.site / "etc/buzon.conf", "-d"], stderr=self.log
        )
        self.pid = self.process.pid
        self.maildir = self.site / "mail/alice/Maildir"
        wait_port(self.port)

    def furnish(self, lines):
        """The ports lie below those that the kernel gives to clients, and are kept."""
        offset = self.offsets[self.site] = random.randrange(8_000, 29_000)
        lines = [
            "max_connections=6000",
            "max_connections_per_address=6000",
            "smtp_timeout=1h",
            "pop3_timeout=1h",
            *lines,
        ]
        run(
            HERE / "class",
            "start",
            "-1",
            self.site,
            offset,
            *lines,
            env={**os.environ, "BUZON_BIN": str(BIN)},
        )
        run(HERE / "class", "stop", self.site)
        return offset

    def drained(self):
        return True

    def memory(self):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return {
            line.split(":")[0]: int(line.split()[1])
            for line in status.splitlines()
            if " kB" in line
        }

    def end(self):
        self.process.terminate()
        self.process.wait()


class Sink:
    """The bare loop of benches/load.rs."""

    def __init__(self, base):
        self.maildir = base / "sink"
        self.process = subprocess.Popen(
            [LOAD, "sink", self.maildir], stdout=subprocess.PIPE, text=True
        )
        self.pid = self.process.pid
        self.address = self.process.stdout.readline().strip()

    def drained(self):
        return True

    def end(self):
        self.process.kill()
        self.process.wait()


class Postfix(overlay.Postfix):
    """Postfix in its overlay, with one virtual mailbox beside ours."""

    CONFIG = """compatibility_level = 3.6
myhostname = mail.example.test
mydestination =
virtual_mailbox_domains = example.test
virtual_mailbox_base = /var/vmail
virtual_mailbox_maps = inline:{{alice@example.test = alice/}}
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_minimum_uid = 1
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_client_event_limit_exceptions = static:all
maillog_file = /var/log/postfix.log
"""

    def __init__(self, base, name="postfix", config=CONFIG):
        super().__init__(base / name)
        self.maildir = self.mail / "alice"
        if config == self.CONFIG:
            self.maildir.mkdir()
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.configure(config, [(self.port, [])])
        self.start()
        wait_port(self.port)
        self.pid = int((self.spool / "pid/master.pid").read_text())

    def drained(self):
        queues = ("maildrop", "incoming", "active", "deferred")
        return not any(files for queue in queues for _, _, files in os.walk(self.spool / queue))

    def end(self):
        self.stop()


class Dovecot:
    """Dovecot's server of a protocol on a mailbox of its own, told to sync as ours does."""

    def __init__(self, base, protocol="pop3", sessions=1000):
        base = base / "dovecot"
        self.home = base / "mail/alice"
        self.home.mkdir(parents=True)
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        config = base / "dovecot.conf"
        config.write_text(
            f"""base_dir = {base}/run
log_path = {base}/log
protocols = {protocol}
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
mail_location = maildir:~/Maildir
mail_fsync = always
mail_max_userip_connections = {sessions}
default_process_limit = {sessions}
default_client_limit = {sessions * 4 + 1000}
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home={base}/mail/%u
}}
service {protocol}-login {{
  service_count = 0
  client_limit = {sessions + 1000}
  inet_listener {protocol} {{
    port = {self.port}
  }}
  inet_listener {protocol}s {{
    port = 0
  }}
}}
"""
        )
        self.process = subprocess.Popen(["dovecot", "-F", "-c", str(config)])
        self.pid = self.process.pid
        self.maildir = self.home / "Maildir"
        wait_port(self.port)

    def end(self):
        self.process.terminate()
        self.process.wait()
