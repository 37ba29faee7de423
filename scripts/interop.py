"""Mail programs that nobody here wrote, against smtpd and pop3d: see scripts/interop.

Each check is a function of that name; it raises Wrong, or is passed. What a program itself is
known to change is undone by the names of its fields, and nothing else: messages are compared octet
for octet. The sites are those of scripts/class, on free ports.
"""

import base64
import contextlib
import email
import email.policy
import os
import pathlib
import poplib
import pty
import random
import re
import select
import shutil
import smtplib
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = os.geteuid() == 0
TRACE = (b"return-path:", b"delivered-to:", b"received:")
CHECKS = []


class Wrong(Exception):
    """What was found instead."""


def check(function):
    CHECKS.append(function)
    return function


def expect(truth, *words):
    if not truth:
        raise Wrong(" ".join(str(word) for word in words))


def same(name, got, wanted):
    """Octet for octet, or the place where they part."""
    if got != wanted:
        at = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
        raise Wrong(f"{name}: {len(got)} octets, not {len(wanted)}; at {at} {got[at:at + 40]!r},"
                    f" not {wanted[at:at + 40]!r}")


def run(*words, stdin=b"", timeout=120, ok=(0,), env=None):
    """A program to its end; what it wrote."""
    done = subprocess.run([str(word) for word in words], input=stdin, timeout=timeout,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          env={**os.environ, "LC_ALL": "C", **(env or {})})
    if done.returncode not in ok:
        raise Wrong(f"{words[0]} ended with {done.returncode}: "
                    + done.stdout.decode(errors="replace")[-600:].strip())
    return done.stdout


def until(truth, what, seconds=20):
    """Asks again until it holds."""
    deadline = time.monotonic() + seconds
    while not truth():
        expect(time.monotonic() < deadline, "not within", seconds, "s:", what)
        time.sleep(0.02)


# -- the site ------------------------------------------------------------------------------------

class Site:
    """A site of scripts/class in a temporary directory."""

    def __init__(self, *lines):
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="buzon-interop-"))
        self.place.chmod(0o755)
        self.dir = self.place / "site"
        self.home = self.place / "home"
        self.home.mkdir()
        base = {"smtp": 2525, "submission": 2587, "submissions": 2465, "pop3": 2110, "pop3s": 2995}
        for _ in range(20):
            offset = random.randrange(1000, 50000)
            if not all(free(port + offset) for port in base.values()):
                continue
            run(HERE / "class", "start", self.dir, offset, *lines)
            self.ports = {role: port + offset for role, port in base.items()}
            break
        self.cert = self.dir / "tls" / "cert.pem"
        self.owner = self.dir.owner()
        if ROOT:
            shutil.chown(self.home, self.owner)

    def end(self):
        run(HERE / "class", "stop", self.dir)
        shutil.rmtree(self.place)

    def maildir(self, user):
        return self.dir / "mail" / user / "Maildir"

    def files(self, user):
        return [file for part in ("new", "cur") for file in (self.maildir(user) / part).iterdir()]

    def only_message(self, user):
        """The one message of a box, in wire form, without our trace fields; the box is emptied."""
        files = self.files(user)
        expect(len(files) == 1, len(files), "messages in the box, not 1")
        content = files[0].read_bytes()
        files[0].unlink()
        return untraced(content.replace(b"\n", b"\r\n"))

    def empty(self, user):
        for file in self.files(user):
            file.unlink()

    def send(self, user, message):
        """By Python's library, as the measure of all others."""
        with smtplib.SMTP("127.0.0.1", self.ports["smtp"]) as smtp:
            smtp.ehlo("interop.example.test")
            expect(smtp.mail("sender@example.test")[0] == 250, "MAIL")
            expect(smtp.rcpt(f"{user}@example.test")[0] == 250, "RCPT")
            code, words = smtp.data(message)
            expect(code == 250, code, words)

    def config(self, name, text):
        """A program's configuration, which it wants to be ours alone."""
        file = self.place / name
        file.write_text(text)
        file.chmod(0o600)
        return file

    def as_owner(self, *words):
        """The same program as the owner of the mail."""
        return ["runuser", "-u", self.owner, "--", *words] if ROOT else list(words)


