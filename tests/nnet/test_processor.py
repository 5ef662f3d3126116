"""What is chosen on processors of several kinds, by their /proc/cpuinfo."""

import pytest

from nnet.config import ModelConfig
from nnet.errors import ModelError
from nnet.model import Network
from nnet.processor import Processor, faster_products, has_bf16, parse_cpuinfo, this_processor

CPUINFO = """\
processor\t: 0
vendor_id\t: {vendor}
model name\t: a processor: of some kind
flags\t\t: fpu sse2 {flags}

processor\t: 1
vendor_id\t: {vendor}
flags\t\t: fpu
"""
ARM = "processor\t: 0\nBogoMIPS\t: 243.75\nFeatures\t: fp asimd bf16 i8mm\nCPU implementer\t: 0x41\n"


def x86(vendor, flags):
    return CPUINFO.format(vendor=vendor, flags=flags)


KINDS = {
    "EPYC Genoa": (x86("AuthenticAMD", "avx2 avx512f avx512_bf16"), "onednn", True),
    "EPYC Rome": (x86("AuthenticAMD", "avx2"), "onednn", False),
    "AMD without AVX2": (x86("AuthenticAMD", "avx"), "mm", False),
    "Xeon with AMX": (x86("GenuineIntel", "avx2 avx512f avx512_bf16 amx_bf16 amx_tile"), "mm", True),
    "Xeon with AMX alone": (x86("GenuineIntel", "avx2 avx512f amx_bf16 amx_tile"), "mm", True),
    "Xeon without": (x86("GenuineIntel", "avx2 avx512f"), "mm", False),
    "another x86": (x86("HygonGenuine", "avx2"), "mm", False),
    "ARM": (ARM, "mm", False),
    "none": ("", "mm", False),
}


@pytest.mark.parametrize("kind", KINDS)
def test_products_and_precision_by_processor(kind, monkeypatch):
    cpuinfo, fp32, bf16 = KINDS[kind]
    processor = parse_cpuinfo(cpuinfo)
    assert faster_products(processor, "fp32") == fp32
    assert faster_products(processor, "bf16") == ("onednn" if bf16 else "mm")
    assert has_bf16(processor) == bf16
    assert ModelConfig(precision="auto").on(processor).precision == ("bf16" if bf16 else "fp32")


def test_first_processor_is_read():
    processor = parse_cpuinfo(x86("GenuineIntel", "avx2"))
    assert processor == Processor("GenuineIntel", frozenset({"fpu", "sse2", "avx2"}))


def test_a_machine_without_cpuinfo_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr("nnet.processor.CPUINFO", tmp_path / "none")
    assert this_processor.__wrapped__() == Processor()


@pytest.mark.parametrize(("flags", "precision"), [("avx512_bf16", "bf16"), ("avx2", "fp32")])
def test_a_network_has_the_precision_that_auto_came_to(flags, precision, monkeypatch):
    monkeypatch.setattr("nnet.model.this_processor", lambda: Processor("AuthenticAMD", frozenset({flags})))
    assert Network(ModelConfig(precision="auto"), 3, 2).config == ModelConfig(precision=precision)
    assert Network(ModelConfig(kind="dnn", delay=0, precision="auto"), 3, 2).config.precision == "fp32"
    for given in ("fp32", "bf16"):
        assert Network(ModelConfig(precision=given), 3, 2).config.precision == given


def test_an_unknown_precision_is_refused():
    with pytest.raises(ModelError, match="precision is 'fp16'; it has to be one of fp32, bf16, auto"):
        ModelConfig(precision="fp16").check()
