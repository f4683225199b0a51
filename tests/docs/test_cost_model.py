# SPDX-License-Identifier: Apache-2.0
"""docs/cost_model.md is what its data says, the data is what the library predicts, and the bars hold."""
import json
import math
import pathlib
import sys
import tomllib
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import cost_report  # noqa: E402
import fit_cost  # noqa: E402

DATA_PATH = max((ROOT / "docs" / "results").glob("*_predicted.json"), key=lambda found: found.name)
DATA = json.loads(DATA_PATH.read_text())
AGAIN = "the cost model has changed: run tools/fit_cost.py, or with --keep"


class CostModel(unittest.TestCase):
    def test_page_is_the_datas(self):
        self.assertEqual((ROOT / "docs" / "cost_model.md").read_text(), cost_report.markdown(DATA, DATA_PATH.name))
        self.assertEqual((ROOT / "docs" / "cost_model.svg").read_text(), cost_report.picture(DATA))

    def test_constants_are_the_librarys(self):
        library = fit_cost.asked("--constants")
        self.assertEqual({name: constant["value"] for name, constant in DATA["constants"].items()},
                         {name: library[name] for name in DATA["constants"]}, AGAIN)

    def test_predictions_are_the_librarys(self):
        for name, found in DATA["sets"].items():
            items = [{"op": row["op"], "target": row["target"], "set": row["set"]}
                     | ({"row": row["row"]} if name == "measured" else {"reference": True}) for row in found["rows"]]
            for row, answer in zip(found["rows"], fit_cost.predict(items, {})):
                self.assertTrue(math.isclose(row["predicted_us"], answer["us"], rel_tol=1e-4), f"{row['problem']}: {AGAIN}")

    def test_plans_are_the_programs(self):
        engine = ROOT / "docs" / "results" / DATA["bench"].replace("_bench", "_engine")
        if not DATA["models"]:
            self.assertFalse(engine.exists(), AGAIN)
            return
        for row, now in zip(DATA["models"], fit_cost.model_rows(json.loads(engine.read_text())), strict=True):
            for name, value in row.items():  # layers may change a little without a new report
                same = value == now[name] or "planned" in name and math.isclose(value, now[name], rel_tol=0.02)
                self.assertTrue(same, f"{row['model']} {name}: {value}, now {now[name]}: {AGAIN}")

    def test_times_are_the_sources(self):
        bench = json.loads((ROOT / "docs" / "results" / DATA["bench"]).read_text())
        published = tomllib.loads((ROOT / "tools" / "published_kernels.toml").read_text())
        sources = {"measured": fit_cost.measured_items(bench), "published": fit_cost.published_items(published),
                   "sample": fit_cost.sample_items(published["sample"])}
        self.assertEqual({case["problem"] for case in bench["cases"] if case["op"] not in fit_cost.COMPOSITIONS},
                         {item["problem"] for item in sources["measured"]})
        for name, items in sources.items():
            self.assertEqual([(row["problem"], row["us"]) for row in DATA["sets"][name]["rows"]],
                             [(item["problem"], cost_report.rounded(item["us"])) for item in items])

    def test_bars(self):
        for name, count in (("measured", 70), ("published", 20)):
            for key in ("predicted_us", "held_out_us"):
                found = cost_report.summary(DATA["sets"][name]["rows"], key)
                self.assertGreaterEqual(found["count"], count)
                self.assertLessEqual(found["median"], cost_report.BARS["median"], f"{name} {key}")
                self.assertLessEqual(found["p90"], cost_report.BARS["p90"], f"{name} {key}")

    def test_held_out_is_unseen(self):
        """A problem's held-out prediction does not move with its own time."""
        items = [item for item in fit_cost.measured_items(json.loads((ROOT / "docs" / "results" / DATA["bench"]).read_text()))
                 if item["family"] == "sample"]
        library = fit_cost.asked("--constants")
        base = {name: value for name, value in library.items() if not name.startswith("sample.")}
        before = fit_cost.held_out(items, base)
        items[0]["us"] *= 3
        after = fit_cost.held_out(items, base)
        self.assertEqual(before[0]["us"], after[0]["us"])
        self.assertNotEqual(fit_cost.fold_of(items[0]), fit_cost.fold_of(items[1]))
        self.assertNotEqual(before[1]["us"], after[1]["us"])

    def test_the_fit_leads_to_the_constants(self):
        bench = json.loads((ROOT / "docs" / "results" / DATA["bench"]).read_text())
        library = fit_cost.asked("--constants")
        for family in set(fit_cost.PRIORS) - set(fit_cost.KEPT):
            priors = fit_cost.PRIORS[family]
            items = [item for item in fit_cost.measured_items(bench) if item["family"] == family]
            for name, value in fit_cost.fit(items, priors, {n: v for n, v in library.items() if n not in priors}).items():
                self.assertTrue(math.isclose(value, library[name], rel_tol=0.02), f"{name}: fitted {value}, library {library[name]}")


if __name__ == "__main__":
    unittest.main()
