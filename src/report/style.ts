/** The page's own style; light or dark as the reader's system has it. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #fbfbfa; --card: #ffffff; --ink: #1c1d21; --soft: #5c6070; --line: #e3e4e8; --grid: #ececf0;
  --run-0: #2457d6; --run-1: #c2570c; --run-2: #0f7b5f; --run-3: #9333b8; --run-4: #b01e4f; --run-5: #5a6b00;
  --run-6: #0b7fa5; --run-7: #8a5a2b; --run-8: #6b7280; --run-9: #d13fa0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #131417; --card: #1b1d22; --ink: #ececf1; --soft: #a3a7b5; --line: #2e3038; --grid: #272930;
    --run-0: #7ea6ff; --run-1: #ffa25c; --run-2: #4fd1a8; --run-3: #d59bf0; --run-4: #ff8fae; --run-5: #c3d34f;
    --run-6: #5cc8ea; --run-7: #d6a878; --run-8: #b0b6c3; --run-9: #ff9ad9;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 68rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.2; letter-spacing: -0.02em; margin: 0 0 0.35rem; }
h2 { font-size: 1.1rem; margin: 0; letter-spacing: -0.01em; }
.about { color: var(--soft); margin: 0 0 2rem; max-width: 46rem; }
section, figure {
  background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 1.25rem; margin: 0 0 1.25rem;
}
figcaption { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 0.6rem; margin-bottom: 0.75rem; }
figcaption span { color: var(--soft); font-size: 0.875rem; }
.scroll { overflow-x: auto; }
.scroll:focus-visible, summary:focus-visible, .u-series th:focus-visible { outline: 2px solid var(--run-0); outline-offset: 2px; border-radius: 4px; }
table { border-collapse: collapse; width: 100%; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; font-size: 1.1rem; letter-spacing: -0.01em; padding-bottom: 0.6rem; }
thead th { color: var(--soft); font-weight: 500; border-bottom: 1px solid var(--line); vertical-align: bottom; }
th, td { padding: 0.45rem 0.7rem; text-align: right; white-space: nowrap; }
th:first-child { text-align: left; padding-left: 0; }
tbody tr + tr > * { border-top: 1px solid var(--line); }
.settings td { white-space: normal; overflow-wrap: anywhere; }
details > summary { cursor: pointer; font-weight: 600; }
details[open] > summary { margin-bottom: 0.9rem; }
footer { color: var(--soft); font-size: 0.85rem; }
.uplot { font-family: inherit; }
.u-legend { text-align: left; margin-top: 0.5rem; font-size: 0.8125rem; font-variant-numeric: tabular-nums; width: auto; }
.u-legend th, .u-legend td { padding: 0.15rem 0.35rem; }
.u-inline tr { margin-right: 1rem; }
.u-inline .u-series + .u-series > * { border-top: 0; }
.u-legend .u-marker { width: 0.8rem; height: 0.8rem; border-radius: 3px; border: 0 !important; }
.u-legend .edge { display: none; }
.u-legend .u-off { opacity: 0.4; }
@media (max-width: 40rem) { main { padding: 1.5rem 0.75rem 3rem; } section, figure { padding: 0.9rem; } }
@media print { body { background: none; } section, figure { break-inside: avoid; } }
`;