def free(port):
    with contextlib.closing(socket.socket()) as test:
        test.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            test.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def untraced(wire):
    """Without the fields that our smtpd put in front: Return-Path, Delivered-To, one Received."""
    for name in TRACE:
        expect(wire[:len(name)].lower() == name, "no", name.decode(), "at", wire[:60])
        end = re.search(rb"\r\n(?![ \t])", wire).end()
        wire = wire[end:]
    return wire


def without(wire, *names):
    """Without header fields that a program is known to add."""
    head, blank, body = wire.partition(b"\r\n\r\n")
    fields = re.split(rb"\r\n(?![ \t])", head)
    names = [name.encode().lower() + b":" for name in names]
    kept = [field for field in fields if not field.lower().startswith(tuple(names))]
    return b"\r\n".join(kept) + blank + body


# -- the messages --------------------------------------------------------------------------------

HEAD = ("From: Luis <luis@example.test>\r\nTo: Alice <alice@example.test>\r\n"
        "Date: Fri, 20 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{name}@interop.example.test>\r\n"
        "Subject: {name}\r\n")


def messages():
    """The set, in wire form as it is to come out: name, octets."""
    noise = random.Random(7)

    def plain(name, body, more=""):
        return name, (HEAD.format(name=name) + more + "\r\n").encode() + body

    def encoded(octets):
        return base64.encodebytes(noise.randbytes(octets)).replace(b"\n", b"\r\n")

    eight = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset={}\r\nContent-Transfer-Encoding: 8bit\r\n"
    part = (b"--frontier\r\nContent-Type: application/octet-stream; name=\"%b\"\r\n"
            b"Content-Transfer-Encoding: base64\r\n"
            b"Content-Disposition: attachment; filename=\"%b\"\r\n\r\n%b")
    mixed = ("MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n\tboundary=\"frontier\"\r\n")
    text = b"This is MIME.\r\n--frontier\r\nContent-Type: text/plain\r\n\r\nSee below.\r\n"
    yield plain("plain", b"One line.\r\n")
    yield plain("attachments", text + part % (b"a.bin", b"a.bin", encoded(30_000))
                + part % (b"b.bin", b"b.bin", encoded(5)) + b"--frontier--\r\n", mixed)
    yield plain("utf8", "Mañana, en el buzón: ¡sí!\r\n".encode() * 20, eight.format("utf-8"))
    yield plain("latin1", "Mañana, en el buzón: ¡sí!\r\n".encode("latin-1"), eight.format("iso-8859-1"))
    yield plain("octets", bytes(o for o in range(1, 256) if o not in b"\r\n") + b"\r\n", eight.format("x"))
    yield plain("dots", b".\r\n..\r\n...\r\n.start\r\n..start\r\n. \r\nend.\r\n.\r\n")
    yield plain("998", b"x" * 998 + b"\r\n" + b"." * 998 + b"\r\n")
    yield plain("2000", b"y" * 2000 + b"\r\n" + b". " * 1000 + b"\r\n")
    yield plain("blanks", b"\r\n\r\n \r\n\t\r\ntrailing blanks   \r\nFrom the start\r\n>From here\r\n\r\n\r\n")
    yield plain("empty", b"")
    yield plain("folded", b"x\r\n", "References: <1@a.test>\r\n\t<2@a.test>\r\n   <3@a.test>\r\nX-Empty:\r\n")
    yield plain("no-final-line-end", b"One line.\r\nAnd the last one has no end")
    yield plain("20MB", text + part % (b"big.bin", b"big.bin", encoded(15_000_000)) + b"--frontier--\r\n", mixed)


SET = list(messages())


def delivered(message):
    """As it must come out: SMTP lines have ends (RFC 5321 §4.1.1.4)."""
    return message if message.endswith(b"\r\n") else message + b"\r\n"


def each_sent(site, send, undo=lambda wire: wire):
    """Sends each of the set by `send`, and compares what lies in the box."""
    for name, message in SET:
        site.empty("alice")
        send(name, message)
        same(name, undo(site.only_message("alice")), delivered(message))


