"""Medians, ratios, the tables and the verdicts on the targets."""

from statistics import median

from contenders import ALL, LUA_CALL, OURS, PLACEMENT, PLAIN, SHADOW, UPSTREAM_LUA
from measure import CONNECTIONS, Sample

# Of copies, with a RUM that answers at once. A window with less does not count.
DELIVERED = 0.999
SLACK_MIB = 48  # above max_pending_bytes
# Times the other's, at most: CPU a request, by load, and p99 of the primary.
CPU_TARGETS = [
    (OURS, SHADOW, 1.27),
    (OURS, LUA_CALL, 1.10),
    (PLACEMENT, SHADOW, 1.12),
    (PLACEMENT, LUA_CALL, 1.0),
    (PLACEMENT, UPSTREAM_LUA, 1.05),
]
P99_TARGETS = {"paced": 1.25, "max": 1.20}
LOADS = {"paced": "at the fixed rate", "max": "at full speed"}
# "No loss of throughput": two windows of the same proxy differ by this much on a shared machine.
THROUGHPUT_TARGET = 0.95

Key = tuple[str, str, str]


class Results:
    """The samples that count, by contender, RUM and load."""

    def __init__(self, samples: list[Sample]) -> None:
        self.samples = [sample for sample in samples if counts(sample)]
        self.left_out = [sample for sample in samples if not counts(sample)]

    def of(self, key: Key) -> list[Sample]:
        """The windows of one cell, in the order of rounds."""
        return [s for s in self.samples if (s.contender, s.rum, s.load) == key]

    def value(self, key: Key, field: str) -> float | None:
        """The median over the rounds."""
        found = [getattr(s, field) for s in self.of(key)]
        return median(found) if found else None

    def ratios(self, key: Key, other: Key, field: str) -> list[float]:
        """The ratios round by round: neighbours in time see the same noise."""
        below = {s.round: getattr(s, field) for s in self.of(other)}
        return [getattr(s, field) / below[s.round] for s in self.of(key) if below.get(s.round)]

    def ratio(self, key: Key, other: Key, field: str) -> float | None:
        """The median of the ratios."""
        found = self.ratios(key, other, field)
        return median(found) if found else None


def counts(sample: Sample) -> bool:
    """Whether a window's figures are worth something."""
    is_mirror = sample.contender != PLAIN.key
    return not is_mirror or sample.rum != "fast" or sample.copies_per_request >= DELIVERED


def number(value: float | None, form: str = "{:.0f}") -> str:
    """A cell; a dash where nothing was measured."""
    return "-" if value is None else form.format(value)


def table(results: Results, rum: str) -> list[str]:
    """The table of one RUM: values, each cost and the p99 also as ratios to plain Envoy and to native shadow."""
    shown = [c for c in ALL if any(s.contender == c.key and s.rum == rum for s in results.samples)]
    if not shown:
        return []
    rows = [
        ["", "CPU us", "/plain", "/shadow", "at max", "/plain", "/shadow", "req/s max"]
        + ["p50 us", "p99 us", "/plain", "/shadow", "copies", "peak MiB"]
    ]
    for contender in shown:
        key = contender.key
        row = [contender.title]
        for load, field, form in (("paced", "cpu_us", "{:.1f}"), ("max", "cpu_us", "{:.1f}"), ("paced", "p99_us", "{:.0f}")):
            if field == "p99_us":
                row.append(number(results.value((key, rum, "max"), "rps")))
                row.append(number(results.value((key, rum, "paced"), "p50_us")))
            row.append(number(results.value((key, rum, load), field), form))
            for other in (PLAIN.key, SHADOW.key):
                row.append(number(results.ratio((key, rum, load), (other, rum, load), field), "{:.2f}"))
        copied = [results.value((key, rum, load), "copies_per_request") for load in ("paced", "max")]
        row.append(number(min((c for c in copied if c is not None), default=None), "{:.2f}"))
        row.append(number(peak(results, key, rum)))
        rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = [
        "  ".join(cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(zip(row, widths)))
        for row in rows
    ]
    return [f"RUM answers {'at once' if rum == 'fast' else 'after 2 s'}:", *lines]


def peak(results: Results, contender: str, rum: str) -> float | None:
    """The most resident memory of both loads and all rounds."""
    found = [s.peak_mib for s in results.samples if (s.contender, s.rum) == (contender, rum)]
    return max(found) if found else None


def verdicts(results: Results, budget_mib: float) -> list[dict]:
    """The issue's targets, each with what was measured and by how much it was met or missed."""
    ours, shadow = OURS.key, SHADOW.key
    rows: list[dict] = []

    def judge(target: str, measured: float | None, limit: float, unit: str, at_least: bool = False) -> None:
        met = None if measured is None else (measured >= limit if at_least else measured <= limit)
        rows.append({"target": target, "measured": measured, "limit": limit, "unit": unit, "met": met})

    for load, words in LOADS.items():
        for own, other, limit in CPU_TARGETS:
            value = results.ratio((own.key, "fast", load), (other.key, "fast", load), "cpu_us")
            judge(f"{own.title}: CPU per request {words}, times {other.title}", value, limit, "x")
        value = results.ratio((ours, "fast", load), (shadow, "fast", load), "p99_us")
        judge(f"{OURS.title}: p99 of the primary {words}, times {SHADOW.title}", value, P99_TARGETS[load], "x")
    value = slow_throughput(results)
    judge("requests/s with the slow RUM, times the fast one", value, THROUGHPUT_TARGET, "x", at_least=True)
    value = growth(results, ours)
    judge("memory grown with the slow RUM (budget + 48 MiB)", value, budget_mib + SLACK_MIB, "MiB")
    return rows


