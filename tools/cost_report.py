# SPDX-License-Identifier: Apache-2.0
"""The report of predicted against measured: from the results of tools/fit_cost.py to JSON, and from JSON to
docs/cost_model.md and its picture."""
import json
import math

BARS = {"median": 0.25, "p90": 0.60}
COLOURS = {"gemm": "#2f6db5", "attention": "#d9822b", "other": "#3c9a6e"}


def errors(rows, key):
    return sorted(abs(row[key] / row["us"] - 1) for row in rows if key in row)


def summary(rows, key):
    """Of relative errors; the 90th percentile is the smallest that 90 % of them do not exceed."""
    found = errors(rows, key)
    if not found:
        return None
    middle = len(found) // 2
    median = found[middle] if len(found) % 2 else (found[middle - 1] + found[middle]) / 2
    return {"count": len(found), "median": median, "p90": found[math.ceil(0.9 * len(found)) - 1], "worst": found[-1]}


def rounded(value):
    return float(f"{value:.5g}")


def results(bench_name, bench, published, measured, others, sample, constants, changes, models, kept):
    """The report as data."""
    def row(item):
        predicted = item["predicted"]
        entry = {"op": item["op"], "target": item["target"], "problem": item["problem"], "set": item["set"],
                 "row": predicted["row"] if "reference" not in item else "reference kernel",
                 "us": rounded(item["us"]), "predicted_us": rounded(predicted["us"]), "bound": predicted["bound"]}
        if "held_out" in item:
            entry["held_out_us"] = rounded(item["held_out"]["us"])
        if item.get("assumed"):
            entry["assumed"] = item["assumed"]
        return entry

    sets = {}
    for name, items in (("measured", measured), ("published", others), ("sample", sample)):
        rows = [row(item) for item in items]
        sets[name] = {"predicted": summary(rows, "predicted_us"), "held_out": summary(rows, "held_out_us"), "rows": rows}
    return {"bench": bench_name, "gpu": bench["gpu"], "date": bench["date"], "bench_command": bench["command"],
            "command": "tools/fit_cost.py", "published": published["source"] | {"sample": published["sample"]["source"]},
            "not_predicted": published["not_predicted"],
            "constants": {name: {"prior": prior, "value": value} for name, (prior, value) in constants.items()},
            "kept": kept, "changed_choices": changes, "models": models, "sets": sets}


