"""Calls, total, self time and percentiles per function, from the text that `perf script` prints of uprobes.

    server 100/104 [000] 12.345678901: probe_server:main_f3: (401000)
    server 100/104 [000] 12.345679012: probe_server:main_f3__return: (401040)

The usual script of few lines: the nth exit of a thread belongs to its innermost open entry.
"""

import sys
from collections import defaultdict

open_calls: dict[str, list[list[int]]] = defaultdict(list)
durations: dict[str, list[int]] = defaultdict(list)
own: dict[str, int] = defaultdict(int)
with open(sys.argv[1]) as file:
    for line in file:
        _, thread, _, when, event, _ = line.split()
        seconds, _, rest = when.partition(".")
        now = int(seconds) * 1_000_000_000 + int(rest[:-1])
        name = event.split(":")[1]
        stack = open_calls[thread]
        if not name.endswith("__return"):
            stack.append([now, 0])
        elif stack:
            name = name.removesuffix("__return")
            began, inside = stack.pop()
            took = now - began
            durations[name].append(took)
            own[name] += took - inside
            if stack:
                stack[-1][1] += took
for name, times in sorted(durations.items(), key=lambda item: -sum(item[1])):
    times.sort()
    ranks = [times[int(share * (len(times) - 1))] for share in (0.5, 0.9, 0.99)]
    print(name, len(times), sum(times), own[name], sum(times) // len(times), times[0], *ranks, times[-1])
