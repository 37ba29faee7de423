"""Letters that leave: runq to other people's hosts, and from them to our smtpd.

Letters are queued as buzon-queue(5) says, and a pass of runq is made; what it logs is what it did.
"""

import contextlib
import os
import pathlib
import quopri
import random
import re
import shutil
import socket
import subprocess
import tempfile
import time

from boxes import Box
from common import ROOT, check, expect, free, program, run, same, until
from handing import mta
from messages import SET, delivered, letter
from mtas import Postfix
from relays import LEADS, postfix_leads

CONF = """hostname mx.out.test
domains out.test
mail_owner {owner}
users users
home {place}/mail/%u
spool {place}
run {place}
queue {place}/queue
"""
ADA = "ada@out.test"


class Out:
    """A site out.test that only sends, with a user ada; its letters go by these lines."""

    def __init__(self, site, *lines):
        self.place = site.place / f"out{time.monotonic_ns()}"
        self.queue = self.place / "queue"
        self.conf = self.place / "buzon.conf"
        self.owner = site.owner
        for part in ("queue/tmp", "queue/due", "queue/hold", "queue/bad", "mail/ada"):
            (self.place / part).mkdir(parents=True)
        (self.place / "users").write_text("ada:{PLAIN}secret\n")
        text = CONF.format(owner=self.owner, place=self.place)
        self.conf.write_text(text + "\n".join(lines) + "\n")
        run("chown", "-R", self.owner, self.place)

    def file(self, name, text):
        """A file that only the owner may read."""
        path = self.place / name
        path.write_text(text)
        path.chmod(0o600)
        shutil.chown(path, self.owner)
        return path

    def put(self, to, wire, sender=ADA, more=()):
        """Queues a letter; `to` has addresses, or words of buzon-queue(5) that end with one."""
        text = wire.replace(b"\r\n", b"\n")
        number = time.time_ns() // 1000
        digits = "0123456789abcdefghijklmnopqrstuv"
        name = "".join(digits[number >> at & 31] for at in range(50, -5, -5))
        lines = [
            "buzon-queue 1",
            f"id {name.lstrip('0')}",
            f"arrived {int(time.time())}",
            f"from <{sender}>",
            *(() if text.isascii() else ("body 8bit",)),
            *more,
            *(f"to {at} {one if '<' in one else f'<{one}>'}" for at, one in enumerate(to, 1)),
            f"octets {len(text)} {text.count(10)}",
        ]
        file = self.queue / "tmp" / name.lstrip("0")
        file.write_bytes("\n".join(lines).encode() + b"\n\n" + text)
        shutil.chown(file, self.owner)
        file.rename(self.queue / "due" / f"{int(time.time()):010}.{file.name}")

    def pass_(self, *words, **env):
        """One pass of runq; its log."""
        env = {"RUST_BACKTRACE": "1", **env}
        return run(program("runq"), "-d", "-f", self.conf, *words, env=env).decode()

    def left(self):
        return [file.name for part in ("due", "bad") for file in (self.queue / part).iterdir()]

    def mail(self):
        """What ada was told."""
        return [
            file.read_text(errors="replace")
            for file in (self.place / "mail/ada").glob("Maildir/new/*")
        ]


def with_root(function):
    def checked(site):
        return function(site) if ROOT else "skipped: it needs root"

    checked.__name__ = function.__name__
    check(checked)
    return function


def each_relay(function):
    for kind in LEADS:

        def checked(site, kind=kind):
            peer = mta(kind, site)
            LEADS[kind](peer, site)
            return function(site, peer)

        checked.__name__ = f"{kind.name}_{function.__name__}"
        with_root(checked)
    return function


def passed(wire):
    """Without the Received fields of the hosts between, which stand behind our own."""
    while wire.startswith(b"Received:"):
        wire = wire[re.search(rb"\r\n(?![ \t])", wire).end() :]
    return wire


