"""One mailbox, Maildir or mbox, that other people's programs and ours read and write together.

Nothing is lost, nothing is there twice, and flags that one sets the others see.
"""

import contextlib
import imaplib
import poplib
import random
import re
import smtplib
import subprocess
import threading
import time

from beside import Mutt, dovecot, pop3
from boxes import both_formats
from common import expect, run, same, until
from messages import letter

WAIT = 10  # seconds: deliver_wait, unless configured


def names(stem, count):
    return [f"{stem}-{number:03}" for number in range(count)]


def send_all(site, user, subjects):
    for name in subjects:
        site.send(user, letter(name))


def together(*works):
    """Each in a thread of its own; the first fault of any."""
    faults = []

    def guarded(work):
        try:
            work()
        except Exception as error:  # the thread's end is the check's
            faults.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]


def numbers(box):
    """Message numbers of a POP3 session by the message's own name."""
    count = box.stat()[0]
    heads = ((number, b"\n".join(box.top(number, 0)[1])) for number in range(1, count + 1))
    return {re.search(rb"Subject: (\S+)", head).group(1).decode(): number for number, head in heads}


@contextlib.contextmanager
def imap(ports, user):
    box = imaplib.IMAP4("127.0.0.1", ports["imap"], timeout=60)
    box.login(user, "secret")
    box.select()
    yield box
    box.logout()


