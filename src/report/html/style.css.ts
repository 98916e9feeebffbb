/**
 * The report's style sheet. Colours that carry meaning are named once, for light and for dark; each goes with a form
 * (filled, framed, hatched, dashed) or a word, so that it also reads in grey.
 */
export const STYLE = `
:root{color-scheme:light dark;--paper:#fff;--ink:#1a1e23;--soft:#56606b;--line:#d9dee3;--rule:#8b95a0;--wash:#f3f5f7;
--first:#0b6692;--second:#b5420d;--detected:#0b6692;--ondetected:#fff;--missed:#b5420d;--alarm:#98185a;--hatch:#c3cad1;
--mech:#6d4ea8;--stat:#b5420d;--cal:#8a6300;--none:#6a737d}
@media (prefers-color-scheme:dark){:root{--paper:#14181c;--ink:#e7eaed;--soft:#a5afb9;--line:#343b43;--rule:#77828d;--wash:#1d2329;
--first:#62b8e4;--second:#f49164;--detected:#62b8e4;--ondetected:#0d1a22;--missed:#f49164;--alarm:#f08cc0;--hatch:#4a535d;
--mech:#b9a2ec;--stat:#f49164;--cal:#e0b54b;--none:#9aa4ae}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:76rem;padding:2.2rem clamp(1rem,3vw,2.5rem) 5rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;font-variant-numeric:tabular-nums;overflow-wrap:break-word}
h1{font-size:clamp(1.55rem,2.9vw,2.05rem);line-height:1.15;letter-spacing:-.015em;margin:.15rem 0 .5rem;text-wrap:balance}
h2{font-size:1.4rem;line-height:1.25;margin:3.2rem 0 .6rem;padding-top:.8rem;border-top:2px solid var(--ink)}
h3{font-size:1.06rem;margin:1.8rem 0 .3rem}h4{font-size:.9rem;margin:1.2rem 0 .2rem;color:var(--soft)}
p{max-width:72ch;margin:.4rem 0 .8rem}p.small{max-width:none}a{color:var(--first)}small,.small{font-size:.8rem;color:var(--soft)}
td small,th small,summary small{display:block;font-weight:400;line-height:1.35}
a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:3px solid var(--first);outline-offset:2px}
.skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:.5rem;background:var(--paper);padding:.4rem}
.kicker{font-size:.8rem;font-weight:650;letter-spacing:.06em;text-transform:uppercase;color:var(--soft);margin:0;border:0;padding:0}
.asked{color:var(--soft);max-width:112ch;font-size:.93rem;margin-bottom:.5rem}
nav{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;margin:.2rem 0 1rem;padding:.3rem 0;border-block:1px solid var(--line);font-size:.9rem}
nav a{text-decoration:none;padding:.15rem 0}nav a:hover{text-decoration:underline}
.headline{font-size:clamp(1.1rem,1.75vw,1.28rem);line-height:1.42;max-width:84ch;margin:.2rem 0 .8rem}
#verdicts h2{margin-top:1.6rem}.headline em{font-style:normal;color:var(--soft)}
.outcome{display:flex;gap:2px;max-width:60rem;margin:.4rem 0 .3rem}
.seg{min-width:max-content;padding:.3rem .5rem .35rem;line-height:1.15;font-size:.8rem;border-top:7px solid var(--none);background:var(--wash);overflow:hidden}
.seg b{display:block;font-size:1.15rem}
.c-kept{--c:var(--detected)}.c-mechanical{--c:var(--mech)}.c-statistical{--c:var(--stat)}.c-calibration{--c:var(--cal)}.c-none,.c-other{--c:var(--none)}
.seg{border-top-color:var(--c)}.seg.c-mechanical{border-top-style:double}.seg.c-calibration{border-top-style:dashed}.seg.c-none{border-top-style:dotted}
.why-not{white-space:nowrap}.tag{display:inline-block;font-size:.78rem;font-weight:650;line-height:1.3;color:var(--c);border-bottom:2px solid var(--c);white-space:nowrap}
.tag.c-mechanical{border-bottom-style:double;border-bottom-width:3px}.tag.c-calibration{border-bottom-style:dashed}.tag.c-none{border-bottom-style:dotted}
.perdefense{font-size:.92rem;max-width:96ch}.caveat{font-size:.88rem;color:var(--soft);max-width:96ch}
table{border-collapse:collapse;width:100%;font-size:.86rem;line-height:1.4}
caption{text-align:left;color:var(--soft);font-size:.85rem;padding:.2rem 0 .5rem}
th,td{text-align:left;vertical-align:top;padding:.42rem .8rem .42rem 0;border-bottom:1px solid var(--line)}
thead th{font-weight:650;border-bottom:1.5px solid var(--rule);vertical-align:bottom}tbody th{font-weight:600}
.scroll{overflow-x:auto;margin:.3rem 0 1rem}.why{min-width:17rem}.where,.models tbody th{white-space:nowrap}.losses th[rowspan]{width:10.5rem}.coverage{white-space:nowrap}
.matrix th:first-child{width:13.5rem}.matrix td{padding-bottom:.6rem}
.matrix .group th{padding-top:1.1rem;border-bottom:1px solid var(--rule)}.matrix .group small{display:inline;margin-left:.5rem}
.arms{display:grid;grid-template-columns:3.1rem 3.1rem;gap:3px;width:max-content}
.single .tile{min-width:calc(6.2rem + 3px)}
.tile{display:inline-block;min-width:3.1rem;padding:.12rem .3rem;text-align:center;font-size:.8rem;line-height:1.35;border:1.5px solid var(--rule);border-radius:2px}
.t-d{background:var(--detected);border-color:var(--detected);color:var(--ondetected);font-weight:650}
.t-m{border-color:var(--missed);color:var(--missed);font-weight:650}
.t-p{border-color:var(--detected);background:linear-gradient(90deg,color-mix(in srgb,var(--detected) 38%,var(--paper)) var(--k),transparent var(--k))}
.t-n{border:1.5px dashed var(--none);color:var(--ink);background:repeating-linear-gradient(135deg,var(--hatch) 0 1.5px,transparent 1.5px 6px)}
.t-u{border:1.5px solid var(--line);color:var(--soft)}
.arms .qr,.key .qr{outline:2px solid var(--ink);outline-offset:1px}
.under{display:block;margin-top:.3rem;line-height:1.35}.under small,.matrix td>small{display:block}
.warn{color:var(--missed)!important}.alarm{color:var(--alarm)!important;font-weight:650}
.nr{border-bottom:1.5px dashed var(--none);color:var(--soft)}sup{font-size:.7rem;line-height:0}sup a{padding:0 .1rem}sup+sup:before{content:","}
.howto{display:flex;gap:1.6rem;align-items:center;flex-wrap:wrap;background:var(--wash);padding:.9rem 1.1rem;margin:.6rem 0 1rem}
.howto>div:last-child{flex:1 1 24rem}.howto p{max-width:100ch;margin:0 0 .5rem;font-size:.92rem}.howto p:last-child{margin:0}
.key{display:grid;grid-template-columns:auto auto auto;gap:4px 6px;align-items:center;font-size:.78rem;color:var(--soft)}.key i{font-style:normal}
.states{gap:.4rem 1rem}.states .tile{min-width:2.4rem}
.reasons ol{font-size:.88rem;columns:2 24rem;column-gap:2.5rem;padding-left:1.4rem}.reasons li{break-inside:avoid;margin-bottom:.35rem}.reasons h3{margin-top:1.2rem}
li:target,figure:target{outline:2px solid var(--first);outline-offset:4px}
.bar{display:block;width:72px;height:8px;margin-top:3px}.b-g{fill:var(--wash)}.b-f{fill:var(--first)}.b-m{fill:var(--mech)}.b-s{fill:var(--stat)}.b-o{fill:var(--none)}.b-t{fill:var(--ink)}
.b-n{fill:none;stroke:var(--none);stroke-dasharray:3 3;stroke-width:2}.b-x{stroke:var(--rule);stroke-width:1.5}
details{border:1px solid var(--line);padding:.1rem .8rem;margin:.4rem 0}details[open]{padding-bottom:.8rem}
summary{cursor:pointer;padding:.45rem 0;font-size:.93rem}
figure{margin:0}.figures{display:flex;flex-wrap:wrap;gap:1.2rem 1.6rem;align-items:flex-start;margin:.5rem 0}
.audits{display:flex;flex-wrap:wrap;gap:.2rem 2rem;align-items:flex-start}.audit{flex:0 1 auto;min-width:0}.audits>.same{flex:1 0 100%;margin:.3rem 0}
.figures>figure{flex:0 1 440px;min-width:0}.figures>.trigger{flex:0 0 auto;max-width:240px}.figures>.truth{max-width:130px}
figcaption{font-size:.8rem;line-height:1.4;color:var(--soft);margin-top:.2rem}figcaption b{color:var(--ink);font-weight:600}
.trigger div{display:flex;gap:6px}.trigger img,.trigger svg{display:block;image-rendering:pixelated;border:1px solid var(--rule)}.truth img,.truth svg{outline:2px solid var(--ink);outline-offset:1px}
.compared{min-width:46rem}.compared td,.compared td small{white-space:nowrap}.compared tbody th{min-width:9rem}
.wide{overflow-x:auto}.wide>svg{min-width:34rem}.same{font-size:.85rem}
.plot{display:block;max-width:100%;height:auto;font:11px system-ui,sans-serif;color:var(--ink);overflow:visible}.plot text{white-space:pre}
.dots{fill:none;stroke:var(--first);stroke-width:4;stroke-linecap:round}.crosses{fill:none;stroke:var(--second);stroke-width:1.2}
.legend{display:inline-flex;flex-wrap:wrap;gap:.1rem .9rem}.legend,.legend.states{display:flex}.legend.states{align-items:center;font-size:.82rem}.swatch{width:16px;height:10px;vertical-align:-1px}
.verdict{font-weight:650;white-space:nowrap}.v-d{color:var(--detected)}.v-m{color:var(--missed)}.v-a{color:var(--alarm)}.v-a:before{content:"⚠ "}.v-n{font-weight:400;color:var(--soft);border-bottom:1.5px dashed var(--none)}.v-q{font-weight:400}
.command{white-space:pre-wrap;overflow-wrap:anywhere;background:var(--wash);padding:.8rem 1rem;font-size:.9rem}code{font-family:ui-monospace,SFMono-Regular,Menlo,monospace;font-size:.92em}
.pairs{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(20rem,100%),1fr));gap:0 2.5rem}.plain td{overflow-wrap:anywhere;border-bottom-style:dotted}.plain th{font-weight:400;border-bottom-style:dotted;width:14rem}.plain code{font-size:.8rem}
@media screen and (max-width:52rem){
.matrix,.matrix tbody,.matrix tr,.matrix td,.matrix th,.matrix caption{display:block;width:auto!important}
.matrix thead{position:absolute;left:-99rem}
.matrix tr{padding:.3rem 0}.matrix th{border:0;padding:.3rem 0 .1rem}.matrix tbody tr:not(.group)>th{background:var(--wash);padding:.35rem .6rem;margin-top:.3rem}
.matrix td{display:grid;grid-template-columns:8.2rem auto 1fr;gap:.1rem .7rem;align-items:start;padding:.45rem 0}
.matrix td:before{content:attr(data-head);font-weight:600;font-size:.84rem;grid-row:1/4}.matrix td>small,.matrix td>.tag{grid-column:2/4;justify-self:start}.under{margin:0}
.matrix .group small{display:block;margin:0}caption{max-width:calc(100vw - 4.5rem)}.where{white-space:normal;min-width:8rem}.models tbody th{min-width:5rem}
}
@media screen and (max-width:30rem){body{padding-top:1.2rem}.matrix td{grid-template-columns:6.4rem auto 1fr}.matrix .arms{grid-template-columns:2.5rem 2.5rem}.matrix .tile{min-width:2.5rem;padding-inline:.1rem}.single .tile{min-width:5.2rem!important}.plain th{width:7rem}.outcome{display:grid}.seg,.seg.c-mechanical,.seg.c-calibration,.seg.c-none{display:flex;gap:.5rem;align-items:baseline;border-top:0;border-left:7px solid var(--c);padding:.15rem .6rem}.seg.c-mechanical{border-left-style:double}.seg.c-calibration{border-left-style:dashed}.seg.c-none{border-left-style:dotted}.seg b{min-width:1.6rem}}
@media print{
@page{margin:14mm}
:root{color-scheme:light;--paper:#fff;--ink:#000;--soft:#444;--line:#ccc;--wash:#f4f4f4;--first:#0b6692;--second:#b5420d;--detected:#0b6692;--ondetected:#fff;--missed:#a33808;--alarm:#98185a;--hatch:#bbb;--mech:#6d4ea8;--stat:#b5420d;--cal:#8a6300;--none:#666}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
body{max-width:none;padding:0;font-size:10pt}nav,.skip{display:none}h2{margin-top:1.4rem}
h2,h3,h4,caption,.group,thead,.perdefense{break-after:avoid}tbody tr:first-child{break-before:avoid}tr,figure,.howto{break-inside:avoid}thead{display:table-header-group}
.scroll,.wide{overflow:visible}.compared{min-width:0}table{font-size:8pt}th,td{padding-right:.5rem}.why{min-width:0;width:32%}.coverage{white-space:normal}small,.small,td small,th small{font-size:7pt}.tag{font-size:7.5pt}figcaption,caption,.caveat,.reasons ol{font-size:8pt}p{max-width:none}.wide>svg{min-width:0}.bar{width:44px;height:5px}
.onpaper::details-content{content-visibility:visible;display:block;height:auto}
.arms{grid-template-columns:2.4rem 2.4rem}.tile{min-width:2.4rem;font-size:7.5pt}.single .tile{min-width:5rem}.matrix th:first-child{width:7rem}.headline{font-size:12pt}.figures>figure{flex-basis:60mm}.plain th{width:9rem}
}
`;
