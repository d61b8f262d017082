"""The compiling child: reads one request, compiles and loads it through BCC, hands back descriptors.

Run as a script by `compile.py`, never imported: BCC's shared libraries cost 100 MB of memory that the recorder does
not want, and LLVM may abort the process on bad input. The only file that imports bcc.

Protocol over the inherited socket: the parent sends one JSON object, length-prefixed (u32, little-endian); the child
answers with one such object and, on success, the descriptors as SCM_RIGHTS in the order of its "descriptors" list.
"""

import json
import os
import socket
import struct
import sys
from glob import glob
from typing import Any

# Distributions install bcc for their own interpreter only; appended, not prepended, as those folders hold much else.
_DISTRIBUTION_FOLDERS = (
    "/usr/lib/python3/dist-packages",
    "/usr/lib/python3*/site-packages",
    "/usr/lib64/python3*/site-packages",
)
_UPROBE_MULTI = 48  # BPF_TRACE_UPROBE_MULTI, Linux 6.6 include/uapi/linux/bpf.h


def _import_bcc() -> Any:
    try:
        import bcc
    except ImportError:
        for pattern in _DISTRIBUTION_FOLDERS:
            sys.path.extend(sorted(glob(pattern)))
        import bcc
    return bcc


def _build(request: dict[str, Any]) -> tuple[dict[str, Any], list[int], Any]:
    try:
        os.environ["BCC_KERNEL_SOURCE"] = request["kernel_source"]
        bcc = _import_bcc()
        if not hasattr(bcc, "BPF"):
            raise ImportError(f"{bcc.__file__} is not the BPF Compiler Collection")
    except (ImportError, OSError, SyntaxError) as error:
        return {"failed": "import", "detail": str(error)}, [], None
    try:
        module = bcc.BPF(text=request["text"], cflags=request["flags"])
    except Exception as error:  # bcc raises bare Exception
        return {"failed": "compile", "detail": str(error)}, [], None
    names, descriptors = [], []
    try:
        for name in request["programs"]:
            attach_type = _UPROBE_MULTI if request["multi"] else -1
            function = module.load_func(name, bcc.BPF.KPROBE, None, attach_type)
            names.append(name)
            descriptors.append(function.fd)
    except Exception as error:
        return {"failed": "load", "detail": str(error)}, [], None
    for name in request["maps"]:
        names.append(name)
        descriptors.append(module[name.encode()].map_fd)
    # The module owns the descriptors: it must live until they are sent.
    return {"descriptors": names}, descriptors, module


def _receive(channel: socket.socket) -> bytes:
    size = struct.unpack("<I", channel.recv(4, socket.MSG_WAITALL))[0]
    return channel.recv(size, socket.MSG_WAITALL)


def main(descriptor: int) -> None:
    """Serve one request on the inherited socket."""
    with socket.socket(fileno=descriptor) as channel:
        try:
            request = json.loads(_receive(channel))
        except (struct.error, ValueError):
            return  # the parent gave up before it asked
        answer, descriptors, module = _build(request)
        message = json.dumps(answer).encode()
        socket.send_fds(channel, [struct.pack("<I", len(message)) + message], descriptors)
        del module


if __name__ == "__main__":
    main(int(sys.argv[1]))
