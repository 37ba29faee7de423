"""imapd beside Dovecot on the same mailbox, both syncing alike."""

import os
import pathlib
import shutil
import statistics
import subprocess
import time

from measure import LOAD, load, processes, run
from peers import Dovecot, Ours

ROUNDS = 5
MESSAGES = int(os.environ.get("BENCH_MESSAGES", "20000"))
IDLE = 1_000
NOT_THERE = "xyzzyqwert"
# What is asked, with its name; each in a session of its own, after SELECT.
WARM = [
    ("FETCH 1:* FLAGS", "FETCH 1:* FLAGS"),
    ("FETCH 1:* size, date, flags", "FETCH 1:* (UID RFC822.SIZE INTERNALDATE FLAGS)"),
    ("FETCH 1:* ENVELOPE, warm", "FETCH 1:* ENVELOPE"),
    ("FETCH 1:* BODYSTRUCTURE, warm", "FETCH 1:* BODYSTRUCTURE"),
    ("FETCH 1:* BODY.PEEK[]", "FETCH 1:* BODY.PEEK[]"),
    ("SEARCH FROM", f"SEARCH FROM {NOT_THERE}"),
    ("SEARCH BODY", f"SEARCH BODY {NOT_THERE}"),
    ("SEARCH TEXT", f"SEARCH TEXT {NOT_THERE}"),
]
# What Dovecot and we derive; without it all is cold.
DERIVED = ("dovecot.index*", "buzon-cache*", "buzon-listing*")


def ask(peer, *commands):
    """Milliseconds of each command after a login."""
    return [answer["ms"] for answer in load("imap", peer.address, "alice", "secret", *commands)]


def forget(peer):
    for pattern in DERIVED:
        for file in peer.maildir.glob(pattern):
            file.unlink()


def forget_uids(peer):
    forget(peer)
    for name in ("dovecot-uidlist", "buzon-index"):
        (peer.maildir / name).unlink(missing_ok=True)


class Table:
    """Rows of two medians; a ratio above 1 says that we are faster."""

    def __init__(self, row):
        self.row, self.ratios = row, []

    def times(self, what, got, unit="ms"):
        """`got` has lists of times by peer."""
        ours, theirs = (statistics.median(got[name]) for name in ("ours", "dovecot"))
        self.ratio(f"{what}, {unit}", ours, theirs, theirs / ours)

    def rates(self, what, got):
        ours, theirs = (statistics.median(got[name]) for name in ("ours", "dovecot"))
        self.ratio(f"{what}, per second", ours, theirs, ours / theirs)

    def ratio(self, what, ours, theirs, ratio):
        self.ratios.append(ratio)
        met = "met" if ratio >= 0.95 else "MISSED"
        self.row(what, f"{ours:.1f}", f"{theirs:.1f}", f"{ratio:.2f}", f">= 0.95: {met}")

    def end(self):
        fast = sum(ratio >= 1.5 for ratio in self.ratios)
        self.row(f"at least 1.5 times as fast: {fast} of {len(self.ratios)}", "")


def rounds(peers, work, count=ROUNDS):
    """The peers take turns."""
    got = {name: [] for name in peers}
    for _ in range(count):
        for name, peer in peers.items():
            got[name].append(work(peer))
    return got


def furnish(base, messages, sessions):
    lines = (f"max_connections={sessions + 100}", f"max_connections_per_address={sessions + 100}")
    peers = {
        "ours": Ours(base, "imapd", "imap", lines=lines),
        "dovecot": Dovecot(base, "imap", sessions + 100),
    }
    ours, theirs = peers["ours"].maildir, peers["dovecot"].maildir
    shutil.rmtree(ours)
    run(LOAD, "maildir", ours, messages)
    run("cp", "-a", ours, theirs.parent)
    run("chown", "-R", "65534:65534", ours, theirs.parent)
    return peers


def compare(base, row):
    peers = furnish(base, MESSAGES, IDLE)
    table = Table(row)
    try:
        reading(peers, table)
        writing(peers, table)
        memory(peers, row)
        table.end()
    finally:
        for peer in peers.values():
            peer.end()


