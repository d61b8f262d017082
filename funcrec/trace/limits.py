"""Bounds that every reader may rely on and every writer keeps: a trace is an untrusted file.

Normative in `formats/trace.md`, "Limits". Sizes are bytes. Nothing is allocated from a declared size before it was
compared with one of these.
"""

MAX_RAW = 64 << 20  # one record, decompressed
MAX_SMALL_RAW = 4 << 20  # one record other than EVENTS, VALUES and INDEX: its rows become objects, many times larger
MAX_WINDOW = 8 << 20  # what a zstd frame may ask a decoder to keep
MAX_BLOCK_EVENTS = 1 << 20
MAX_TEXT = 1 << 16  # one string
MAX_TIME = 1 << 62  # ns, 146 years: differences of two times fit in 64 bits
MAX_NESTING = 32  # maps and arrays inside each other, where rows are free-form
MAX_ARRAY = 1 << 16  # elements of one array or map
MAX_CONTAINERS = 1 << 18  # arrays and maps in one record ...
MAX_LARGE_CONTAINERS = 64  # ... and in one EVENTS, VALUES or INDEX record, which hold binary columns

MAX_FUNCTIONS = 1 << 20
MAX_SITES = 1 << 24
MAX_CALL_SITES = 1 << 22
MAX_TYPES = 1 << 20
MAX_GOROUTINES = 1 << 24
MAX_ROWS = 1 << 22  # rows of any other table: processes, losses, clocks, notes, skipped functions

# Whole-file budgets, as base + factor x bytes: what a file asks for is bounded by its size. A writer fills up records
# that are denser than the factors allow, so that no honest file is ever refused.
EVENTS_BASE, EVENTS_PER_BYTE = 1 << 17, 1.5
CAPTURES_BASE, CAPTURES_PER_BYTE = 1 << 16, 0.5
RAW_BASE, RAW_PER_BYTE = 1 << 28, 256
SMALL_RAW_BASE, SMALL_RAW_PER_BYTE = 8 << 20, 16
ROWS_BASE, ROWS_PER_BYTE = 1 << 16, 1  # of all small records
GOROUTINES_BASE, GOROUTINES_PER_BYTE = 1 << 15, 0.25
OBJECTS_BASE, OBJECTS_PER_BYTE = 1 << 15, 0.125  # rows that are an array or a map each, not columns
CONTAINERS_BASE, CONTAINERS_PER_BYTE = 1 << 19, 2  # arrays and maps

# What the writer aims at.
VALUES_TARGET = 4 << 20
SNAPSHOT_TARGET = 1 << 20
ROWS_TARGET = 1 << 14  # rows in one record
SPANS_TARGET = 1 << 16  # rows of all kinds in a SPANS record
COMMAND_WORDS, COMMAND_TEXT = 1 << 12, 1 << 15  # words and characters of a command line
PATH_TEXT = 1 << 12  # PATH_MAX of Linux
PROCESSES_TARGET = 16  # rows with command lines in one record, which fit whatever is in them
MAX_INDEXED = 1 << 20  # records that the index lists; a longer file has an index without prefixes