# -- sending -------------------------------------------------------------------------------------


def swaks(site, role, *options):
    def send(name, message):
        # It takes a dot alone on the last line as the end, and writes that itself.
        file = site.place / "letter"
        file.write_bytes(delivered(message) + b".")
        run("swaks", "--server", f"127.0.0.1:{site.ports[role]}", "--helo", "interop.example.test",
            "--from", "luis@example.test", "--to", "alice@example.test",
            "--suppress-data", "--data", f"@{file}", *options)
    each_sent(site, send)


LOGIN = ("--auth-user", "bob", "--auth-password", "secret")


@check
def swaks_plain(site):
    swaks(site, "smtp")


@check
def swaks_pipelining(site):
    swaks(site, "smtp", "--pipeline")


@check
def swaks_auth_plain(site):
    swaks(site, "submission", "--auth", "PLAIN", *LOGIN)


@check
def swaks_auth_login(site):
    swaks(site, "submission", "--auth", "LOGIN", *LOGIN)


@check
def swaks_starttls(site):
    swaks(site, "submission", "--tls", "--tls-verify", "--tls-ca-path", str(site.cert),
          "--auth", "PLAIN", *LOGIN)


@check
def swaks_implicit_tls(site):
    swaks(site, "submissions", "--tls-on-connect", "--auth", "LOGIN", *LOGIN)


@check
def msmtp(site):
    config = site.config("msmtprc", f"""
        account default
        host localhost
        port {site.ports["submission"]}
        tls on
        tls_trust_file {site.cert}
        auth on
        user bob
        password secret
        from luis@example.test
        """)
    def send(name, message):
        run("msmtp", "-C", config, "alice@example.test", stdin=message)
    each_sent(site, send)


@check
def curl_smtp(site):
    def send(name, message):
        file = site.place / "letter"
        file.write_bytes(message)
        run("curl", "-sS", f"smtp://127.0.0.1:{site.ports['smtp']}", "--mail-from", "luis@example.test",
            "--mail-rcpt", "alice@example.test", "-T", file)
    each_sent(site, send)


@check
def s_nail(site):
    """It writes the letter itself, so the set comes as attachments: with LF line ends, as it would
    send the CRLF of a file as CR CR LF."""
    for name, message in SET:
        site.empty("alice")
        file = site.place / "letter.bin"
        lines = message.replace(b"\r\n", b"\n")
        file.write_bytes(lines)
        run("s-nail", "-:/", "-S", "v15-compat", "-S", f"mta=smtp://127.0.0.1:{site.ports['smtp']}",
            "-S", "smtp-auth=none", "-S", "from=luis@example.test", "-S", "hostname=interop.example.test",
            "-S", "sendwait", "-s", name, "-a", file, "alice@example.test", stdin=b"See below.\n.dot\n")
        got = email.message_from_bytes(site.only_message("alice"), policy=email.policy.default)
        attached = next(got.iter_attachments()).get_payload(decode=True)
        same(name, attached.replace(b"\r\n", b"\n"), lines)
        text = got.get_body().get_payload(decode=True).replace(b"\r\n", b"\n")
        same(f"{name}: text", text, b"See below.\n.dot\n")


# -- typing --------------------------------------------------------------------------------------

TYPED = ["HELO class", "MAIL FROM:<bob@example.test>", "RCPT TO:<alice@example.test>", "DATA",
         "Subject: typed\n\n..two dots\nEnd\n.", "QUIT"]
ANSWERS = [b"250", b"250", b"250", b"354", b"250", b"221"]


def typed(site, write, read, lines=tuple(zip(TYPED, ANSWERS))):
    """Types line by line, as a person does, after each answer."""
    said = b""
    def answer(code):
        nonlocal said
        while not re.search(rb"(^|\n)" + code + rb" [^\n]*\n", said):
            more = read()
            expect(more, "closed before", code, said)
            said += more
        said = b""
    answer(b"220")
    for line, code in lines:
        write(line.encode() + b"\n")
        answer(code)
    same("typed", site.only_message("alice"), b"Subject: typed\r\n\r\n.two dots\r\nEnd\r\n")