def reading(peers, table):
    def first(peer):
        forget_uids(peer)
        return ask(peer, "SELECT INBOX")[0]

    table.times("SELECT, no UIDs yet", rounds(peers, first, 3))

    def cold(peer):
        forget(peer)
        return ask(peer, "SELECT INBOX")[0]

    table.times("SELECT, nothing cached", rounds(peers, cold, 3))
    rounds(peers, lambda peer: ask(peer, "SELECT INBOX"), 2)
    table.times("SELECT, warm", rounds(peers, lambda peer: ask(peer, "SELECT INBOX")[0]))

    def cold_envelope(peer):
        forget(peer)
        ask(peer, "SELECT INBOX")
        return ask(peer, "SELECT INBOX", "FETCH 1:* ENVELOPE")[1]

    table.times("FETCH 1:* ENVELOPE, cold", rounds(peers, cold_envelope, 3))

    def cold_structure(peer):
        forget(peer)
        ask(peer, "SELECT INBOX")
        return ask(peer, "SELECT INBOX", "FETCH 1:* BODYSTRUCTURE")[1]

    table.times("FETCH 1:* BODYSTRUCTURE, cold", rounds(peers, cold_structure, 3))
    for what, command in WARM:
        work = lambda peer: ask(peer, "SELECT INBOX", command)[1]
        rounds(peers, work, 1)
        table.times(what, rounds(peers, work, 3 if "BODY" in command else ROUNDS))


def writing(peers, table):
    def store(sign):
        return lambda peer: ask(peer, "SELECT INBOX", f"STORE 1:* {sign}FLAGS (\\Flagged)")[1]

    added, removed = {name: [] for name in peers}, {name: [] for name in peers}
    for _ in range(ROUNDS):
        for got, sign in ((added, "+"), (removed, "-")):
            for name, times in rounds(peers, store(sign), 1).items():
                got[name] += times
    table.times("STORE 1:* +FLAGS", added)
    table.times("STORE 1:* -FLAGS", removed)

    def copy(peer):
        return ask(peer, "CREATE Copied", "SELECT INBOX", "COPY 1:1000 Copied", "DELETE Copied")[2]

    table.times("COPY of 1,000", rounds(peers, copy))

    def append(peer):
        ask(peer, "CREATE Appended")
        (answer,) = load("imap-append", peer.address, "alice", "Appended", 1000, 4096)
        ask(peer, "DELETE Appended")
        return answer["ms"]

    table.times("APPEND of 1,000", rounds(peers, append))

    def sessions(peer):
        return load("imap-sessions", peer.address, "alice", 100, 2)[0]["per_second"]

    rounds(peers, sessions, 1)
    table.rates("connect, LOGIN, SELECT, LOGOUT", rounds(peers, sessions))


def anonymous(peer):
    """KiB of memory that is nobody else's, of all processes."""
    sum_of = 0
    for pid in processes(peer.pid):
        try:
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith(("Private_Dirty:", "Private_Clean:")):
                    sum_of += int(line.split()[1])
        except OSError:
            continue
    return sum_of


