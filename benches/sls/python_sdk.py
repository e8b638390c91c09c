"""The official Python SDK as a contender, told by run.py what to do, a line each: `open W FILE` (logs as JSON), then
`run W N`: the CPU seconds of N times `LogClient.put_logs`, all of it but the transport; `raw W FILE`: what it serialises."""

import json
import sys
import time
from pathlib import Path

import lz4.block
from aliyun.log import LogClient, LogItem, PutLogsRequest

import run


def main() -> None:
    """Answers each line with one line of JSON."""
    sent: list[tuple] = []
    client = LogClient(run.ENDPOINT, run.KEY_ID, run.SECRET)
    # What would hand the signed request to `requests`.
    client._sendRequest = lambda *request: sent.append(request) or ({}, {})  # type: ignore[method-assign]
    opened = {}
    for line in sys.stdin:
        command, name, argument = line.rstrip("\n").split("\t")
        answer = {}
        if command == "open":
            logs = json.loads(Path(argument).read_text())
            items = [LogItem(s, time_nano_part=n, contents=[(k, v) for k, v in fields]) for s, n, fields in logs]
            opened[name] = PutLogsRequest(run.PROJECT, run.LOGSTORE, run.TOPIC, run.SOURCE, items)
        elif command == "raw":
            client.put_logs(opened[name])
            method, url, params, body, headers, *_ = sent.pop()
            raw = lz4.block.decompress(body, uncompressed_size=int(headers["x-log-bodyrawsize"]))
            Path(argument).write_bytes(raw)
        else:
            request, times = opened[name], int(argument)
            before = time.process_time()
            for _ in range(times):
                client.put_logs(request)
                sent.clear()
            answer = {"cpu_s": time.process_time() - before}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
