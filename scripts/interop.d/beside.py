"""Others at the same mailbox at the same time: mutt, and Dovecot's pop3d."""

import contextlib
import pathlib
import poplib
import random
import re
import shutil
import subprocess
import tempfile
import threading
import time

from messages import letter
from common import ROOT, Wrong, check, expect, free, run, same, until


def rests(screen):
    """Waits until nothing changes on it."""

    def rested():
        before = screen()
        time.sleep(0.2)
        return before == screen()

    until(rested, "the screen rests")


class Mutt:
    """mutt on a mailbox, in a terminal that nobody looks at."""

    def __init__(self, site, path):
        rc = site.config(
            "muttrc",
            f"""
            set hostname=interop.example.test folder={site.home} move=no wait_key=no sort=subject
            set tmpdir={site.home}
            set mail_check=1 timeout=1 mark_old=no delete=yes resolve=no
            """,
        )
        rc.chmod(0o644)
        self.tmux = ["tmux", "-S", site.place / "tmux", "-f", "/dev/null"]
        settings = ["env", f"HOME={site.home}", "TERM=screen", "LC_ALL=C.UTF-8"]
        mutt = site.as_owner(*settings, "mutt", "-n", "-F", rc, "-f", path)
        run(*self.tmux, "new-session", "-d", "-x", "120", "-y", "50", *mutt)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        run(*self.tmux, "kill-server", ok=(0, 1))

    def screen(self):
        return run(*self.tmux, "capture-pane", "-p").decode(errors="replace")

    def shows(self, *texts):
        until(
            lambda: all(text in self.screen() for text in texts),
            lambda: f"mutt shows {texts[-1]}: {self.screen().strip()}",
        )

    def keys(self, *keys):
        """Each when the screen is at rest: mutt forgets what is typed while it is busy."""
        for key in keys:
            rests(self.screen)
            self.blindly(key)

    def blindly(self, *keys):
        run(*self.tmux, "send-keys", *keys)

    def keys_until(self, truth, *keys):
        """Again and again: when a letter comes, mutt forgets what was typed and not yet read."""

        def typed():
            self.blindly(*keys)
            return truth()

        until(typed, lambda: f"mutt does {keys}: {self.screen().strip()}", pause=0.5)


@check
def mutt_reads_while_mail_comes(site):
    site.empty("bob")
    for number in range(3):
        site.send("bob", letter(f"early-{number}"))
    with Mutt(site, site.maildir("bob")) as mutt:
        mutt.shows("early-2")
        for number in range(20):
            site.send("bob", letter(f"late-{number}"))
        mutt.shows(*(f"late-{n}" for n in range(20)))
        mutt.keys("*", "Enter")
        mutt.shows("The body of it.")
        mutt.keys("q")
        mutt.shows("early-0")
        mutt.keys("q")
        until(
            lambda: any(file.name.endswith("S") for file in site.files("bob")),
            "mutt writes the flag",
        )
    with pop3(site, site.ports["pop3"], "bob") as box:
        expect(box.stat()[0] == 23, box.stat()[0], "messages by POP3 after mutt, not 23")


@contextlib.contextmanager
def pop3(site, port, user):
    box = poplib.POP3("127.0.0.1", port, timeout=60)
    try:
        box.user(user)
        box.pass_("secret")
        yield box
        box.quit()
    finally:
        box.close()


def uidls(site, port, user):
    """Unique-ids by the message's own name."""
    with pop3(site, port, user) as box:
        ids = {}
        for line in box.uidl()[1]:
            number, uid = line.decode().split()
            head = b"\r\n".join(box.top(int(number), 0)[1])
            ids[re.search(rb"Subject: (\S+)", head).group(1).decode()] = uid
        return ids