def slow_throughput(results: Results) -> float | None:
    """Ours, slow against fast, corrected by what plain Envoy (which has no RUM) changed meanwhile: the machine's drift."""

    def change(contender: str) -> float | None:
        fast, slow = (results.value((contender, rum, "max"), "rps") for rum in ("fast", "slow"))
        return slow / fast if fast and slow else None

    own, drift = change(OURS.key), change(PLAIN.key)
    return own / (drift or 1.0) if own else None


def growth(results: Results, contender: str) -> float | None:
    """The worst peak with the slow RUM above what the same process held before its first load."""
    found = []
    rounds = {s.round for s in results.samples if (s.contender, s.rum) == (contender, "slow")}
    for turn in rounds:
        windows = [s for s in results.samples if (s.contender, s.rum, s.round) == (contender, "slow", turn)]
        start = windows[0].peak_mib - windows[0].growth_mib
        found.append(max(s.peak_mib for s in windows) - start)
    return max(found) if found else None


def verdict_line(row: dict) -> str:
    """`met` or `MISSED`, with the distance to the limit."""
    if row["measured"] is None:
        return f"  not measured  {row['target']}"
    distance = (row["measured"] / row["limit"] - 1) * 100
    word = "met   " if row["met"] else "MISSED"
    form = "{:.0f}" if row["unit"] == "MiB" else "{:.2f}"
    figures = f"{form.format(row['measured'])} {row['unit']}, limit {form.format(row['limit'])}"
    return f"  {word} by {abs(distance):4.1f} %  {row['target']}: {figures}"


def warnings(results: Results) -> list[str]:
    """What makes a figure worth less than it looks."""
    found = []
    for sample in results.samples:
        name = f"{sample.contender}, {sample.rum} RUM, {sample.load}, round {sample.round}"
        if sample.errors:
            found.append(f"{name}: {sample.errors} requests failed")
        if sample.load == "max" and sample.load_busy > 0.9 and sample.proxy_busy < 0.9:
            found.append(f"{name}: load and stubs were the bottleneck ({sample.load_busy:.0%} of their core)")
    for sample in results.left_out:
        name = f"{sample.contender}, {sample.rum} RUM, {sample.load}, round {sample.round}"
        found.append(f"{name} does not count: {sample.copies_per_request:.2%} of the copies arrived")
    return found


def spread(samples: list[Sample]) -> str:
    """p99 times p50 of the same window: the median, and the range of the rounds."""
    found = [sample.p99_us / sample.p50_us for sample in samples if sample.p50_us]
    return f"{median(found):.2f} ({min(found):.2f} to {max(found):.2f})" if found else "-"


def markdown(results: Results, targets: list[dict], rate: float, heading: str) -> str:
    """The results file: ratios with their range, since a machine's own figures mean nothing elsewhere."""

    def cell(contender: str, load: str, field: str) -> str:
        found = results.ratios((contender, "fast", load), (SHADOW.key, "fast", load), field)
        if not found:
            return "-"
        if contender == SHADOW.key:
            return "1"
        return f"{median(found):.2f} ({min(found):.2f} to {max(found):.2f})"

    shown = [c for c in ALL if any(s.contender == c.key for s in results.samples)]
    head = ["", "CPU a request", "the same, full speed", "p99 of the primary", "the same, full speed", "rounds that count"]
    fast = [head, ["---"] * len(head)]
    head = ["", "p50 of the primary", "the same, full speed", "p99, times its own p50", "the same, full speed"]
    tail = [head, ["---"] * len(head)]
    head = ["", "requests/s of plain Envoy", "copies", "most memory, MiB"]
    slow = [head, ["---"] * len(head)]
    for contender in shown:
        key = contender.key
        cells = [cell(key, load, field) for field in ("cpu_us", "p99_us") for load in LOADS]
        rounds = min(len(results.of((key, "fast", load))) for load in LOADS)
        fast.append([contender.title, *cells, str(rounds)])
        typical = [cell(key, load, "p50_us") for load in LOADS]
        tail.append([contender.title, *typical, *(spread(results.of((key, "fast", load))) for load in LOADS)])
        speed = results.ratio((key, "slow", "max"), (PLAIN.key, "slow", "max"), "rps")
        copies = results.value((key, "slow", "max"), "copies_per_request") if contender.mirrors else None
        memory = number(peak(results, key, "slow"))
        slow.append([contender.title, number(speed, "{:.2f}"), number(copies, "{:.0%}"), memory])

    def lines(rows: list[list[str]]) -> str:
        return "\n".join("| " + " | ".join(row) + " |" for row in rows)

    judged = "\n".join(f"* {verdict_line(row).strip()}" for row in targets)
    notes = "\n".join(f"* {line}" for line in warnings(results)) or "* none"
    return f"""# Beside the alternatives

`make bench` wrote this; benches/side_by_side/run.py says how it is measured.

{heading}

POST of 8 KiB, one worker, {CONNECTIONS} connections; {rate:.0f} requests/s, or as many as the proxy answers ("full speed"). Times native
shadow ("{SHADOW.title}"), each round by itself: the median, and the range of the rounds.

{lines(fast)}

Where p99 comes from: what every request takes longer is in p50, and what a few do besides in p99 times p50.

{lines(tail)}

A RUM that takes 2 s, at full speed. Copies are those that had arrived when the window ended.

{lines(slow)}

## Targets

{judged}

## Notes

{notes}
"""
