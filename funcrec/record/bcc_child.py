"""The compiling child: reads one request, compiles and loads it through BCC, hands back descriptors.

Run as a script by `compile.py`, never imported: BCC's shared libraries cost 100 MB of memory that the recorder does
not want, and LLVM may abort the process on bad input. The only file that imports bcc.

Protocol over the inherited socket: the parent sends one JSON object, length-prefixed (u32, little-endian); the child
answers with one such object and, on success, the descriptors as SCM_RIGHTS in the order of its "descriptors" list.
"""

import ctypes
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
_PROG_LOAD = 5  # enum bpf_cmd
_KPROBE = 2  # enum bpf_prog_type
_SLEEPABLE = 1 << 4  # BPF_F_SLEEPABLE
_EXPECTED_ATTACH_TYPE_AT = 68  # behind prog_name[16] and prog_ifindex
_PROG_LOAD_BYTES = 128
_CAPABILITY_VERSION_3 = 0x20080522  # include/uapi/linux/capability.h
_NOBODY = 65534
_UPROBE_MULTI = 48  # BPF_TRACE_UPROBE_MULTI, Linux 6.6 include/uapi/linux/bpf.h
# may_goto +0; r0 = 0; exit
_ONE_LOOP = b"".join(struct.pack("<Q", operation) for operation in (0xE5, 0xB7, 0x95))


def _see_no_kernel_symbols() -> None:
    """Stay who we are in all but name: BCC reads and sorts /proc/kallsyms at each compilation if it runs as user 0.

    That takes longer than the compilation, and is for calls that the program does not make. Users with capabilities
    alone never had it (src/cc/bcc_proc.c, BCC 0.26, asks geteuid()).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    if os.geteuid() != 0 or libc.capget(header, sets) < 0:
        return
    try:
        os.seteuid(_NOBODY)
    except OSError:  # nobody has no number in this user namespace
        return
    sets[0], sets[3] = sets[1], sets[4]  # the effective ones are gone with the name
    if libc.capset(header, sets) < 0:
        os.seteuid(0)
    else:
        libc.setfsuid(0)  # files are root's business still


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
        _see_no_kernel_symbols()
        bcc = _import_bcc()
        if not hasattr(bcc, "BPF"):
            raise ImportError(f"{bcc.__file__} is not the BPF Compiler Collection")
    except (ImportError, OSError, SyntaxError) as error:
        return {"failed": "import", "detail": str(error)}, [], None
    answer: dict[str, Any] = {}
    loops = any(macros.get("MAY_GOTO") for macros in request["variants"]) and _knows_may_goto(request["sys_bpf"])
    for macros in request["variants"]:
        if (macros.get("SLEEPABLE") and not request["multi"]) or (macros.get("MAY_GOTO") and not loops):
            continue
        answer, descriptors, module = _try(bcc, request, macros)
        if module is not None:
            return answer, descriptors, module
        if answer["failed"] == "compile" and not macros.get("MAY_GOTO"):
            break  # of the macros only that one may be more than a compiler knows
    return answer, [], None


def _try(bcc: Any, request: dict[str, Any], macros: dict[str, int]) -> tuple[dict[str, Any], list[int], Any]:
    """Compile and load one variant; the module is None when that fails."""
    try:
        flags = [*request["flags"], *(f"-D{name}={value}" for name, value in macros.items())]
        module = bcc.BPF(text=request["text"], cflags=flags)
    except Exception as error:  # bcc raises bare Exception
        return {"failed": "compile", "detail": str(error)}, [], None
    programs = []
    try:
        for name in request["programs"]:
            if macros.get("SLEEPABLE"):
                programs.append(_load(request["sys_bpf"], module.dump_func(name.encode()), _SLEEPABLE))
            else:
                attach_type = _UPROBE_MULTI if request["multi"] else -1
                programs.append(module.load_func(name, bcc.BPF.KPROBE, None, attach_type).fd)
    except Exception as error:
        return {"failed": "load", "detail": str(error)}, [], None
    names = [*request["programs"], *request["maps"]]
    descriptors = [*programs, *(module[name.encode()].map_fd for name in request["maps"])]
    # The module owns the descriptors: it must live until they are sent.
    return {"descriptors": names}, descriptors, module


def _knows_may_goto(sys_bpf: int) -> bool:
    """Whether the kernel has loops that it need not count; asked for first, since to try one costs a compilation."""
    try:
        os.close(_load(sys_bpf, _ONE_LOOP, 0))
    except OSError:
        return False
    return True


def _load(sys_bpf: int, instructions: bytes, program_flags: int) -> int:
    """Load a program with flags of BPF_PROG_LOAD, which BCC has no way to give.

    Raises:
        OSError: the kernel refuses it.
    """
    code, license_ = ctypes.create_string_buffer(instructions, len(instructions)), ctypes.create_string_buffer(b"GPL")
    attr = ctypes.create_string_buffer(_PROG_LOAD_BYTES)
    # union bpf_attr of BPF_PROG_LOAD: type, count, insns, license, log level, size and buffer, kernel version, flags
    values = (
        _KPROBE,
        len(instructions) // 8,
        ctypes.addressof(code),
        ctypes.addressof(license_),
        0,
        0,
        0,
        0,
        program_flags,
    )
    struct.pack_into("<IIQQIIQII", attr, 0, *values)
    struct.pack_into("<I", attr, _EXPECTED_ATTACH_TYPE_AT, _UPROBE_MULTI)
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor: int = libc.syscall(sys_bpf, _PROG_LOAD, attr, _PROG_LOAD_BYTES)
    if descriptor < 0:
        code_number = ctypes.get_errno()
        raise OSError(code_number, os.strerror(code_number))
    return descriptor


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