@contextlib.contextmanager
def dovecot(site):
    """Dovecot's pop3d and imapd on the same boxes; their ports."""
    some = (port for port in iter(lambda: random.randrange(10000, 32000), 0) if free(port))
    ports = {"pop3": next(some), "imap": next(some)}
    base = pathlib.Path(tempfile.mkdtemp(prefix="buzon-dovecot-"))
    base.chmod(0o755)
    me = run("id", "-un").decode().strip()
    users = (
        ""
        if ROOT
        else f"default_internal_user = {me}\ndefault_login_user = {me}\n"
        f"default_internal_group = {run('id', '-gn').decode().strip()}\n"
    )
    chroots = (
        ""
        if ROOT
        else "".join(
            f"service {name} {{\n chroot =\n}}\n"
            for name in ("pop3-login", "imap-login", "anvil", "stats")
        )
    )
    owner = site.dir.stat()
    location = "mbox:~/mail:INBOX=~/mbox" if site.is_mbox() else "maildir:~/Maildir"
    config = base / "dovecot.conf"
    config.write_text(
        f"""
base_dir = {base}/run
log_path = {base}/log
protocols = pop3 imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
mail_uid = {owner.st_uid}
mail_gid = {owner.st_gid}
mail_location = {location}
{users}{chroots}
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid={owner.st_uid} gid={owner.st_gid} home={site.dir}/mail/%u
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {ports["pop3"]}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {ports["imap"]}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
"""
    )
    server = subprocess.Popen(["dovecot", "-F", "-c", str(config)])
    try:
        until(lambda: not any(map(free, ports.values())), "dovecot listens")
        yield ports
    except Exception as error:
        log = (base / "log").read_text() if (base / "log").exists() else ""
        raise Wrong(f"{error}; dovecot: {log[-1500:]}") from error
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(base)


@check
def dovecot_same_uidls_ours_first(site):
    same_uidls(site, "dora", lambda theirs: (site.ports["pop3"], theirs))


@check
def dovecot_same_uidls_theirs_first(site):
    same_uidls(site, "emma", lambda theirs: (theirs, site.ports["pop3"]))


def same_uidls(site, user, order):
    site.add_user(user)
    with dovecot(site) as ports:
        first, second = order(ports["pop3"])
        known = {}
        for batch in range(3):
            for number in range(5):
                site.send(user, letter(f"{batch}-{number}"))
            ones, others = uidls(site, first, user), uidls(site, second, user)
            same("UIDL", ones, others)
            expect(len(ones) == 5 * (batch + 1) == len(set(ones.values())), "unique-ids:", ones)
            for name, uid in known.items():
                expect(ones[name] == uid, name, "was", uid, "and is", ones[name])
            known = ones
            first, second = second, first


@check
def dovecot_same_uidls_both_at_work(site):
    """Letters come in, both list and delete, all at once: a message has one unique-id, ever."""
    user = "fred"
    site.add_user(user)
    seen, faults, stop = {}, [], threading.Event()
    lock = threading.Lock()

    def at_work(port):
        try:
            while not stop.is_set():
                try:
                    look(port)
                except poplib.error_proto as error:
                    # Each server lets one session of its own in; the other's may be at work.
                    if b"IN-USE" not in error.args[0]:
                        raise
        except Exception as error:  # the thread's end is the check's
            faults.append(f"port {port}: {error!r}")

    def look(port):
        with pop3(site, port, user) as box:
            for line in box.uidl()[1]:
                number, uid = line.decode().split()
                try:
                    head = b"\r\n".join(box.top(int(number), 0)[1])
                except poplib.error_proto:
                    continue  # the other deleted it meanwhile
                name = re.search(rb"Subject: (\S+)", head).group(1)
                with lock:
                    if seen.setdefault(name, uid) != uid:
                        faults.append(f"{name} was {seen[name]} and is {uid}")
                if random.random() < 0.1:
                    with contextlib.suppress(poplib.error_proto):
                        box.dele(int(number))

    with dovecot(site) as ports:
        both = (site.ports["pop3"], ports["pop3"])
        workers = [threading.Thread(target=at_work, args=(port,)) for port in both]
        for worker in workers:
            worker.start()
        for number in range(300):
            site.send(user, letter(f"m{number}"))
        stop.set()
        for worker in workers:
            worker.join()
        expect(not faults, *faults[:3])
        ones, others = (uidls(site, port, user) for port in both)
        same("UIDL", ones, others)
    expect(len(seen) > 50, "only", len(seen), "messages were seen")
    expect(len(set(seen.values())) == len(seen), "two messages bore one unique-id")
