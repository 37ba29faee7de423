"""Mail programs that nobody here wrote, against smtpd, pop3d and imapd: see scripts/interop.

Each check is a function of that name; it raises Wrong, or is passed (or says why it was skipped).
What a program itself is known to change is undone by name, and nothing else: messages are
compared octet for octet.
"""

import sys
import time

import sending  # noqa: F401 (its checks come first)
import typed  # noqa: F401
import fetching
import beside  # noqa: F401
import imap  # noqa: F401
import imapsync  # noqa: F401
import imapscreen  # noqa: F401
import imapbird  # noqa: F401
import shared  # noqa: F401
import selected  # noqa: F401
import calling  # noqa: F401
import handing
import leaving  # noqa: F401
from boxes import SITES
from common import CHECKS, Site, Wrong


def main(words):
    chosen = [
        function
        for function in CHECKS
        if not words or any(word in function.__name__ for word in words)
    ]
    site = Site("message_size=50M")
    passed = 0
    try:
        if words:
            fetching.refill(site)
        for function in chosen:
            start = time.monotonic()
            try:
                verdict = function(site) or "ok  "
                passed += 1
            except Exception as error:  # whatever it is, it is this check's failure
                verdict = (
                    f"FAIL {type(error).__name__ if not isinstance(error, Wrong) else ''} {error}:"
                )
            print(
                f"{verdict} {function.__name__.replace('_', ' ')} ({time.monotonic() - start:.1f} s)",
                flush=True,
            )
    finally:
        handing.end()
        for one in (site, *SITES.values()):
            one.end()
    print(f"{passed} passed, {len(chosen) - passed} failed")
    return 0 if passed == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
