"""Programs that fetch from pop3d."""

import re
import shutil
import time

from messages import SET, delivered
from common import ROOT, Wrong, check, expect, run, same, untraced


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


def parts(place):
    for part in ("cur", "new", "tmp"):
        (place / part).mkdir()


def getmail(site, place, kind, port, more=""):
    """Its run into a Maildir.

    For each letter it has a child, and waits for the signal of its end; if that came just before,
    it waits for minutes. So it is begun again: it takes all letters each time.
    """
    parts(place)
    config = site.config(
        "getmailrc",
        f"""
[retriever]
type = {kind}
server = localhost
port = {port}
username = carol
password = secret
ca_certs = {site.cert}
{more}
[destination]
type = Maildir
path = {place}/
[options]
delete = false
read_all = true
received = false
delivered_to = false
""",
    )
    # It delivers for nobody who is root.
    for path in (place, *place.iterdir(), config):
        if ROOT:
            shutil.chown(path, site.owner)
    words = ["timeout", "30", "getmail", "--getmaildir", site.home, "--rcfile", config]
    for _ in range(10):
        try:
            return run(*site.as_owner(*words))
        except Wrong as error:
            if "ended with 124" not in str(error):
                raise
    raise Wrong("getmail does not end")


def run_fetchmail(site, place, protocol, port):
    """A letter into a file of its own."""
    mda = site.config("mda", f'#!/bin/sh\ncat >"$(mktemp {place}/XXXXXXXX)"\n')
    mda.chmod(0o755)
    config = site.config(
        "fetchmailrc",
        f"""
        set no bouncemail
        set invisible
        poll localhost port {port} proto {protocol}
        user carol pass secret
        sslproto 'TLS1.2+' sslcertck sslcertfile {site.cert}
        keep fetchall norewrite pass8bits mda {mda}
        """,
    )
    files = ["--pidfile", site.place / "fetchmail.pid", "-i", site.place / "ids"]
    home = {"HOME": str(site.home), "FETCHMAILHOME": str(site.home)}
    run("fetchmail", "-f", config, *files, env=home)


def no_blank(wire):
    """getmail writes an empty field with a blank."""
    return wire.replace(b"\r\nX-Empty: \r\n", b"\r\nX-Empty:\r\n")


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
            (place / str(number)).write_bytes(
                run(*curl, f"pop3s://localhost:{site.ports['pop3s']}/{number}")
            )
        listed = run(*curl, f"pop3s://localhost:{site.ports['pop3s']}/")
        sizes = [int(line.split()[1]) for line in listed.splitlines()]
        # LIST promises what RETR sends.
        same("LIST", sizes, [(place / str(n)).stat().st_size for n in range(1, len(SET) + 1)])

    each_fetched(site, fetch)


def mpop(site, *lines):
    lines = ("account default", "host localhost", "user carol", "password secret", *lines)
    run("mpop", "-C", site.config("mpoprc", "\n".join(lines) + "\n"))


def into(place):
    return ("keep on", "received_header off", f"delivery maildir {place}")


@check
def mpop_pops(site):
    def fetch(place):
        parts(place)
        mpop(
            site,
            f"port {site.ports['pop3s']}",
            "tls on",
            "tls_starttls off",
            f"tls_trust_file {site.cert}",
            "auth user",
            f"uidls_file {site.place}/uidls-{time.time()}",
            *into(place),
        )

    each_fetched(site, fetch)


@check
def mpop_apop_stls(site):
    def fetch(place):
        parts(place)
        for auth, tls in (("apop", "off"), ("plain", "on"), ("login", "on")):
            mpop(
                site,
                f"port {site.ports['pop3']}",
                f"tls {tls}",
                "tls_starttls on",
                f"tls_trust_file {site.cert}",
                f"auth {auth}",
                f"uidls_file {site.place}/uidls-stls",
                *into(place),
            )

    each_fetched(site, fetch)


@check
def getmail6(site):
    def fetch(place):
        getmail(site, place, "SimplePOP3SSLRetriever", site.ports["pop3s"])

    each_fetched(site, fetch, no_blank)


@check
def fetchmail(site):
    each_fetched(site, lambda place: run_fetchmail(site, place, "pop3", site.ports["pop3"]))


@check
def mpop_takes_all_away(site):
    expect(len(site.files("carol")) == len(SET), "the box was not full")
    mpop(
        site,
        f"port {site.ports['pop3']}",
        "tls off",
        "auth user",
        "keep off",
        f"delivery mbox {site.place}/mbox",
        f"uidls_file {site.place}/uidls-gone",
    )
    expect(not site.files("carol"), "the box is not empty")
