"""What a decoder process may not do, whatever the bytes that it decodes make of it.

It reads what it is sent, computes, and answers. It opens no file, no socket and no process, and
touches no other process; its memory and its processor time are bounded. Linux only.
"""

import ctypes
import os
import platform
import resource
import signal
import struct

PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 22, 38
SECCOMP_MODE_FILTER = 2
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column, AUDIT_ARCH
# The numbers of all system calls that a decoder needs, on x86-64 and on ARM: memory, its channel,
# its clock, and the threads of codecs.
ALLOWED = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "fstat": (5, 80),
    "lseek": (8, 62),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "nanosleep": (35, 101),
    "getpid": (39, 172),
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "exit": (60, 93),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "sigaltstack": (131, 132),
    "gettid": (186, 178),
    "futex": (202, 98),
    "sched_getaffinity": (204, 123),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "set_robust_list": (273, 99),
    "getrandom": (318, 278),
    "rseq": (334, 293),
}
CLONE, CLONE_THREAD = (56, 220), 0x10000  # a thread of its own is allowed, a process is not
CLONE3 = (
    435,
    435,
)  # no filter sees its flags: there is none, so that `clone` is used
PRLIMIT = (302, 261)  # its own limits alone
EPERM, ENOSYS = 1, 38

# A filter is a list of instructions (code, jump if true, jump if false, operand) that read
# struct seccomp_data: the call's number at 0, the architecture at 4, the arguments from 16 on.
INSTRUCTION = struct.Struct("HBBI")
LOAD, JUMP_IF_EQUAL, JUMP_IF_SET, RETURN = 0x20, 0x15, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
ALLOW, REFUSE = 0x7FFF0000, 0x00050000  # the second with an error number


def confine(memory_bytes: int) -> bool:
    """Confine this process for good; whether the kernel filters its system calls, too.

    memory_bytes: that it may have beside what it has now. Without the filter it can open no file
    and no socket either, for it has no numbers left for them.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    limit = _address_space() + memory_bytes
    for which, most in (
        (resource.RLIMIT_AS, limit),
        (resource.RLIMIT_FSIZE, limit),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 0),
    ):
        resource.setrlimit(which, (most, most))
    return filter_calls()


def limit_cpu(seconds: int) -> None:
    """Have this process killed once it has worked for ``seconds`` more, if nobody else does it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))


def filter_calls() -> bool:
    """Refuse all system calls but those of a decoder, from now on, on all threads to come; whether
    the kernel can."""
    row = ARCHITECTURES.get(platform.machine())
    if row is None:
        return False
    code = b"".join(INSTRUCTION.pack(*one) for one in _filter(*row))
    program = ctypes.create_string_buffer(code)
    head = struct.pack("HxxxxxxN", len(code) // INSTRUCTION.size, ctypes.addressof(program))
    prctl = ctypes.CDLL(None).prctl
    prctl.argtypes = [ctypes.c_int, *[ctypes.c_void_p] * 4]
    return bool(
        prctl(PR_SET_NO_NEW_PRIVS, 1, None, None, None) == 0
        and prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, head, None, None) == 0
    )


def _filter(column: int, architecture: int) -> list[tuple[int, int, int, int]]:
    """Each test that succeeds goes on to the instruction behind it, else to the next test."""
    program = [
        (LOAD, 0, 0, ARCHITECTURE),
        (JUMP_IF_EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, REFUSE | EPERM),
        (LOAD, 0, 0, NUMBER),
    ]
    for numbers in ALLOWED.values():
        program += [(JUMP_IF_EQUAL, 0, 1, numbers[column]), (RETURN, 0, 0, ALLOW)]
    program += [
        (JUMP_IF_EQUAL, 0, 1, CLONE3[column]),
        (RETURN, 0, 0, REFUSE | ENOSYS),
        (JUMP_IF_EQUAL, 0, 3, CLONE[column]),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (JUMP_IF_SET, 0, 4, CLONE_THREAD),
        (RETURN, 0, 0, ALLOW),
        (JUMP_IF_EQUAL, 0, 2, PRLIMIT[column]),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (JUMP_IF_EQUAL, 1, 0, 0),
        (RETURN, 0, 0, REFUSE | EPERM),
        (RETURN, 0, 0, ALLOW),
    ]
    return program


def _address_space() -> int:
    """Bytes of this process's memory, used or not."""
    with open("/proc/self/statm") as file:  # noqa: PTH123  # pathlib would be one more import
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