def typed_into(site, *words, **more):
    site.empty("alice")
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as program:
        def write(text):
            program.stdin.write(text)
            program.stdin.flush()
        def read():
            ready, _, _ = select.select([program.stdout], [], [], 20)
            return os.read(program.stdout.fileno(), 4096) if ready else b""
        try:
            typed(site, write, read, **more)
        finally:
            program.kill()


@check
def nc_session(site):
    """nc sends LF alone."""
    typed_into(site, "nc", "127.0.0.1", str(site.ports["smtp"]))


@check
def nc_crlf_session(site):
    typed_into(site, "nc", "-C", "127.0.0.1", str(site.ports["smtp"]))


@check
def openssl_session(site):
    token = base64.b64encode(b"\0bob\0secret").decode()
    lines = [("EHLO class", b"250"), (f"AUTH PLAIN {token}", b"235"), *zip(TYPED[1:], ANSWERS[1:])]
    typed_into(site, "openssl", "s_client", "-quiet", "-connect",
               f"127.0.0.1:{site.ports['submissions']}", lines=lines)


@check
def telnet_session(site):
    """telnet wants a terminal."""
    site.empty("alice")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp("telnet", ["telnet", "127.0.0.1", str(site.ports["smtp"])])
    def read():
        ready, _, _ = select.select([terminal], [], [], 20)
        try:
            return os.read(terminal, 4096).replace(b"\r", b"") if ready else b""
        except OSError:
            return b""
    try:
        typed(site, lambda text: os.write(terminal, text), read)
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)


# -- fetching ------------------------------------------------------------------------------------

def each_fetched(site, fetch, undo=lambda wire: wire):
    """`fetch` leaves every message in a directory, one file each; carol's box holds the set."""
    fetched = site.place / "fetched"
    shutil.rmtree(fetched, ignore_errors=True)
    fetched.mkdir()
    fetch(fetched)
    got = {}
    for file in fetched.rglob("*"):
        if file.is_file():
            wire = file.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
            name = re.search(rb"\r\nSubject: (\S+)", wire)
            expect(name, "no Subject in", wire[:200])
            got[name.group(1).decode()] = wire
    expect(len(got) == len(SET), len(got), "messages, not", len(SET))
    for name, message in SET:
        same(name, untraced(undo(got[name])), delivered(message))


def refill(site):
    site.empty("carol")
    for _, message in SET:
        site.send("carol", message)


@check
def curl_pop3s(site):
    refill(site)
    def fetch(place):
        curl = ["curl", "-sS", "--cacert", site.cert, "-u", "carol:secret"]
        for number in range(1, len(SET) + 1):
            (place / str(number)).write_bytes(run(*curl, f"pop3s://localhost:{site.ports['pop3s']}/{number}"))
        listed = run(*curl, f"pop3s://localhost:{site.ports['pop3s']}/")
        sizes = [int(line.split()[1]) for line in listed.splitlines()]
        # LIST promises what RETR sends.
        same("LIST", sizes, [(place / str(n)).stat().st_size for n in range(1, len(SET) + 1)])
    each_fetched(site, fetch)


@check
def mpop_pops(site):
    def fetch(place):
        for part in ("cur", "new", "tmp"):
            (place / part).mkdir()
        config = site.config("mpoprc", f"""
            account default
            host localhost
            port {site.ports["pop3s"]}
            tls on
            tls_starttls off
            tls_trust_file {site.cert}
            auth user
            user carol
            password secret
            keep on
            received_header off
            delivery maildir {place}
            uidls_file {site.place}/uidls-{time.time()}
            """)
        run("mpop", "-C", config)
    each_fetched(site, fetch)


@check
def mpop_apop_stls(site):
    def fetch(place):
        for part in ("cur", "new", "tmp"):
            (place / part).mkdir()
        for auth, tls in (("apop", "off"), ("plain", "on"), ("login", "on")):
            config = site.config("mpoprc", f"""
                account default
                host localhost
                port {site.ports["pop3"]}
                tls {tls}
                tls_starttls on
                tls_trust_file {site.cert}
                auth {auth}
                user carol
                password secret
                keep on
                received_header off
                delivery maildir {place}
                uidls_file {site.place}/uidls-stls
                """)
            run("mpop", "-C", config)
    each_fetched(site, fetch)


