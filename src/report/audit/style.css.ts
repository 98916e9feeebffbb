/** What an audit has beside the report's style sheet. */
export const AUDIT_STYLE = `
.audit-page{max-width:70rem}
.gate{border-left:.55rem solid var(--edge);padding:.2rem 0 .4rem clamp(1rem,2.5vw,1.8rem);margin:0 0 2rem}
.gate{display:flex;gap:1rem 2.5rem;justify-content:space-between;align-items:flex-start}.gate>div{flex:1 1 34rem;min-width:0}.gate>.trigger{flex:0 0 14.8rem;max-width:14.8rem;margin-top:1.2rem}
.g-no{--edge:var(--stat)}.g-yes{--edge:var(--detected)}
.gate h1{margin:.2rem 0 .9rem}.file{overflow-wrap:anywhere}
.verdict-line{display:flex;gap:1.1rem;align-items:flex-start;font-size:clamp(1.1rem,1.9vw,1.35rem);line-height:1.35;max-width:none;margin:0 0 1rem}
.verdict-line small{display:block;font-size:.88rem;margin-top:.25rem}
.stamp{flex:none;font-weight:750;font-size:1.5em;line-height:1;padding:.22em .5em .26em;color:var(--paper);background:var(--edge);border-radius:3px}
.reasons{margin:.9rem 0}.reasons h2{font-size:.95rem;border:0;padding:0;margin:0 0 .25rem}.reasons ul{margin:0;padding:0;list-style:none;max-width:92ch}
.reasons li{padding:.3rem 0 .3rem 1.5rem;position:relative;font-size:.95rem}.reasons b{display:block}
.reasons li:before{position:absolute;left:0;top:.28rem;font-weight:800}.r-fail li:before{content:"✕";color:var(--stat)}.r-warn li:before{content:"▲";color:var(--cal);font-size:.8rem;top:.42rem}
.tally{font-size:.88rem;color:var(--soft);margin:1rem 0 0}
.devices td,.devices th{min-width:6.6rem}
.fit{display:block;width:6rem;height:6px;margin:.25rem 0 .1rem}.fit .all{fill:var(--line)}.fit .used{fill:var(--first)}.fit.over .used{fill:var(--stat)}
.mark{display:inline-block;font-size:.78rem;font-weight:650;white-space:nowrap}.m-fail{color:var(--stat)}.m-fail:before{content:"✕ "}.m-warn{color:var(--cal)}.m-warn:before{content:"▲ "}.m-pass{color:var(--detected)}.m-pass:before{content:"✓ "}.m-note{color:var(--soft);font-weight:400}
.l-pass .why,.l-note .why{color:var(--soft)}.checks th:first-child{width:5.2rem}.checks td:nth-child(2){width:14rem}.checks thead th{font-size:.82rem}
.scores th small{font-weight:400}.scores thead .decides{box-shadow:inset 0 -3px var(--ink)}.scores .group th{padding-top:1rem;border-bottom:1px solid var(--rule)}.scores .group small{display:inline;margin-left:.4rem}
.score{display:inline-block;min-width:3.4rem;padding:.1rem .35rem;text-align:center;border:1.5px solid transparent;border-radius:2px}
.decides .score{font-weight:700}.s-m{border-color:var(--stat);color:var(--stat)}.s-n{font-weight:400!important;border:1.5px dashed var(--none);background:repeating-linear-gradient(135deg,var(--hatch) 0 1.5px,transparent 1.5px 6px)}
.whys{font-size:.88rem}.losses-list{padding-left:1.1rem;max-width:92ch;font-size:.93rem}.losses-list li{margin:.35rem 0}
.limits{max-width:84ch;font-size:.93rem}.rules dt{font-weight:650;margin-top:.5rem}.rules dd{margin:0 0 .3rem;max-width:84ch}pre.command{white-space:pre-wrap;max-height:none}
.audit-page details .audits{margin-top:.4rem}
@media screen and (max-width:44rem){.gate{display:block}
.devices,.devices tbody,.devices tr,.devices th,.devices td{display:block;min-width:0}.devices thead{position:absolute;left:-99rem}
.devices tr{padding:.5rem 0;border-bottom:1px solid var(--rule)}.devices th,.devices td{border:0;padding:.18rem 0}.devices td:empty{display:none}
.devices td[data-head]{display:grid;grid-template-columns:7.5rem 1fr;gap:0 .6rem}.devices td[data-head]:before{content:attr(data-head);font-weight:600;font-size:.84rem;grid-row:1/5}.devices td[data-head]>*{grid-column:2}
.checks,.checks tbody,.checks tr,.checks th,.checks td{display:block;width:auto!important;min-width:0}.checks thead{position:absolute;left:-99rem}.checks tr{padding:.45rem 0;border-bottom:1px solid var(--line)}.checks th,.checks td{border:0;padding:.08rem 0}
.verdict-line{gap:.8rem}
}
@media print{.gate{break-inside:avoid}.stamp{font-size:1.3em}.why{width:auto!important}.checks{font-size:7.5pt}}
`;
