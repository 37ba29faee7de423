"""How fast and how small: see scripts/bench.

A rate is the median of five rounds, in which those that are compared take turns.
"""

import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import imap as beside_dovecot
from boxes import accounts, mbox
from crowd import crowd
from measure import LOAD, clear, cpu, hold, load, syncs, wait
from overlay import run
from peers import Dovecot, Ours, Postfix, Sink
from table import ROUNDS, TABLE, judged, row

LETTER = 4096
MESSAGES = 20_000
SESSIONS = 5_000


def smtp(base):
    peers = {"ours": Ours(base, "smtpd", "smtp"), "loop": Sink(base), "postfix": Postfix(base)}
    try:
        per_sync = {name: count_syncs(peer) for name, peer in peers.items()}
        row("syncs per letter, ours / loop / Postfix", *[f"{per_sync[name]:.2f}" for name in peers])
        for connections, letters, of_loop in ((10, 4000, 0.6), (1, 600, 0.8)):
            rate = {name: [] for name in peers}
            whole = {name: [] for name in peers}
            spent = {name: [] for name in peers}
            for _ in range(ROUNDS):
                for name, peer in peers.items():
                    before, start = cpu(peer.pid), time.monotonic()
                    (result,) = load(
                        "smtp", peer.address, connections, letters, LETTER, "alice@example.test"
                    )
                    wait(peer.drained, f"{name}'s queue")
                    whole[name].append(letters / (time.monotonic() - start))
                    rate[name].append(result["per_second"])
                    spent[name].append((cpu(peer.pid) - before) / letters * 1e6)
                    found = len(list((peer.maildir / "new").iterdir()))
                    if found != letters:
                        raise SystemExit(f"bench: {name} took {letters} letters and keeps {found}")
                    clear(peer.maildir / "new")
            print({name: [round(value) for value in values] for name, values in rate.items()})
            ours, loop, postfix = (statistics.median(rate[name]) for name in peers)
            what = f"letters/s, {connections} connection{'s'[:connections > 1]}"
            row(
                f"{what}: ours, bare loop",
                f"{ours:.0f}",
                f"{loop:.0f}",
                f"{ours / loop:.2f}",
                judged(ours / loop, of_loop),
            )
            row(
                f"{what}: ours, Postfix",
                f"{ours:.0f}",
                f"{postfix:.0f}",
                f"{ours / postfix:.2f}",
                judged(ours / postfix, 2) + ", 3 wanted",
            )
            ours, _, postfix = (statistics.median(whole[name]) for name in peers)
            row(
                "  the same until all are in the mailbox",
                f"{ours:.0f}",
                f"{postfix:.0f}",
                f"{ours / postfix:.2f}",
            )
            ours, loop, postfix = (statistics.median(spent[name]) for name in peers)
            row(
                "  CPU us per letter: ours, Postfix",
                f"{ours:.0f}",
                f"{postfix:.0f}",
                f"{ours / postfix:.2f}",
                judged(ours / postfix, 0.5, False) + ", 0.33 wanted",
            )
            row("  CPU us per letter: bare loop", "", f"{loop:.0f}")
    finally:
        for peer in peers.values():
            peer.end()


def count_syncs(peer):
    """Warms up, then counts over 100 letters."""
    for _ in range(2):
        load("smtp", peer.address, 5, 100, LETTER, "alice@example.test")
        wait(peer.drained, "the queue")

    def work():
        load("smtp", peer.address, 5, 100, LETTER, "alice@example.test")
        wait(peer.drained, "the queue")

    count = syncs(peer.pid, work)
    clear(peer.maildir / "new")
    return count / 100


