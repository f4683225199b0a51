#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the corpora of inspect's fuzz targets: archives by Python's own modules, device code of one small kernel by
nvcc. Small inputs, because fuzzing runs thousands of them a second.

    python3 tests/fuzz/make_inspect_corpus.py [NVCC]
"""

import gzip
import io
import lzma
import pathlib
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile

CORPUS = pathlib.Path(__file__).parent / "corpus"
KERNEL = "__global__ void k(int* p) { *p = 1; }\n"
PTX = b"// made by hand\n.version 9.0\n.target sm_90a\n.address_size 64\n.visible .entry k() { ret; }\n"
CODE = b"\x7fELF\x02\x01\x01\x41\x08" + bytes(7) + struct.pack("<HH", 2, 190) + bytes(44)


def write(target, name, content):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def zstd_frame(content):
    """A frame of one block that is stored as it is."""
    return struct.pack("<IBI", 0xFD2FB528, 0xA0, len(content)) + struct.pack("<I", len(content) << 3 | 1)[:3] + content


# --- archives ------------------------------------------------------------------------------------------------


def zip_of(method, members, comment=b"", wide=False):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=wide) as member:
                member.write(content)
        archive.comment = comment
    return file.getvalue()


def tar_of(form, members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "a.cubin"
        archive.addfile(link)
    return file.getvalue().rstrip(b"\0") + bytes(1024 + 512)


def ar_of(members):
    def member(name, content):
        return f"{name:<16}{0:<12}{0:<6}{0:<6}{644:<8}{len(content):<10}`\n".encode() + content + b"\n" * (len(content) % 2)

    return b"!<arch>\n" + b"".join(member(name, content) for name, content in members)


def make_files():
    members = {"a.cubin": CODE, "pkg/b.ptx": PTX, "pkg/c.py": b"import torch\n", "../out": CODE}
    one = {"a.cubin": CODE}
    long_name = {"d" * 110 + "/" + "n" * 60: CODE}
    inner = zip_of(zipfile.ZIP_DEFLATED, one)
    files = {
        "zip_deflated": zip_of(zipfile.ZIP_DEFLATED, members, b"a comment"),
        "zip_stored": zip_of(zipfile.ZIP_STORED, members),
        "zip_wide": zip_of(zipfile.ZIP_DEFLATED, members, wide=True),
        "zip_in_zip": zip_of(zipfile.ZIP_STORED, {"in.zip": zip_of(zipfile.ZIP_DEFLATED, {"in.zip": inner})}),
        "zip_script": b"#!/usr/bin/env python3\n" + inner,
        "tar_ustar": tar_of(tarfile.USTAR_FORMAT, members),
        "tar_gnu": tar_of(tarfile.GNU_FORMAT, long_name),
        "tar_pax": tar_of(tarfile.PAX_FORMAT, long_name),
        "tar_gz": gzip.compress(tar_of(tarfile.USTAR_FORMAT, one), mtime=0),
        "tar_xz": lzma.compress(tar_of(tarfile.USTAR_FORMAT, one), lzma.FORMAT_XZ, preset=0),
        "tar_zst": zstd_frame(tar_of(tarfile.USTAR_FORMAT, one)),
        "conda": zip_of(zipfile.ZIP_STORED, {"pkg-x.tar.zst": zstd_frame(tar_of(tarfile.USTAR_FORMAT, one))}),
        "cubin_gz": gzip.compress(CODE, mtime=0),
        "ar_gnu": ar_of([("/", b"symbols"), ("//", b"a_name_that_is_long.o/\n"), ("/0", CODE), ("b.o/", PTX)]),
        "ar_bsd": ar_of([("__.SYMDEF", b"symbols"), ("#1/24", b"a_name_that_is_long.o\0\0\0" + CODE), ("b.o", PTX)]),
        "ar_in_tar": tar_of(tarfile.USTAR_FORMAT, {"lib.a": ar_of([("a.o/", CODE)])}),
        "cubin": CODE,
    }
    for name, content in files.items():
        write("inspect_files", name, (b"\1" if name.startswith(("tar", "ar_in")) else b"\0") + content)


# --- device code ---------------------------------------------------------------------------------------------


def entries(fatbin):
    """(header, payload, compressed bytes) of each."""
    at = 16
    while at < len(fatbin):
        header_bytes, stored, packed = struct.unpack_from("<IQI", fatbin, at + 4)
        yield fatbin[at : at + header_bytes], fatbin[at + header_bytes : at + header_bytes + stored], packed
        at += header_bytes + stored


def make_scan(nvcc):
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "k.cu"
        source.write_text(KERNEL)

        def build(*options):
            output = pathlib.Path(folder) / "out"
            subprocess.run([nvcc, *options, "-o", output, source], check=True)
            return output.read_bytes()

        arch = ["-gencode", "arch=compute_80,code=[sm_80,compute_80]"]
        plain, small, fast = (build("-fatbin", f"-compress-mode={mode}", *arch) for mode in ("none", "size", "speed"))
        marked = build("-fatbin", "-compress-mode=size", "-lineinfo", "-gencode", "arch=compute_90a,code=sm_90a")
        lto = build("-fatbin", "-gencode", "arch=compute_90,code=lto_90")
    _, payload, packed = next(entries(small))
    frame = payload[:packed]
    write("inspect_scan", "fatbin_plain", plain)
    write("inspect_scan", "fatbin_zstd", small)
    write("inspect_scan", "fatbin_lz4", fast)
    write("inspect_scan", "fatbin_lineinfo", marked)
    write("inspect_scan", "fatbin_lto", lto)
    write("inspect_scan", "two_fatbins", small + fast)
    write("inspect_scan", "frames", b"data" + frame + b"behind" + zstd_frame(PTX))
    write("inspect_scan", "cubin", b"before" + next(entries(plain))[1])
    write("inspect_scan", "ptx", PTX)
    write("inspect_scan", "ptx_among", bytes(8) + PTX + PTX + bytes(3) + PTX[16:] + b"\0.version %s\n")
    write("inspect_scan", "host", host_of({".nv_fatbin": small, "__nv_relfatbin": marked, ".ldata": frame}))


def host_of(sections):
    """An ELF file of the host with these sections."""
    names, content = b"\0", b""
    table = bytes(64)
    for name, section in [*sections.items(), (".shstrtab", None)]:
        place = len(names)
        names += name.encode() + b"\0"
        section = names if section is None else section
        table += struct.pack("<IIQQQQIIQQ", place, 1, 0, 0, 64 + len(content), len(section), 0, 0, 8, 0)
        content += section + bytes(-len(section) % 8)
    count = len(sections) + 2
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, 64 + len(content), 0, 64, 56, 0, 64, count, count - 1)
    return header + content + table


# --- images --------------------------------------------------------------------------------------------------

KERNELS = """#include <cstdio>
__device__ __noinline__ int other(int* p) { return *p + 1; }
__global__ void __launch_bounds__(64, 2) work(int* p, char c) {
    __shared__ int s[32];
    s[threadIdx.x] = other(p);
    __syncthreads();
    p[1] = s[c];
}
__global__ void says(int* p) { printf("only supported on sm90\\n"); }
"""
FORMS = """.version 9.0
.target sm_120f
.address_size 64
.extern .func (.param .b32 r) vprintf (.param .b64 a, .param .b64 b);
.global .align 1 .b8 $str[12] = {114, 101, 113, 117, 105, 114, 101, 115, 32, 115, 109, 0};
.shared .align 16 .b8 tile[100];
.func (.param .b32 r) helper(.param .b32 x) { red.sys.global.add.u32 [%rd1], 1; // a ; here
 ret; }
