# SPDX-License-Identifier: Apache-2.0
"""Engine: the shipped model on the CPU, as whole outputs and as streams."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import support  # noqa: E402

import warpwright  # noqa: E402
from warpwright import Sampling  # noqa: E402

PROMPT = "A river is"


@support.needs()
class Generate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.progress = []
        cls.engine = warpwright.Engine(
            support.MODEL,
            "cpu",
            max_context_tokens=256,
            progress=lambda done, total: cls.progress.append((done, total)),
        )

    def test_text_is_the_programs(self):
        program = support.ROOT / "build" / "warpwright"
        if not program.exists():
            self.skipTest("build/warpwright is not built")
        done = subprocess.run(
            [
                program,
                "run",
                "--device",
                "cpu",
                "--model",
                support.MODEL,
                "--prompt",
                PROMPT,
                "--max-tokens",
                "16",
                "--json",
            ],
            capture_output=True,
            text=True,
        )
        expected = json.loads(done.stdout)["sequences"][0]
        (output,) = self.engine.generate(PROMPT, max_tokens=16)
        self.assertEqual(
            (output.text, output.tokens, output.finish),
            (expected["text"], expected["tokens"], expected["finish"]),
        )

    def test_prompts_of_all_kinds(self):
        ids = self.engine.tokenizer.encode(PROMPT)
        (text,) = self.engine.generate(PROMPT, max_tokens=8)
        both = self.engine.generate([PROMPT, ids], max_tokens=8)
        self.assertEqual([output.prompt for output in both], [0, 1])
        self.assertEqual([output.tokens for output in both], [text.tokens, text.tokens])
        self.assertEqual(self.engine.generate(ids, max_tokens=8)[0].text, text.text)
        self.assertEqual(self.engine.generate([], max_tokens=8), [])
        with self.assertRaisesRegex(warpwright.CallerError, "prompt 1: expected text, token ids or messages"):
            self.engine.generate([PROMPT, [object()]])

    def test_stream_is_the_output_in_pieces(self):
        whole = self.engine.generate([PROMPT, "The sun"], max_tokens=12)
        pieces = {0: "", 1: ""}
        finishes = {0: [], 1: []}
        for token in self.engine.stream([PROMPT, "The sun"], max_tokens=12):
            pieces[token.prompt] += token.text
            finishes[token.prompt].append(token.finish)
        self.assertEqual([pieces[0], pieces[1]], [output.text for output in whole])
        for output in whole:
            self.assertEqual(finishes[output.prompt][:-1], [None] * (len(output.tokens) - 1))
            self.assertEqual(finishes[output.prompt][-1], output.finish)

    def test_leaving_a_stream_ends_its_sequences(self):
        stream = self.engine.stream(PROMPT, max_tokens=200, ignore_eos=True)
        next(stream)
        with self.assertRaisesRegex(warpwright.CallerError, "another one of this engine is not finished"):
            next(self.engine.stream(PROMPT))
        stream.close()
        self.assertEqual(len(self.engine.generate(PROMPT, max_tokens=3, ignore_eos=True)[0].tokens), 3)

    def test_seeds(self):
        sampling = Sampling(temperature=1.5, seed=5)
        first, second = self.engine.generate(PROMPT, sampling, max_tokens=12, num_outputs=2)
        self.assertEqual([first.index, second.index], [0, 1])
        self.assertNotEqual(first.tokens, second.tokens)
        (again,) = self.engine.generate(PROMPT, Sampling(temperature=1.5, seed=6), max_tokens=12)
        self.assertEqual(again.tokens, second.tokens)  # the second output of seed 5 has seed 6
        # So have the outputs of the next prompt.
        outputs = self.engine.generate([PROMPT] * 2, sampling, max_tokens=12)
        self.assertEqual([output.tokens for output in outputs], [first.tokens, second.tokens])

    def test_stop(self):
        (whole,) = self.engine.generate(PROMPT, max_tokens=24)
        word = whole.text.split()[4]
        (stopped,) = self.engine.generate(PROMPT, max_tokens=24, stop=word)
        self.assertEqual(
            (stopped.text, stopped.finish), (whole.text[: whole.text.index(word)], "stop_string")
        )
        (kept,) = self.engine.generate(PROMPT, max_tokens=24, stop=[word, "no such words"], include_stop=True)
        self.assertEqual(kept.text, stopped.text + word)
        token = whole.tokens[3]
        (ended,) = self.engine.generate(PROMPT, max_tokens=24, stop_tokens=[token])
        self.assertEqual(
            (ended.tokens, ended.finish), (whole.tokens[: whole.tokens.index(token) + 1], "stop")
        )

    def test_logprobs_and_biases(self):
        (output,) = self.engine.generate(PROMPT, Sampling(logprobs=3), max_tokens=4)
        self.assertEqual(len(output.logprobs), 4)
        for chosen, top, token in zip(output.logprobs, output.top, output.tokens):
            self.assertEqual((top[0].token, top[0].logprob), (token, chosen))  # greedy: the likeliest
            self.assertEqual(sorted(top, key=lambda one: -one.logprob), top)
        banned = output.tokens[0]
        (other,) = self.engine.generate(PROMPT, Sampling(logit_bias={banned: None}), max_tokens=4)
        self.assertEqual(other.tokens[0], output.top[0][1].token)

    def test_tokenizer(self):
        tokenizer = warpwright.Tokenizer(support.MODEL)
        text = "Rivers \u00e9\u4f60 0"
        self.assertEqual(tokenizer.decode(tokenizer.encode(text)), text)
        self.assertEqual(tokenizer.encode(text), self.engine.tokenizer.encode(text))
        self.assertEqual(tokenizer.info["vocab_size"], self.engine.info["model"]["vocab_size"])

    def test_what_it_says_about_itself(self):
        self.assertEqual(self.engine.device, "cpu")
        self.assertEqual(self.progress[-1][0], self.progress[-1][1])
        self.assertEqual(self.engine.info["max_context_tokens"], 256)
        self.assertGreaterEqual(self.engine.stats["stats"]["decode_passes"], 0)
        plan = self.engine.plan(batch=2, prompt=10, context=100)
        self.assertEqual(
            (plan.target.gpu, plan.phases.decode.batch, plan.phases.decode.context), ("cpu", 2, 100)
        )

    def test_declared_activations(self):
        model = support.ROOT / "tests" / "formats" / "models" / "compressed_fp8"
        for activations in ("16bit", "declared"):
            with warpwright.Engine(model, "cpu", activations=activations) as engine:
                self.assertEqual(engine.info["activations"], activations)
                self.assertEqual(engine.plan(batch=1, prompt=3, context=8).model.activations, activations)
        with self.assertRaisesRegex(warpwright.CallerError, "activations: expected auto"):
            warpwright.Engine(model, "cpu", activations="8bit")

    def test_errors(self):
        with self.assertRaisesRegex(warpwright.CallerError, "config.json"):
            warpwright.Engine(support.ROOT / "docs", "cpu")
        with self.assertRaisesRegex(warpwright.CallerError, "max_tokens"):
            self.engine.generate(PROMPT, max_tokens=0)
        with warpwright.Engine(support.MODEL, "cpu", max_context_tokens=64) as engine:
            pass
        with self.assertRaisesRegex(warpwright.CallerError, "engine: it was closed"):
            engine.generate(PROMPT)

    def test_random_weights(self):
        engine = warpwright.Engine(support.MODEL, "cpu", weights="random:3", max_context_tokens=64)
        self.assertEqual(len(engine.generate([1, 2, 3], max_tokens=5, ignore_eos=True)[0].tokens), 5)


@support.needs("torch")
@support.needs_gpu
class OnGpu(unittest.TestCase):
    prompts = (PROMPT, "The sun")

    def outputs(self, prompts, **options):
        engine = warpwright.Engine(
            support.MODEL, "cuda:0", weights="random:7", max_context_tokens=256, **options
        )
        outputs = engine.generate(list(prompts), max_tokens=24, ignore_eos=True)
        self.assertGreater(engine.stats["stats"]["decode_passes"], 20)
        return [output.tokens for output in outputs]

    def test_tokens_are_the_programs(self):
        import torch

        torch.ones(1, device="cuda")  # both use the GPU's one context
        command = ["run", "--device", "cuda:0", "--model", support.MODEL, "--weights", "random:7"]
        done = subprocess.run(
            [sys.executable, "-m", "warpwright", *command, "--prompt", PROMPT]
            + ["--max-tokens", "24", "--ignore-eos", "--context", "256", "--json"],
            capture_output=True,
            text=True,
            cwd=None if os.environ.get("WARPWRIGHT_INSTALLED") else support.ROOT / "python",
        )
        expected = json.loads(done.stdout)["sequences"][0]["tokens"]
        self.assertEqual(self.outputs([PROMPT], max_sequences=1), [expected])

    def test_format_of_the_cache(self):
        with warpwright.Engine(support.MODEL, "cpu", max_context_tokens=64, kv_format="fp8_e4m3") as engine:
            self.assertEqual(engine.info["kv_format"], "fp8_e4m3")
            self.assertEqual(engine.plan(1).memory.kv_format, "fp8_e4m3")
            self.assertEqual(len(engine.generate(PROMPT, max_tokens=4)[0].tokens), 4)
        with self.assertRaisesRegex(warpwright.CallerError, "kv_format: expected auto, bf16"):
            warpwright.Engine(support.MODEL, "cpu", kv_format="int8")

    def test_batch_invariant(self):
        together = self.outputs(self.prompts, batch_invariant=True)
        alone = [self.outputs([prompt], batch_invariant=True)[0] for prompt in self.prompts]
        self.assertEqual(together, alone)


@support.needs()
class Progress(unittest.TestCase):
    def test_what_it_raises_comes_out(self):
        def interrupt(done, total):
            raise KeyboardInterrupt(done)

        with self.assertRaises(KeyboardInterrupt):
            warpwright.Engine(support.MODEL, "cpu", max_context_tokens=64, progress=interrupt)


TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}{{ tone }} assistant:{% endif %}"
)


@support.needs()
class Chat(unittest.TestCase):
    def test_messages_are_put_into_the_template(self):
        messages = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is a river?"},
        ]
        with tempfile.TemporaryDirectory() as folder:
            model = pathlib.Path(folder)
            for path in support.MODEL.iterdir():
                (model / path.name).symlink_to(path)
            (model / "chat_template.jinja").write_text(TEMPLATE)
            engine = warpwright.Engine(model, "cpu", max_context_tokens=128)
            text = engine.tokenizer.chat(messages, tone="calm")
            self.assertEqual(text, "system: Be brief.\nuser: What is a river?\ncalm assistant:")
            self.assertEqual(
                engine.tokenizer.chat(messages, add_generation_prompt=False),
                text.replace("calm assistant:", ""),
            )
            (expected,) = engine.generate(text, max_tokens=8, add_special_tokens=False)
            (output,) = engine.generate(messages, max_tokens=8, template={"tone": "calm"})
            self.assertEqual(output.tokens, expected.tokens)
            both = engine.generate([messages, messages], max_tokens=8, template={"tone": "calm"})
            self.assertEqual([one.tokens for one in both], [expected.tokens] * 2)

    def test_without_a_template(self):
        with self.assertRaisesRegex(warpwright.CallerError, "chat_template"):
            warpwright.Tokenizer(support.MODEL).chat([{"role": "user", "content": "Hello"}])


if __name__ == "__main__":
    unittest.main()
