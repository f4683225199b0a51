# SPDX-License-Identifier: Apache-2.0
"""warpwright diagnose as a user meets it: files, standard input, a log that grows and is replaced, exit codes."""
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "build" / "warpwright"
INT8 = "NotImplementedError: Int8 not supported on SM120. Use FP8 quantization instead, or run on older arch (SM < 100).\n"
SINKS = "ValueError: Selected backend FLASHINFER is not valid: sink setting not supported\n"
PATIENCE_S = 30


def diagnose(*args, **options):
    return subprocess.run([BINARY, "diagnose", *args], capture_output=True, text=True, timeout=120, **options)


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)

    def log(self, text, name="log.txt"):
        file = self.path / name
        file.write_text(text)
        return str(file)


class Files(Folder):
    def test_a_finding_is_exit_1_with_cause_fix_and_reference(self):
        result = diagnose(self.log("fine\n" + INT8))
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("vllm-int8-refused  (vllm, SM120, SM121, reported)", result.stdout)
        for word in ("log.txt:2", "cause", "fix", "https://github.com/vllm-project/vllm/issues/54311"):
            self.assertIn(word, result.stdout)

    def test_nothing_is_exit_0(self):
        result = diagnose(self.log("fine\n"))
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(result.stdout, "no known failure, and nothing that looks like an error, in 5 bytes of 1 file\n")

    def test_unknown_errors_are_told_with_what_to_do_next(self):
        result = diagnose(self.log("fine\nValueError: quantum flux\n"))
        self.assertEqual(result.returncode, 0)
        for word in ("1 line that looks like errors", "quantum flux", "warpwright inspect", "no known failure in"):
            self.assertIn(word, " ".join(result.stdout.split()))

    def test_standard_input(self):
        for arguments in ([], ["-"]):
            self.assertIn("-:1", diagnose(*arguments, input=INT8).stdout)

    def test_several_files(self):
        result = diagnose("--json", self.log(INT8, "a"), self.log(SINKS + SINKS, "b"))
        report = json.loads(result.stdout)
        places = [(f["id"], pathlib.Path(f["file"]).name, f["line"], f["count"]) for f in report["findings"]]
        self.assertEqual(places, [("vllm-int8-refused", "a", 1, 1), ("vllm-sinks-refused", "b", 1, 2)])
        self.assertEqual(report["files"], 2)

    def test_json(self):
        finding = json.loads(diagnose("--json", self.log(INT8)).stdout)["findings"][0]
        for key in ("id", "library", "line", "text", "cause", "fix", "reference", "confidence"):
            self.assertIn(key, finding)
        self.assertEqual(finding["text"] + "\n", INT8)

    def test_gpu(self):
        log = self.log(INT8)
        result = diagnose(log, "--gpu", "rtx-5090")
        self.assertEqual(result.returncode, 1)
        self.assertIn("Only failures that happen on rtx-5090 (compute capability 12.0)", result.stdout)
        result = diagnose(log, "--gpu", "h100")
        self.assertEqual(result.returncode, 0)
        self.assertIn("left out: vllm-int8-refused (vllm) matches", result.stdout)

    def test_inspect_looks_at_the_binary(self):
        ptx = self.path / "kernel.ptx"
        ptx.write_text(".version 8.0\n.target sm_90a\n.address_size 64\n.visible .entry k()\n{\nret;\n}\n")
        log = self.log("RuntimeError: CUDA error: no kernel image is available for execution on the device\n")
        result = diagnose(log, "--gpu", "rtx-5090", "--inspect", str(ptx))
        self.assertIn("inspected confirmed:", " ".join(result.stdout.split()))
        self.assertIn("has no image for 12.0 (it has sm_90a)", " ".join(result.stdout.split()))
        result = diagnose(log, "--gpu", "h100", "--inspect", str(ptx), "--json")
        self.assertEqual(json.loads(result.stdout)["findings"][0]["inspected"]["verdict"], "not confirmed")

    def test_bad_input_is_exit_2(self):
        log = self.log(INT8)
        for arguments, word in ((["nowhere.log"], "nowhere.log: No such file"), ([str(self.path)], "expected a log file"),
                                ([log, "--gpu", "h1000"], "nearest: h100"), ([log, "--gpu", "cpu"], "expected a GPU"),
                                ([log, log, "--follow"], "expected one file, got 2"),
                                ([log, "--inspect", "nowhere.so"], "nowhere.so")):
            result = diagnose(*arguments)
            self.assertEqual((result.returncode, result.stdout), (2, ""), arguments)
            self.assertIn(word, result.stderr)


class Follow(Folder):
    def start(self, *args, **options):
        process = subprocess.Popen([BINARY, "diagnose", "--follow", "--json", *args], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, **options)
        watchdog = threading.Timer(PATIENCE_S, process.kill)  # what is read for ever ends then
        watchdog.start()
        self.addCleanup(self.end, process, watchdog)
        return process

    @staticmethod
    def end(process, watchdog):
        watchdog.cancel()
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()

    def started(self, log):
        """A process that has the log open; from then on Ctrl-C ends it well."""
        process = self.start(log)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for handle in pathlib.Path(f"/proc/{process.pid}/fd").iterdir():
                if os.path.realpath(handle) == os.path.realpath(log):
                    return process
            time.sleep(0.02)
        self.fail(f"{log} was not opened within {PATIENCE_S} s")

    @staticmethod
    def finding(process):
        """The next finding; each is a line of its own, written at once."""
        return json.loads(process.stdout.readline())

    def stopped(self, process):
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=PATIENCE_S)
        self.assertEqual(error, "")
        return process.returncode, json.loads(out)

    def test_a_growing_log(self):
        log = self.log(INT8)
        process = self.start(log)
        self.assertEqual(self.finding(process)["line"], 1)
        with open(log, "a") as file:
            file.write(INT8 + SINKS[:20])
            file.flush()
            time.sleep(0.3)
            file.write(SINKS[20:])
        self.assertEqual(self.finding(process)["line"], 3)
        status, report = self.stopped(process)
        self.assertEqual(status, 1)
        self.assertEqual([f["count"] for f in report["findings"]], [2, 1])

    def test_a_log_that_is_rotated(self):
        log = self.log("fine\n" * 100)
        process = self.started(log)
        os.rename(log, log + ".1")
        self.log("fine\n" + INT8)
        self.assertEqual(self.finding(process)["line"], 2)
        self.assertEqual(self.stopped(process)[0], 1)

    def test_a_log_that_is_cut_down(self):
        log = self.log("fine\n" * 100)
        process = self.started(log)
        self.log(INT8)
        self.assertEqual(self.finding(process)["line"], 1)
        self.assertEqual(self.stopped(process)[0], 1)

    def test_a_pipe_ends_by_itself(self):
        process = self.start("-", stdin=subprocess.PIPE)
        process.stdin.write(INT8)
        process.stdin.flush()
        self.assertEqual(self.finding(process)["id"], "vllm-int8-refused")
        process.stdin.close()
        self.assertEqual(process.wait(PATIENCE_S), 1)

    def test_ctrl_c_without_findings_is_exit_0(self):
        process = self.started(self.log("fine\n"))
        self.assertEqual(self.stopped(process)[0], 0)


if __name__ == "__main__":
    unittest.main()