def unfolded(name, got, wanted):
    """Octet for octet; what has lines too long for SMTP (RFC 5321 §4.5.3.1.6) left as
    quoted-printable."""
    if name == "2000":
        head, body = got.split(b"\r\n\r\n", 1)
        expect(b"\r\nContent-Transfer-Encoding: quoted-printable" in head, head)
        expect(max(map(len, body.split(b"\r\n"))) <= 76, "lines that are too long")
        got, wanted = quopri.decodestring(body), wanted.split(b"\r\n\r\n", 1)[1]
    same(name, got, wanted)


@each_relay
def takes_ours_and_gives_it_back(site, peer):
    """The set over STARTTLS there and back: what was reached is told, and no octet is another."""
    out = Out(site, f"relay * smtp:127.0.0.1:{peer.port}")
    site.empty("alice")
    for name, message in SET:
        out.put(["alice@example.test"], message)
        said = out.pass_()
        expect(re.search(r"tls=.TLSv1\.[23] \w+, not verified", said), said)
        expect(not out.left(), said)
        until(lambda: len(site.files("alice")) == 1, lambda: f"{name} is back: {peer.log()[-600:]}")
        head = site.files("alice")[0].read_bytes()[:600]
        expect(b"with ESMTPS" in head, "came without TLS:", head)
        unfolded(name, passed(site.only_message("alice")), delivered(message))


@with_root
def postfix_must_prove_its_name(site):
    peer = mta(Postfix, site)
    postfix_leads(peer, site)
    relay = f"relay * smtp:127.0.0.1:{peer.port}"
    out = Out(site, relay, "tls_require 127.0.0.1")
    out.put(["eva@aula.test"], letter("proof"))
    said = out.pass_()
    expect("status=4.7.5" in said and "certificate" in said and out.left(), said)
    said = out.pass_("--at", "+1h", SSL_CERT_FILE=str(peer.root / "etc/relay.pem"))
    expect(", verified" in said and not out.left(), said)
    # One that offers no TLS gets no letter.
    postfix_leads(peer, site, "smtpd_tls_security_level = none\n")
    out.put(["eva@aula.test"], letter("clear"))
    said = out.pass_(SSL_CERT_FILE=str(peer.root / "etc/relay.pem"))
    expect("status=4.7.5" in said and "STARTTLS is not offered" in said and out.left(), said)
    out = Out(site, relay)
    out.put(["eva@aula.test"], letter("clear"))
    said = out.pass_()
    expect("in clear: STARTTLS is not offered" in said and not out.left(), said)


DOVECOT = """base_dir = {base}/run
log_path = {base}/log
protocols = {protocols}
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
mail_uid = {uid}
mail_gid = {gid}
mail_location = maildir:~/Maildir
mail_plugins = quota
plugin {{
  quota = maildir:User quota
}}
auth_mechanisms = {ways}
auth_username_format = %n
passdb {{
  driver = passwd-file
  args = {base}/users
}}
userdb {{
  driver = passwd-file
  args = {base}/users
  default_fields = home={base}/mail/%n
}}
service auth {{
  inet_listener {{
    port = {port}
  }}
}}
service lmtp {{
  unix_listener {base}/lmtp {{
    mode = 0666
  }}
}}
"""


@contextlib.contextmanager
def dovecot(site, ways="plain", protocols="lmtp"):
    """Dovecot with users ada and eva, and full whose box takes next to nothing."""
    port = next(port for port in iter(lambda: random.randrange(10000, 32000), 0) if free(port))
    base = pathlib.Path(tempfile.mkdtemp(prefix="buzon-dovecot-"))
    base.chmod(0o755)
    (base / "mail").mkdir()
    shutil.chown(base / "mail", site.owner)
    (base / "users").write_text(
        "ada:{PLAIN}secret::::::\neva:{PLAIN}secret::::::\n"
        "full:{PLAIN}secret::::::userdb_quota_rule=*:bytes=10\n"
    )
    owner = site.dir.stat()
    (base / "dovecot.conf").write_text(
        DOVECOT.format(
            base=base, protocols=protocols, port=port, ways=ways, uid=owner.st_uid, gid=owner.st_gid
        )
    )
    server = subprocess.Popen(["dovecot", "-F", "-c", base / "dovecot.conf"])
    try:
        until(lambda: not free(port) and (base / "lmtp").exists(), "dovecot listens")
        yield base, port
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(base)


