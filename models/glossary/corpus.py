# SPDX-License-Identifier: Apache-2.0
"""WordNet's glosses as plain English, a few shapes of text per synset.

    lighthouse (noun): a tower with a light that gives warning of shoals to passing ships. Also called
    beacon, beacon light or pharos.
    A lighthouse is a tower with a light that gives warning of shoals to passing ships.

`build(folder)` returns (synset, text) pairs in WordNet's own order, where neighbours are about like things.
"""

import hashlib
import pathlib
import re

PARTS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
PART_NAMES = {"n": "noun", "v": "verb", "a": "adjective", "r": "adverb"}
LEX_TOPS, LEX_ANIMAL, LEX_PERSON, LEX_PLANT = 3, 5, 18, 20
MAX_SYNONYMS = 4

# Abuse and obscenity are in a dictionary for good reasons; a toy that speaks unasked is better without them.
UNWANTED = re.compile(
    r"slur|obscen|vulgar|offensive|disparag|derogat|contemptuous|insult|taboo|swear ?word|"
    r"sexual|coitus|copulat|genital|penis|vagina|masturbat|fornicat|prostitut|rape\b|raping|"
    r"incest|erotic|pornograph|intercourse|orgasm|homosexual|negro|nazi|suicid",
    re.I,
)
# A leading "(golf)" names a field and moves into the heading; "(of clothing)" and the like stay.
FIELD = re.compile(r"\(([A-Za-z]+(?: [a-z]+)?)\) +(?=\S)")
NOT_FIELDS = set(
    "of used usually often sometimes followed especially with plural in for as by from when not "
    "comparative superlative informal formal slang archaic dated old nonstandard literary "
    "intransitive transitive to on trademark prefix suffix and or the a an about".split()
)
DETERMINERS = set(
    "a an the any some one two three either each every all anything something someone anyone "
    "several various many most".split()
)


def held_out(synset):
    """Whether all texts of this synset are kept for evaluation: 2% of the synsets, by hash."""
    return hashlib.sha256(synset.encode()).digest()[0] < 5


def calibrates(synset):
    """Whether its texts are those by which weights are quantised (GPTQ): 0.8% of what is trained on, by hash."""
    return not held_out(synset) and hashlib.sha256(synset.encode()).digest()[1] < 2


def clean(text):
    text = re.sub(r"`([^`\"]*?)'(?![a-z])", r"'\1'", text).replace("`", "'")
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r" +([;,.:?!)])", r"\1", text)
    text = re.sub(r"\( +", "(", text)
    text = re.sub(r";(?=\S)", "; ", text)
    return text.strip(" ;,")


def split_gloss(gloss):
    """A gloss is a definition, then quoted examples; attributions after an example are dropped."""
    gloss = gloss.strip()
    start = re.search(r"(?:^|[;:,.)] *)\"", gloss)
    definition, rest = (gloss, "") if not start else (gloss[: start.end() - 1], gloss[start.end() - 1 :])
    if definition.count('"') % 2 or "(" in definition and definition.count("(") != definition.count(")"):
        return "", []
    examples = re.findall(r'"([^"]*)"', rest) if rest.count('"') % 2 == 0 else []
    examples = [clean(example) for example in examples]
    definition = clean(definition).rstrip(".: ")
    if re.search(r"\betc$", definition):
        definition += "."
    return definition, [example for example in examples if len(example.split()) >= 2]


def read_synsets(folder):
    for part, letter in PARTS.items():
        for line in (pathlib.Path(folder) / f"data.{part}").read_text("utf-8").splitlines():
            if line.startswith("  "):
                continue
            head, gloss = line.split("|", 1)
            fields = head.split()
            num_words = int(fields[3], 16)
            words = [fields[4 + 2 * i] for i in range(num_words)]
            words = [re.sub(r"\((?:p|a|ip)\)$", "", word).replace("_", " ") for word in words]
            pointers = fields[5 + 2 * num_words :]
            parents = [
                pointers[i + 1]
                for i in range(0, 4 * int(fields[4 + 2 * num_words]), 4)
                if pointers[i] in ("@", "@i") and pointers[i + 2] == "n"
            ]
            yield {
                "id": letter + fields[0],
                "part": letter,
                "lex": int(fields[1]),
                "words": words,
                "parent": "n" + parents[0] if letter == "n" and parents else "",
                "gloss": gloss,
                "instance": "@i" in pointers,
            }


