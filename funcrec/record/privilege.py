"""Give back privilege that is not needed any more: capabilities, and the uid where somebody stands behind sudo.

Links, maps and the file are open by then; nothing that is left to do with them asks who we are.
"""

import ctypes
import os
from collections.abc import Collection
from enum import IntEnum

from funcrec.record.launch import Identity

_VERSION_3 = 0x20080522  # include/uapi/linux/capability.h
_PR_SET_KEEPCAPS, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 8, 4, 38  # include/uapi/linux/prctl.h
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4


class Capability(IntEnum):
    """Those that a recorder may keep, numbers of include/uapi/linux/capability.h."""

    CHOWN = 0  # a further trace file is given to the sudo caller
    DAC_OVERRIDE = 1  # a further trace file in a folder of somebody else's
    DAC_READ_SEARCH = 2  # the number of an event that tracefs shows to root only
    KILL = 5  # pass a signal on to a program of another user
    SYS_PTRACE = 19  # read who a process of another user is, in /proc
    PERFMON = 38  # the guard makes a link anew
    BPF = 39


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    """Two of struct __user_cap_data_struct, low word first."""

    _fields_ = tuple((f"{name}{word}", ctypes.c_uint32) for word in (0, 1) for name in ("e", "p", "i"))


def drop_capabilities(keep: Collection[Capability] = ()) -> None:
    """Leave this thread with no more than the given capabilities; those it never had stay away.

    The kernel keeps capabilities by thread: every thread has to do this for itself.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = _Header(_VERSION_3, 0), _Sets()
    if libc.capget(ctypes.byref(header), ctypes.byref(sets)) != 0:
        return
    for word in (0, 1):
        wanted = sum(1 << (capability % 32) for capability in keep if capability // 32 == word)
        permitted = getattr(sets, f"p{word}") & wanted
        for name, value in (("e", permitted), ("p", permitted), ("i", 0)):
            setattr(sets, f"{name}{word}", value)
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    libc.capset(ctypes.byref(header), ctypes.byref(sets))


def shed(keep: Collection[Capability], become: Identity | None) -> None:
    """Go on as somebody else, if there is anybody, with few capabilities and no way to get more.

    Args:
        keep: what is still needed.
        become: whom the whole process turns into; None: it stays who it is, which for root means that files of root
            are still its own.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if become is not None:
        libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)  # for this thread; all others lose theirs with the uid
        os.setgroups(become.groups)
        os.setresgid(become.gid, become.gid, become.gid)
        os.setresuid(become.uid, become.uid, become.uid)
        # Else /proc/self would belong to root from here on. Nobody without our capabilities may trace us all the same.
        libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    drop_capabilities(keep)
