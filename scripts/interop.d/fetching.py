"""Programs that fetch from pop3d."""

import re
import shutil
import time

from messages import SET, delivered
from common import ROOT, check, expect, run, same, untraced


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
            (place / str(number)).write_bytes(
                run(*curl, f"pop3s://localhost:{site.ports['pop3s']}/{number}")
            )
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
        config = site.config(
            "mpoprc",
            f"""
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
            """,
        )
        run("mpop", "-C", config)

    each_fetched(site, fetch)


@check
def mpop_apop_stls(site):
    def fetch(place):
        for part in ("cur", "new", "tmp"):
            (place / part).mkdir()
        for auth, tls in (("apop", "off"), ("plain", "on"), ("login", "on")):
            config = site.config(
                "mpoprc",
                f"""
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
                """,
            )
            run("mpop", "-C", config)

    each_fetched(site, fetch)


@check
def getmail6(site):
    def fetch(place):
        for part in ("cur", "new", "tmp"):
            (place / part).mkdir()
        config = site.config(
            "getmailrc",
            f"""
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
""",
        )
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
        config = site.config(
            "fetchmailrc",
            f"""
            set no bouncemail
            set invisible
            poll localhost port {site.ports["pop3"]} proto pop3
            user carol pass secret
            sslproto 'TLS1.2+' sslcertck sslcertfile {site.cert}
            keep fetchall norewrite pass8bits mda {mda}
            """,
        )
        run(
            "fetchmail",
            "-f",
            config,
            "--pidfile",
            site.place / "fetchmail.pid",
            "-i",
            site.place / "ids",
            env={"HOME": str(site.home), "FETCHMAILHOME": str(site.home)},
        )

    each_fetched(site, fetch)


@check
def mpop_takes_all_away(site):
    config = site.config(
        "mpoprc",
        f"""
        account default
        host localhost
        port {site.ports["pop3"]}
        auth user
        user carol
        password secret
        keep off
        delivery mbox {site.place}/mbox
        uidls_file {site.place}/uidls-gone
        """,
    )
    expect(len(site.files("carol")) == len(SET), "the box was not full")
    run("mpop", "-C", config, "--tls=off")
    expect(not site.files("carol"), "the box is not empty")