def join_words(words):
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]


def sentence_end(text):
    return text if text[-1] in ".?!" else text + "."


def with_article(noun):
    return (
        "An "
        if re.match(
            r"(?!uni|eu|one|use|usu|uti|ura|ure)[aeiou]|(?!Uni|Eu|U\.|US|UK)[AEIOU]|hour|honor|heir", noun
        )
        else "A "
    ) + noun


def capital(text):
    return text[0].upper() + text[1:]


def entry(synset, definition, examples):
    """The dictionary's shape: heading, definition, synonyms, examples."""
    head, others, field = synset["words"][0], synset["words"][1 : 1 + MAX_SYNONYMS], ""
    match = FIELD.match(definition)
    if match and match[1].split()[0].lower() not in NOT_FIELDS:
        field, definition = ", " + match[1], definition[match.end() :]
    text = f"{head} ({PART_NAMES[synset['part']]}{field}): {sentence_end(definition)}"
    if others:
        text += (
            f" Also called {join_words(others)}." if synset["part"] == "n" else f" Also: {', '.join(others)}."
        )
    if examples:
        text += " For example: " + "; ".join(f'"{example}"' for example in examples[:3]) + "."
    return text


def sentence(synset, definition, parent):
    """The same as a plain sentence, where one can be made that reads well; else nothing."""
    head, first = synset["words"][0], definition.split()[0]
    proper = head != head.lower()
    if definition.startswith("(") or len(definition) < 12:
        return ""
    if synset["part"] == "v":
        return f"To {head} means to {sentence_end(definition)}" if first.islower() and not proper else ""
    if synset["part"] in "ar":
        return f"{capital(head)} means {sentence_end(definition)}" if not proper else ""
    if synset["instance"]:
        was = "was" if synset["lex"] == LEX_PERSON and re.search(r"\d{3}", definition) else "is"
        if first.lower() not in DETERMINERS:
            definition = with_article(definition).replace("A ", "a ", 1).replace("An ", "an ", 1)
        return f"{head} {was} {sentence_end(definition)}"
    if proper or first not in ("a", "an", "any", "the", "someone", "something", "one"):
        return ""
    countable = first in ("a", "an", "any", "someone") and not re.search(r"s$|ing$|ness$|ity$|tion$", head)
    text = f"{with_article(head) if countable else capital(head)} is {sentence_end(definition)}"
    if parent and parent["lex"] != LEX_TOPS and countable:
        name = parent["words"][0]
        if name == name.lower() and name.split()[-1] not in definition and name.split()[-1] not in head:
            text += f" It is a kind of {name}."
    return text


def spoken(examples):
    """Examples that are whole sentences, on their own."""
    starts = re.compile(
        r"(?:[A-Z]\w+|I|he|she|they|we|you|it|the|this|his|her|my|our|their|don't) \S+ \S+ \S+ \S+"
    )
    whole = [sentence_end(capital(example)) for example in examples if starts.match(example)]
    return " ".join(whole) if len(whole) >= 2 else ""


def build(folder):
    synsets = list(read_synsets(folder))
    by_id = {synset["id"]: synset for synset in synsets}
    texts = []
    for synset in synsets:
        definition, examples = split_gloss(synset["gloss"])
        if not definition or UNWANTED.search(" ".join(synset["words"]) + " " + synset["gloss"]):
            continue
        if synset["part"] == "n" and synset["lex"] in (LEX_ANIMAL, LEX_PLANT):
            if synset["words"][0][0].isupper() or synset["words"][0].startswith("genus "):
                continue  # taxa: Latin that nobody asks this model for
            synset["words"] = [word for word in synset["words"] if word == word.lower()] or synset["words"][
                :1
            ]
        shapes = [
            entry(synset, definition, examples),
            sentence(synset, definition, by_id.get(synset["parent"])),
            spoken(examples),
        ]
        texts += [(synset["id"], text) for text in shapes if text and text.isascii()]
    return texts