def waiting(peer, user, count, boxes=1, tls="plain"):
    client = subprocess.Popen(
        [LOAD, "imap-idle", peer.address, user, str(count), str(boxes), tls],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    said = client.stdout.readline().split()
    if not said or said[0] != f"sessions={count}":
        raise SystemExit(f"bench: only {said} of {count} sessions")
    return client, float(said[1].partition("=")[2])


def tell(client):
    """Milliseconds until all that wait were told of something that happens now."""
    client.stdin.write("now\n")
    client.stdin.flush()
    return float(client.stdout.readline().split()[1].partition("=")[2])


def drop_letter(maildir, name):
    """A letter is delivered, by a rename, as any program does it."""
    file = maildir / "tmp" / name
    file.write_text("Subject: now\n\nnow\n")
    os.chown(file, 65534, 65534)
    file.rename(maildir / "new" / name)


def memory(peers, row):
    each, opened, told = {}, {}, {}
    for name, peer in peers.items():
        waiting(peer, "alice", 5)[0].communicate()
        time.sleep(1)
        before = anonymous(peer)
        client, opened[name] = waiting(peer, "alice", IDLE)
        time.sleep(3)
        each[name] = (anonymous(peer) - before) / IDLE
        drop_letter(peer.maildir, f"{int(time.time())}.bench.now")
        told[name] = tell(client)
        client.communicate()
        time.sleep(1)
    ours, theirs = each["ours"], each["dovecot"]
    what = f"{IDLE} sessions in IDLE on one box of {MESSAGES}"
    met = "met" if ours <= theirs / 6 else "MISSED"
    row(f"{what}: KiB each", f"{ours:.1f}", f"{theirs:.1f}", f"{theirs / ours:.2f}", f">= 6: {met}")
    row("  opening them, ms", *(f"{opened[name]:.0f}" for name in peers))
    row("  all told of a letter, ms", *(f"{told[name]:.0f}" for name in peers))


def growth(base, row):
    """How it grows, beside Dovecot."""
    for messages in (20_000, 100_000, 500_000):
        place = base / f"grow{messages}"
        place.mkdir()
        peers = furnish(place, messages, 10)
        try:
            grown(peers, messages, row)
        finally:
            for peer in peers.values():
                peer.end()
            shutil.rmtree(place)


def grown(peers, messages, row):
    def both(what, got, target=""):
        ours, theirs = (statistics.median(got[name]) for name in ("ours", "dovecot"))
        row(f"{messages}: {what}", f"{ours:.1f}", f"{theirs:.1f}", f"{theirs / ours:.2f}", target)

    both("SELECT, no UIDs yet, ms", rounds(peers, lambda peer: ask(peer, "SELECT INBOX")[0], 1))
    rounds(peers, lambda peer: ask(peer, "SELECT INBOX"), 2)
    warm = rounds(peers, lambda peer: ask(peer, "SELECT INBOX")[0])
    both("SELECT, warm, ms", warm, "<= 500")

    def one_more(peer):
        time.sleep(2.1)
        drop_letter(peer.maildir, f"{time.time():.6f}.bench.more")
        return ask(peer, "SELECT INBOX")[0]

    both("SELECT, one file added, ms", rounds(peers, one_more, 3), "<= 1000")

    def renamed(peer):
        time.sleep(2.1)
        file = next(peer.maildir.glob("cur/*:2,S"))
        file.rename(str(file) + "T" if str(file).endswith("S") else file)
        return ask(peer, "SELECT INBOX")[0]

    both("SELECT, one file renamed, ms", rounds(peers, renamed, 3), "<= 1000")
    for what, command in WARM[:2]:
        work = lambda peer: ask(peer, "SELECT INBOX", command)[1]
        both(f"{what}, ms", rounds(peers, work, 3))
    peer = peers["ours"]
    client, _ = waiting(peer, "alice", 1)
    before = anonymous(peer)
    more, _ = waiting(peer, "alice", 5)
    time.sleep(2)
    octets = (anonymous(peer) - before) * 1024 / 5 / messages
    row(f"{messages}: octets a message and session in IDLE", f"{octets:.1f}", "", "", "<= 100")
    more.communicate()
    client.communicate()
    changed(peers, messages, both)


def changed(peers, messages, both):
    def store(peer):
        return ask(peer, "SELECT INBOX", "STORE 1:* +FLAGS (\\Flagged)")[1]

    both("STORE 1:* +FLAGS, ms", rounds(peers, store, 1))

    def store_one(peer):
        signs = "+-+-"
        stores = [f"STORE {messages // 2} {sign}FLAGS (\\Answered)" for sign in signs]
        return statistics.median(ask(peer, "SELECT INBOX", *stores)[2:])

    both("STORE of one, after another, ms", rounds(peers, store_one, 3))

    def expunge(peer):
        half = f"STORE 1:{messages // 2} +FLAGS.SILENT (\\Deleted)"
        return ask(peer, "SELECT INBOX", half, "EXPUNGE")[2]

    both("EXPUNGE of one half, ms", rounds(peers, expunge, 1))