def listed(box):
    """(number, UID, flags) in Dovecot's imapd by the message's own name."""
    while True:
        ok, data = box.fetch("1:*", "(UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        if ok == "OK":
            break
        # Others take letters away meanwhile.
        expect(b"EXPUNGEISSUED" in data[0], data)
        box.noop()
        if box.untagged_responses.get("EXISTS") == [b"0"]:
            return {}
    found = {}
    for part in data:
        if isinstance(part, tuple):
            said = re.match(rb"(\d+) \(UID (\d+) FLAGS \(([^)]*)\)", part[0])
            name = re.search(rb"Subject: (\S+)", part[1]).group(1).decode()
            found[name] = (int(said[1]), int(said[2]), set(said[3].decode().split()) - {r"\Recent"})
    return found


@both_formats
def mutt_flags_deletes_and_syncs(site, user, box):
    early, late, last = names("early", 10), names("late", 20), names("last", 5)
    send_all(site, user, early)
    with Mutt(site, box.path) as mutt:
        mutt.shows(*early)
        mutt.keys("1", "Enter", "F", "2", "Enter", "d", "3", "Enter", "Enter")
        mutt.shows("The body of it.")
        mutt.keys("q")
        mutt.shows(early[9])
        together(
            lambda: send_all(site, user, late),
            lambda: mutt.keys_until(lambda: early[1] not in box.names(), "$"),
        )
        mutt.shows(*late)
        expect(box.names() == sorted(set(early + late) - {early[1]}), box.names())
        # It writes one after the other.
        until(lambda: box.marked(F=early[0], S=early[2]), box.flags)
        # Now ours, under mutt's hands; then both go on.
        with pop3(site, site.ports["pop3"], user) as drop:
            here = numbers(drop)
            drop.dele(here[early[3]])
            drop.retr(here[early[4]])
        until(lambda: early[3] not in mutt.screen(), "mutt sees that one is gone")
        send_all(site, user, last)
        mutt.shows(*last)
        mutt.keys("1", "Enter", "F")
        mutt.keys_until(lambda: "F" not in box.flags().get(early[0], "F"), "$")
        mutt.keys("q")
    expect(box.names() == sorted(set(early + late + last) - {early[1], early[3]}), box.names())
    flags = box.flags()
    expect("S" in flags[early[2]] and "S" in flags[early[4]], flags)


@both_formats
def s_nail_reads_and_deletes(site, user, box):
    all_names = names("m", 8)
    send_all(site, user, all_names[:6])
    words = "type 1\nflag 2\nanswered 3\ndelete 4\n"
    nail = ["s-nail", "-:/", "-S", "v15-compat", "-S", "hold", "-S", "noheader", "-f", box.path]
    nail = site.as_owner("env", f"HOME={site.home}", "TERM=dumb", *nail)
    with subprocess.Popen(
        [str(word) for word in nail],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as program:
        program.stdin.write(words.encode())
        program.stdin.flush()
        said = b""
        while b"The body of it." not in said:
            more = program.stdout.readline()
            expect(more, "s-nail says", said)
            said += more
        # It has the box open, and one more comes.
        send_all(site, user, all_names[6:])
        said += program.communicate(b"quit\n", timeout=30)[0]
    expect(program.returncode == 0, "s-nail says", said)
    expect(box.names() == sorted(set(all_names) - {all_names[3]}), box.names(), said)
    flags = box.flags()
    for place, flag in enumerate("SFR"):
        expect(flag in flags[all_names[place]], flag, "of", all_names[place], flags)
    with pop3(site, site.ports["pop3"], user) as drop:
        expect(sorted(numbers(drop)) == box.names(), numbers(drop), "by POP3")


@both_formats
def dovecot_flags_both_ways(site, user, box):
    a, b, c, d, e, f = all_names = names("m", 6)
    send_all(site, user, all_names[:5])
    with dovecot(site) as ports:
        with imap(ports, user) as mail:
            before = listed(mail)
            marks = {a: r"\Seen", b: r"\Flagged", c: r"\Answered", d: "$Label1"}
            for name, flag in marks.items():
                mail.store(str(before[name][0]), "+FLAGS", f"({flag})")
            validity = mail.response("UIDVALIDITY")
        # Into an mbox it writes them when the session is over, after its BYE.
        until(lambda: box.marked(S=a, F=b, R=c), box.flags)
        expect(not box.flags()[e], box.flags())
        with pop3(site, site.ports["pop3"], user) as drop:
            here = numbers(drop)
            drop.dele(here[e])
            drop.retr(here[d])
        send_all(site, user, [f])
        with imap(ports, user) as mail:
            after = listed(mail)
            same("UIDVALIDITY", mail.response("UIDVALIDITY"), validity)
        wanted = {name: {flag} for name, flag in marks.items()} | {f: set()}
        wanted[d].add(r"\Seen")
        expect({name: it[2] for name, it in after.items()} == wanted, after)
        expect(all(after[name][1] == before[name][1] for name in marks), "UIDs:", before, after)
        # And Dovecot's deletion under ours.
        with pop3(site, site.ports["pop3"], user) as drop, imap(ports, user) as mail:
            here = numbers(drop)
            mail.store(str(listed(mail)[a][0]), "+FLAGS", r"(\Deleted)")
            mail.expunge()
            drop.dele(here[b])
        expect(box.names() == sorted([c, d, f]), box.names())
        with pop3(site, ports["pop3"], user) as drop:
            expect(sorted(numbers(drop)) == sorted([c, d, f]), "by Dovecot's POP3")


class Hands:
    """Who puts letters into a box from outside; each returns when the letter is there.

    procmail takes the lock file first and then the kernel's, as `locked` asks. Dovecot takes them
    the other way round and keeps the first while it waits for the second, so those two would stand
    still for minutes: beside it procmail takes the kernel's alone.
    """

    def __init__(self, site, user, box, locked):
        place = f"{box.path}{'' if box.is_mbox else '/'}"
        recipe = f"LOCKSLEEP=1\nDEFAULT={place}\n:0{':' if locked else ''}\n$DEFAULT\n"
        rc = site.config("procmailrc", recipe)
        rc.chmod(0o644)
        procmail = ["env", f"HOME={site.home}", "procmail", "-f", "luis", rc]
        self.words = {
            "procmail": site.as_owner(*procmail),
            "deliver": site.as_owner(*site.deliver.split(), user),
        }

    def put(self, how, name):
        run(*self.words[how], stdin=letter(name).replace(b"\r\n", b"\n"))


@both_formats
def procmail_and_deliver_beside_smtpd(site, user, box):
    hands = Hands(site, user, box, locked=True)
    sent, known = [], threading.Lock()

    def by(put, stem, count):
        for name in names(stem, count):
            put(name)
            with known:
                sent.append(name)

    gone = Deleted()
    ways = {
        "p": (8, lambda name: hands.put("procmail", name)),
        "d": (20, lambda name: hands.put("deliver", name)),
        "s": (20, lambda name: site.send(user, letter(name))),
    }
    works = [
        lambda stem=f"{way}{n}", put=put, count=count: by(put, stem, count)
        for way, (count, put) in ways.items()
        for n in (1, 2)
    ]
    together(lambda: gone.until_done(*works), lambda: gone.by_pop3(site, user))
    gone.agrees_with(box, set(sent))


@both_formats
def fetchmail_hands_to_deliver(site, user, box):
    there = f"{user}-far"
    site.add_user(there)
    far, near = names("far", 40), names("near", 40)
    send_all(site, there, far)
    config = site.config(
        "fetchmailrc",
        f"""
        set no bouncemail
        poll localhost port {site.ports["pop3"]} proto pop3
        user "{there}" there with password "secret" is "{user}" here
        nokeep fetchall sslproto '' mda "{site.deliver} -r %F %T"
        """,
    )
    files = ["--pidfile", site.home / "fetchmail.pid", "-i", site.home / "fetchids"]
    config.chmod(0o600)
    if site.owner != config.owner():
        run("chown", site.owner, config)
    fetch = site.as_owner("env", f"HOME={site.home}", "fetchmail", "-f", config, *files)
    together(lambda: send_all(site, user, near), lambda: run(*fetch))
    expect(box.names() == sorted(far + near), box.names())
    with pop3(site, site.ports["pop3"], there) as drop:
        expect(drop.stat()[0] == 0, "the far box is not empty")


class Deleted:
    """Which letters were to go, and which are surely gone: their session ended well."""

    def __init__(self):
        self.maybe, self.surely, self.stop = set(), set(), threading.Event()

    def until_done(self, *works):
        try:
            together(*works)
        finally:
            self.stop.set()

    def agrees_with(self, box, sent):
        """Every letter is there once, or a session that ended deleted it."""
        found = box.names()
        twice = {name for name in found if found.count(name) > 1}
        heads = [text.split(b"\n\n")[0] for text in box.texts()]
        expect(not twice, "twice:", [h for h in heads if any(n.encode() in h for n in twice)])
        lost = sent - set(found) - self.maybe
        expect(not lost, len(lost), "are lost:", sorted(lost)[:5])
        back = set(found) & self.surely
        expect(not back, "deleted and there again:", sorted(back)[:5])
        expect(set(found) <= sent, "nobody sent", sorted(set(found) - sent)[:5])
        expect(self.surely, "nothing was deleted")
        return found

    def by_pop3(self, site, user):
        """To the end, and once behind it, when nobody is in the way."""
        stopped = False
        while not stopped:
            stopped = self.stop.is_set()
            with contextlib.suppress(poplib.error_proto):
                with pop3(site, site.ports["pop3"], user) as drop:
                    count = drop.stat()[0]
                    chosen = set()
                    for number in sorted(random.sample(range(1, count + 1), min(count, 5))):
                        head = b"\n".join(drop.top(number, 0)[1])
                        name = re.search(rb"Subject: (\S+)", head).group(1).decode()
                        chosen.add(name)
                        self.maybe.add(name)
                        drop.dele(number)
                    # Letters come in while it is open.
                    self.stop.wait(0.5)
                self.surely |= chosen

    def by_imap(self, ports, user):
        with imap(ports, user) as mail:
            while not self.stop.is_set():
                mail.noop()
                here = listed(mail) if mail.untagged_responses.get("EXISTS") != [b"0"] else {}
                for name, (number, _, _) in random.sample(sorted(here.items()), min(len(here), 2)):
                    mail.store(str(number), "+FLAGS", r"(\Flagged \Answered)")
                if here:
                    name = random.choice(sorted(here))
                    self.maybe.add(name)
                    mail.store(str(here[name][0]), "+FLAGS", r"(\Deleted)")
                    if mail.expunge()[0] == "OK":
                        self.surely.add(name)
                self.stop.wait(0.2)


@both_formats
def thousand_from_20_beside_mutt_dovecot_and_pop3(site, user, box):
    # Of an mbox without a UIDVALIDITY Dovecot notes its own elsewhere first: two might give it one.
    site.send(user, letter("zero"))
    with pop3(site, site.ports["pop3"], user) as drop:
        drop.uidl()
        drop.dele(1)
    site.send(user, letter("first"))

    def mutt_at_work(gone):
        with Mutt(site, box.path) as mutt:
            while not gone.stop.is_set():
                mutt.blindly("=", "F", "$")
                gone.stop.wait(0.5)

    with dovecot(site) as ports:
        return thousand(site, user, box, mutt_at_work, lambda gone: gone.by_imap(ports, user))


def thousand(site, user, box, *beside):
    """Every letter that was answered 250 is there once, or was deleted by a session that ended."""
    gone, sent, slowest = Deleted(), [], [0.0]
    count = 1000 if box.is_mbox else 5000
    letters, tried = iter(names("m", count)), [0]
    lock = threading.Lock()
    hands = Hands(site, user, box, locked=False)
    others = names("procmail", 5) + names("deliver", 20)

    def client():
        with smtplib.SMTP("127.0.0.1", site.ports["smtp"], timeout=60) as smtp:
            while True:
                with lock:
                    name = next(letters, None)
                if name is None:
                    return
                once(smtp, name)

    def once(smtp, name):
        # Of many sizes: to mutt and Dovecot an mbox with the size and the second of before is as
        # it was.
        text = letter(name) + b"x" * random.randrange(900) + b"\r\n"
        while True:
            start = time.monotonic()
            try:
                smtp.sendmail("sender@example.test", f"{user}@example.test", text)
            except smtplib.SMTPDataError as error:
                if error.smtp_code >= 500:
                    raise
                tried[0] += 1
                continue
            finally:
                with lock:
                    slowest[0] = max(slowest[0], time.monotonic() - start)
            with lock:
                sent.append(name)
            return

    together(
        lambda: gone.until_done(
            *[client] * 20,
            lambda: [hands.put(name.split("-")[0], name) for name in others],
        ),
        lambda: gone.by_pop3(site, user),
        *(lambda work=work: work(gone) for work in beside),
    )
    expect(len(sent) == count, len(sent), "were taken")
    found = gone.agrees_with(box, {"first", *sent, *others})
    # A locked mbox is waited for; then the letter is still to be written, however slow the disk.
    expect(slowest[0] < WAIT + 10, f"a reply took {slowest[0]:.1f} s")
    with pop3(site, site.ports["pop3"], user) as drop:
        expect(drop.stat()[0] == len(found), drop.stat(), "by POP3, not", len(found))
    return f"ok   [{len(gone.surely)} deleted, {tried[0]} tried again, slowest {slowest[0]:.1f} s]"