.visible .entry k(.param .u64 .ptr .global .align 16 p, .param .align 64 .b8 map[128])
.maxntid 384, 1, 1 .reqnctapercluster 2
{ .reg .b32 %r<3>; .shared .f64 b;
$L_1: @%p1 bra $L_1;
 { cp.async.bulk.tensor.2d.shared::cta.global.tile.mbarrier::complete_tx::bytes [%r1], [%rd1, {%r1, %r2}], [%r2]; }
 mma.sync.aligned.m16n8k32.row.col.kind::f8f6f4.f32.e4m3.e5m2.f32 {%f0,%f1}, {%r1}, {%r2}, {%f0,%f1};
 mov.u64 %rd2, $str; call.uni (r), vprintf, (a, b); call (r), helper, (x); trap; ret; }
"""


def make_images(nvcc):
    def compiled(*options):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / "k.cu"
            source.write_text(KERNELS)
            output = pathlib.Path(folder) / "k.out"
            subprocess.run([nvcc, *options, "-o", output, source], check=True)
            return output.read_bytes()

    hopper = compiled("-cubin", "-arch=sm_90a")
    write("inspect_cubin", "linked_80", compiled("-cubin", "-arch=sm_80"))
    write("inspect_cubin", "linked_90a", hopper)
    write("inspect_cubin", "linked_120f", compiled("-cubin", "-arch=sm_120f"))
    write("inspect_cubin", "object_90a", compiled("-cubin", "-rdc=true", "-arch=sm_90a"))
    # Header of ABI 7: the toolkit as version, sm_90a as flags.
    old = bytearray(hopper)
    old[7:9] = b"\x33\x07"
    struct.pack_into("<I", old, 20, 0x7B)
    struct.pack_into("<I", old, 48, 0x5A0D5A)
    write("inspect_cubin", "abi7", bytes(old))
    write("inspect_ptx", "nvcc", compiled("-ptx", "-arch=compute_80"))
    write("inspect_ptx", "forms", FORMS.encode())
    for number, name in enumerate(("_ZN1a1bI1cLi5ELb1EXadL_ZNS_1dEvEEJifEEEvT_DpT0_PKS1_", "_Z1fPFivERA4_KSsOK1aIS_E",
                                   "_ZZN1a1fEvENKUliE_clEi", "_Z1kIN1aC1EvEEvDnz")):
        write("inspect_ptx", f"name{number}", name.encode() + b"\n" + PTX)


if __name__ == "__main__":
    compiler = sys.argv[1] if len(sys.argv) > 1 else "nvcc"
    make_files()
    make_scan(compiler)
    make_images(compiler)
