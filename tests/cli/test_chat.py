# SPDX-License-Identifier: Apache-2.0
"""run --chat as a user meets it, and tokenizers and templates that are refused."""
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from test_cli import Scratch, warpwright  # noqa: E402

TEMPLATE = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}{{ bos_token }}"
)


class Chat(Scratch):
    def chat(self, model, *args):
        return warpwright("run", "--device", "cpu", "--model", str(model), "--max-tokens", "3", *args)

    def with_config(self, **fields):
        copy = self.model()
        config = json.loads((copy / "tokenizer_config.json").read_text())
        (copy / "tokenizer_config.json").write_text(json.dumps({**config, **fields}))
        return copy

    def first(self, result):
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)["sequences"][0]

    def test_message_goes_through_the_template(self):
        model = self.with_config(chat_template=TEMPLATE)
        chat = self.first(self.chat(model, "--chat", "--system", "Be brief.", "--prompt", "Oak?", "--json"))
        text = "system: Be brief.\nuser: Oak?\nassistant:<|begin|>"
        plain = self.first(self.chat(model, "--prompt", text, "--json"))
        # The tokenizer's own template adds the begin token; a chat template has it where it wants it.
        self.assertEqual([0] + chat["prompt_tokens"], plain["prompt_tokens"])
        self.assertEqual(chat["prompt_tokens"][-1], 0)

    def test_answer_is_shown_alone(self):
        model = self.with_config(chat_template=TEMPLATE)
        result = self.chat(model, "--chat", "--prompt", "Oak?")
        answer = self.first(self.chat(model, "--chat", "--prompt", "Oak?", "--json"))
        self.assertEqual(result.stdout.rstrip("\n"), answer["text"].rstrip("\n"))

    def test_no_template(self):
        self.refused(self.chat(self.model(), "--chat", "--prompt", "x"), "chat template", "tokenizer_config.json")

    def test_system_without_chat(self):
        self.refused(self.chat(self.model(), "--system", "x", "--prompt", "x"), "--system: expected --chat")

    def test_broken_and_endless_templates(self):
        model = self.with_config(chat_template="{{ messages | shout }}")
        self.refused(self.chat(model, "--chat", "--prompt", "x"), "tokenizer_config.json", "line 1", "'shout'")
        loops = "{% for x in range(100000) %}" * 4 + "{% endfor %}" * 4
        (model / "chat_template.jinja").write_text(loops)
        self.refused(self.chat(model, "--chat", "--prompt", "x"), "chat_template.jinja", "steps")

    def test_refused_tokenizers(self):
        model = self.model()
        path = model / "tokenizer.json"
        whole = json.loads(path.read_text())
        for part, name, value, word in (
            ("model", "merges", None, "'merges' is missing"),
            ("model", "type", "Unigram", "'Unigram'"),
            ("decoder", "type", "WordPiece", "'WordPiece'"),
        ):
            changed = json.loads(json.dumps(whole))
            changed[part][name] = value
            path.write_text(json.dumps(changed))
            self.refused(self.chat(model, "--prompt", "x"), f"tokenizer.json: {part}", word)
        path.write_text("[" * 100000)
        self.refused(self.chat(model, "--prompt", "x"), "tokenizer.json", "nested more than 64 deep")


if __name__ == "__main__":
    unittest.main()
