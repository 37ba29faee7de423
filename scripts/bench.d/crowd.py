"""Many sessions in IDLE: over many boxes, and on one; what each costs, and when the last is told."""

import pathlib
import shutil
import statistics
import time

from boxes import add_users
from imap import anonymous, drop_letter, waiting
from measure import LOAD, cpu, run
from peers import Ours
from table import judged, row

ROUNDS = 3
# Sessions, boxes, messages in each, how they connect, KiB that each may cost.
CROWDS = [
    (1_000, 1, 20_000, "plain", 32),
    (1_000, 1_000, 20, "plain", 32),
    (1_000, 1_000, 20, "tls", 64),
    (10_000, 1_000, 20, "plain", 32),
]


def crowd(base):
    for number, (sessions, boxes, messages, tls, bound) in enumerate(CROWDS):
        place = base / f"crowd{number}"
        place.mkdir()
        lines = (f"max_connections={sessions + 100}", f"max_connections_per_address={sessions + 100}")
        peer = Ours(place, "imapd", "imap", lines=(*lines, "imap_timeout=2h"))
        try:
            maildirs = furnish(peer, boxes, messages)
            # What is kept on disk is there already, and the process is a new one.
            waiting(peer, "u%", boxes, boxes)[0].communicate()
            peer.end()
            peer = Ours(place, "imapd", "imap")
            measured(peer, maildirs, sessions, tls, bound)
        finally:
            peer.end()
            shutil.rmtree(place)


def furnish(peer, boxes, messages):
    """The Maildirs of users who are all alike."""
    add_users(peer.site, boxes)
    users = [peer.site / f"mail/u{number}" for number in range(boxes)]
    run(LOAD, "maildir", users[0] / "Maildir", messages)
    run("chown", "-R", "65534:65534", users[0])
    for user in users[1:]:
        run("cp", "-a", users[0], user)
    return [user / "Maildir" for user in users]


def measured(peer, maildirs, sessions, tls, bound):
    boxes = len(maildirs)
    waiting(peer, "u%", 5, boxes, tls)[0].communicate()
    time.sleep(1)
    before = anonymous(peer)
    client, opened = waiting(peer, "u%", sessions, boxes, tls)
    time.sleep(3)
    each = (anonymous(peer) - before) / sessions
    descriptors = len(list(pathlib.Path(f"/proc/{peer.pid}/fd").iterdir()))
    told, spent = [], []
    for turn in range(ROUNDS):
        start, used = time.monotonic(), cpu(peer.pid)
        for maildir in maildirs:
            drop_letter(maildir, f"{int(time.time())}.bench.{turn}")
        client.stdin.write("now\n")
        client.stdin.flush()
        if not client.stdout.readline().startswith(f"told={sessions} "):
            raise SystemExit("bench: not all were told")
        told.append((time.monotonic() - start) * 1e3)
        time.sleep(3)
        spent.append(cpu(peer.pid) - used)
    after = (anonymous(peer) - before) / sessions
    client.communicate()
    row(
        f"{sessions} sessions in IDLE over {boxes} boxes of {len_of(maildirs[0])}, {tls}: KiB each",
        f"{each:.1f}",
        "",
        "",
        judged(each, bound, False),
    )
    row("  the same after they were told", f"{after:.1f}", "", "", judged(after, bound, False))
    row("  opening them, ms; descriptors", f"{opened:.0f}", str(descriptors))
    what = f"  all told of a letter in each box, ms: median, worst of {ROUNDS}"
    row(what, f"{statistics.median(told):.0f}", f"{max(told):.0f}")
    row("  CPU seconds for it", f"{statistics.median(spent):.2f}")


def len_of(maildir):
    """Messages that were there at first."""
    return sum(1 for _ in (maildir / "cur").iterdir()) - ROUNDS
