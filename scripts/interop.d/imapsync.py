"""Programs that keep folders alike on two sides: mbsync and offlineimap."""

import contextlib
import mailbox
import pathlib
import re
import shutil

from beside import dovecot
from imap import done, imap, letter, subjects
from common import check, expect, run, same


def folder(root, name):
    """A folder of the local side, flags by subject."""
    box = mailbox.Maildir(root / name, create=False)
    return {
        re.match(r"\S+", message["Subject"]).group(): set(message.get_flags()) for message in box
    }


def local_flag(root, name, subject, flags):
    box = mailbox.Maildir(root / name, create=False)
    for key, message in box.items():
        if message["Subject"] == subject:
            message.set_subdir("cur")
            message.set_flags(flags)
            box[key] = message
            return
    expect(False, "no", subject, "in", name)


def mbsync(site, user, port, place, tls=False):
    """One run both ways; how many letters came to our side and went, or got another name."""
    place.mkdir(exist_ok=True)
    before = {file.name for file in place.glob("*/*/*")}
    connection = (
        f"Host localhost\nPort {site.ports['imaps']}\nSSLType IMAPS\nCertificateFile {site.cert}"
        if tls
        else f"Host 127.0.0.1\nPort {port}\nSSLType None\nAuthMechs LOGIN"
    )
    config = site.config(
        "mbsyncrc",
        f"""
IMAPAccount far
{connection}
User {user}
Pass secret

IMAPStore far
Account far

MaildirStore near
SubFolders Verbatim
Path {place}/
Inbox {place}/INBOX

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
""",
    )
    said = run("mbsync", "-c", config, "-V", "all").decode(errors="replace")
    faults = [line for line in said.splitlines() if re.search("warning|error", line, re.I)]
    expect(not [line for line in faults if "in the clear" not in line], said[-600:])
    after = {file.name for file in place.glob("*/*/*")}
    return len(after - before), len(before - after)


def pull(site, user, port):
    """What a server shows: flags by subject, by folder."""
    shown = {}
    with imap(site, user, port=port) as box:
        for line in done(box.list()):
            flags, between, name = re.match(r'\((.*?)\) "(.)" "?(.*?)"?$', line.decode()).groups()
            if "NonExistent" not in flags and "Noselect" not in flags:
                count = done(box.select(name, readonly=True))[0]
                shown[name.replace(between, "/")] = subjects(box) if count != b"0" else {}
    return shown


@check
def mbsync_both_ways(site):
    user, port, near = "mina", site.ports["imap"], site.place / "mbsync"
    site.add_user(user)
    for number in range(6):
        site.send(user, letter(f"m{number}"))
    with imap(site, user) as box:
        done(box.create("FromFar"))
        done(box.append("FromFar", r"(\Seen)", None, letter("far")))
    mbsync(site, user, port, near, tls=True)
    same("fetched", sorted(folder(near, "INBOX")), [f"m{n}" for n in range(6)])
    same("their folder", folder(near, "FromFar"), {"far": {"S"}})

    # Both sides change.
    local_flag(near, "INBOX", "m0", "FS")
    local_flag(near, "INBOX", "m1", "ST")
    made = mailbox.Maildir(near / "FromNear", create=True)
    made.add(letter("near").replace(b"\r\n", b"\n"))
    with imap(site, user) as box:
        done(box.store("3", "+FLAGS", r"(\Answered)"))
        done(box.store("4", "+FLAGS", r"(\Deleted)"))
        done(box.expunge())
        done(box.append("INBOX", None, None, letter("later")))
    mbsync(site, user, port, near, tls=True)
    want = {"m0": {"F", "S"}, "m2": {"R"}, "m4": set(), "m5": set(), "later": set()}
    same("near after changes", folder(near, "INBOX"), want)
    far = pull(site, user, port)
    same("far after changes", sorted(far["INBOX"]), sorted(want))
    same("flagged there", far["INBOX"]["m0"], {rb"\Seen", rb"\Flagged"})
    same("their new folder", sorted(far["FromNear"]), ["near"])

    # Folders go on either side; and then there is nothing to do.
    with imap(site, user) as box:
        done(box.delete("FromFar"))
    for file in (near / "FromFar/cur").iterdir():
        file.unlink()
    mbsync(site, user, port, near, tls=True)
    expect(not (near / "FromFar").exists(), "the deleted folder is still here")
    rest = {name: letters for name, letters in far.items() if letters and name != "FromFar"}
    same("came and went", mbsync(site, user, port, near, tls=True), (0, 0))
    same("far, untouched", {k: v for k, v in pull(site, user, port).items() if v}, rest)


