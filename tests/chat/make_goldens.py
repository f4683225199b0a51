#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes goldens.json: what transformers renders of every conversation with every template, and of the snippets;
null where it raises.

    pip install transformers jinja2
    python3 tests/chat/make_goldens.py
"""

import datetime
import json
import os
import pathlib
import time

import jinja2
import transformers
from transformers.utils import chat_template_utils

HERE = pathlib.Path(__file__).parent
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}


class FixedTime(datetime.datetime):
    """2025-02-03 04:05:06 UTC, as test code passes it."""

    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(1738555506, tz)


def rendered(template, variables):
    try:
        names = {"tools": None, "documents": None, "add_generation_prompt": False, **SPECIAL, **variables}
        return chat_template_utils._compile_jinja_template(template).render(**names)
    except (jinja2.exceptions.TemplateError, TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
        print("raises:", template[:60].replace("\n", "~") if len(template) < 200 else "...", repr(error)[:90])
        return None


def main():
    os.environ["TZ"] = "UTC"
    time.tzset()
    chat_template_utils.datetime = FixedTime
    conversations = json.loads((HERE / "conversations.json").read_text(encoding="utf-8"))
    chats = {}
    for path in sorted((HERE / "templates").glob("*.jinja")):
        source = path.read_text(encoding="utf-8")
        chats[path.stem] = {name: rendered(source, c) for name, c in conversations.items()}
    snippets = json.loads((HERE / "snippets.json").read_text(encoding="utf-8"))
    out = {
        "transformers": transformers.__version__,
        "jinja2": jinja2.__version__,
        "chats": chats,
        "snippets": [rendered(snippet, {}) for snippet in snippets],
    }
    path = HERE / "goldens.json"
    path.write_text(json.dumps(out, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    print(path, len(snippets), "snippets")


main()
