# SPDX-License-Identifier: Apache-2.0
"""What `warpwright run` does beside plain greedy text: where outputs end, several of them, sampling, files, Ctrl-C."""
import json
import math
import pathlib
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from test_cli import BINARY, MODEL, Scratch, warpwright  # noqa: E402

PROMPT = "A violin is"


def run(*args, prompt=PROMPT, max_tokens=24, **options):
    prompts = ["--prompt", prompt] if prompt is not None else []
    return warpwright("run", "--device", "cpu", "--model", str(MODEL), *prompts, "--max-tokens", str(max_tokens), *args, **options)


def answer(*args, **options):
    result = run(*args, "--json", **options)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


class Ends(Scratch):
    def test_stop_string_across_tokens(self):
        whole = answer()["sequences"][0]
        # From inside a word to inside another: no token begins or ends with it.
        spaces = [i for i, c in enumerate(whole["text"]) if c == " "]
        stop = whole["text"][spaces[2] - 2:spaces[2] + 3]
        cut = answer("--stop", "no such text", "--stop", stop)["sequences"][0]
        self.assertEqual(cut["finish"], "stop_string")
        self.assertEqual(cut["stop_string"], stop)
        self.assertEqual(cut["text"], whole["text"][:whole["text"].index(stop)])
        self.assertLess(len(cut["tokens"]), len(whole["tokens"]))
        self.assertEqual(answer("--stop", stop, "--include-stop")["sequences"][0]["text"], cut["text"] + stop)
        self.assertEqual(run("--stop", stop).stdout, PROMPT + cut["text"] + "\n")

    def test_stop_token_and_min_tokens(self):
        whole = answer("--ignore-eos")["sequences"][0]
        token = whole["tokens"][5]
        first = whole["tokens"].index(token)
        cut = answer("--ignore-eos", "--stop-token", str(token))["sequences"][0]
        self.assertEqual((cut["finish"], cut["tokens"]), ("stop", whole["tokens"][:first + 1]))
        self.assertTrue(whole["text"].startswith(cut["text"]))
        longer = answer("--ignore-eos", "--stop-token", str(token), "--min-tokens", "10")["sequences"][0]
        self.assertGreaterEqual(len(longer["tokens"]), 10)
        self.assertNotIn(token, longer["tokens"][:10])

    def test_ctrl_c_shows_what_there_is(self):
        args = [BINARY, "run", "--device", "cpu", "--model", MODEL, "--prompt", PROMPT, "--ignore-eos", "--max-tokens", "100000"]
        process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        begin = process.stdout.read(len(PROMPT) + 20)
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, err)
        self.assertTrue(begin.startswith(PROMPT))
        self.assertTrue(rest.endswith("\n"))
        self.assertIn("tokens/s", err)

    def test_ctrl_c_and_json(self):
        # An emulated GPU takes many seconds to the limit of the context, after which it would wait for a reader.
        args = [BINARY, "run", "--device", "emulated:h200,checks=off", "--model", MODEL, "--prompt", PROMPT, "--ignore-eos"]
        args += ["--max-tokens", "100000", "--json"]
        for wait_s in (1, 4, 16):  # how long until it generates nobody says
            process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            time.sleep(wait_s)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            if process.returncode == 130 and json.loads(out)["sequences"][0]["tokens"]:
                break
        self.assertEqual(process.returncode, 130, err)
        sequence = json.loads(out)["sequences"][0]
        self.assertEqual(sequence["finish"], "interrupted")
        self.assertGreater(len(sequence["tokens"]), 0)


