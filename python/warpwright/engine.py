# SPDX-License-Identifier: Apache-2.0
"""Engine: text from a model, many sequences at a time. What runs together and what comes out:
docs/engine.md.
"""

from __future__ import annotations

import ctypes
import json
import os
import threading
from dataclasses import dataclass, field
from typing import Any, Callable, Iterator, Optional, Sequence, Union

from . import _abi
from ._decode import decode
from ._library import check, handle_of, json_of, library, text_of
from .context import Context
from .errors import CallerError
from .planning import Plan

Message = dict[str, Any]  # {"role": "user", "content": text}
Prompt = Union[str, Sequence[int], Sequence[Message]]  # text, token ids, or a chat


@dataclass
class Sampling:
    """How tokens are chosen. The default is greedy; None is the model's own generation_config.json with
    `sample`.
    """

    temperature: Optional[float] = None  # 0: greedy
    top_k: Optional[int] = None  # 0: off
    top_p: Optional[float] = None  # 1: off
    min_p: Optional[float] = None  # 0: off
    sample: bool = False
    seed: int = 0  # the i-th output of a prompt has seed + i
    repetition_penalty: Optional[float] = None  # 1: off
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: dict[int, Optional[float]] = field(default_factory=dict)  # of token ids; None bans one
    logprobs: Optional[int] = None  # of every chosen token and of so many of the likeliest


@dataclass
class TokenLogprob:
    token: int
    logprob: float  # natural logarithm, of the model's own logits


@dataclass
class Token:
    """One token of one output."""

    prompt: int  # which of the prompts
    index: int  # which of its outputs
    token: int
    text: str  # what it adds to the text that can be shown; whole characters
    finish: Optional[str]  # with the last one: "length", "stop" (a token) or "stop_string"
    logprob: Optional[float] = None
    top: list[TokenLogprob] = field(default_factory=list)


@dataclass
class Output:
    """What came after one prompt."""

    prompt: int
    index: int
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    finish: Optional[str] = None
    logprobs: list[float] = field(default_factory=list)
    top: list[list[TokenLogprob]] = field(default_factory=list)


class Tokenizer:
    """A checkpoint's tokenizer.json, and its chat template. Thread-safe."""

    def __init__(self, model: Union[str, os.PathLike[str]], _of: Optional[Engine] = None):
        self._engine = _of  # whose tokenizer it is, kept alive
        if _of is not None:
            self._handle = library().ww_engine_tokenizer(_of._handle)
        else:
            self._handle = None
            self._handle = handle_of("ww_tokenizer_load", os.fsencode(model))
        self.info: dict[str, Any] = json_of("ww_tokenizer_json", self._handle)

    def __del__(self):
        if getattr(self, "_handle", None) and self._engine is None:
            library().ww_tokenizer_free(self._handle)

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """Token ids; with special tokens what the tokenizer puts before a text, mostly a begin token."""
        raw = text.encode()
        tokens, count = ctypes.POINTER(ctypes.c_int32)(), ctypes.c_size_t()
        check(
            library().ww_encode(
                self._handle, raw, len(raw), add_special_tokens, ctypes.byref(tokens), ctypes.byref(count)
            )
        )
        try:
            return tokens[: count.value]
        finally:
            library().ww_free(tokens)

    def decode(self, tokens: Sequence[int], skip_special_tokens: bool = True) -> str:
        """Text; U+FFFD stands for bytes that form no character."""
        text, count = ctypes.c_void_p(), ctypes.c_size_t()
        check(
            library().ww_decode(
                self._handle,
                (ctypes.c_int32 * len(tokens))(*tokens),
                len(tokens),
                skip_special_tokens,
                ctypes.byref(text),
                ctypes.byref(count),
            )
        )
        try:
            return ctypes.string_at(text.value or 0, count.value).decode()
        finally:
            library().ww_free(text)

    def chat(self, messages: Sequence[Message], add_generation_prompt: bool = True, **variables: Any) -> str:
        """The checkpoint's chat template over messages; `variables` is what else the template knows."""
        request = {"messages": list(messages), "add_generation_prompt": add_generation_prompt, **variables}
        return text_of("ww_chat_prompt", self._handle, json.dumps(request).encode())