@check
def mbsync_dovecot_ours_dovecot(site):
    """A client that changes between the two on one Maildir fetches nothing again."""
    user, near = "moses", site.place / "mbsync-change"
    site.add_user(user)
    with contextlib.ExitStack() as stack:
        theirs = stack.enter_context(dovecot(site))["imap"]
        ours = site.ports["imap"]
        for number in range(20):
            site.send(user, letter(f"m{number}"))
        mbsync(site, user, theirs, near)
        with imap(site, user, port=theirs) as box:
            done(box.create("Entwürfe".encode("utf-7").decode().replace("+", "&")))
            done(box.store("1:3", "+FLAGS", r"(\Seen Work)"))
            done(box.copy("1:5", "Entw&APw-rfe"))
            done(box.create("a.b"))
        mbsync(site, user, theirs, near)
        for turn, port in enumerate((ours, theirs, ours, theirs)):
            same(f"turn {turn}: came and went", mbsync(site, user, port, near), (0, 0))
            first, second = pull(site, user, ours), pull(site, user, theirs)
            same("what both show", first, second)
            with imap(site, user, port=port) as box:
                done(box.append("INBOX", r"(\Seen)", None, letter(f"turn{turn}")))
                done(box.store("1", "+FLAGS", f"(Turn{turn})"))
                done(box.store("2", "+FLAGS", r"(\Deleted)"))
                done(box.expunge())
            other = ours if port == theirs else theirs
            same(f"turn {turn}: one came, one went", mbsync(site, user, other, near), (1, 1))


def offlineimap(site, user, place):
    config = site.config(
        "offlineimaprc",
        f"""
[general]
accounts = one
metadata = {place}/state
[Account one]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {place}/mail
[Repository far]
type = IMAP
remotehost = localhost
remoteport = {site.ports["imaps"]}
remoteuser = {user}
remotepass = secret
ssl = yes
sslcacertfile = {site.cert}
""",
    )
    home = {"HOME": str(site.home)}
    said = run("offlineimap", "-o", "-u", "basic", "-c", config, env=home).decode(errors="replace")
    expect("ERROR" not in said, said[-800:])
    return said


@check
def offlineimap_both_ways(site):
    user, place = "olga", site.place / "offlineimap"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    near = pathlib.Path(place / "mail")
    site.add_user(user)
    for number in range(5):
        site.send(user, letter(f"m{number}"))
    with imap(site, user) as box:
        done(box.create("FromFar"))
        done(box.append("FromFar", r"(\Seen)", None, letter("far")))
    offlineimap(site, user, place)
    same("fetched", sorted(folder(near, "INBOX")), [f"m{n}" for n in range(5)])
    same("their folder", folder(near, "FromFar"), {"far": {"S"}})
    local_flag(near, "INBOX", "m0", "FS")
    box = mailbox.Maildir(near / "INBOX", create=False)
    box.discard(next(key for key, message in box.items() if message["Subject"] == "m1"))
    mailbox.Maildir(near / "FromNear", create=True).add(letter("near").replace(b"\r\n", b"\n"))
    with imap(site, user) as box:
        done(box.store("3", "+FLAGS", r"(\Answered)"))
        done(box.store("4", "+FLAGS", r"(\Deleted)"))
        done(box.expunge())
    offlineimap(site, user, place)
    want = {"m0": {"F", "S"}, "m2": {"R"}, "m4": set()}
    same("near after changes", folder(near, "INBOX"), want)
    far = pull(site, user, site.ports["imap"])
    same("far after changes", sorted(far["INBOX"]), sorted(want))
    same("flagged there", far["INBOX"]["m0"], {rb"\Seen", rb"\Flagged"})
    same("their new folder", sorted(far["FromNear"]), ["near"])
    said = offlineimap(site, user, place)
    expect("Copy message" not in said and "Deleting" not in said, said[-800:])
