"""A user's mailbox, read by none of the programs at work: Maildir or mbox, by Python's library."""

import fcntl
import mailbox

from common import Site, check

SITES = {}


def of_format(site, form):
    """The site whose boxes are of that format: the one that most checks share has Maildirs."""
    if form == "maildir":
        return site
    if form not in SITES:
        SITES[form] = Site("mailbox=mbox:~/mbox")
    return SITES[form]


def both_formats(function):
    """A check of each format, with a user of its own whose box is empty."""
    for form in ("maildir", "mbox"):

        def checked(site, form=form):
            site = of_format(site, form)
            user = f"user{len(site.names())}"
            site.add_user(user)
            return function(site, user, Box(site, user))

        checked.__name__ = f"{form}_{function.__name__}"
        check(checked)
    return function


class Box:
    def __init__(self, site, user):
        self.is_mbox = site.is_mbox()
        self.path = site.dir / "mail" / user / ("mbox" if self.is_mbox else "Maildir")

    def messages(self):
        if not self.path.exists():
            return []
        if not self.is_mbox:
            return self.files()
        with open(self.path, "rb+") as file:
            # While another program rewrites the file it is no mailbox.
            fcntl.lockf(file, fcntl.LOCK_EX)
            # UW's and Dovecot's keep their own notes in a first message, when there is no other.
            box = mailbox.mbox(self.path, create=False)
            return [message for message in box if "X-IMAP" not in message]

    def files(self):
        """Of a Maildir, while no file in it comes, goes or is renamed: the library leaves those out."""
        while True:
            before = sorted(self.path.glob("[nc][eu][wr]/*"))
            found = list(mailbox.Maildir(self.path, create=False))
            if before == sorted(self.path.glob("[nc][eu][wr]/*")):
                return found

    def texts(self):
        return [message.as_bytes() for message in self.messages()]

    def names(self):
        return sorted(message["Subject"] for message in self.messages())

    def flags(self):
        """Of each by name, as the letters of a Maildir: F(lagged), R(eplied), S(een), T(rashed)."""
        return {
            message["Subject"]: mailbox.MaildirMessage(message).get_flags()
            for message in self.messages()
        }

    def marked(self, **names):
        """Whether each of these flags, as in `flags`, is on the message of that name."""
        flags = self.flags()
        return all(flag in flags.get(name, "") for flag, name in names.items())

    def empty(self):
        if self.is_mbox and self.path.exists():
            self.path.write_bytes(b"")
        elif self.path.exists():
            for part in ("new", "cur"):
                for file in (self.path / part).iterdir():
                    file.unlink()
