"""Letters that leave: ours beside Postfix, the look at a queue, the runner's memory.

Rates are medians of five rounds, of three where replies are delayed. The host is `load host`, on
every address of the loopback, so that each domain has one of its own. Postfix keeps its own bounds
(100 processes, 20 to a destination), and ours keeps those of its manual.
"""

import pathlib
import shutil
import statistics
import subprocess
import time

from measure import LOAD, wait
from overlay import free_port, run
from peers import BIN, Postfix
from table import judged, row

LETTER = 4096
LETTERS = 5_000
DOMAINS = 50
# Milliseconds before each reply, rounds, how many times as fast.
DELAYS = [(0, 5, 1.5), (100, 3, 1.5)]
DEFERRED = 100_000
QUEUES = [20_000, 100_000]


def address(number):
    return f"127.0.1.{number + 1}"


class Host:
    """Takes so many letters."""

    def __init__(self, port, delay, count):
        self.process = subprocess.Popen(
            [LOAD, "host", str(port), str(delay), str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self.process.stdout.readline().strip() != f"port={port}":
            raise SystemExit(f"bench: nobody listens on port {port}")

    def taken(self):
        """Waits until it has them all; on how many connections they came."""
        words = self.process.stdout.readline().split()
        return int(dict(word.split("=") for word in words)["connections"])

    def end(self):
        self.process.communicate()


class Ours:
    """A queue, and the runner."""

    def __init__(self, base, port, lines=""):
        self.base = base / "runq"
        self.base.mkdir()
        self.queue, self.port = self.base / "queue", port
        (self.base / "zone").write_text(
            "".join(f"d{number}.test A {address(number)}:{port}\n" for number in range(DOMAINS))
        )
        (self.base / "buzon.conf").write_text(
            "hostname mail.example.test\ndomains example.test\nmail_owner nobody-here\n"
            f"queue queue\ndns_zone zone\nspool .\nrun .\nusers users\naliases aliases\n{lines}"
        )
        (self.base / "users").write_text("")
        (self.base / "aliases").write_text("")

    def fill(self, count, due=0):
        shutil.rmtree(self.queue, ignore_errors=True)
        run(LOAD, "fill", self.queue, count, DOMAINS, due, LETTER)

    def start(self):
        log = open(self.base / "log", "w")
        self.process = subprocess.Popen(
            [BIN / "runq", "-d", "-f", self.base / "buzon.conf"], stderr=log
        )

    def finish(self):
        if self.process.wait() != 0:
            raise SystemExit("bench: runq failed")
        left = sum(1 for _ in (self.queue / "due").iterdir())
        if left:
            raise SystemExit(f"bench: {left} letters are left")

    def end(self):
        pass


class Theirs(Postfix):
    """Postfix with its own bounds; letters are held until they are wanted."""

    CONFIG = """compatibility_level = 3.6
myhostname = mail.example.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = all
inet_protocols = ipv4
disable_dns_lookups = yes
smtpd_client_restrictions = static:HOLD
smtpd_client_event_limit_exceptions = static:all
queue_run_delay = 1h
maillog_file = /var/log/postfix.log
"""

    def __init__(self, base, port):
        maps = ", ".join(
            f"{{d{number}.test = smtp:[{address(number)}]:{port}}}" for number in range(DOMAINS)
        )
        super().__init__(base, "leaving", f"{self.CONFIG}transport_maps = inline:{{{maps}}}\n")

    def fill(self, count):
        run(LOAD, "smtp", self.address, 20, count, LETTER, "luis@d%.test", DOMAINS)
        hold = self.spool / "hold"
        wait(lambda: len(list(hold.iterdir())) == count, "Postfix's taking of the letters")
        self.inside("postsuper", "-H", "ALL", stderr=subprocess.DEVNULL)

    def start_letters(self):
        self.inside("postqueue", "-f")

    def finish(self):
        wait(self.drained, "Postfix's queue")


def race(base):
    port = free_port()
    ours, theirs = Ours(base, port), Theirs(base, port)
    try:
        for delay, rounds, wanted in DELAYS:
            rate = {"ours": [], "postfix": []}
            for _ in range(rounds):
                for name, peer in (("ours", ours), ("postfix", theirs)):
                    peer.fill(LETTERS)
                    host = Host(port, delay, LETTERS)
                    start = time.monotonic()
                    (peer.start if peer is ours else peer.start_letters)()
                    connections = host.taken()
                    rate[name].append(LETTERS / (time.monotonic() - start))
                    peer.finish()
                    host.end()
                    found = f"{rate[name][-1]:.0f}/s, {connections} connections"
                    print(f"  {delay} ms, {name}: {found}", flush=True)
            mine, other = (statistics.median(rate[name]) for name in rate)
            what = f"{LETTERS} letters to {DOMAINS} hosts, {delay} ms a reply"
            row(
                f"{what}, letters/s: ours, Postfix",
                f"{mine:.0f}",
                f"{other:.0f}",
                f"{mine / other:.2f}",
                judged(mine / other, wanted),
            )
    finally:
        theirs.end()


def look(base):
    """Nothing is due, and nothing is opened."""
    ours = Ours(base / "look", free_port())
    ours.fill(DEFERRED, 3600)
    spent = []
    for _ in range(5):
        start = time.monotonic()
        ours.start()
        ours.process.wait()
        spent.append(time.monotonic() - start)
    shown = statistics.median(spent)
    what = f"a look at {DEFERRED} letters, none due, s"
    row(what, f"{shown:.3f}", "", "", judged(shown, 0.3, False))


def peak(base):
    for count in QUEUES:
        place = base / f"peak{count}"
        place.mkdir()
        ours = Ours(place, free_port())
        ours.fill(count)
        host = Host(ours.port, 0, count)
        ours.start()
        most, start = 0, time.monotonic()
        while ours.process.poll() is None:
            status = pathlib.Path(f"/proc/{ours.process.pid}/status").read_text()
            found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
            most = max([most, *map(int, found)])
            time.sleep(0.02)
        rate = count / (time.monotonic() - start)
        ours.finish()
        host.end()
        what = f"{count} letters leave: the runner's memory at most, KiB; letters/s"
        row(what, str(most), f"{rate:.0f}")
        shutil.rmtree(place)


def queue(base):
    (base / "look").mkdir()
    race(base)
    look(base)
    peak(base)
