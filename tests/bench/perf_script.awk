# Calls, total, longest and average per function, from the text that `perf script` prints of uprobes:
#
#   server 100/104 [000] 12.345678901: probe_server:main_f3: (401000)
#   server 100/104 [000] 12.345679012: probe_server:main_f3__return: (401040)
#
# The nth exit of a thread belongs to its innermost open entry.
{
    thread = $2
    split($4, when, /[.:]/)
    now = when[1] * 1e9 + when[2]
    name = $5
    sub(/^[^:]*:/, "", name)
    sub(/:$/, "", name)
    if (sub(/__return$/, "", name)) {
        took = now - began[thread, --depth[thread]]
        calls[name]++
        total[name] += took
        if (took > longest[name]) longest[name] = took
    } else {
        began[thread, depth[thread]++] = now
    }
}
END {
    for (name in calls) print name, calls[name], total[name], total[name] / calls[name], longest[name]
}
