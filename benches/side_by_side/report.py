"""Medians, ratios, the tables and the verdicts on the targets."""

from statistics import median

from contenders import ALL, LUA_CALL, OURS, PLAIN, SHADOW
from measure import Sample

SLACK_MIB = 48  # what the issue allows above max_pending_bytes
CPU_TARGET = 1.15
P99_TARGET = 1.2
# "No loss of throughput": two windows of the same proxy differ by this much on a shared machine.
THROUGHPUT_TARGET = 0.95

Key = tuple[str, str, str]


class Results:
    """All samples, by contender, RUM and load."""

    def __init__(self, samples: list[Sample]) -> None:
        self.samples = samples

    def of(self, key: Key) -> list[Sample]:
        """The windows of one cell, in the order of rounds."""
        return [s for s in self.samples if (s.contender, s.rum, s.load) == key]

    def value(self, key: Key, field: str) -> float | None:
        """The median over the rounds."""
        found = [getattr(s, field) for s in self.of(key)]
        return median(found) if found else None

    def ratio(self, key: Key, other: Key, field: str) -> float | None:
        """The median of the ratios round by round: neighbours in time see the same noise."""
        below = {s.round: getattr(s, field) for s in self.of(other)}
        found = [getattr(s, field) / below[s.round] for s in self.of(key) if below.get(s.round)]
        return median(found) if found else None


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
    ours, shadow, lua = OURS.key, SHADOW.key, LUA_CALL.key
    rows: list[dict] = []

    def judge(target: str, measured: float | None, limit: float, unit: str, at_least: bool = False) -> None:
        met = None if measured is None else (measured >= limit if at_least else measured <= limit)
        rows.append({"target": target, "measured": measured, "limit": limit, "unit": unit, "met": met})

    for load, words in (("paced", "at the fixed rate"), ("max", "at full speed")):
        for other, limit in ((shadow, CPU_TARGET), (lua, 1.0)):
            name = "native shadow" if other == shadow else "Lua"
            value = results.ratio((ours, "fast", load), (other, "fast", load), "cpu_us")
            judge(f"CPU per request {words}, times {name}", value, limit, "x")
    value = results.ratio((ours, "fast", "paced"), (shadow, "fast", "paced"), "p99_us")
    judge("p99 of the primary, times native shadow", value, P99_TARGET, "x")
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
        mirrors = sample.contender != PLAIN.key
        if mirrors and sample.rum == "fast" and sample.copies_per_request < 0.99:
            found.append(f"{name}: only {sample.copies_per_request:.1%} copied, its CPU looks too low")
    return found
