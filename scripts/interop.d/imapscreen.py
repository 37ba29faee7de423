"""Programs at a terminal: mutt and alpine."""

import contextlib

from beside import rests
from imap import done, imap, letter, subjects
from common import check, expect, run, until


@contextlib.contextmanager
def terminal(site, *words, env=()):
    """A program in tmux: `keys` types when the screen is at rest, as programs throw away what is
    typed while they are busy; `shows` waits until the screen has a text."""
    tmux = ["tmux", "-S", site.place / "tmux-imap", "-f", "/dev/null"]
    words = ["env", f"HOME={site.home}", "TERM=screen", "LC_ALL=C.UTF-8", *env, *words]
    run(*tmux, "new-session", "-d", "-x", "120", "-y", "40", *site.as_owner(*map(str, words)))

    def screen():
        return run(*tmux, "capture-pane", "-p").decode(errors="replace")

    def keys(*names):
        for name in names:
            rests(screen)
            run(*tmux, "send-keys", name)

    def shows(*texts):
        until(
            lambda: all(text in screen() for text in texts),
            lambda: f"the screen shows {texts}\n{screen()}",
        )

    try:
        yield keys, shows
    finally:
        run(*tmux, "kill-server", ok=(0, 1))


def until_far(site, user, folder, wanted):
    """Until the server tells a fresh session so."""

    def is_so():
        with imap(site, user, folder) as box:
            empty = done(box.status(folder, "(MESSAGES)"))[0].endswith(b"MESSAGES 0)")
            found.append({} if empty else subjects(box))
            return wanted(found[-1])

    found = []
    until(is_so, lambda: f"{folder}: {found[-1:]}", pause=0.1)


@check
def mutt_imap(site):
    """Opens, reads, flags, copies, deletes, searches; a letter that comes is seen."""
    user = "mona"
    site.add_user(user)
    for number in range(5):
        site.send(user, letter(f"m{number}", f"Body number {number}."))
    with imap(site, user) as box:
        done(box.create("Kept"))
    rc = site.config(
        "muttrc-imap",
        f"""
        set hostname=interop.example.test folder=imap://127.0.0.1:{site.ports["imap"]}/
        set imap_user={user} imap_pass=secret ssl_starttls=yes ssl_force_tls=no
        set certificate_file={site.cert} imap_idle=yes imap_check_subscribed=no
        set spoolfile=+INBOX move=no wait_key=no sort=date confirmappend=no delete=yes
        set mail_check=1 timeout=1 imap_keepalive=5 mark_old=no copy=no record=
        set header_cache= message_cachedir= pager_stop=yes quit=yes imap_qresync=yes
        """,
    )
    rc.chmod(0o644)
    with terminal(site, "mutt", "-n", "-F", rc) as (keys, shows):
        shows("m0", "m4")
        keys("1", "Enter", "Enter")
        shows("Body number 0.")
        keys("q")
        keys("2", "Enter", "F")  # flag

        def copied():
            # Again, if mutt looked for mail meanwhile and forgot it.
            keys("C-g", "3", "Enter", "C", "+Kept", "Enter")
            with imap(site, user, "Kept") as box:
                return not done(box.status("Kept", "(MESSAGES)"))[0].endswith(b"MESSAGES 0)")

        until(copied, "mutt copies", pause=1)
        keys("4", "Enter", "d")
        keys("l", "~b 'number 4'", "Enter")  # the server searches
        shows("m4")
        keys("l", "all", "Enter")
        shows("m0", "m1")
        site.send(user, letter("late"))
        shows("late")
        keys("$")
        until_far(site, user, "INBOX", lambda seen: "m3" not in seen and len(seen) == 5)
        until_far(site, user, "INBOX", lambda seen: rb"\Flagged" in seen.get("m1", ()))
        until_far(site, user, "INBOX", lambda seen: rb"\Seen" in seen.get("m0", ()))
        until_far(site, user, "Kept", lambda seen: list(seen) == ["m2"])
        keys("c", "=Kept", "Enter")
        shows("m2")
        keys("q")


@check
def alpine_imap(site):
    """Opens, reads, saves into a new folder, deletes and expunges."""
    user = "alma"
    site.add_user(user)
    for number in range(4):
        site.send(user, letter(f"m{number}", f"Body number {number}."))
    server = f"{{127.0.0.1:{site.ports['imap']}/user={user}/notls/novalidate-cert}}"
    rc = site.config(
        ".pinerc",
        f"""inbox-path={server}INBOX
folder-collections="far" {server}[]
feature-list=quit-without-confirm,expunge-without-confirm,expunge-without-confirm-everywhere,
    enable-flag-cmd,save-will-not-delete
personal-name=Alma
user-domain=example.test
last-version-used=99.99
""",
    )
    rc.chmod(0o644)
    with terminal(site, "alpine", "-p", rc, "-i") as (keys, shows):
        shows("PASSWORD")
        keys("secret", "Enter")
        shows("m0", "m3")
        keys("j", "1", "Enter", "Enter")
        shows("Body number 0.")
        keys("i")
        shows("m3")
        keys("j", "2", "Enter", "s")
        shows("SAVE")
        keys("Saved", "Enter")
        shows("reat")
        keys("y")
        until_far(site, user, "Saved", lambda seen: list(seen) == ["m1"])
        keys("j", "3", "Enter", "d")
        keys("x")
        until_far(site, user, "INBOX", lambda seen: sorted(seen) == ["m0", "m1", "m3"])
        keys("q")
    with imap(site, user) as box:
        expect(rb"\Seen" in subjects(box)["m0"], "what alpine read is not seen")