class Sampling(Scratch):
    def test_outputs_of_one_prompt(self):
        several = answer("-n", "3", "--temperature", "1", "--seed", "7")["sequences"]
        self.assertEqual([(s["prompt"], s["index"]) for s in several], [(0, 0), (0, 1), (0, 2)])
        self.assertEqual(len({tuple(s["tokens"]) for s in several}), 3)
        # The second output is what its seed gives alone.
        self.assertEqual(answer("--temperature", "1", "--seed", "8")["sequences"][0]["tokens"], several[1]["tokens"])
        text = run("-n", "2", "--temperature", "1", "--seed", "7").stdout
        self.assertTrue(text.startswith("[0.0] " + PROMPT + several[0]["text"]))

    def test_defaults_are_the_models_where_tokens_are_drawn(self):
        model = self.model()
        (model / "generation_config.json").write_text(json.dumps({"do_sample": True, "temperature": 0.7, "top_k": 5, "repetition_penalty": 1.25}))
        command = ["run", "--device", "cpu", "--model", str(model), "--prompt", PROMPT, "--max-tokens", "8", "--json"]

        def sampling(*args):
            return json.loads(warpwright(*command, *args).stdout)["sampling"]

        self.assertEqual(sampling(), {"greedy": True, "repetition_penalty": 1.0})
        drawn = sampling("--sample")
        self.assertEqual((drawn["greedy"], round(drawn["temperature"], 6), drawn["top_k"], drawn["top_p"], drawn["repetition_penalty"]), (False, 0.7, 5, 1.0, 1.25))
        given = sampling("--temperature", "1.5", "--top-k", "0")
        self.assertEqual((given["temperature"], given["top_k"], given["repetition_penalty"]), (1.5, 0, 1.25))
        (model / "generation_config.json").write_text(json.dumps({"do_sample": False, "top_k": 5}))
        self.assertEqual(sampling("--sample")["top_k"], 0)

    def test_penalties_and_biases(self):
        plain = answer("--ignore-eos", max_tokens=40)["sequences"][0]["tokens"]
        # No token twice: each that is there loses more than there is to lose.
        unrepeated = answer("--ignore-eos", "--presence-penalty", "2", "--repetition-penalty", "50", max_tokens=40)["sequences"][0]["tokens"]
        self.assertLess(len(set(plain)), len(plain))
        self.assertGreater(len(set(unrepeated)), len(set(plain)))
        banned = answer("--ignore-eos", "--logit-bias", f"{plain[0]}=-inf,{plain[1]}=-100", max_tokens=40)["sequences"][0]["tokens"]
        self.assertFalse({plain[0], plain[1]} & set(banned))
        forced = answer("--ignore-eos", "--logit-bias", "77=100", max_tokens=3)["sequences"][0]["tokens"]
        self.assertEqual(forced, [77, 77, 77])

    def test_logprobs(self):
        sequence = answer("--logprobs", "2", max_tokens=6)["sequences"][0]
        self.assertEqual(len(sequence["logprobs"]), len(sequence["tokens"]))
        for token, entry in zip(sequence["tokens"], sequence["logprobs"]):
            self.assertEqual(entry["token"], token)
            self.assertEqual(entry["top"][0]["token"], token)  # greedy
            self.assertEqual(entry["top"][0]["logprob"], entry["logprob"])
            self.assertGreaterEqual(entry["top"][0]["logprob"], entry["top"][1]["logprob"])
            self.assertLessEqual(sum(math.exp(top["logprob"]) for top in entry["top"]), 1.0001)
        self.assertEqual("".join(entry["text"] for entry in sequence["logprobs"]), sequence["text"])
        lines = run("--logprobs", "1", max_tokens=6).stdout.splitlines()
        self.assertEqual(len(lines), 1 + 6)
        self.assertIn(json.dumps(sequence["logprobs"][0]["text"]), lines[1])


