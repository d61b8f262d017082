# %% [markdown]
# # How long does serialising take, by packet size, before and after the release?
#
# The question of the walk-through, in a notebook: open this file in Jupyter (through jupytext), VS Code or
# Spyder, or run it with Python. It reads `before.zst` and `after.zst` beside it, which `make demo` records in `demo/`:
#
#     funcrec record -u 'main.Serialize(len(b))' ./packets-before -o before.zst -- -for 6s
#     funcrec record -u 'main.Serialize(len(b))' ./packets-after -o after.zst -- -for 6s

# %%
import duckdb
import pandas as pd
import polars as pl

import funcrec

SIZE = "len(b)/1KB"
releases = {name: funcrec.open(f"{name}.zst") for name in ("before", "after")}
for name, trace in releases.items():
    print(f"{name}: {len(trace.table())} calls, lost: {trace.lost_events}")

# %% [markdown]
# Calls become an Arrow table: the columns of every call, and one for the size in steps of 1 KB.

# %%
calls = {name: trace.calls(filter="main.Serialize").to_arrow(SIZE) for name, trace in releases.items()}
print(calls["before"].schema)

# %% [markdown]
# pandas: medians side by side.

# %%
frame = pd.concat({name: table.to_pandas() for name, table in calls.items()}, names=["release"])
medians = frame.groupby(["release", SIZE])["dur_ns"].median().unstack("release")
medians["change %"] = 100 * (medians["after"] / medians["before"] - 1)
print(medians.round(1))

# %% [markdown]
# polars: the slowest calls of all, and when they happened.

# %%
frames = [pl.DataFrame(table).with_columns(release=pl.lit(name)) for name, table in calls.items()]
slowest = pl.concat(frames, how="vertical_relaxed")
print(slowest.sort("dur_ns", descending=True).select("release", "start_ns", "dur_ns", SIZE).head(5))

# %% [markdown]
# DuckDB: it sees the table by its name.

# %%
before = calls["before"]
tails = f'select "{SIZE}" as kb, count(*) as calls, quantile_cont(dur_ns, 0.99) as p99_ns from before group by kb'
print(duckdb.sql(tails).order("kb"))

# %% [markdown]
# Is the difference real? Intervals that hold for bursts and heavy tails, and one verdict for all buckets, come from
#
#     funcrec diff before.zst after.zst --by 'len(b)/1KB'
