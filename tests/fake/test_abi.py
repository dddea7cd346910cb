"""The fake's structs are those of the binding: every size, every offset, every version."""

from __future__ import annotations

import ctypes
import re
import subprocess
from pathlib import Path

import pytest
from fake_nvml import compiler

pynvml = pytest.importorskip("pynvml")
SOURCES = Path(__file__).parents[1] / "fake_nvml" / "src"

STRUCTS = {
    "Memory": "c_nvmlMemory_t",
    "MemoryV2": "c_nvmlMemory_v2_t",
    "Bar1Memory": "c_nvmlBAR1Memory_t",
    "Utilization": "c_nvmlUtilization_t",
    "Value": "c_nvmlValue_t",
    "Sample": "c_nvmlSample_t",
    "ViolationTime": "c_nvmlViolationTime_t",
    "ConfComputeMemory": "c_nvmlConfComputeMemSizeInfo_t",
    "Versioned32": "c_nvmlMarginTemperature_v1_t",
    "TemperatureV1": "c_nvmlTemperature_v1_t",
    "C2cMode": "c_nvmlC2cModeInfo_v1_t",
    "RowHistogram": "c_nvmlRowRemapperHistogramValues",
    "RemappedRowsV2": "c_nvmlRemappedRowsInfo_v2_t",
    "PciInfo": "nvmlPciInfo_t",
    "FieldValue": "c_nvmlFieldValue_t",
    "ProcessInfo": "c_nvmlProcessInfo_v2_t",
    "ProcessDetail": "c_nvmlProcessDetail_v1_t",
    "ProcessDetailList": "c_nvmlProcessDetailList_v1_t",
    "ProcessSample": "c_nvmlProcessUtilizationSample_t",
    "ProcessUse": "c_nvmlProcessUtilizationInfo_v1_t",
    "ProcessesUse": "c_nvmlProcessesUtilizationInfo_v1_t",
    "GpmInfo": "c_metricInfo_t",
    "GpmMetric": "c_nvmlGpmMetric_t",
    "GpmMetrics": "c_nvmlGpmMetricsGet_t",
    "GpmSupport": "c_nvmlGpmSupport_t",
    "EventData": "c_nvmlEventData_t",
    "Attributes": "c_nvmlDeviceAttributes",
    "GiProfileV2": "c_nvmlGpuInstanceProfileInfo_v2_t",
    "SramEcc": "c_nvmlEccSramErrorStatus_v1_t",
    "FabricInfo": "c_nvmlGpuFabricInfo_t",
    "FabricInfoV2": "c_nvmlGpuFabricInfo_v2_t",
}
VERSIONS = {
    ("MemoryV2", 2): "nvmlMemory_v2",
    ("ProcessesUse", 1): "ProcessesUtilizationInfo_v1",
    ("ProcessDetailList", 1): "nvmlProcessDetailList_v1",
    ("Versioned32", 1): "nvmlMarginTemperature_v1",
    ("TemperatureV1", 1): "nvmlTemperature_v1",
    ("SramEcc", 1): "nvmlEccSramErrorStatus_v1",
    ("GiProfileV2", 2): "nvmlGpuInstanceProfileInfo_v2",
    ("FabricInfoV2", 2): "nvmlGpuFabricInfo_v2",
}
FLEXIBLE = {"GpmMetrics"}
"""Structs whose last array grows with the binding: their size is not compared."""


def members(struct: str) -> list[str]:
    """Member names of a struct of abi.h, in order."""
    body = re.search(r"typedef (?:struct|union) \{([^}]*)\} " + struct + ";", (SOURCES / "abi.h").read_text())
    assert body, struct
    names = []
    for declaration in body[1].split(";"):
        words = re.sub(r"^\s*(?:const )?\w+ ", "", declaration)
        names += re.findall(r"\*?(\w+)(?:\[\w*\])?\s*(?:,|$)", words)
    return names


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Size of each struct, offset of each member and value of each version, from the compiler."""
    cc = compiler()
    if cc is None:
        pytest.skip("no C compiler")
    lines = []
    for struct in STRUCTS:
        lines.append(f'printf("{struct} %zu\\n", sizeof({struct}));')
        lines += [f'printf("{struct}.{member} %zu\\n", offsetof({struct}, {member}));' for member in members(struct)]
    lines += [f'printf("{struct}/{n} %zu\\n", (size_t)VERSIONED({struct}, {n}));' for struct, n in VERSIONS]
    source = '#include <stddef.h>\n#include <stdio.h>\n#include "abi.h"\nint main(void) {\n' + "\n".join(lines) + "\nreturn 0; }\n"
    folder = tmp_path_factory.mktemp("abi")
    (folder / "layout.c").write_text(source)
    subprocess.run([cc, f"-I{SOURCES}", "-o", folder / "layout", folder / "layout.c"], check=True)
    printed = subprocess.run([folder / "layout"], check=True, capture_output=True, text=True).stdout
    return {name: int(value) for name, value in (line.split() for line in printed.splitlines())}


@pytest.mark.parametrize("struct", STRUCTS)
def test_struct_is_laid_out_as_in_the_binding(struct: str, layout: dict[str, int]) -> None:
    theirs = getattr(pynvml, STRUCTS[struct], None)
    if theirs is None:
        pytest.skip(f"this binding has no {STRUCTS[struct]}")
    fields = [field[0] for field in theirs._fields_]
    ours = members(struct)
    if not issubclass(theirs, ctypes.Union):  # of a union the fake has only the members that it uses
        assert len(ours) == len(fields), (ours, fields)
        assert [layout[f"{struct}.{member}"] for member in ours] == [getattr(theirs, field).offset for field in fields]
    if struct not in FLEXIBLE:
        assert layout[struct] == ctypes.sizeof(theirs)


@pytest.mark.parametrize(("struct", "number"), VERSIONS)
def test_version_is_the_bindings(struct: str, number: int, layout: dict[str, int]) -> None:
    constant = VERSIONS[struct, number]
    if not hasattr(pynvml, constant):
        pytest.skip(f"this binding has no {constant}")
    assert layout[f"{struct}/{number}"] == getattr(pynvml, constant)


def test_gpm_metrics_grow_from_the_same_start(layout: dict[str, int]) -> None:
    assert ctypes.sizeof(pynvml.c_nvmlGpmMetricsGet_t) == layout["GpmMetrics"] + pynvml.NVML_GPM_METRIC_MAX * layout["GpmMetric"]


def test_every_function_of_the_binding_is_in_the_symbol_table() -> None:
    asked = set(re.findall(r'_nvmlGetFunctionPointer\("(nvml\w+)"\)', Path(pynvml.__file__).read_text()))
    table = {line.split()[0] for line in (SOURCES.parent / "symbols.txt").read_text().splitlines() if line[:1] != "#"}
    assert asked - table == set()


def test_codes_are_the_bindings() -> None:
    header = (SOURCES / "abi.h").read_text()
    codes = re.search(r"OK = 0,([^}]*)\}", header)
    assert codes
    for name, number in re.findall(r"(\w+) = (\d+)", codes[1]):
        theirs = {"DEPRECATED": "NVML_ERROR_DEPRECATED"}.get(name, f"NVML_ERROR_{name}")
        assert getattr(pynvml, theirs) == int(number), name
    for name, number in re.findall(r"TYPE_(\w+) = (\d)", header):
        theirs = {"UINT": "UNSIGNED_INT", "ULL": "UNSIGNED_LONG_LONG", "SINT": "SIGNED_INT"}.get(name, name)
        assert getattr(pynvml, f"NVML_VALUE_TYPE_{theirs}") == int(number), name
