"""The arguments that `record` and `list` share: which functions of which binary."""

from typing import Annotated

import typer

Binary = Annotated[str, typer.Argument(metavar="BINARY", help="The Go executable.", show_default=False)]
Roots = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ROOT]...", help="Record only what runs inside a call of these.", show_default=False),
]
Patterns = Annotated[
    list[str] | None,
    typer.Option(
        "-u",
        "--uprobe",
        "--uprobe-wildcards",
        metavar="PATTERN",
        help="Functions to record: a name with * and ?; !PATTERN leaves out. Repeatable.",
        show_default=False,
    ),
]
DebugFile = Annotated[
    str | None,
    typer.Option(
        "--debug-file",
        metavar="FILE",
        help="Debug information of a stripped BINARY: its debug file or unstripped twin. Found by build id otherwise.",
        show_default=False,
    ),
]
Match = Annotated[str, typer.Option("--match", metavar="glob|regex", help="What PATTERN is.")]
ExcludeVendor = Annotated[
    bool,
    typer.Option(
        "-x/ ", "--exclude-vendor/--no-exclude-vendor", help="Leave vendored packages out.", show_default=False
    ),
]