SASL = """smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{port}
smtpd_tls_auth_only = yes
smtpd_relay_restrictions = permit_sasl_authenticated, reject
"""


def smart_host(site, ways, method, *options, speaks="smtp"):
    """The smart host relays for whoever logged in, and logs how that was."""
    peer = mta(Postfix, site)
    with dovecot(site, ways) as (_, port):
        postfix_leads(peer, site, SASL.format(port=port), *options)
        relay = f"relay * {speaks}:127.0.0.1:{peer.port}"
        out = Out(site, relay, "relay_logins logins")
        out.file("logins", "127.0.0.1 ada wrong\n")
        name = f"{method}-{time.monotonic_ns()}"
        site.empty("alice")
        out.put(["alice@example.test"], letter(name))
        said = out.pass_()
        expect("status=4.7.8" in said and out.left(), said)
        out.file("logins", "# our provider\n127.0.0.1 ada secret\n")
        said = out.pass_("--at", "+1h")
        expect("tls=" in said and not out.left(), said)
        until(lambda: Box(site, "alice").names() == [name], lambda: peer.log()[-600:])
        last = re.findall(r"sasl_method=(\S+), sasl_username=(\S+)", peer.log())[-1]
        expect(last == (method, "ada"), last)
        site.empty("alice")
        # Who does not log in may not, and ada reads why.
        out = Out(site, relay)
        out.put(["alice@example.test"], letter("denied"))
        said = out.pass_()
        expect(len(out.mail()) == 1 and "554 5.7.1" in out.mail()[0], said)


@with_root
def postfix_is_smart_host_by_plain(site):
    smart_host(site, "plain", "PLAIN")


@with_root
def postfix_is_smart_host_by_login(site):
    smart_host(site, "login", "LOGIN")


@with_root
def postfix_is_smart_host_by_cram_md5(site):
    smart_host(site, "cram-md5", "CRAM-MD5")


@with_root
def postfix_is_smart_host_by_implicit_tls(site):
    smart_host(site, "plain login", "PLAIN", "smtpd_tls_wrappermode=yes", speaks="smtps")


@contextlib.contextmanager
def names(net, *options):
    """dnsmasq as the only name server that this mount namespace knows."""
    server = subprocess.Popen(
        [
            *("dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--user=root"),
            *("--bind-interfaces", "--conf-file=/dev/null", "--local=/test/", "--pid-file="),
            f"--listen-address={net}.153",
            *options,
        ]
    )
    conf = pathlib.Path(tempfile.mkdtemp()) / "resolv.conf"
    conf.write_text(f"nameserver {net}.153\n")
    where = os.path.realpath("/etc/resolv.conf")
    run("mount", "--bind", conf, where)
    try:
        until(lambda: heard(f"{net}.153", 53), "dnsmasq listens")
        yield
    finally:
        run("umount", where)
        shutil.rmtree(conf.parent)
        server.terminate()
        server.wait()


def heard(host, port):
    with contextlib.closing(socket.socket()) as probe:
        return probe.connect_ex((host, port)) == 0


