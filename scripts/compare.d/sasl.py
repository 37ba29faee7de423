"""Cyrus SASL's own database of users, which Postfix and sendmail can both ask."""

PACKAGES = ("sasl2-bin", "libsasl2-modules", "libsasl2-modules-db")


def furnish(overlay, directory, service, site):
    """The users of a site, and how `service` looks for them."""
    etc = overlay.root / "etc"
    (etc / directory).mkdir(parents=True, exist_ok=True)
    (etc / directory / f"{service}.conf").write_text(
        "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN\n"
    )
    database = etc / "sasldb2"
    database.unlink(missing_ok=True)
    for name, password in site.users:
        words = ["saslpasswd2", "-p", "-c", "-u", site.hostname, name]
        overlay.inside(*words, input=password)
    if database.exists():
        database.chmod(0o644)
