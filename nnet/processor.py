"""The processor, and what is chosen by it: how a layer multiplies, and the precision of ``precision: auto``.

The choice is made by vendor and instruction sets, not by timing. So every run on a machine makes the same one, and
gives the same bits.
"""

from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

CPUINFO = Path("/proc/cpuinfo")


class Processor(NamedTuple):
    """Vendor and instruction sets of a processor, by their names in Linux's /proc/cpuinfo; empty where it has none."""

    vendor: str = ""
    flags: frozenset[str] = frozenset()


@cache
def this_processor() -> Processor:
    """The processor of this machine."""
    return parse_cpuinfo(CPUINFO.read_text(encoding="utf-8")) if CPUINFO.exists() else Processor()


def parse_cpuinfo(text: str) -> Processor:
    """Read the first processor of a /proc/cpuinfo.

    Example
    -------
    >>> parse_cpuinfo("vendor_id : GenuineIntel").vendor
    'GenuineIntel'
    """
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    return Processor(fields.get("vendor_id", ""), frozenset(fields.get("flags", "").split()))


def has_bf16(processor: Processor) -> bool:
    """Whether it multiplies numbers in bfloat16 by instructions of its own: AMX or AVX512-BF16.

    Example
    -------
    >>> has_bf16(Processor("AuthenticAMD", frozenset({"avx2", "avx512_bf16"})))
    True
    """
    return bool(processor.flags & {"amx_bf16", "avx512_bf16"})


def faster_products(processor: Processor, precision: Literal["fp32", "bf16"]) -> Literal["onednn", "mm"]:
    """The products that are faster there: ``onednn``, oneDNN's with weights laid out in advance, or ``mm``, torch.mm.

    In float32, torch.mm calls MKL, which is slower than oneDNN on AMD's processors and faster on Intel's: on a Xeon
    with AVX-512 a layer took 0.81 of the time with 4 streams, 0.92 with 64 (`tests.bench.lstm`). In bfloat16 torch.mm
    calls oneDNN too, and lays out the weight anew each time. Processors that were not measured use torch.mm.

    Example
    -------
    >>> faster_products(Processor("GenuineIntel", frozenset({"avx2", "avx512f", "amx_bf16"})), "fp32")
    'mm'
    """
    if precision == "bf16":
        return "onednn" if has_bf16(processor) else "mm"
    return "onednn" if processor.vendor == "AuthenticAMD" and "avx2" in processor.flags else "mm"