@check
def getmail6(site):
    def fetch(place):
        for part in ("cur", "new", "tmp"):
            (place / part).mkdir()
        config = site.config("getmailrc", f"""
[retriever]
type = SimplePOP3SSLRetriever
server = localhost
port = {site.ports["pop3s"]}
username = carol
password = secret
ca_certs = {site.cert}
[destination]
type = Maildir
path = {place}/
[options]
delete = false
read_all = true
received = false
delivered_to = false
""")
        # It delivers for nobody who is root.
        for path in (place, *place.iterdir(), config):
            if ROOT:
                shutil.chown(path, site.owner)
        run(*site.as_owner("getmail", "--getmaildir", site.home, "--rcfile", config))
    # It writes an empty field with a blank.
    each_fetched(site, fetch, lambda wire: wire.replace(b"\r\nX-Empty: \r\n", b"\r\nX-Empty:\r\n"))


@check
def fetchmail(site):
    def fetch(place):
        mda = site.config("mda", f'#!/bin/sh\ncat >"$(mktemp {place}/XXXXXXXX)"\n')
        mda.chmod(0o755)
        config = site.config("fetchmailrc", f"""
            set no bouncemail
            set invisible
            poll localhost port {site.ports["pop3"]} proto pop3
            user carol pass secret
            sslproto 'TLS1.2+' sslcertck sslcertfile {site.cert}
            keep fetchall norewrite pass8bits mda {mda}
            """)
        run("fetchmail", "-f", config, "--pidfile", site.place / "fetchmail.pid", "-i", site.place / "ids",
            env={"HOME": str(site.home), "FETCHMAILHOME": str(site.home)})
    each_fetched(site, fetch)


@check
def mpop_takes_all_away(site):
    fetched = site.place / "fetched"
    config = site.config("mpoprc", f"""
        account default
        host localhost
        port {site.ports["pop3"]}
        auth user
        user carol
        password secret
        keep off
        delivery mbox {site.place}/mbox
        uidls_file {site.place}/uidls-gone
        """)
    expect(len(site.files("carol")) == len(SET), "the box was not full")
    run("mpop", "-C", config, "--tls=off")
    expect(not site.files("carol"), "the box is not empty")


# -- others at the same box ----------------------------------------------------------------------

