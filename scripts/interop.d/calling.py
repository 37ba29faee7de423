"""Programs that call sendmail(8), by a wrapper that names our site: s-nail, mutt, cron and git."""

from common import expect, program, run, until
from leaving import Out, with_root

PATCH = """From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001
From: Ada <ada@out.test>
Date: Fri, 20 Nov 2026 10:00:00 +0000
Subject: [PATCH] by git

---
 a | 1 +
"""


def called(site, call, subject, *within):
    """`call` has the site and the path of a sendmail; the letter comes to ada, once."""
    out = Out(site)
    wrapper = out.place / "sendmail"
    wrapper.write_text(f'#!/bin/sh\nexec {program("sendmail")} -C {out.conf} "$@"\n')
    wrapper.chmod(0o755)
    call(out, wrapper)
    said = out.pass_()
    # A runner that sendmail woke may be at work as well.
    until(lambda: out.mail() and not out.left(), lambda: f"{len(out.mail())} letters: {said}")
    (text,) = out.mail()
    head = text.split("\n\n")[0]
    for words in (f"Subject: {subject}", "Date: ", "Message-I", "From: ", *within):
        expect(words in (text if words in within else head), words, "is not in", text)
    expect("Bcc" not in head, text)


@with_root
def s_nail_calls_sendmail(site):
    def call(out, wrapper):
        words = ("-:/", "-S", "v15-compat", "-S", f"mta=file://{wrapper}", "-S", "sendwait")
        run("s-nail", *words, "-s", "by mail", "ada@out.test", stdin=b"Its text.\n")

    called(site, call, "by mail", "Its text.")


@with_root
def mutt_calls_sendmail(site):
    def call(out, wrapper):
        rc = out.file("muttrc", f'set sendmail="{wrapper} -oem -oi" copy=no hostname=out.test\n')
        words = ("-s", "by mutt", "-b", "ada@out.test", "--", "ada@out.test")
        run("mutt", "-n", "-F", rc, *words, stdin=b"Its text.\n", env={"HOME": str(out.place)})

    called(site, call, "by mutt", "Its text.")


@with_root
def cron_calls_sendmail(site):
    def call(_, wrapper):
        words = "-FCronDaemon -i -odi -oem -oi -t".split()
        head = b"From: root (Cron Daemon)\nTo: ada@out.test\nBcc: ada@out.test\nSubject: by cron\n"
        run(wrapper, *words, stdin=head + b"\n.\nover\n")

    called(site, call, "by cron", "\n.\nover\n")


@with_root
def git_calls_sendmail(site):
    def call(out, wrapper):
        patch = out.file("patch", PATCH)
        words = ("--confirm=never", "--quiet", f"--smtp-server={wrapper}", "--to=ada@out.test")
        words += ("--from=Ada <ada@out.test>", "--suppress-cc=all", patch)
        me = {"GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@out.test"}
        me |= {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@out.test"}
        run("git", "send-email", *words, env={"HOME": str(out.place), **me})

    called(site, call, "[PATCH] by git", " a | 1 +")