class Engine:
    """A model, ready to generate.

    Args:
        model: a checkpoint's folder (config.json, tokenizer.json, safetensors), or with random weights also a
            config.json or the name of a built-in configuration.
        device: "auto", "cuda:N", "cpu", or "emulated:GPU".
        weights: "random:SEED" in place of the folder's.
        max_sequences: that run at a time; the others wait.
        max_context_tokens: of a sequence, prompt and output; 0: the model's limit, as far as memory allows.
        max_batch_tokens: of one pass: longer prompts are read in chunks beside what decodes.
        page_size_tokens: of the cache, a power of two.
        cache_tokens: of all sequences together; 0: all their contexts, as far as memory allows.
        batch_invariant: a sequence gets the same bits whatever runs beside it; slower.
        kv_format: of keys and values in the cache: "fp8_e4m3", "fp8_e5m2", or "bf16" (the model's type, "same");
            "auto": as the checkpoint declares, or else the model's type. `info` says which it is.
        activations: what quantised weights are multiplied by: "16bit"; "declared", 8-bit codes where the checkpoint
            says so; "auto", whichever is faster on the device.
        progress: called with (done_bytes, total_bytes) while weights are loaded; what it raises comes out when
            they are.

    Errors: CallerError for a bad model, UnavailableError for a device or memory that is not there.

    Calls from several threads wait for each other; one `stream` or `generate` runs at a time.
    """

    def __init__(
        self,
        model: Union[str, os.PathLike[str]],
        device: str = "auto",
        weights: Optional[str] = None,
        *,
        max_sequences: int = 8,
        max_context_tokens: int = 0,
        max_batch_tokens: int = 2048,
        page_size_tokens: int = 16,
        cache_tokens: int = 0,
        batch_invariant: bool = False,
        kv_format: str = "auto",
        activations: str = "auto",
        progress: Optional[Callable[[int, int], None]] = None,
    ):
        self._handle: Optional[int] = None
        self._lock = threading.Lock()
        self._context = Context.of(device)
        options = _abi.EngineOptions(
            weights=weights.encode() if weights else None,
            max_sequences=max_sequences,
            max_context_tokens=max_context_tokens,
            max_batch_tokens=max_batch_tokens,
            page_size_tokens=page_size_tokens,
            cache_tokens=cache_tokens,
            batch_invariant=batch_invariant,
            kv_format=kv_format.encode(),
            activations=activations.encode(),
        )
        raised: list[BaseException] = []

        if progress is not None:

            def loaded(_: Optional[int], done_bytes: int, total_bytes: int) -> None:
                try:
                    if not raised:
                        progress(done_bytes, total_bytes)
                except BaseException as error:
                    raised.append(error)

            options.progress = _abi.Progress(loaded)
        arguments = (self._context._handle, os.fsencode(model), ctypes.byref(options))
        self._handle = handle_of("ww_engine_create", *arguments)
        if raised:
            self.close()
            raise raised[0]
        self.info: dict[str, Any] = json_of("ww_engine_json", self._handle)

    def __del__(self):
        self.close()

    def close(self) -> None:
        """Gives the weights and the cache back."""
        handle, self._handle = getattr(self, "_handle", None), None
        if handle:
            library().ww_engine_free(handle)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    @property
    def device(self) -> str:
        return self._context.device

    @property
    def tokenizer(self) -> Tokenizer:
        if not library().ww_engine_tokenizer(self._open()):
            raise CallerError("tokenizer: the model's folder has none")
        return Tokenizer("", _of=self)

    @property
    def stats(self) -> dict[str, Any]:
        """The "timings" and "stats" of ``warpwright run --json``, so far."""
        return json_of("ww_engine_stats_json", self._open())

    def plan(self, batch: int = 0, prompt: int = 0, context: int = 0) -> Plan:
        """The Plan of this engine on its device; 0: the engine's own sizes."""
        return decode(Plan, json_of("ww_engine_plan", self._open(), batch, prompt, context))

    def generate(
        self, prompts: Union[Prompt, Sequence[Prompt]], sampling: Optional[Sampling] = None, **options: Any
    ) -> list[Output]:
        """All outputs, in the order of the prompts. Arguments are those of `stream`."""
        outputs: dict[tuple[int, int], Output] = {}
        for token in self.stream(prompts, sampling, **options):
            output = outputs.setdefault((token.prompt, token.index), Output(token.prompt, token.index))
            output.tokens.append(token.token)
            output.text += token.text
            output.finish = token.finish
            if token.logprob is not None:
                output.logprobs.append(token.logprob)
                output.top.append(token.top)
        return [outputs[key] for key in sorted(outputs)]

    def stream(
        self,
        prompts: Union[Prompt, Sequence[Prompt]],
        sampling: Optional[Sampling] = None,
        *,
        max_tokens: int = 128,
        min_tokens: int = 0,
        stop: Union[str, Sequence[str], None] = None,
        stop_tokens: Sequence[int] = (),
        include_stop: bool = False,
        ignore_eos: bool = False,
        num_outputs: int = 1,
        add_special_tokens: bool = True,
        template: Optional[dict[str, Any]] = None,
    ) -> Iterator[Token]:
        """Tokens of all prompts as they come; outputs are told apart by `prompt` and `index`.

        Args:
            prompts: one or several: text, a list of token ids, or a list of messages
                ``{"role": "user", "content": text}`` for the model's chat template.
            sampling: by default greedy.
            max_tokens: of each output.
            min_tokens: nothing ends the text before so many.
            stop: text, or several, that ends the output; not part of it without `include_stop`.
            stop_tokens: token ids that end it.
            ignore_eos: go on after the model's end token.
            num_outputs: for each prompt.
            add_special_tokens: before prompts that are text.
            template: variables of the chat template.

        Leaving the loop early ends the sequences.
        """
        request = {
            "max_tokens": max_tokens,
            "min_tokens": min_tokens,
            "stop": stop,
            "stop_tokens": list(stop_tokens),
            "include_stop": include_stop,
            "ignore_eos": ignore_eos,
            "num_sequences": num_outputs,
            "add_special_tokens": add_special_tokens,
            "template": template,
            **_fields(sampling or Sampling()),
        }
        all_prompts = _prompts(prompts)
        handle = self._open()
        if not self._lock.acquire(blocking=False):
            raise CallerError("stream: another one of this engine is not finished")
        whose: dict[int, tuple[int, int]] = {}
        try:
            for number, prompt in enumerate(all_prompts):
                first = ctypes.c_int32()
                one = {**request, **_prompt(prompt, number)}
                if sampling is not None:
                    one["seed"] = sampling.seed + number * num_outputs
                text = json.dumps({name: value for name, value in one.items() if value is not None})
                check(library().ww_engine_add(handle, text.encode(), ctypes.byref(first)))
                whose.update({first.value + index: (number, index) for index in range(num_outputs)})
            yield from self._tokens(whose, bool(sampling and sampling.logprobs is not None))
        finally:
            for sequence in whose:
                if self._handle:
                    library().ww_engine_cancel(self._handle, sequence, None)
            self._lock.release()

    def _tokens(self, whose: dict[int, tuple[int, int]], has_logprobs: bool) -> Iterator[Token]:
        count = ctypes.c_int32()
        while whose and not library().ww_engine_idle(self._open()):
            check(library().ww_engine_step(self._open(), ctypes.byref(count)))
            # Copied before the first is handed out: the next step overwrites them.
            tokens = []
            for index in range(count.value):
                raw = library().ww_engine_token(self._open(), index).contents
                if raw.sequence not in whose:
                    continue
                prompt, output = whose[raw.sequence]
                text = ctypes.string_at(raw.text, raw.text_bytes).decode() if raw.text_bytes else ""
                token = Token(prompt, output, raw.token, text, _abi.FINISH[raw.finish])
                if has_logprobs:
                    token.logprob = raw.logprob
                    token.top = [TokenLogprob(top.token, top.logprob) for top in raw.top[: raw.num_top]]
                if raw.finish:
                    del whose[raw.sequence]
                tokens.append(token)
            yield from tokens

    def _open(self) -> int:
        if not self._handle:
            raise CallerError("engine: it was closed")
        return self._handle


def _prompts(prompts: Any) -> list[Prompt]:
    """One prompt or several: a list of numbers or of messages is one."""
    if isinstance(prompts, str):
        return [prompts]
    found = list(prompts)
    if found and (isinstance(found[0], dict) or not isinstance(found[0], (str, list, tuple))):
        return [found]
    return found


def _prompt(prompt: Any, number: int) -> dict[str, Any]:
    if isinstance(prompt, str):
        return {"prompt": prompt}
    values = list(prompt)
    if values and isinstance(values[0], dict):
        return {"messages": values}
    try:
        return {"prompt": [int(value) for value in values]}
    except (TypeError, ValueError):
        raise CallerError(f"prompt {number}: expected text, token ids or messages") from None


def _fields(sampling: Sampling) -> dict[str, Any]:
    fields = {name: value for name, value in vars(sampling).items() if value is not None}
    fields["logit_bias"] = {str(token): bias for token, bias in sampling.logit_bias.items()}
    return fields
