"""Programs that fetch from imapd, command by command or once."""

import contextlib
import email
import email.policy
import imaplib
import re
import ssl
import time

from fetching import each_fetched, getmail, no_blank, refill, run_fetchmail
from messages import HEAD, SET, delivered
from common import check, expect, run, same, until


@contextlib.contextmanager
def imap(site, user="carol", folder="INBOX", port=None):
    """Python's imaplib, logged in, in a folder."""
    with imaplib.IMAP4("127.0.0.1", port or site.ports["imap"], timeout=60) as box:
        box.login(user, "secret")
        done(box.select(folder))
        yield box


def done(answer):
    """What an OK brought."""
    kind, data = answer
    expect(kind == "OK", kind, data)
    return data


def letter(name, body="The body of it."):
    return (HEAD.format(name=name) + f"\r\n{body}\r\n").encode()


def subjects(box):
    """Flags by subject, of the folder that is selected."""
    found = {}
    for entry in done(box.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")):
        if isinstance(entry, tuple):
            name = re.search(rb"Subject: (\S+)", entry[1]).group(1).decode()
            found[name] = set(imaplib.ParseFlags(entry[0])) - {rb"\Recent"}
    return found


@check
def imaplib_fetches(site):
    refill(site)

    def fetch(place):
        tls = ssl.create_default_context(cafile=site.cert)
        with imaplib.IMAP4_SSL("localhost", site.ports["imaps"], ssl_context=tls) as box:
            box.login("carol", "secret")
            count = int(done(box.select("INBOX", readonly=True))[0])
            for number in range(1, count + 1):
                data = done(box.fetch(str(number), "(RFC822.SIZE BODY.PEEK[])"))
                size = int(re.search(rb"RFC822.SIZE (\d+)", data[0][0]).group(1))
                expect(size == len(data[0][1]), "RFC822.SIZE", size, "not", len(data[0][1]))
                (place / str(number)).write_bytes(data[0][1])

    each_fetched(site, fetch)


@check
def imaplib_works(site):
    """Every method of it that changes something, and STARTTLS."""
    site.add_user("ines")
    tls = ssl.create_default_context(cafile=site.cert)
    with imaplib.IMAP4("localhost", site.ports["imap"], timeout=60) as box:
        done(box.starttls(tls))
        box.authenticate("PLAIN", lambda _: b"\0ines\0secret")
        done(box.enable("UTF8=ACCEPT"))
        done(box.create("Work"))
        done(box.subscribe("Work"))
        for number in range(5):
            date = imaplib.Time2Internaldate(1_700_000_000 + number)
            done(box.append("INBOX", r"(\Flagged)", date, letter(f"m{number}")))
        expect(done(box.select())[0] == b"5", "not five messages")
        expect(done(box.search(None, "FLAGGED"))[0] == b"1 2 3 4 5", "SEARCH FLAGGED")
        expect(done(box.search(None, "SUBJECT", "m3"))[0] == b"4", "SEARCH SUBJECT")
        done(box.store("1:2", "+FLAGS", r"(\Answered $Forwarded)"))
        done(box.copy("1:2", "Work"))
        done(box.uid("MOVE", "3", "Work"))
        done(box.store("4", "+FLAGS", r"(\Deleted)"))
        done(box.expunge())
        same("left", sorted(subjects(box)), ["m0", "m1", "m3"])
        done(box.select("Work"))
        marks = {rb"\Flagged", rb"\Answered", b"$Forwarded"}
        same("copied", subjects(box), {"m0": marks, "m1": marks, "m2": {rb"\Flagged"}})
        done(box.close())
        done(box.rename("Work", "Play"))
        expect(b"Play" in b" ".join(done(box.list())), "LIST shows the new name")
        expect(b"MESSAGES 3" in done(box.status("Play", "(MESSAGES UIDNEXT)"))[0], "STATUS")
        done(box.delete("Play"))
        expect(done(box.namespace()), "NAMESPACE")
        done(box.noop())


@check
def curl_imaps(site):
    refill(site)
    url = f"imaps://localhost:{site.ports['imaps']}"
    curl = ["curl", "-sS", "--cacert", site.cert, "-u", "carol:secret"]

    def fetch(place):
        for number in range(1, len(SET) + 1):
            (place / str(number)).write_bytes(run(*curl, f"{url}/INBOX;MAILINDEX={number}"))

    each_fetched(site, fetch)
    found = run(*curl, f"{url}/INBOX?SUBJECT%20latin1")
    expect(re.fullmatch(rb"\* SEARCH \d+\r\n", found), found)
    for name, message in SET:
        file = site.place / "letter"
        file.write_bytes(message)
        run(*curl, "-T", file, f"{url}/INBOX")
        with imap(site) as box:
            uid = done(box.uid("SEARCH", "SUBJECT", name))[0].split()[-1].decode()
            got = done(box.uid("FETCH", uid, "(BODY.PEEK[])"))[0][1]
        # Careful: the store keeps lines, so the last one is ended.
        same(f"{name}: uploaded", got, delivered(message))
    listed = run(*curl, "-X", 'LIST "" *', f"{url}/")
    expect(b"INBOX" in listed, listed)


@check
def fetchmail_imap(site):
    refill(site)
    each_fetched(site, lambda place: run_fetchmail(site, place, "imap", site.ports["imap"]))
    with imap(site) as box:
        expect(not done(box.search(None, "UNSEEN"))[0], "fetchmail left unseen messages")


@check
def getmail6_imap(site):
    refill(site)

    def fetch(place):
        more = 'mailboxes = ("INBOX",)'
        getmail(site, place, "SimpleIMAPSSLRetriever", site.ports["imaps"], more)

    def undo(wire):
        """It tells where the letter was."""
        return no_blank(wire).replace(b"\r\nX-getmail-retrieved-from-mailbox: INBOX\r\n", b"\r\n", 1)

    each_fetched(site, fetch, undo)


@check
def s_nail_imap(site):
    """Its mail goes to files by `copy`, letter by letter; then it deletes one."""
    site.add_user("nina")
    for number in range(4):
        site.send("nina", letter(f"nail-{number}"))
    out = site.place / "nail.mbox"
    out.unlink(missing_ok=True)
    url = f"imap://nina:secret@127.0.0.1:{site.ports['imap']}/INBOX"
    options = ["-:/", "-#", "-S", "v15-compat", "-S", "imap-auth=login", "-S", "noimap-keepalive"]
    script = f"headers\ncopy 1-3 {out}\nprint 2\ndelete 4\nquit\n"
    home = {"HOME": str(site.home), "TERM": "dumb"}
    said = run("s-nail", *options, "-f", url, stdin=script.encode(), env=home)
    expect(b"nail-3" in said and b"The body of it." in said, said[-600:])
    kept = out.read_text()
    expect(all(f"Subject: nail-{n}" in kept for n in range(3)), kept[:600])
    with imap(site, "nina") as box:
        left = subjects(box)
    same("left", sorted(left), ["nail-0", "nail-1", "nail-2"])
    expect(all(rb"\Seen" in left[name] for name in ("nail-1",)), left)


@check
def idle_tells_of_smtp(site):
    """IDLE typed by hand, as imaplib has none here: a letter by SMTP is told at once."""
    site.add_user("ida")
    with imap(site, "ida") as box:
        tag = box._new_tag().decode()
        box.send(f"{tag} IDLE\r\n".encode())
        expect(box.readline().startswith(b"+"), "no continuation")
        start = time.monotonic()
        site.send("ida", letter("told"))
        lines = [box.readline()]
        while b"EXISTS" not in lines[-1]:
            lines.append(box.readline())
        # Not at a moment's rest of the client, minutes later.
        expect(time.monotonic() - start < 10, "told only after", time.monotonic() - start, "s")
        box.send(b"DONE\r\n")
        until(lambda: box.readline().startswith(tag.encode()), "IDLE ends")


@check
def imap_parses_back(site):
    """What Python's email makes of what imapd hands out in parts is what it makes of the whole."""
    refill(site)
    with imap(site) as box:
        for number in range(1, len(SET) + 1):
            whole = done(box.fetch(str(number), "(BODY.PEEK[])"))[0][1]
            head = done(box.fetch(str(number), "(BODY.PEEK[HEADER])"))[0][1]
            text = done(box.fetch(str(number), "(BODY.PEEK[TEXT])"))[0][1]
            same(f"{number}: header and text", head + text, whole)
            message = email.message_from_bytes(whole, policy=email.policy.compat32)
            if message.is_multipart():
                for at, part in enumerate(message.get_payload(), 1):
                    want = part.get_payload(decode=True)
                    got = done(box.fetch(str(number), f"(BINARY.PEEK[{at}])"))[0][1]
                    same(f"{number}: part {at}", got, want)
