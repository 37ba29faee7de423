"""Postfix, furnished for a dialogue: virtual mailboxes, virtual aliases, AUTH by SASL."""

import overlay
import sasl
from overlay import free_port, run, wait_port

# Postfix's own way is kept where our dialogues set nothing; what is here makes the sites alike.
MAIN = """compatibility_level = 3.6
myhostname = {site.hostname}
myorigin = {domain}
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
maillog_file = /var/log/postfix.log
virtual_mailbox_domains = {domains}
virtual_mailbox_base = /var/vmail
virtual_mailbox_maps = texthash:/etc/postfix/users
virtual_alias_maps = texthash:/etc/postfix/aliases
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_minimum_uid = 1
virtual_mailbox_limit = 0
recipient_delimiter = {delimiter}
message_size_limit = {size}
hopcount_limit = 100
disable_vrfy_command = {no_vrfy}
smtputf8_enable = yes
smtpd_helo_required = yes
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_error_sleep_time = {delay}
smtpd_timeout = {timeout}
smtpd_client_connection_count_limit = {connections}
smtpd_client_event_limit_exceptions =
smtpd_sasl_auth_enable = yes
smtpd_sasl_local_domain = {site.hostname}
cyrus_sasl_config_path = /etc/postfix/sasl
smtpd_sasl_security_options = noanonymous
smtpd_tls_auth_only = {tls_only}
"""
TLS = """smtpd_tls_security_level = may
smtpd_tls_cert_file = /etc/postfix/cert.pem
smtpd_tls_key_file = /etc/postfix/key.pem
"""
SUBMISSION = ["smtpd_recipient_restrictions=permit_sasl_authenticated,reject"]
CANNOT = {
    "max_connections": "Postfix lets those above its process limit wait",
    "quota": "Postfix has no quota of its own",
    "home": "Postfix does not look at the mailbox before it queues",
    "accept_mail": "Postfix has no listener that takes no mail",
}


class Postfix(overlay.Postfix):
    name = "postfix"

    def __init__(self, base, tls):
        super().__init__(base / self.name, *sasl.PACKAGES)
        self.etc = self.root / "etc/postfix"
        for file in ("cert.pem", "key.pem"):
            run("install", "-m", "600", "-o", "root", tls / file, self.etc / file)
        self.ports = {role: free_port() for role in ("smtp", "submission", "submissions")}
        self.address = ",".join(f"{role}=127.0.0.1:{port}" for role, port in self.ports.items())
        self.furnished = None

    def cannot(self, site):
        return next((why for key, why in CANNOT.items() if key in site.settings), "")

    def furnish(self, site):
        if site == self.furnished:
            return
        if self.furnished:
            self.stop()
        self.furnished = site
        addresses = [f"{name}@{domain}" for name, _ in site.users for domain in site.domains]
        (self.etc / "users").write_text("".join(f"{a} {a}/\n" for a in addresses))
        aliases = map(site.expand, site.aliases)
        (self.etc / "aliases").write_text(
            "".join(f"{name}@{site.domains[0]} {', '.join(to)}\n" for name, to in aliases)
        )
        sasl.furnish(self, "postfix/sasl", "smtpd", site)
        main = MAIN.format(
            site=site,
            domain=site.domains[0],
            domains=" ".join(site.domains),
            delimiter=site.get("recipient_delimiter", "+"),
            size=site.get("message_size", "52428800"),
            no_vrfy="no" if site.get("vrfy", "no") == "yes" else "yes",
            delay=site.get("failure_delay", "0").replace("500ms", "1s"),
            timeout=site.get("smtp_timeout", "300s"),
            connections=site.get("max_connections_per_address", "50"),
            tls_only="yes" if site.get("clear_text_login", "") == "none" else "no",
        )
        if site.get("certificate", "") != "none":
            main += TLS
        wrapped = ["smtpd_tls_wrappermode=yes", *SUBMISSION]
        options = {"smtp": [], "submission": SUBMISSION, "submissions": wrapped}
        self.configure(main, [(self.ports[role], more) for role, more in options.items()])
        self.start()
        wait_port(self.ports["smtp"])

    def end(self):
        self.stop()
        self.unmount()
