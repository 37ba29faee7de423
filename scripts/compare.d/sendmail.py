"""sendmail, furnished for a dialogue: system accounts and aliases of its overlay; nothing is
delivered, since what counts is what it answers."""

import subprocess

import sasl
from overlay import Overlay, free_port, run, wait_port

SOURCE = """include(`/usr/share/sendmail/cf/m4/cf.m4')dnl
OSTYPE(`debian')dnl
define(`confDOMAIN_NAME', `{site.hostname}')dnl
define(`ALIAS_FILE', `/etc/compare/aliases')dnl
define(`confSERVICE_SWITCH_FILE', `/etc/compare/service.switch')dnl
define(`confDELIVERY_MODE', `queueonly')dnl
define(`QUEUE_DIR', `/var/spool/compare')dnl
define(`confHOST_STATUS_DIRECTORY', `/var/spool/compare/.status')dnl
define(`confDONT_PROBE_INTERFACES', `True')dnl
define(`confQUEUE_LA', `1000')dnl
define(`confREFUSE_LA', `1000')dnl
define(`confMAX_HOP', `100')dnl
define(`confMAX_MESSAGE_SIZE', `{size}')dnl
define(`confPRIVACY_FLAGS', `{privacy}')dnl
define(`confTO_IDENT', `0')dnl
define(`confTO_COMMAND', `{timeout}')dnl
define(`confTO_DATABLOCK', `{timeout}')dnl
define(`confTO_RESOLVER_RETRANS', `1s')dnl
define(`confTO_RESOLVER_RETRY', `1')dnl
define(`confAUTH_REALM', `{site.hostname}')dnl
define(`confAUTH_MECHANISMS', `PLAIN LOGIN')dnl
define(`confAUTH_OPTIONS', `{auth}')dnl
TRUST_AUTH_MECH(`PLAIN LOGIN')dnl
{tls}FEATURE(`no_default_msa')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
DAEMON_OPTIONS(`Family=inet, Addr=127.0.0.1, Port={ports[smtp]}, Name=MTA')dnl
DAEMON_OPTIONS(`Family=inet, Addr=127.0.0.1, Port={ports[submission]}, Name=MSA, M=Ea')dnl
DAEMON_OPTIONS(`Family=inet, Addr=127.0.0.1, Port={ports[submissions]}, Name=TLS, M=Eas')dnl
{domains}MAILER(`local')dnl
MAILER(`smtp')dnl
"""
TLS = """define(`confCACERT_PATH', `/etc/compare/tls')dnl
define(`confCACERT', `/etc/compare/tls/cert.pem')dnl
define(`confSERVER_CERT', `/etc/compare/tls/cert.pem')dnl
define(`confSERVER_KEY', `/etc/compare/tls/key.pem')dnl
"""
CANNOT = {
    "max_connections": "sendmail lets those above its number of children wait",
    "max_connections_per_address": "sendmail counts connections in its access database only",
    "recipient_delimiter": "sendmail knows '+' only",
    "quota": "sendmail leaves quotas to its mailer",
    "home": "sendmail does not look at the mailbox before it queues",
    "accept_mail": "sendmail has no listener that takes no mail",
}


class Sendmail(Overlay):
    name = "sendmail"

    def __init__(self, base, tls):
        packages = ("sendmail-bin", "sendmail-base", "sendmail-cf", *sasl.PACKAGES)
        super().__init__(base / self.name, *packages)
        self.etc = self.root / "etc/compare"
        # Careful: sendmail wants all above its files to be root's alone; Debian's etc/mail is not.
        (self.etc / "tls").mkdir(parents=True)
        for file in ("cert.pem", "key.pem"):
            run("install", "-m", "600", "-o", "root", tls / file, self.etc / "tls" / file)
        (self.etc / "service.switch").write_text("hosts files\naliases files\n")
        (self.root / "var/spool/compare/.status").mkdir(parents=True)
        (self.root / "var/spool/compare").chmod(0o700)
        # Loopback by its own name may relay. And who asks for another name does not wait.
        (self.root / "etc/hosts").write_text("127.0.0.1 client.example\n")
        (self.root / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")
        (self.root / "etc/resolv.conf").unlink(missing_ok=True)
        (self.root / "etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
        self.passwd = (self.root / "etc/passwd").read_text()
        self.ports = {role: free_port() for role in ("smtp", "submission", "submissions")}
        self.address = ",".join(f"{role}=127.0.0.1:{port}" for role, port in self.ports.items())
        self.furnished = self.process = None

    def cannot(self, site):
        return next((why for key, why in CANNOT.items() if key in site.settings), "")

    def furnish(self, site):
        if site == self.furnished:
            return
        self.stop()
        self.furnished = site
        accounts = [f"{n}:x:{20_000 + i}:65534::/:/bin/sh\n" for i, (n, _) in enumerate(site.users)]
        (self.root / "etc/passwd").write_text(self.passwd + "".join(accounts))
        (self.etc / "aliases").write_text("".join(f"{line}\n" for line in site.aliases))
        sasl.furnish(self, "compare/sasl", "Sendmail", site)
        for place in ("etc/sasl2", "usr/lib/sasl2"):
            (self.root / place).mkdir(exist_ok=True)
            run("cp", "--remove-destination", self.etc / "sasl/Sendmail.conf", self.root / place)
        privacy = ["needmailhelo"]
        privacy += [f"no{verb}" for verb in ("vrfy", "expn") if site.get(verb, "no") == "no"]
        source = SOURCE.format(
            site=site,
            size=site.get("message_size", "52428800"),
            privacy=",".join(privacy),
            timeout=site.get("smtp_timeout", "5m"),
            auth="A p" if site.get("clear_text_login", "") == "none" else "A",
            tls="" if site.get("certificate", "") == "none" else TLS,
            ports=self.ports,
            domains="".join(f"LOCAL_DOMAIN(`{domain}')dnl\n" for domain in site.domains),
        )
        made = self.inside("m4", "-", input=source)
        # Loopback is a stranger here as it is to the others.
        kept = [line for line in made.splitlines() if not line.startswith("R127.0.0.1\t")]
        (self.etc / "sendmail.cf").write_text("\n".join(kept) + "\n")
        self.inside("newaliases", "-C", "/etc/compare/sendmail.cf", stderr=subprocess.STDOUT)
        self.process = subprocess.Popen(
            ["chroot", self.root, "sendmail-mta", "-C", "/etc/compare/sendmail.cf", "-bD"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        wait_port(self.ports["smtp"])

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()

    def end(self):
        self.stop()
        self.unmount()
