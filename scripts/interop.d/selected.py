"""A mailbox that stays selected in imapd while Dovecot's imapd and mutt work on it: flags, removals
and arrivals go both ways, and numbers are the same on both sides."""

import time

from beside import Mutt, dovecot
from boxes import both_formats
from common import expect, same, until
from messages import letter
from shared import imap, listed, names


def a_second_later(box):
    """To mutt and Dovecot an mbox with the size and the second of before is as it was."""
    until(lambda: time.time() - box.path.stat().st_mtime > 1.1, "a second goes by")


def sees(mail, what, truth):
    """A session is told in the end, without selecting anew. Of an mbox Dovecot reads and writes
    flags only at CHECK (mbox_dirty_syncs)."""

    def told():
        mail.check()
        return truth(listed(mail))

    until(told, lambda: f"{what}: {listed(mail)}")


def marks(mail, box, name, flag):
    a_second_later(box)
    said = mail.store(str(listed(mail)[name][0]), "+FLAGS", f"({flag})")
    expect((said[0], mail.check()[0]) == ("OK", "OK"), said)


def removes(mail, box, name):
    marks(mail, box, name, r"\Deleted")
    a_second_later(box)
    expect(mail.expunge()[0] == "OK", "EXPUNGE")


@both_formats
def dovecot_and_mutt_beside_imapd(site, user, box):
    all_names = names("m", 9)
    a, b, c, d, e, f, g, h, i = all_names
    for name in all_names[:7]:
        site.send(user, letter(name))
    with imap(site.ports, user) as ours:
        same("at first", sorted(listed(ours)), all_names[:7])
        with dovecot(site) as ports, imap(ports, user) as theirs:
            for one, other, flagged, gone in ((ours, theirs, a, c), (theirs, ours, b, d)):
                marks(one, box, flagged, r"\Flagged Work")
                flags = {r"\Flagged", "Work"}
                sees(other, flagged, lambda it: it[flagged][2] == flags)
                removes(one, box, gone)
                sees(other, f"without {gone}", lambda it: gone not in it)
            site.send(user, letter(h))
            for mail in (ours, theirs):
                sees(mail, h, lambda it: h in it)
            here, there = listed(ours), listed(theirs)
            same("numbers and flags", sorted(here.items()), sorted(there.items()))
        with Mutt(site, box.path) as mutt:
            mutt.shows(a, b, e, f, g, h)
            mutt.keys("=", "F")
            # mutt has not seen yet what was told here before.
            mutt.keys_until(lambda: "F" not in box.flags()[a], "$")
            sees(ours, f"{a} is not flagged", lambda it: r"\Flagged" not in it[a][2])
            mutt.keys("=", "d")
            mutt.keys_until(lambda: a not in box.names(), "$")
            sees(ours, f"without {a}", lambda it: a not in it)
            removes(ours, box, e)
            until(lambda: e not in mutt.screen(), "mutt sees that one is gone")
            site.send(user, letter(i))
            sees(ours, i, lambda it: i in it)
            mutt.shows(i)
            mutt.keys("q")
        left = listed(ours)
        want = [b, f, g, h, i]
        same("left", (sorted(left), box.names()), (want, want))
        uids = [left[name][1] for name in want]
        expect(uids == sorted(uids), "UIDs:", left)
        expect(all(left[name][1] == here[name][1] for name in want[:4]), "UIDs:", here, left)
