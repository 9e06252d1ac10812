"""The look of the page: light and dark, wide and narrow, on paper."""

STYLE = """
:root { color-scheme: light dark;
  --page: #fbfaf8; --card: #ffffff; --ink: #1d2127; --dim: #5d6672; --line: #dcdcd8; --grid: #ebeae6;
  --kept: #1f6fc4; --here: #d9692b; --other: #bfc4ca; --good: #1f7a4d; --bad: #b5471b; --paper: #8f4fb0;
  --c0: #8a9099; --c1: #1f6fc4; --c2: #d9692b; --c3: #1f7a4d; --c4: #8f4fb0; --c5: #a8821a; }
@media (prefers-color-scheme: dark) { :root {
  --page: #14171b; --card: #1b1f25; --ink: #e7e9ec; --dim: #9aa4b0; --line: #333a43; --grid: #272d35;
  --kept: #5da6f2; --here: #f0915a; --other: #59616c; --good: #58c48c; --bad: #f0915a; --paper: #c790e6;
  --c0: #9aa4b0; --c1: #5da6f2; --c2: #f0915a; --c3: #58c48c; --c4: #c790e6; --c5: #d9b445; } }

* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main, header, footer { max-width: 1240px; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2rem; }
section { scroll-margin-top: 3rem; }
footer { color: var(--dim); font-size: .88rem; padding-top: 2rem; padding-bottom: 3rem; overflow-wrap: anywhere; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.35rem; margin: 2.2rem 0 .4rem; padding-top: 1rem; border-top: 2px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
h3 small { font-weight: 400; color: var(--dim); margin-left: .3rem; }
p { max-width: 62rem; margin: .3rem 0 .8rem; }
.lead { font-size: 1.1rem; margin: 0 0 1rem; }
.label { color: var(--bad); font-weight: 600; }
.note, figcaption, .sub { color: var(--dim); font-size: .88rem; }
.sub { line-height: 1.35; }
a { color: var(--kept); }
a:focus-visible, summary:focus-visible, [tabindex]:focus-visible { outline: 3px solid var(--kept); outline-offset: 2px; }
nav { position: sticky; top: 0; z-index: 2; background: var(--page); border-bottom: 1px solid var(--line); }
nav ul { display: flex; gap: .2rem 1.1rem; overflow-x: auto; list-style: none; max-width: 1240px; margin: 0 auto;
  padding: .55rem 1.25rem; white-space: nowrap; font-size: .92rem; }
.skip { position: absolute; left: -9999px; }
.skip:focus { left: 1rem; top: 1rem; background: var(--card); padding: .5rem; z-index: 3; }
details { margin: .6rem 0; }
summary { cursor: pointer; color: var(--kept); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; margin: .6rem 0; font-size: .92rem; }
dt { color: var(--dim); }
dd { margin: 0; overflow-wrap: anywhere; font-family: ui-monospace, monospace; font-size: .86rem; }
.figures { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0; padding: 0; list-style: none; }
.figures li { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .6rem 1rem; min-width: 9rem; }
.figures b { display: block; font-size: 1.5rem; line-height: 1.2; font-variant-numeric: tabular-nums; }

figure { margin: 0; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 330px), 1fr)); gap: 1rem; align-items: start; }
.charts.two { grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); }
.charts figure, .card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .8rem; }
.charts h3 { margin: 0 0 .3rem; }
svg { display: block; width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: var(--dim); }
svg .strong { fill: var(--ink); font-weight: 600; }
@media (min-width: 960px) { .two svg text { font-size: 9.5px; } }
.kept { fill: var(--kept); } .here { fill: var(--here); } .other { fill: var(--other); }
.dot { fill-opacity: .6; stroke: var(--card); stroke-width: .7; }
.grid { stroke: var(--grid); fill: none; } .tick { stroke: var(--dim); fill: none; }
.limit { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 5 3; fill: none; } .soft { opacity: .35; }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.box path { stroke-width: 1.5; fill: none; } .box rect { fill-opacity: .35; } .box .median { stroke-width: 3; }
.c0 { stroke: var(--c0); } .c1 { stroke: var(--c1); } .c2 { stroke: var(--c2); }
.c3 { stroke: var(--c3); } .c4 { stroke: var(--c4); } .c5 { stroke: var(--c5); }
g.c0 rect { fill: var(--c0); } g.c1 rect { fill: var(--c1); } g.c2 rect { fill: var(--c2); }
g.c3 rect { fill: var(--c3); } g.c4 rect { fill: var(--c4); } g.c5 rect { fill: var(--c5); }
.line.c0 { stroke-dasharray: 2 2; } .line.c2 { stroke-dasharray: 7 2; } .line.c3 { stroke-dasharray: 7 2 2 2; }
.line.c4 { stroke-dasharray: 3 3; } .line.c5 { stroke-dasharray: 10 4; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; margin: .5rem 0; list-style: none; font-size: .9rem; }
.legend svg { display: inline-block; width: 26px; height: 12px; vertical-align: -1px; margin-right: .4rem; }

.funnel { list-style: none; margin: 1rem 0; padding: 0; }
.funnel > li { display: grid; grid-template-columns: 13rem 1fr 19rem; gap: .2rem 1.2rem; padding: .5rem 0; align-items: start;
  border-bottom: 1px solid var(--line); }
.bar { height: 1.3rem; border-radius: 4px; background: var(--grid); overflow: hidden; margin-bottom: .2rem; }
.bar i { display: block; height: 100%; background: var(--kept); }
.paper .bar i { background: var(--paper); }
.head { font-weight: 600; }
.num { font-variant-numeric: tabular-nums; }
.gone { color: var(--bad); font-size: .9rem; }
.gone span { white-space: nowrap; margin-right: .9rem; }
.only { display: none; }

.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; }
caption { text-align: left; font-weight: 600; padding: .9rem 0 .3rem; white-space: nowrap; }
th, td { padding: .25rem .8rem; border-bottom: 1px solid var(--line); text-align: right; font-variant-numeric: tabular-nums; }
th { font-weight: 600; vertical-align: bottom; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; white-space: nowrap; }
td.words, th.words { text-align: left; }
tr.now td { background: var(--grid); font-weight: 600; }
.card table { width: 100%; }
.card caption { padding-top: 0; }

.sheet { display: flex; flex-wrap: wrap; gap: .7rem .5rem; margin: .4rem 0 0; padding: 0; list-style: none; }
.sheet li { width: 128px; font-size: .76rem; line-height: 1.3; }
.frame { height: 100px; display: flex; align-items: center; justify-content: center; background: var(--grid);
  border-radius: 5px; overflow: hidden; border: 2px solid transparent; margin-bottom: .15rem; }
.frame img { max-width: 100%; max-height: 100%; width: auto; height: auto; display: block; }
.sheet span { display: block; overflow-wrap: anywhere; }
.sheet .name { color: var(--dim); overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.stays .frame, .in .frame { border-color: var(--good); }
.aside .frame, .out .frame { border-color: var(--here); border-style: dashed; }
.groups { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 430px), 1fr)); gap: .8rem; }
.edge { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: .3rem 1.2rem; }
.edge { margin: .8rem 0; }
.edge h3, .groups h3 { margin: 0 0 .3rem; }
.map { overflow-x: auto; background: var(--grid); border: 1px solid var(--line); border-radius: 10px; padding: .6rem; }
.map svg { min-width: 900px; }
.map rect { fill: none; stroke-width: 3; }
.framed { fill: none; stroke-width: 3; }
.m1 { stroke: var(--c2); } .m2 { stroke: var(--c3); } .m3 { stroke: var(--c4); } .m4 { stroke: var(--c5); }

@media (max-width: 860px) {
  .funnel > li { grid-template-columns: 1fr; }
  .funnel > .head-row { display: none; }
  .paper .bar { height: .6rem; margin-top: .3rem; }
  .only { display: inline; }
}
@media (max-width: 500px) {
  main, header, footer { padding-left: .9rem; padding-right: .9rem; }
  nav ul { padding-left: .9rem; }
  .sheet li { width: calc(33.3% - .34rem); }
  .frame { height: 84px; }
  th, td { padding: .25rem .45rem; }
  td.words { min-width: 15rem; }
  .figures li { flex: 1 1 40%; min-width: 0; }
  dl { grid-template-columns: 1fr; } dd { margin-bottom: .35rem; }
  h1 { font-size: 1.5rem; }
}
@media print { nav { display: none; } .card, figure, .sheet li, .funnel > li { break-inside: avoid; } }
"""
