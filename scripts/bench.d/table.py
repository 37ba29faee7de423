"""What was measured, line by line."""

ROUNDS = 5
TABLE = []


def row(what, ours, other="", ratio="", target=""):
    TABLE.append((what, ours, other, ratio, target))
    print("  ".join(filter(None, (what, ours, other, ratio, target))), flush=True)


def judged(value, target, at_least=True):
    met = value >= target if at_least else value <= target
    return f"{'>=' if at_least else '<='} {target:g}: {'met' if met else 'MISSED'}"
