# SPDX-License-Identifier: Apache-2.0
"""Checkpoints, tokenizers and templates that are broken, huge, or traps, through the command line: exit 2, one
error that names file and field, and a bound on the process's own time and memory."""
import json
import os
import pathlib
import pty
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "build" / "warpwright"
MODEL = ROOT / "models" / "glossary"

MAX_SECONDS = 2.0  # of processor time, so that a busy machine is no failure
MAX_MIB = 64  # beyond what the process takes for the good model, which has 11 MiB of weights


# Runs its arguments and reports what they took: a child's peak memory counts from its parent's, and this one is small.
MEASURE = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], capture_output=True, stdin=subprocess.DEVNULL)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
texts = [stream.decode(errors="replace") for stream in (done.stdout, done.stderr)]
print(json.dumps([done.returncode, *texts, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]))
"""


def run(model, *options):
    """Exit status, the two streams, processor seconds, and the most memory that was resident, in MiB."""
    command = [BINARY, "run", "--device", "cpu", "--model", model, "--prompt", "oak", "--max-tokens", "2", *options]
    done = subprocess.run([sys.executable, "-E", "-S", "-c", MEASURE, *command], capture_output=True, check=True, timeout=120)
    return json.loads(done.stdout)


def entry(dtype="U8", shape=(1,), offsets=(0, 1)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def safetensors(header, data_bytes=0, length=None):
    """A file of this header, an object or its text, and so many bytes of data."""
    text = header if isinstance(header, str) else json.dumps(header)
    text = text.encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + b"d" * data_bytes


class BadFiles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        status, _, errors, _, cls.good_mib = run(MODEL)
        assert status == 0, errors

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.model = pathlib.Path(folder.name)
        for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            (self.model / name).symlink_to(MODEL / name)

    def write(self, name, content):
        path = self.model / name
        path.unlink(missing_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def refused(self, *words, options=(), seconds=MAX_SECONDS, mib=MAX_MIB):
        status, out, errors, took_seconds, took_mib = run(self.model, *options)
        self.assertEqual(status, 2, errors[-2000:])
        self.assertEqual(out, "")
        self.assertTrue(errors.startswith("error: "), errors[:200])
        self.assertEqual(errors.count("\n"), 1, errors[:2000])
        self.assertLess(len(errors), 1000, errors[:2000])
        for word in words:
            self.assertIn(word, errors)
        self.assertLess(took_seconds, seconds, errors)
        self.assertLess(took_mib - self.good_mib, mib, errors)

    def weights_refused(self, content, *words, **bounds):
        with self.subTest(words=words):
            self.write("model.safetensors", content)
            self.refused("model.safetensors: ", *words, **bounds)


class Weights(BadFiles):
    def test_files_that_are_no_safetensors(self):
        self.weights_refused(b"", "expected at least 8 bytes, file has 0")
        self.weights_refused(b"1234567", "expected at least 8 bytes, file has 7")
        self.weights_refused(safetensors("{}", length=10 << 30), "header length 10737418240, expected at most 100000000")
        self.weights_refused(safetensors("{}", length=(1 << 64) - 1), "header length 18446744073709551615")
        self.weights_refused(safetensors("{}", length=99_999_999), "header ends at byte 100000007, file has 10")
        self.weights_refused(safetensors("hello"), "header: not JSON at byte 1 of 5")
        self.weights_refused(safetensors('{"t":'), "header: not JSON at byte 6 of 5")
        self.weights_refused(safetensors("[1]"), "header: expected an object")
        self.weights_refused(safetensors("7"), "header: expected an object")
        self.weights_refused(b"PK\x03\x04" + bytes(100), "header ends at byte 67324760, file has 104")

    def test_offsets(self):
        field = ("header: tensor t: data_offsets: ",)
        self.weights_refused(safetensors({"t": entry(offsets=(0, 1))}), *field, "ends at byte", "file has")
        self.weights_refused(safetensors({"t": entry(shape=[1 << 40], offsets=(0, 1 << 40))}, 1), *field, "ends at byte")
        self.weights_refused(safetensors({"t": entry(offsets=(1, 0))}, 1), *field, "[begin, end] with begin <= end")
        self.weights_refused(safetensors({"t": entry(offsets=(-1, 0))}, 1), *field, "[begin, end]")
        self.weights_refused(safetensors({"t": entry(offsets=(0, 1.0))}, 1), *field, "[begin, end]")
        self.weights_refused(safetensors({"t": entry(offsets=(0,))}, 1), *field, "[begin, end]")
        far = (1 << 64) - 1
        self.weights_refused(safetensors({"t": entry(offsets=(far - 1, far))}, 1), *field, "expected at most 2^62")
        self.weights_refused(safetensors({"t": entry(offsets=(1, 2))}, 2), *field, "begins at byte 1", "ends at 0")
        overlap = {"t": entry(shape=[2], offsets=(1, 3)), "a": entry(shape=[2], offsets=(0, 2))}
        self.weights_refused(safetensors(overlap, 3), *field, "begins at byte 1 of the data, the one before ends at 2")
        hole = {"a": entry(), "t": entry(offsets=(2, 3))}
        self.weights_refused(safetensors(hole, 3), *field, "begins at byte 2 of the data, the one before ends at 1")
        self.weights_refused(safetensors({"t": entry()}, 2), "tensors end at byte", "file has")

    def test_shapes_and_types(self):
        def refused(tensor, *words):
            self.weights_refused(safetensors({"t": tensor}, 1), "header: tensor t: ", *words)

        refused(entry(shape=[-1]), "shape: expected non-negative integers, got -1")
        refused(entry(shape=[1.5]), "shape: expected non-negative integers, got 1.5")
        refused(entry(shape=["1"]), "shape: expected non-negative integers, got '1'")
        refused(entry(shape=[1 << 64]), "shape: expected non-negative integers, got 1.8")
        refused(entry(shape=[1] * 1000), "shape: expected at most 32 dimensions")
        refused(entry("F32", [1 << 31, 1 << 31], (0, 0)), "shape: more bits than 63 bits count")
        refused(entry("F32", [1 << 32, 1 << 32], (0, 0)), "shape: more bits than 63 bits count")
        refused(entry("F32", [4], (0, 1)), "dtype and shape need 16 bytes, data_offsets span 1")
        refused(entry("F4", [1], (0, 1)), "shape: 4 bits are no whole bytes")
        refused(entry("Q7"), "dtype 'Q7' is not one of the safetensors format")
        refused(entry(7), "'dtype': expected a string, got 7")
        refused({"dtype": "U8", "shape": 3, "data_offsets": [0, 1]}, "'shape': expected an array, got 3")
        refused({"dtype": "U8", "shape": [1]}, "'data_offsets' is missing")
        refused({"dtype": "U8", "data_offsets": [0, 1]}, "'shape' is missing")
        refused({"shape": [1], "data_offsets": [0, 1]}, "'dtype' is missing")
        refused([], "expected an object, got an array")
        refused("U8", "expected an object, got 'U8'")

    def test_names(self):
        twice = '{"t":%s,"t":%s}' % (json.dumps(entry()), json.dumps(entry(offsets=(1, 2))))
        self.weights_refused(safetensors(twice, 2), "header: 't' occurs twice")
        self.weights_refused(safetensors('{"t":{"dtype":"U8","dtype":"U8"}}'), "tensor t: 'dtype' occurs twice")
        self.weights_refused(safetensors({"\n\x1b[2J" + "n" * 10000: 5}), "header: tensor \\n\\u001b[2Jnnn")
        self.weights_refused(safetensors({"__metadata__": {"a": []}}), "header: __metadata__: 'a': expected a string")

    def test_much_of_everything(self):
        deep = 20_000_000
        self.weights_refused(safetensors("[" * deep), "header: expected an object")
        self.weights_refused(safetensors('{"t":' + "[" * deep), "header: tensor t: expected an object, got an array")
        self.weights_refused(safetensors('{"t":{"shape":' + "[" * deep), "'shape': expected integers, got an array")
        self.weights_refused(safetensors('{"t":{"x":' + "[" * deep), "header: nested more than 64 deep")
        self.weights_refused(safetensors('{"t":{"x":' + '{"a":' * 1_000_000), "header: nested more than 64 deep")
        # A text of the header is held a few times over.
        self.weights_refused(safetensors('{"' + "n" * deep), "header: not JSON", mib=160)
        self.weights_refused(safetensors('{"t":{"dtype":"' + "n" * deep + '"}}'), "dtype 'nnnn", mib=160)

    def test_a_million_tensors(self):
        """Rows of the header are kept: memory is bounded by their number, and a cap."""
        rows = ",".join('"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}' % i for i in range(1_100_000))
        self.weights_refused(safetensors("{" + rows + "}"), "header: expected at most 1048576 tensors", seconds=5, mib=256)

    def test_a_header_of_100_mb(self):
        path = self.write("model.safetensors", struct.pack("<Q", 100_000_000))
        os.truncate(path, 100_000_008)  # a hole, which reads as zeros
        self.refused("model.safetensors: header: not JSON at byte 1 of 100000000")

    def test_other_kinds_of_files(self):
        (self.model / "model.safetensors").mkdir()
        self.refused("model.safetensors: not a file")
        (self.model / "model.safetensors").rmdir()
        os.mkfifo(self.model / "model.safetensors")
        self.refused("model.safetensors: not a file")
        (self.model / "model.safetensors").unlink()
        (self.model / "model.safetensors").symlink_to("nowhere")
        self.refused("no weights: neither model.safetensors nor model.safetensors.index.json")


class Shards(BadFiles):
    def index_refused(self, index, *words, **bounds):
        with self.subTest(words=words):
            self.write("model.safetensors.index.json", index if isinstance(index, str) else json.dumps(index))
            self.refused(*words, **bounds)

    def test_index(self):
        where = "model.safetensors.index.json: "
        self.index_refused("", where, "not JSON at byte 1 of 0")
        self.index_refused("[]", where, "expected an object, got an array")
        self.index_refused({}, where, "'weight_map' is missing")
        self.index_refused({"weight_map": 5}, where, "'weight_map': expected an object, got 5")
        self.index_refused({"weight_map": {"t": "a.safetensors"}}, where, "weight_map", "a.safetensors: no such file")
        self.index_refused('{"weight_map":{"t":"a","t":"b"}}', where, "weight_map: 't' occurs twice")
        for name in ("", ".", "..", "../a.safetensors", "/etc/passwd", "x/a.safetensors", "a\0", 5, None, ["a"]):
            self.index_refused({"weight_map": {"t": name}}, where, "tensor t: expected a file name, got ")
        self.index_refused('{"weight_map":{"t":' + "[" * 10_000_000, where, "tensor t: expected a file name, got an array")
        self.index_refused('{"x":' + "[" * 10_000_000, where, "nested more than 64 deep")

    def test_index_of_110_mb(self):
        path = self.write("model.safetensors.index.json", "{")
        os.truncate(path, 110_000_000)
        self.refused("model.safetensors.index.json: expected at most 100000000 bytes, got 110000000")

    def test_shards_that_do_not_hold_what_the_index_says(self):
        self.write("a.safetensors", safetensors({"t": entry()}, 1))
        self.write("b.safetensors", safetensors({"u": entry()}, 1))
        self.index_refused({"weight_map": {"t": "a.safetensors", "u": "a.safetensors"}},
                           "index.json: weight_map: says tensor u is in ", "a.safetensors, which does not hold it")
        self.index_refused({"weight_map": {"t": "b.safetensors", "u": "a.safetensors"}},
                           "index.json: weight_map: says tensor t is in ", "b.safetensors, which does not hold it")
        self.write("b.safetensors", safetensors({"t": entry()}, 1))
        self.index_refused({"weight_map": {"t": "a.safetensors", "u": "b.safetensors"}},
                           "b.safetensors: tensor t is also in ", "a.safetensors")
        self.write("b.safetensors", safetensors({"u": entry()}, 2))
        self.index_refused({"weight_map": {"t": "a.safetensors", "u": "b.safetensors"}},
                           "b.safetensors: tensors end at byte")

    def test_many_tensors_of_the_index(self):
        names = ",".join('"%d":"a"' % i for i in range(1_100_000))
        self.index_refused('{"weight_map":{' + names + "}}", "weight_map: expected at most 1048576 tensors", seconds=5,
                           mib=128)


class Contents(BadFiles):
    """Files that are right, for another model."""

    def good(self):
        content = (MODEL / "model.safetensors").read_bytes()
        (size,) = struct.unpack("<Q", content[:8])
        return json.loads(content[8 : 8 + size]), content[8 + size :]

    def changed(self, change):
        header, data = self.good()
        change(header)
        text = json.dumps(header).encode()
        self.write("model.safetensors", struct.pack("<Q", len(text)) + text + data)

    def test_tensors_that_the_config_contradicts(self):
        name = "model.layers.0.mlp.down_proj.weight"

        def transpose(header):
            header[name]["shape"].reverse()

        def retype(header):
            header[name]["dtype"] = "I16"

        def rename(header):
            header["model.layers.0.mlp.down_proj"] = header.pop(name)

        for change, words in ((transpose, "shape"), (retype, "I16"), (rename, "no tensor")):
            with self.subTest(change=change.__name__):
                self.changed(change)
                self.refused("model", name, words)


    def test_tensors_that_nobody_needs(self):
        header, data = self.good()
        header["vision.weight"] = entry("F64", [2], (len(data), len(data) + 16))
        text = json.dumps(header).encode()
        self.write("model.safetensors", struct.pack("<Q", len(text)) + text + data + bytes(16))
        status, _, errors, _, _ = run(self.model)
        self.assertEqual(status, 0, errors)
        self.assertIn(": ignored, this model does not need it: vision (1 tensors)\n", errors)

class Loading(BadFiles):
    def large_random(self, *options):
        """A command that loads 2 GB."""
        config = json.loads((MODEL / "config.json").read_text())
        config |= {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 12, "num_attention_heads": 16,
                   "num_key_value_heads": 16, "head_dim": 128}  # fmt: skip
        path = self.write("config.json", json.dumps(config))
        return [BINARY, "run", "--device", "cpu", "--model", path, "--weights", "random:1", "--random-prompt", "4",
                "--ignore-eos", *options]  # fmt: skip

    def test_interrupt_while_loading(self):
        # Tests that a shell runs in its background inherit that this signal is ignored.
        process = subprocess.Popen(self.large_random("--max-tokens", "100000"), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        time.sleep(0.4)  # a faster machine is interrupted at its first tokens, which has its own code
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
        self.assertIn(process.returncode, (-signal.SIGINT, 130), errors)

    def test_progress_on_a_terminal(self):
        terminal, other_end = pty.openpty()
        process = subprocess.Popen(self.large_random("--max-tokens", "1"), stdout=subprocess.DEVNULL, stderr=other_end)
        os.close(other_end)
        shown = b""
        try:
            while chunk := os.read(terminal, 65536):
                shown += chunk
        except OSError:  # the other end is closed
            pass
        os.close(terminal)
        self.assertEqual(process.wait(timeout=60), 0, shown)
        loaded_s = float(re.search(rb"loaded in ([\d.]+) s", shown).group(1))
        if loaded_s < 1:
            self.skipTest(f"2 GB are loaded in {loaded_s} s, which is too short for a bar")
        self.assertRegex(shown, rb"weights \[#*\.*\] +\d+%  [\d.]+ of [\d.]+ GB  [\d.]+ GB/s  \d+ s left")
        last_bar = shown.rindex(b" s left")
        self.assertIn(b"\r\x1b[K", shown[last_bar:], "the bar is not taken away")


class TokenizersAndTemplates(BadFiles):
    def setUp(self):
        super().setUp()
        (self.model / "model.safetensors").symlink_to(MODEL / "model.safetensors")

    def tokenizer_refused(self, change, *words, **bounds):
        with self.subTest(words=words):
            content = json.loads((MODEL / "tokenizer.json").read_text())
            change(content)
            self.write("tokenizer.json", json.dumps(content))
            self.refused("tokenizer.json: ", *words, **bounds)

    def test_tokenizer(self):
        self.tokenizer_refused(lambda f: f["model"].pop("merges"), "model: 'merges' is missing")
        self.tokenizer_refused(lambda f: f["model"].pop("vocab"), "model: 'vocab' is missing")
        self.tokenizer_refused(lambda f: f["model"]["merges"].append("qq qq"), "merges: number", "is not in the vocab")
        self.tokenizer_refused(lambda f: f["model"]["merges"].append("qqqq"), "merges: number", "expected 'a b'")
        self.tokenizer_refused(lambda f: f["model"]["vocab"].update(qq=0), "model: vocab: id 0 is ")
        self.tokenizer_refused(lambda f: f["model"]["vocab"].update(qq=-1), "vocab: 'qq': expected an id from 0")
        self.tokenizer_refused(lambda f: f["model"]["vocab"].update(qq=1 << 40), "vocab: 'qq': expected an id from 0")
        many = [{"id": i, "content": "t%d" % i} for i in range(1_000_000)]
        self.tokenizer_refused(lambda f: f.update(added_tokens=many), "added_tokens: expected at most 131072 tokens, got 1000000",
                               seconds=5, mib=512)

    def test_tokenizer_of_many_values(self):
        for text in ("[" + "0," * 30_000_000, '{"a":[' + "[],{}," * 10_000_000):
            self.write("tokenizer.json", text)
            self.refused("tokenizer.json: expected at most 4194304 values, got more before byte", mib=128)
        self.write("tokenizer.json", "[" * 60_000_000)
        self.refused("tokenizer.json: nested more than 64 deep at byte 64", mib=128)

    def template_refused(self, source, *words, **bounds):
        with self.subTest(words=words):
            self.write("chat_template.jinja", source)
            self.refused("chat_template.jinja: chat template: ", *words, options=["--chat"], **bounds)

    def test_templates(self):
        loop = "{% for x in range(100000) %}"
        self.template_refused(loop * 4 + "{% endfor %}" * 4, "line 1: expected the template to end within 5000000 steps")
        self.template_refused("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested more than 400 deep")
        self.template_refused("{{ 'a' * 9000000000 }}", "on the way")
        doubling = "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}"
        self.template_refused(doubling, "on the way", mib=400)  # 256 MiB are allowed
        self.template_refused("{{ " + "(" * 100_000, "nested more than")
        self.template_refused("\n{{ x", "expected '}}'")
        self.template_refused("\n{{ messages | nothing }}", "line 2: unknown or unsupported filter 'nothing'")
        self.template_refused(b"\xff", "expected UTF-8")
        self.template_refused("{{ raise_exception('no\x1b[2J') }}", "the template raises: no\\u001b[2J")


if __name__ == "__main__":
    sys.exit(unittest.main())