def model_lines(models):
    """Whole models; nothing was fitted to them."""
    if not models:
        return []
    lines = ["## Whole models", "",
             "Tokens a second at batch 1, one prompt of 2048 tokens and 128 more, random bf16 weights, one run each; the prefill is",
             "a first pass, with the loading of its kernels. Planned by `warpwright plan`; nothing was fitted to these.", "",
             "| model | prefill: measured | planned | error | decode: measured | planned | error |", "|---|---|---|---|---|---|---|"]
    for row in models:
        cells = [row["model"]]
        for phase in ("prefill", "decode"):
            measured, planned = row[f"{phase}_tokens_per_s"], row[f"planned_{phase}_tokens_per_s"]
            digits = 0 if phase == "prefill" else 1
            cells += [f"{measured:.{digits}f}", f"{planned:.{digits}f}", f"{100 * (planned / measured - 1):+.0f} %"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines + [""]


def percent(value):
    return f"{100 * value:.1f} %"


def summary_lines(data):
    lines = ["| set | problems | median error | 90th percentile | worst | held out: median | 90th percentile |",
             "|---|---|---|---|---|---|---|"]
    names = {"measured": f"our rows, {data['gpu']}, {data['date']}", "published": "published kernels, 5 GPUs",
             "sample": "sample of published B200 GEMMs, none of it fitted"}
    for name, label in names.items():
        fitted, unseen = data["sets"][name]["predicted"], data["sets"][name]["held_out"]
        cells = [label, str(fitted["count"])] + [percent(fitted[key]) for key in ("median", "p90", "worst")]
        cells += [percent(unseen["median"]), percent(unseen["p90"])] if unseen else ["", ""]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def row_lines(rows, with_target):
    lines = [f"| {'GPU | ' if with_target else ''}problem | row | measured, us | predicted, us | error | bound by |",
             f"|{'---|' if with_target else ''}---|---|---|---|---|---|"]
    for row in rows:
        error = row["predicted_us"] / row["us"] - 1
        cells = [row["target"]] if with_target else []
        cells += [f"{row['op']} {row['problem']}", row["row"], f"{row['us']:.1f}", f"{row['predicted_us']:.1f}",
                  f"{100 * error:+.0f} %", row["bound"]]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


TEXT = """# Predicted against measured

Every choice of a row and every plan rests on predicted times. This page says how far they are from measured ones. It is
written by `tools/fit_cost.py` from [the data](results/{data_name}); nothing here is typed by hand.

{summary}

The bars are a median of at most 25 % and a 90th percentile of at most 60 % for the first two sets. The error is
|predicted / measured - 1|. *Held out*: the constants are fitted without the problem's fold, a fifth of all, chosen by a
hash of its name, and the problem is predicted by that fit.

![predicted over measured time, in two panels](cost_model.svg)

## How a time is predicted

`cost.cpp` in every operation's folder, in a few dozen lines each: the slowest of what the memory, L2, the tensor cores and
one SM's outstanding loads allow, plus the start of a kernel and of its blocks, for the waves of blocks that the grid makes.
A target is data (`data/targets.toml`); the numbers of the model itself stand in `src/kernels/cost_constants.h`. Of those,
{num_constants} are fitted: the others have no measurement to speak of them here and are called modelled there.

**Our rows.** Measured on an {gpu} on {date} ([times](results/{bench}), one run of
{bench_command}), each problem on the row that was chosen. An H200, whose times are not among these (results/h200), has the same SMs and more memory bandwidth.

**Published kernels.** Times of NVIDIA's aiconfigurator database, {engines},
on five GPUs (`tools/published_kernels.toml`). They use wgmma on Hopper and tcgen05 on datacenter Blackwell; our rows there use mma.sync, so
they are predicted by a *reference kernel*: the formulas of our rows, at the tensor cores' share of that instruction, and with
copies that only the memory's bandwidth binds. No row is such a kernel yet; the shares are modelled, no choice and no plan uses
them. Where the database's shape was not published with the figure, the one assumed is in the table.

**The sample** is of the same database: GEMMs of every size on a B200. Nothing was fitted to it. Its products of about 2 us are
predicted at 4: the start-up of kernels and of their blocks is that of our rows, one after another in a captured graph.

**Not predicted**, for there are no rows:

{not_predicted}

## The fit

Least squares of log(predicted / measured), linear beyond 30 %. Every constant is drawn to a value from before the
measurements (*prior*), so that one which few problems speak of stays near it. A GPU with a tuning table goes by that, whatever the
model says; on one without, only rows that were chosen have times, and the fit must go on choosing them (large products the same
rows on an H200, which has the same SMs), since a change of row would be a guess. Of the measured problems, {changes}.

Kept, as their constants are from more than the rows that were chosen:

{kept}

    warpwright bench --device cuda:0 --set full --out docs/results/DATE_GPU_bench.json    # on the GPU
    ninja -C build predict_cost warpwright && tools/fit_cost.py                            # anywhere: constants and this page
    tools/fit_cost.py --keep                                                               # this page for the present constants

| constant | prior | fitted |
|---|---|---|
{constants}

{models}
## Our rows

{measured}

## Published kernels

{published}

{assumed}

## The sample

{sample}
"""


def changes_text(changes):
    """How many measured problems the model alone would run on another row, and the three where that costs most."""
    text = f"{len(changes)} would now run another row by the model alone"
    worst = sorted(changes, key=lambda change: change["us"] / change["chosen_us"])[:3]
    return text + "".join(f"; {c['problem']}: {c['chosen_row']}, predicted {c['chosen_us']:.1f} us, where {c['row']} took {c['us']:.1f}"
                          for c in worst)


def markdown(data, data_name):
    assumed = sorted({f"`{row['problem']}`: {row['assumed']}" for row in data["sets"]["published"]["rows"] if "assumed" in row})
    return TEXT.format(
        data_name=data_name, summary="\n".join(summary_lines(data)), num_constants=len(data["constants"]), gpu=data["gpu"],
        date=data["date"], bench=data["bench"], bench_command=f"`{data['bench_command']}`",
        changes=changes_text(data["changed_choices"]),
        kept="\n".join(f"- {family}: {source}" for family, source in data["kept"].items()),
        engines="the " + data["published"]["engines"],
        not_predicted="\n".join(f"- {what}: {count} figures" for what, count in data["not_predicted"].items()),
        constants="\n".join(f"| {name} | {c['prior']:g} | {c['value']:g} |" for name, c in data["constants"].items()),
        models="\n".join(model_lines(data["models"])),
        measured="\n".join(row_lines(data["sets"]["measured"]["rows"], False)),
        published="\n".join(row_lines(data["sets"]["published"]["rows"], True)),
        assumed="Assumed: " + "; ".join(assumed) + ".",
        sample="\n".join(row_lines(data["sets"]["sample"]["rows"], False)))


# ---- The picture: two panels with logarithmic axes; a grey band is 25 % to either side.

PANEL, LEFT, TOP = 330, 56, 30
LOW_US, HIGH_US = 1.5, 60000


def place(us):
    return PANEL * math.log(us / LOW_US) / math.log(HIGH_US / LOW_US)


def panel(title, rows, x):
    def at(measured_us, predicted_us):
        return f"{x + place(measured_us):.1f},{TOP + PANEL - place(predicted_us):.1f}"

    band = [at(LOW_US, LOW_US * 1.25), at(HIGH_US / 1.25, HIGH_US), at(HIGH_US, HIGH_US), at(HIGH_US, HIGH_US * 0.75),
            at(LOW_US / 0.75, LOW_US), at(LOW_US, LOW_US)]
    lines = [f'<text class="title" x="{x}" y="{TOP - 12}">{title}</text>',
             f'<rect class="frame" x="{x}" y="{TOP}" width="{PANEL}" height="{PANEL}" />',
             f'<polygon class="band" points="{" ".join(band)}" />',
             f'<polyline class="equal" points="{at(LOW_US, LOW_US)} {at(HIGH_US, HIGH_US)}" />']
    for us, text in ((10, "10 us"), (100, "100 us"), (1000, "1 ms"), (10000, "10 ms")):
        lines.append(f'<text x="{x + place(us):.1f}" y="{TOP + PANEL + 16}" text-anchor="middle">{text}</text>')
        if x == LEFT:
            lines.append(f'<text x="{x - 6}" y="{TOP + PANEL - place(us) + 4:.1f}" text-anchor="end">{text}</text>')
    for row in rows:
        colour = COLOURS.get(row["op"], COLOURS["other"])
        cx, cy = at(row["us"], row["predicted_us"]).split(",")
        lines.append(f'<circle cx="{cx}" cy="{cy}" r="3.2" fill="{colour}" fill-opacity="0.75" />')
    return lines


def picture(data):
    sets = data["sets"]
    second = LEFT + PANEL + 34
    width, height = second + PANEL + 12, TOP + PANEL + 56
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
        "<title>Predicted over measured time</title>",
        "<style>text { fill: #333; } .title { font-size: 13px; font-weight: bold; } .frame { fill: none; stroke: #999; }"
        " .band { fill: #999; fill-opacity: 0.2; } .equal { fill: none; stroke: #777; stroke-dasharray: 4 3; }"
        " @media (prefers-color-scheme: dark) { text { fill: #ddd; } }</style>"]
    lines += panel(f"our rows, {data['gpu']}", sets["measured"]["rows"], LEFT)
    lines += panel("published kernels, and the sample", sets["published"]["rows"] + sets["sample"]["rows"], second)
    y = height - 12
    lines.append(f'<text x="{LEFT}" y="{y}">across: measured; up: predicted; the band: 25 %</text>')
    for index, (name, colour) in enumerate(COLOURS.items()):
        x = second + 90 * index
        lines += [f'<circle cx="{x + 4}" cy="{y - 4}" r="4" fill="{colour}" />', f'<text x="{x + 13}" y="{y}">{name}</text>']
    return "\n".join(lines + ["</svg>", ""])


def write(root, data):
    name = data["bench"].replace("_bench", "_predicted")
    (root / "docs" / "results" / name).write_text(json.dumps(data, indent=1) + "\n")
    (root / "docs" / "cost_model.md").write_text(markdown(data, name))
    (root / "docs" / "cost_model.svg").write_text(picture(data))
    for set_name, found in data["sets"].items():
        for key in ("predicted", "held_out"):
            if found[key]:
                values = ", ".join(f"{what} {percent(found[key][what])}" for what in ("median", "p90", "worst"))
                print(f"{set_name}, {key.replace('_', ' ')}: {found[key]['count']} problems, {values}")