@check
def mutt_reads_while_mail_comes(site):
    site.empty("bob")
    for number in range(3):
        site.send("bob", HEAD.format(name=f"early-{number}").encode() + b"\r\nbody\r\n")
    socket_file = site.place / "tmux"
    tmux = ["tmux", "-S", socket_file, "-f", "/dev/null"]
    rc = site.config("muttrc", f"""
        set hostname=interop.example.test folder={site.home} move=no wait_key=no sort=date
        set mail_check=1 timeout=1 mark_old=no
        """)
    rc.chmod(0o644)
    mutt = site.as_owner("env", f"HOME={site.home}", "TERM=screen", "LC_ALL=C.UTF-8",
                         "mutt", "-n", "-F", rc, "-f", site.maildir("bob"))
    run(*tmux, "new-session", "-d", "-x", "120", "-y", "50", *mutt)
    try:
        screen = lambda: run(*tmux, "capture-pane", "-p").decode(errors="replace")
        until(lambda: "early-2" in screen(), "mutt shows the box")
        for number in range(20):
            site.send("bob", HEAD.format(name=f"late-{number}").encode() + b"\r\nThe body of it.\r\n")
        until(lambda: all(f"late-{n}" in screen() for n in range(20)), "mutt shows what came in")
        run(*tmux, "send-keys", "*", "Enter")
        until(lambda: "The body of it." in screen(), "mutt shows the message")
        run(*tmux, "send-keys", "q")
        until(lambda: "early-0" in screen(), "the index again")
        run(*tmux, "send-keys", "q")
        until(lambda: any(file.name.endswith("S") for file in site.files("bob")), "mutt writes the flag")
    finally:
        run(*tmux, "kill-server", ok=(0, 1))
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
    """Dovecot's pop3d on the same boxes; its port."""
    port = next(port for port in iter(lambda: random.randrange(20000, 60000), 0) if free(port))
    base = pathlib.Path(tempfile.mkdtemp(prefix="buzon-dovecot-"))
    base.chmod(0o755)
    me = run("id", "-un").decode().strip()
    users = "" if ROOT else f"default_internal_user = {me}\ndefault_login_user = {me}\n" \
        f"default_internal_group = {run('id', '-gn').decode().strip()}\n"
    chroots = "" if ROOT else "".join(
        f"service {name} {{\n chroot =\n}}\n" for name in ("pop3-login", "anvil", "stats"))
    owner = site.dir.stat()
    config = base / "dovecot.conf"
    config.write_text(f"""
base_dir = {base}/run
log_path = {base}/log
protocols = pop3
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
mail_uid = {owner.st_uid}
mail_gid = {owner.st_gid}
mail_location = maildir:~/Maildir
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
    port = {port}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
""")
    server = subprocess.Popen(["dovecot", "-F", "-c", str(config)])
    try:
        until(lambda: not free(port), "dovecot listens")
        yield port
    except Exception as error:
        log = (base / "log").read_text() if (base / "log").exists() else ""
        raise Wrong(f"{error}; dovecot: {log[-400:]}") from error
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(base)


def letter(name):
    return HEAD.format(name=name).encode() + b"\r\nbody\r\n"


@check
def dovecot_same_uidls_ours_first(site):
    same_uidls(site, "dora", lambda theirs: (site.ports["pop3"], theirs))


@check
def dovecot_same_uidls_theirs_first(site):
    same_uidls(site, "emma", lambda theirs: (theirs, site.ports["pop3"]))


def same_uidls(site, user, order):
    add_user(site, user)
    with dovecot(site) as port:
        first, second = order(port)
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


def add_user(site, name):
    program = next(place / "buzonctl" for place in
                   (pathlib.Path(os.environ.get("BUZON_BIN", "/nonexistent")), HERE,
                    HERE.parent / "target/release", HERE.parent / "target/debug")
                   if (place / "buzonctl").exists())
    run(program, "-f", site.dir / "etc/buzon.conf", "user", "add", "-s", "PLAIN", name, stdin=b"secret\n")


@check
def dovecot_same_uidls_both_at_work(site):
    """Letters come in, both list and delete, all at once: a message has one unique-id, ever."""
    user = "fred"
    add_user(site, user)
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

    with dovecot(site) as port:
        workers = [threading.Thread(target=at_work, args=(p,)) for p in (site.ports["pop3"], port)]
        for worker in workers:
            worker.start()
        for number in range(300):
            site.send(user, letter(f"m{number}"))
        stop.set()
        for worker in workers:
            worker.join()
        expect(not faults, *faults[:3])
        ones, others = uidls(site, site.ports["pop3"], user), uidls(site, port, user)
        same("UIDL", ones, others)
    expect(len(seen) > 50, "only", len(seen), "messages were seen")
    expect(len(set(seen.values())) == len(seen), "two messages bore one unique-id")


def main(words):
    chosen = [function for function in CHECKS
              if not words or any(word in function.__name__ for word in words)]
    site = Site("message_size=50M")
    passed = 0
    try:
        if words:
            refill(site)
        for function in chosen:
            start = time.monotonic()
            try:
                function(site)
                passed += 1
                verdict = "ok  "
            except Exception as error:  # whatever it is, it is this check's failure
                verdict = f"FAIL {type(error).__name__ if not isinstance(error, Wrong) else ''} {error}:"
            print(f"{verdict} {function.__name__.replace('_', ' ')} ({time.monotonic() - start:.1f} s)", flush=True)
    finally:
        site.end()
    print(f"{passed} passed, {len(chosen) - passed} failed")
    return 0 if passed == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
