"""The looks of the page."""

STYLE_SHEET = """\
:root {
  --ink: #1c1c1c; --paper: #ffffff; --faint: #5a5a5a; --line: #d8d8d8;
  --band: #f5f5f5; --link: #0b5a8a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e8e8e8; --paper: #16181a; --faint: #a8a8a8; --line: #3a3d40;
    --band: #1f2225; --link: #7cc0ee;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
main { max-width: 60rem; margin: 0 auto; padding: 1rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 1rem 0; }
h2 {
  font-size: 1.35rem; line-height: 1.25; margin: 3rem 0 1rem;
  padding-top: 1rem; border-top: 2px solid var(--line);
}
h3 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
a { color: var(--link); }
nav ul { padding-left: 1.2rem; }
figure { margin: 0; }
/* Pictures have a white ground, in the dark too. */
img {
  display: block; width: 100%; max-width: 880px; height: auto;
  background: #ffffff; border-radius: 6px;
}
figcaption, p { color: var(--faint); font-size: .9rem; max-width: 46rem; }
figcaption { margin-top: .4rem; }
.box {
  overflow-x: auto; border: 1px solid var(--line); border-radius: 6px;
}
.box:focus-visible { outline: 2px solid var(--link); }
table { border-collapse: collapse; font-size: .85rem; width: 100%; }
th, td {
  padding: .3rem .6rem; text-align: left; white-space: nowrap;
  font-weight: normal; vertical-align: top;
}
td.t { white-space: normal; min-width: 8rem; }
tbody th { position: sticky; left: 0; background: var(--paper); }
thead th { font-weight: 600; border-bottom: 1px solid var(--line); }
tbody tr:nth-child(even), tbody tr:nth-child(even) th {
  background: var(--band);
}
.n { text-align: right; font-variant-numeric: tabular-nums; }
details { margin-top: 1.5rem; }
summary { cursor: pointer; }
@media (max-width: 640px) {
  main { padding: .5rem .75rem 3rem; }
  h1 { font-size: 1.4rem; }
  h2 { font-size: 1.2rem; }
}
"""