def pop3(base):
    peers = {"ours": Ours(base, "pop3d", "pop3"), "dovecot": Dovecot(base)}
    try:
        shutil.rmtree(peers["ours"].maildir)
        run(LOAD, "maildir", peers["ours"].maildir, MESSAGES)
        run("cp", "-a", peers["ours"].maildir, peers["dovecot"].home)
        run("chown", "-R", "65534:65534", peers["ours"].maildir, peers["dovecot"].home)
        got = {name: [] for name in peers}
        for name, peer in peers.items():
            # Indexes, caches and pages become warm; Dovecot writes its own twice.
            load("pop3", peer.address, "alice", "secret", 2)
        for _ in range(ROUNDS):
            for name, peer in peers.items():
                got[name] += load("pop3", peer.address, "alice", "secret", 1)
        for name, rounds in got.items():
            print(name, [(round(r["stat_ms"], 1), round(r["per_second"])) for r in rounds])
        octets = got["ours"][0]["octets"]
        if octets != got["dovecot"][0]["octets"]:
            raise SystemExit("bench: the two give different octets")
        ours, theirs = (statistics.median(r["per_second"] for r in got[name]) for name in peers)
        row(
            f"RETR of {MESSAGES} ({octets / 1e6:.0f} MB), messages/s: ours, Dovecot",
            f"{ours:.0f}",
            f"{theirs:.0f}",
            f"{ours / theirs:.2f}",
            judged(ours / theirs, 1.5),
        )
        ours, theirs = (statistics.median(r["stat_ms"] for r in got[name]) for name in peers)
        row(
            "PASS to the first STAT, ms: ours, Dovecot",
            f"{ours:.1f}",
            f"{theirs:.1f}",
            f"{ours / theirs:.2f}",
            judged(ours / theirs, 0.5, False),
        )
    finally:
        for peer in peers.values():
            peer.end()


def idle(base):
    for name, role in (("smtpd", "smtp"), ("pop3d", "pop3")):
        for tls, bound in (("plain", 32), ("tls", 64)):
            peer = Ours(base, name, role)
            try:
                hold(peer, role, 10, tls).communicate()
                time.sleep(0.5)
                before, stacks = peer.memory(), kernel_stacks()
                client = hold(peer, role, SESSIONS, tls)
                time.sleep(2)
                during, stacks = peer.memory(), kernel_stacks() - stacks
                client.communicate()
                each = (during["RssAnon"] - before["RssAnon"]) / SESSIONS
                tables = (during["VmPTE"] - before["VmPTE"]) / SESSIONS
                row(
                    f"{SESSIONS} idle sessions of {name}, {tls}: KiB of RssAnon each",
                    f"{each:.1f}",
                    "",
                    "",
                    judged(each, bound, False),
                )
                row(
                    "  kernel stacks and page tables, KiB each",
                    f"{stacks / SESSIONS:.1f} {tables:.1f}",
                )
            finally:
                peer.end()


def kernel_stacks():
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("KernelStack:"):
            return int(line.split()[1])
    return 0


def imap(base):
    beside_dovecot.compare(base, row)


def growth(base):
    """100,000 and 500,000 messages take a while, so this is asked for by name."""
    beside_dovecot.growth(base, row)


def machine(base):
    cpus = [
        line.split(":")[1].strip()
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    print(
        f"machine: {len(cpus)} x {cpus[0]}, Linux {os.uname().release}, "
        f"{run('findmnt', '-n', '-o', 'FSTYPE,SOURCE,OPTIONS', '-T', base).strip()}; load average {os.getloadavg()[0]:.2f}; "
        "clients and servers share these CPUs"
    )


def mounts(base):
    """Where something is mounted below a directory, however deep."""
    table = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    return [place for place in (line.split()[4] for line in table) if place.startswith(f"{base}/")]


def remove(base):
    """Careful: an overlay has this machine's /dev below it; what is still mounted stays."""
    for place in reversed(mounts(base)):
        subprocess.run(["umount", "-l", place], check=False, stderr=subprocess.DEVNULL)
    if not mounts(base):
        shutil.rmtree(base, ignore_errors=True)


def main(words):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    base = pathlib.Path(
        tempfile.mkdtemp(prefix="buzon-bench-", dir=os.environ.get("BENCH_DIR", "/var/tmp"))
    )
    base.chmod(0o755)
    machine(base)
    try:
        for part in (smtp, mbox, pop3, idle, crowd, accounts, imap, growth):
            if part.__name__ in words or not (words or part is growth):
                print(f"-- {part.__name__}", flush=True)
                part(base)
    finally:
        remove(base)
    print(f"\nrates are medians of {ROUNDS} rounds:")
    width = max(len(entry[0]) for entry in TABLE)
    for what, *figures in TABLE:
        print(f"{what:<{width}}  {figures[0]:>9} {figures[1]:>9} {figures[2]:>6}  {figures[3]}")
    machine("/")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
