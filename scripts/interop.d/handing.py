"""Other MTAs that hand their local mail to us: by LMTP (RFC 2033), and by running deliver(8)."""

import contextlib
import os
import re
import shutil
import smtplib
import threading

from boxes import Box, of_format
from common import ROOT, check, expect, run, until
from messages import letter
from mtas import Exim, Postfix

LETTERS = 1000
CONNECTIONS = 5
USERS = ("alice", "bob", "carol")
PEERS = {}


def mta(kind, site):
    """One of each, made when first asked for."""
    if kind not in PEERS:
        PEERS[kind] = kind(site.place.parent / f"{site.place.name}-peers")
    return PEERS[kind]


def end():
    for peer in PEERS.values():
        peer.end()
        # What it started may still be on its way out, so the mounts are let go lazily.
        run("umount", "-R", "-l", peer.root)
        # Careful: under a root that is still mounted lies this machine's /dev.
        if not os.path.ismount(peer.root):
            shutil.rmtree(peer.base)
    for place in {peer.base.parent for peer in PEERS.values()}:
        with contextlib.suppress(OSError):
            place.rmdir()


def each_mta(way):
    """A check for each of them; without root there is no overlay to put them in."""

    def made(function):
        for kind in (Postfix, Exim):

            def checked(site, kind=kind):
                if not ROOT:
                    return "skipped: it needs root"
                site = of_format(site, "mbox") if way == "program-mbox" else site
                peer = mta(kind, site)
                peer.ways(site, way.split("-")[0])
                return function(site, peer)

            checked.__name__ = f"{kind.name}_{function.__name__}"
            check(checked)
        return function

    return made


def inject(peer, letters):
    """Gives (recipients, name, octets) to an MTA, over some connections."""
    letters, faults = iter(list(letters)), []
    lock = threading.Lock()

    def client():
        try:
            with smtplib.SMTP("127.0.0.1", peer.port, timeout=60) as smtp:
                while True:
                    with lock:
                        to, name, octets = next(letters, (None, None, None))
                    if to is None:
                        return
                    refused = smtp.sendmail(
                        "bob@example.test",
                        [f"{user}@example.test" for user in to],
                        letter(name, octets),
                    )
                    expect(not refused, refused)
        except Exception as error:  # the thread's end is the check's
            faults.append(error)

    clients = [threading.Thread(target=client) for _ in range(CONNECTIONS)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    expect(not faults, peer.name, "took not all:", *faults[:2])


def delivered(peer):
    """Waits until nothing is queued; what had to wait is tried again once all others are through.

    A letter that goes from one directory of the queue to another may be overlooked once.
    """

    def empty():
        left = peer.queued()
        if left and left == before[-1]:
            peer.flush()
        before.append(left)
        return before[-2:] == [[], []]

    before = [None]
    until(empty, lambda: f"{peer.name}'s queue: {peer.log()[-600:]}", 300, pause=0.5)


def thousand(site, peer, count=LETTERS):
    """Every letter to one user, every tenth to all: each box has each of its letters once."""
    wanted = {user: [] for user in USERS}
    letters = []
    for number in range(count):
        to = USERS if number % 10 == 0 else (USERS[number % 3],)
        letters.append((to, f"n{number}", 0))
        for user in to:
            wanted[user].append(f"n{number}")
    boxes = {user: Box(site, user) for user in USERS}
    for box in boxes.values():
        box.empty()
    inject(peer, letters)
    delivered(peer)
    for user, names in wanted.items():
        found = boxes[user].names()
        expect(
            found == sorted(names),
            f"{user}: {len(found)} letters, {len(set(found))} different, not {len(names)}",
        )
        boxes[user].empty()


@each_mta("unix")
def thousand_by_lmtp_socket(site, peer):
    thousand(site, peer)


@each_mta("inet")
def thousand_by_lmtp_port(site, peer):
    thousand(site, peer)


@each_mta("unix")
def quota_each_recipient(site, peer):
    """One recipient of three is full: the two have the letter, and only the one waits or fails."""
    user = f"full-{peer.name}"
    site.add_user(user, "userdb_quota_rule=*:bytes=30000")
    full, others = Box(site, user), [Box(site, "alice"), Box(site, "carol")]
    to = ("alice", user, "carol")
    for box in others:
        box.empty()
    inject(peer, [((user,), "first", 20_000)])
    delivered(peer)
    # The reply that says so comes after the text: RFC 2033 §4.2.
    inject(peer, [(to, "second", 20_000)])
    until(
        lambda: peer.queued() == [f"{user}@example.test"], lambda: f"one waits, not {peer.queued()}"
    )
    expect(full.names() == ["first"], full.names(), "in the full box")
    for box in others:
        expect(box.names() == ["second"], box.names(), "in another's")
    full.empty()
    delivered(peer)
    expect(full.names() == ["second"], full.names(), "once there was room")
    # One that no deleting helps comes back at once.
    Box(site, "bob").empty()
    inject(peer, [(to, "third", 40_000)])
    delivered(peer)
    until(lambda: len(Box(site, "bob").texts()) == 1, "the sender has a report")
    failed = re.findall(rb"Final-Recipient: rfc822; ?(\S+)", Box(site, "bob").texts()[0])
    expect(failed == [f"{user}@example.test".encode()], failed, "failed, says the report")
    expect(full.names() == ["second"], full.names(), "after a letter larger than the box")
    for box in others:
        expect(box.names() == ["second", "third"], box.names(), "in another's")


@each_mta("program")
def runs_deliver_into_maildir(site, peer):
    thousand(site, peer, 200)


@each_mta("program-mbox")
def runs_deliver_into_mbox(site, peer):
    thousand(site, peer, 200)
