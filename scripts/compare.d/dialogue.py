"""What a dialogue wants of its site, as the lines of parley-dialogue(5) say it."""

import dataclasses
import pathlib

ACTS = {
    "restart": "restarts the daemons",
    "kill": "kills the daemons",
    "reload": "changes the configuration in its midst",
    "later": "sets the clock",
    "run": "runs programs of ours",
    "host": "plays a remote host",
    "zone": "has names of its own",
    "wake": "starts the runner",
    "file": "has files of ours",
}


@dataclasses.dataclass
class Furnishing:
    """A site: what every server needs in order to give the answers of a dialogue."""

    hostname: str = "mail.example.test"
    domains: tuple = ("example.test",)
    settings: dict = dataclasses.field(default_factory=dict)
    users: list = dataclasses.field(default_factory=list)
    aliases: list = dataclasses.field(default_factory=list)
    letters: list = dataclasses.field(default_factory=list)
    # What is connected to.
    services: set = dataclasses.field(default_factory=set)
    # Why nobody but the runner of the tests can furnish it.
    never: str = ""

    def get(self, key, default):
        return self.settings.get(key, default)

    def expand(self, alias):
        """`NAME: TARGETS` as a name and addresses with a domain."""
        name, targets = (part.strip() for part in alias.split(":", 1))
        whole = [target.strip() for target in targets.split(",")]
        return name, [t if "@" in t else f"{t}@{self.domains[0]}" for t in whole]


def read(path):
    path = pathlib.Path(path)
    site = Furnishing()
    started = False
    for line in path.read_text().splitlines():
        verb, _, rest = line.partition(" ")
        words = rest.split()
        if verb in ACTS:
            site.never = ACTS[verb]
        elif verb in ("set", "user", "alias", "mail", "site") and started:
            site.never = "is furnished anew in its midst"
        elif verb == "server":
            started = True
            site.services.update(words)
        elif verb == "site":
            site.hostname, site.domains = words[0], (words[0],)
        elif verb == "set" and words[0] == "hostname":
            site.hostname = words[1]
        elif verb == "set" and words[0] == "domains":
            site.domains = tuple(words[1:])
        elif verb == "set":
            site.settings[words[0]] = " ".join(words[1:])
        elif verb == "user":
            site.users.append((words[0], rest.split(" ", 1)[1]))
        elif verb == "alias":
            site.aliases.append(rest)
        elif verb == "mail":
            folder = words[1] if len(words) == 3 else None
            site.letters.append((words[0], folder, path.parent / words[-1]))
    return site


def put_letters(site, home_of):
    """Into Maildirs below each user's home, as if they had come one after the other."""
    for count, (user, folder, letter) in enumerate(site.letters, 1):
        box = home_of(user) / "Maildir"
        places = [box, box / f".{folder}"] if folder else [box]
        for place in places:
            for part in ("tmp", "new", "cur"):
                (place / part).mkdir(parents=True, exist_ok=True)
        name = f"{1_100_000_000 + count}.M1P1.mail.example.test"
        (places[-1] / "new" / name).write_bytes(letter.read_bytes())
