// SPDX-License-Identifier: Apache-2.0
// The style of the page that plan_html.cpp writes: light and dark, from a phone to a wide screen.
#pragma once

namespace warpwright {

inline constexpr const char* kPlanStyle = R"css(
:root {
  color-scheme: light dark;
  --page: #fbfbfa; --panel: #ffffff; --text: #1c2024; --quiet: #5d666f; --line: #dfe3e6; --bad: #b3261e;
  --free: #e8ebed; --c0: #2f6db5; --c1: #d9822b; --c2: #3c9a6e; --c3: #8a63b8; --c4: #c9a227; --c5: #7f8b95;
  --c6: #c14a5a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171a; --panel: #1b1f23; --text: #e6e9ec; --quiet: #9aa5af; --line: #32393f; --bad: #ff8a80;
    --free: #2b3137; --c0: #5a9be6; --c1: #f0a050; --c2: #5cc493; --c3: #b08fe0; --c4: #e3c04f; --c5: #8d99a3;
    --c6: #ee7a88;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 16px 48px; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 8px 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0 0 12px; }
h3 { font-size: 1rem; margin: 16px 0 8px; }
p { margin: 0 0 8px; }
.quiet, figcaption, footer { color: var(--quiet); font-size: .875rem; }
section { background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: 16px; margin: 16px 0; }
.scroll { overflow-x: auto; margin-bottom: 12px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 10px; text-align: left; white-space: nowrap; border-bottom: 1px solid var(--line); }
th small { display: block; font-weight: 400; color: var(--quiet); }
thead th { vertical-align: bottom; }
tbody th { font-weight: 600; position: sticky; left: 0; background: var(--panel); }
.number { text-align: right; }
.row { font-family: ui-monospace, monospace; font-size: .8rem; }
tr.no td, tr.no th { color: var(--quiet); }
.bad { color: var(--bad); }
ul.reasons { margin: 12px 0; padding-left: 18px; font-size: .9rem; }
figure { margin: 0; }
figcaption { margin-top: 10px; }
ul.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 0 0 12px; padding: 0; font-size: .85rem; }
ul.legend i { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 6px; vertical-align: -1px; }
.bars { display: grid; grid-template-columns: minmax(90px, max-content) 1fr minmax(96px, max-content); gap: 8px 14px; align-items: center; font-size: .9rem; }
.bars .item { display: contents; }
.bars .value { text-align: right; font-variant-numeric: tabular-nums; }
svg.bar { display: block; width: 100%; height: 22px; }
.c0 { fill: var(--c0); background: var(--c0); } .c1 { fill: var(--c1); background: var(--c1); }
.c2 { fill: var(--c2); background: var(--c2); } .c3 { fill: var(--c3); background: var(--c3); }
.c4 { fill: var(--c4); background: var(--c4); } .c5 { fill: var(--c5); background: var(--c5); }
.c6 { fill: var(--c6); background: var(--c6); } .free { fill: var(--free); background: var(--free); }
rect.over { fill: var(--bad); fill-opacity: .6; }
line.limit { stroke: var(--text); stroke-width: 2; }
rect { stroke: var(--panel); stroke-width: 1; }
details { border-top: 1px solid var(--line); padding: 8px 0; }
summary { cursor: pointer; font-weight: 600; overflow-wrap: anywhere; }
summary span { font-weight: 400; color: var(--quiet); }
@media (max-width: 640px) {
  main { padding: 12px 10px 32px; }
  section { padding: 12px; }
  .bars { display: block; }
  .bars .item { display: grid; grid-template-columns: 1fr auto; gap: 2px 10px; margin-bottom: 10px; }
  .bars svg { grid-column: 1 / -1; grid-row: 2; }
  .bars .label { font-weight: 600; }
  th, td { padding: 5px 7px; }
}
)css";

}  // namespace warpwright