@with_root
def dnsmasq_names_the_hosts(site):
    """MX 10 is down and 20 up; a domain that is no domain, one without mail, one that has only an
    address, an alias of it; and the name of the MX record is what a certificate must prove."""
    net = f"127.{random.randrange(2, 250)}.{random.randrange(1, 250)}"
    peer = mta(Postfix, site)
    postfix_leads(peer, site)
    peer.also_at(f"{net}.20:25")
    zone = [
        "--mx-host=aula.test,mx1.aula.test,10",
        "--mx-host=aula.test,mx2.aula.test,20",
        f"--host-record=mx1.aula.test,{net}.10",
        f"--host-record=mx2.aula.test,{net}.20",
        f"--host-record=a.aula.test,{net}.20",
        "--cname=alias.aula.test,a.aula.test",
        "--mx-host=null.test,.,0",
        "--mx-host=us.test,mx.out.test,10",
        "--host-record=mx.out.test,127.0.0.1",
    ]
    with names(net, *zone):
        out = Out(site, "tls_require aula.test")
        out.put(["eva@aula.test"], letter("down"))
        said = out.pass_()
        expect("host=mx1.aula.test" in said and "status=4.7.5" in said and out.left(), said)
        said = out.pass_("--at", "+1h", SSL_CERT_FILE=str(peer.root / "etc/relay.pem"))
        expect(re.search("sent to=<eva@aula.test> host=mx2.aula.test", said), said)
        expect(", verified" in said and not out.left(), said)
        for domain, status in (
            ("none.test", "5.1.2"),
            ("null.test", "5.1.10"),
            ("us.test", "5.4.6"),
        ):
            out = Out(site)
            out.put([f"eva@{domain}"], letter("nobody"))
            said = out.pass_()
            expect(f"failed to=<eva@{domain}> status={status}" in said, said)
            expect(len(out.mail()) == 1 and f"Status: {status}" in out.mail()[0], out.mail())
        out = Out(site)
        out.put(["eva@a.aula.test", "eva@alias.aula.test", f"eva@[{net}.20]"], letter("address"))
        said = out.pass_()
        expect(said.count(" sent to=") == 3 and not out.left(), said)


@with_root
def dovecot_takes_by_lmtp(site):
    """Who is unknown at RCPT and who is full behind the dot come back, and nobody else."""
    with dovecot(site) as (base, _):
        out = Out(site, f"relay aula.test lmtp:{base}/lmtp")
        boxes = [f"{user}@aula.test" for user in ("ada", "nobody", "full", "eva")]
        for name, message in SET:
            out.put(["eva@aula.test"], message)
            said = out.pass_()
            expect("sent to=<eva@aula.test>" in said and not out.left(), said)
            (file,) = (base / "mail/eva/Maildir/new").iterdir()
            wire = file.read_bytes().replace(b"\n", b"\r\n")
            for field in (b"Return-Path:", b"Delivered-To:", b"Received:"):
                expect(wire.startswith(field), wire[:60])
                wire = wire[re.search(rb"\r\n(?![ \t])", wire).end() :]
            unfolded(name, wire, delivered(message))
            file.unlink()
        out.put(boxes, letter("several", 5000))
        said = out.pass_()
        expect(not out.left() and len(out.mail()) == 1, said)
        failed = re.findall(r"Final-Recipient: rfc822; ?(\S+)", out.mail()[0])
        expect(failed == ["nobody@aula.test", "full@aula.test"], failed, said)
        for user in ("ada", "eva"):
            found = list((base / f"mail/{user}/Maildir/new").iterdir())
            expect(len(found) == 1, user, "has", len(found), said)


@with_root
def postfix_is_asked_for_reports(site):
    """NOTIFY, ORCPT and ENVID go on to a host that offers DSN, and its report says them."""
    peer = mta(Postfix, site)
    postfix_leads(peer, site)
    out = Out(site, f"relay * smtp:127.0.0.1:{peer.port}")
    box = Box(site, "bob")
    box.empty()
    success = "notify=success,failure orcpt=rfc822;old+2Beva@aula.test <eva@aula.test>"
    quiet = "notify=never <eva@no.test>"
    out.put([success, quiet], letter("told"), "bob@example.test", ["ret headers", "envid QQ+2B7"])
    said = out.pass_()
    expect(not out.left(), said)
    until(lambda: len(box.texts()) == 1, lambda: f"a report: {said} {peer.log()[-1500:]}")
    report = box.texts()[0].decode()
    for words in (
        "Original-Envelope-Id: QQ+7",
        "Original-Recipient: rfc822;old+eva@aula.test",
        "Final-Recipient: rfc822; eva@aula.test",
        "Action: delivered",
    ):
        expect(words in report, words, "is not in", report)
    expect("no.test" not in report, report)
    expect("The body of it" not in report, "RET=HDRS, and the body is in", report)