class Files(Scratch):
    def test_prompts_file(self):
        texts = [PROMPT, "oak (noun):", "two\nlines"]
        ids = answer(prompt=texts[1])["sequences"][0]["prompt_tokens"]
        path = self.path / "prompts.txt"
        path.write_text("\n".join([texts[0], "", json.dumps({"prompt": ids}), json.dumps(texts[2]), json.dumps({"prompt": texts[0]})]) + "\n")
        for arguments, stdin in ((str(path), None), ("-", path.read_text())):
            result = subprocess.run([BINARY, "run", "--device", "cpu", "--model", MODEL, "--prompts-file", arguments, "--max-tokens", "8", "--json"],
                                    input=stdin, capture_output=True, text=True, timeout=120)
            self.assertEqual(result.returncode, 0, result.stderr)
            sequences = json.loads(result.stdout)["sequences"]
            expected = [answer(prompt=text, max_tokens=8)["sequences"][0]["tokens"] for text in (texts[0], texts[1], texts[2], texts[0])]
            self.assertEqual([s["tokens"] for s in sequences], expected)

    def test_bad_prompts_files(self):
        path = self.path / "prompts.txt"
        for content, words in (("", ["expected a prompt a line"]),
                               ('ok\n{"prompt"', ["line 2"]),
                               ('{"text": "x"}', ["line 1", "prompt"]),
                               ('{"prompt": "x", "seed": 1}', ["line 1", "unknown field seed"]),
                               ('{"prompt": [1, "x"]}', ["line 1", "token ids", "'x'"]),
                               ('{"prompt": [99999999999]}', ["line 1", "99999999999"]),
                               ('{"prompt": []}', ["line 1", "at least one token"]),
                               ('{"prompt": 3}', ["line 1", "got 3"]),
                               ('""', ["line 1", "empty"])):
            path.write_text(content)
            self.refused(run("--prompts-file", str(path), prompt=None), "prompts.txt", *words)
        self.refused(run("--prompts-file", str(self.path / "none"), prompt=None), "none")


class Engine(Scratch):
    def test_small_caches_and_chunks_change_nothing(self):
        prompts = ["--prompt", "oak (noun):", "--prompt", "A tree is a plant with a stem. A shrub has several.", "--ignore-eos"]
        whole = answer(*prompts, "--batch-invariant", max_tokens=30)
        tight = answer(*prompts, "--batch-invariant", "--cache-tokens", "64", "--page-size", "4", "--max-batch-tokens", "5", max_tokens=30)
        self.assertEqual([s["tokens"] for s in whole["sequences"]], [s["tokens"] for s in tight["sequences"]])
        self.assertGreater(tight["stats"]["preemptions"], 0)
        self.assertGreater(tight["stats"]["prefill_passes"], whole["stats"]["prefill_passes"])
        self.assertEqual(tight["stats"]["cache_pages"], 16)
        chosen = [layer["decode"]["chosen"] for layer in whole["plan"]["layers"] if layer["op"] == "gemm"]
        self.assertTrue(all("batch_invariant" in choice for choice in chosen))

    def test_equal_beginnings_are_read_once(self):
        twice = answer("--prompt", PROMPT + " a", "-n", "4", "--page-size", "1", max_tokens=4)
        self.assertGreater(twice["stats"]["reused_tokens"], 6)


class BadOptions(Scratch):
    def test_each_is_one_sentence(self):
        for args, words in ((["--stop", ""], ["--stop"]),
                            (["--top-p", "0.9"], ["--sample"]),
                            (["--temperature", "-1"], ["temperature", "-1"]),
                            (["--temperature", "1", "--top-p", "1.5"], ["top_p", "1.5"]),
                            (["--repetition-penalty", "0"], ["repetition_penalty"]),
                            (["--presence-penalty", "3"], ["presence_penalty", "3"]),
                            (["--logit-bias", "5"], ["--logit-bias", "name=value"]),
                            (["--logit-bias", "x=5"], ["--logit-bias", "'x'"]),
                            (["--logit-bias", "5=much"], ["--logit-bias", "'much'"]),
                            (["--logit-bias", "5=nan"], ["logit_bias", "5"]),
                            (["--logit-bias", "99999=1"], ["logit_bias", "99999"]),
                            (["--logit-bias", "5=1,5=2"], ["token 5", "twice"]),
                            (["--logprobs", "-1"], ["logprobs"]),
                            (["--stop-token", "99999"], ["stop_tokens", "99999"]),
                            (["--min-tokens", "99"], ["min_tokens"]),
                            (["-n", "0"], ["num_sequences"]),
                            (["--page-size", "3"], ["page_size_tokens"]),
                            (["--max-sequences", "0"], ["max_sequences"]),
                            (["--max-batch-tokens", "0"], ["max_batch_tokens"]),
                            (["--random-prompt", "-4"], ["--random-prompt"])):
            with self.subTest(args):
                self.refused(run(*args), *words)


if __name__ == "__main__":
    unittest.main()
