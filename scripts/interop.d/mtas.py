"""Postfix and Exim in overlays of the root, each with a listener, a queue, and ways to our boxes.

Both have the same face: `ways` configures how local mail goes on, `queued` names the recipients
that wait, `flush` tries them again. Accounts of the overlay are the users of a site. What they are
as hosts between ours and ours is in relays.py.
"""

import json
import os
import re
import subprocess

import overlay
from overlay import free_port, wait_port

POSTFIX = """compatibility_level = 3.6
myhostname = mail.example.test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_client_event_limit_exceptions = static:all
maillog_file = /var/log/postfix.log
alias_maps =
local_recipient_maps =
minimal_backoff_time = 1h
"""
VIRTUAL = """mydestination =
virtual_mailbox_domains = example.test
virtual_mailbox_maps = static:all
virtual_transport = lmtp:{address}
"""
LOCAL = """mydestination = example.test
mailbox_transport = lmtp:{address}
"""
COMMAND = """mydestination = example.test
mailbox_command = {command} -r "$SENDER" "$USER"
"""

EXIM = """primary_hostname = mail.example.test
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
keep_environment =
never_users =
smtp_accept_max = 100
smtp_accept_queue_per_connection = 0
log_file_path = /var/log/exim4/%slog
acl_smtp_rcpt = taken
begin acl
taken:
  accept
begin routers
ours:
  driver = accept
  domains = example.test
  transport = ours{known}
begin transports
ours:
  {transport}
begin retry
*  *  F,1d,1h
"""
UNIX = "driver = lmtp\n  socket = {address}\n  user = Debian-exim\n  batch_max = 50"
INET = (
    "driver = smtp\n  protocol = lmtp\n  hosts = 127.0.0.1\n  port = {port}\n"
    "  allow_localhost\n  hosts_try_fastopen ="
)
PIPE = (
    "driver = pipe\n  command = {command} $local_part_data\n"
    "  user = {owner}\n  temp_errors = *\n  return_fail_output"
)


def bind(peer, site):
    """The site is seen in the overlay too: an overlay does not carry sockets of the layer below."""
    place = peer.root / str(site.place).lstrip("/")
    place.mkdir(parents=True, exist_ok=True)
    if not os.path.ismount(place):
        overlay.run("mount", "--bind", site.place, place)


class Postfix(overlay.Postfix):
    name = "postfix"

    def __init__(self, base):
        super().__init__(base / self.name)
        self.port = free_port()
        self.running = False

    def ways(self, site, way):
        bind(self, site)
        main = {
            "unix": VIRTUAL.format(address=f"unix:{site.socket}"),
            "inet": LOCAL.format(address=f"inet:127.0.0.1:{site.ports['lmtp']}"),
            "program": COMMAND.format(command=site.deliver),
        }[way]
        if way == "program":
            self.accounts(site)
        self.begin(POSTFIX + main)

    def begin(self, main, *options):
        """With this main.cf, and these options of its listener."""
        self.end()
        self.configure(main, [(self.port, options)])
        self.start()
        self.running = True
        wait_port(self.port)

    def also_at(self, address):
        with open(self.root / "etc/postfix/master.cf", "a", encoding="ascii") as master:
            master.write(f"{address} inet n - n - - smtpd\n")
        self.inside("postfix", "reload", stderr=subprocess.STDOUT)

    def accounts(self, site):
        """local(8) runs the command as the recipient: an account with the site's uid."""
        owner = site.dir.stat()
        words = f"-o -M -u {owner.st_uid} -g {owner.st_gid} -s /bin/sh".split()
        for name in site.names():
            if f"\n{name}:" not in (self.root / "etc/passwd").read_text():
                home = site.dir / "mail" / name
                self.inside("useradd", *words, "-d", home, name, stderr=subprocess.STDOUT)

    def queued(self):
        listed = map(json.loads, self.inside("postqueue", "-j").splitlines())
        return [there["address"] for letter in listed for there in letter["recipients"]]

    def flush(self):
        self.inside("postqueue", "-f")

    def log(self):
        return (self.root / "var/log/postfix.log").read_text(errors="replace")

    def end(self):
        if self.running:
            self.stop()


class Exim(overlay.Overlay):
    name = "exim"

    def __init__(self, base):
        super().__init__(base / self.name, "exim4-daemon-light")
        self.port = free_port()
        self.process = None

    def ways(self, site, way):
        bind(self, site)
        transport = {
            "unix": UNIX.format(address=site.socket),
            "inet": INET.format(port=site.ports["lmtp"]),
            "program": PIPE.format(command=site.deliver, owner=site.owner),
        }[way]
        # What a client said is tainted: only the key that a lookup found may be a program's word.
        known = (
            f"\n  local_parts = lsearch,ret=key;{site.dir}/etc/users" if way == "program" else ""
        )
        self.begin(EXIM.format(port=self.port, transport=transport, known=known))

    def begin(self, config):
        self.end()
        (self.root / "etc/exim4/exim4.conf").write_text(config)
        self.process = subprocess.Popen(["chroot", self.root, "exim4", "-bdf"])
        wait_port(self.port)

    def queued(self):
        return re.findall(r"^ {10}(\S+@\S+)$", self.inside("exim4", "-bp"), re.MULTILINE)

    def flush(self):
        self.inside("exim4", "-qff")

    def log(self):
        return (self.root / "var/log/exim4/mainlog").read_text(errors="replace")

    def end(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None
