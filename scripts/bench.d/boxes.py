"""Boxes of other kinds: mbox beside Postfix's own delivery, and accounts of the host beside users."""

import os
import pathlib
import shutil
import statistics
import time

from measure import cpu, hold, load, syncs, wait
from overlay import run
from peers import Ours, Postfix
from table import ROUNDS, row

LETTER = 4096
MANY = 100  # as in benches/load.rs
SESSIONS = 1000
FIRST_UID = 20_000


def mbox(base):
    """One mbox, and many; as local(8), Postfix delivers to one box with two processes at most."""
    base = base / "mbox"
    base.mkdir()
    boxes = ["alice", *(f"u{number}" for number in range(MANY))]
    maps = ", ".join(f"{{{name}@example.test = {name}}}" for name in boxes)
    config = Postfix.CONFIG.replace("{alice@example.test = alice/}", maps) + (
        "virtual_mailbox_limit = 0\nvirtual_destination_recipient_limit = 1\n"
        "virtual_destination_concurrency_limit = 2\n"
    )
    peers = {
        "ours": Ours(base, "smtpd", "smtp", lines=[f"mailbox=mbox:{base}/site/mail/%u.mbox"]),
        "postfix": Postfix(base, config=config),
    }
    add_users(peers["ours"].site, MANY)
    files = {
        "ours": [peers["ours"].site / f"mail/{name}.mbox" for name in boxes],
        "postfix": [peers["postfix"].mail / name for name in boxes],
    }
    try:
        for to, what in (("alice@example.test", "one mbox"), ("u%@example.test", f"{MANY} mboxes")):
            for connections, letters in ((10, 2000), (1, 600)):
                got = in_turn(peers, to, connections, letters, lambda name: taken(files[name]))
                title = f"letters/s to {what}, {connections} connection{'s'[:connections > 1]}"
                compared(f"{title}: ours, Postfix", got, "rate")
                compared("  the same until all are in the mailbox", got, "whole")
                compared("  CPU us per letter", got, "cpu")
            row(f"  syncs per letter, {what}: ours, Postfix", *counted(peers, to, files))
    finally:
        for peer in peers.values():
            peer.end()


def taken(files):
    """How many letters these mboxes have, which are then empty."""
    count = 0
    for file in files:
        if file.exists():
            count += file.read_bytes().count(b"\nSubject: a letter among many\n")
            os.truncate(file, 0)
    return count


def counted(peers, to, files):
    for name, peer in peers.items():

        def work(peer=peer):
            load("smtp", peer.address, 5, 100, LETTER, to)
            wait(peer.drained, "the queue")

        work()
        yield f"{syncs(peer.pid, work) / 100:.2f}"
        taken(files[name])


def in_turn(peers, to, connections, letters, found):
    """Rounds of letters: how fast they were answered, and delivered, and the CPU that each took."""
    got = {name: {"rate": [], "whole": [], "cpu": []} for name in peers}
    for turn in range(ROUNDS + 1):
        for name, peer in peers.items():
            before, start = cpu(peer.pid), time.monotonic()
            there = to[name] if isinstance(to, dict) else to
            (result,) = load("smtp", peer.address, connections, letters, LETTER, there)
            wait(peer.drained, f"{name}'s queue")
            whole = letters / (time.monotonic() - start)
            spent = (cpu(peer.pid) - before) / letters * 1e6
            there = found(name)
            if there != letters:
                raise SystemExit(f"bench: {name} took {letters} letters and keeps {there}")
            if turn:  # the first is to warm up
                got[name]["rate"].append(result["per_second"])
                got[name]["whole"].append(whole)
                got[name]["cpu"].append(spent)
    print({name: [round(value) for value in rounds["rate"]] for name, rounds in got.items()})
    return got


def compared(what, got, figure, digits=0):
    one, other = (statistics.median(rounds[figure]) for rounds in got.values())
    row(what, f"{one:.{digits}f}", f"{other:.{digits}f}", f"{one / other:.2f}")


def add_users(site, count):
    with open(site / "etc/users", "a", encoding="ascii") as users:
        users.writelines(f"u{number}:{{PLAIN}}secret\n" for number in range(count))


def add_accounts(base, count):
    """Accounts in files that are seen in our mount namespace only."""
    crypted = run("openssl", "passwd", "-5", "-salt", "bench", "secret").strip()
    lines = {"passwd": [], "shadow": []}
    for number in range(count):
        home, uid = base / f"home/a{number}", FIRST_UID + number
        home.mkdir(parents=True)
        os.chown(home, uid, uid)
        lines["passwd"].append(f"a{number}:x:{uid}:{uid}::{home}:/bin/sh\n")
        lines["shadow"].append(f"a{number}:{crypted}:20000:0:99999:7:::\n")
    for name, more in lines.items():
        file = base / name
        run("cp", "-p", f"/etc/{name}", file)
        with open(file, "a", encoding="ascii") as out:
            out.writelines(more)
        run("mount", "--bind", file, f"/etc/{name}")


def accounts(base):
    """The same daemons with system_users and a borrowed identity, beside those without."""
    base = base / "accounts"
    base.mkdir()
    base.chmod(0o755)
    add_accounts(base, SESSIONS)
    sites = {"accounts": ["system_users=yes"], "users": []}
    peers = {name: Ours(base, "smtpd", "smtp", name, lines) for name, lines in sites.items()}
    add_users(peers["users"].site, SESSIONS)
    homes = {"accounts": base / "home", "users": peers["users"].site / "mail"}
    stem = {"accounts": "a", "users": "u"}

    def found(name):
        boxes = homes[name].glob(f"{stem[name]}*/Maildir/new")
        files = [file for box in boxes for file in box.iterdir()]
        for file in files:
            file.unlink()
        return len(files)

    try:
        for to, what in (("0", "one user"), ("%", f"{MANY} users")):
            names = {name: f"{stem[name]}{to}@example.test" for name in peers}
            for connections, letters in ((10, 4000), (1, 600)):
                got = in_turn(peers, names, connections, letters, found)
                title = f"letters/s to {what}, {connections} connection{'s'[:connections > 1]}"
                compared(f"{title}: system_users, without", got, "rate")
                compared("  CPU us per letter", got, "cpu")
        resident = [f"{peer.memory()['RssAnon']}" for peer in peers.values()]
        row("  RssAnon of smtpd after that, KiB", *resident)
    finally:
        for peer in peers.values():
            peer.end()
    logged_in(base, sites, stem)


def logged_in(base, sites, stem):
    each = {name: {"kib": [], "login": []} for name in sites}
    for _ in range(3):
        for name in sites:
            peer = Ours(base, "pop3d", "pop3", name)
            try:
                hold(peer, "pop3", 10, "plain", f"{stem[name]}%", "secret").communicate()
                before, start = peer.memory(), time.monotonic()
                client = hold(peer, "pop3", SESSIONS, "plain", f"{stem[name]}%", "secret")
                each[name]["login"].append((time.monotonic() - start) / SESSIONS * 1e3)
                during = peer.memory()
                client.communicate()
                each[name]["kib"].append((during["RssAnon"] - before["RssAnon"]) / SESSIONS)
            finally:
                peer.end()
    compared(f"{SESSIONS} POP3 sessions logged in, KiB of RssAnon each", each, "kib", 1)
    compared("  ms a login (crypt(3) of shadow(5); {PLAIN})", each, "login", 2)
