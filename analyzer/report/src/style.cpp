#include "page.hpp"

namespace stemma::analyzer {

std::string_view page_head()
{
    return R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
:root{--ink:#18222d;--soft:#5d6b79;--line:#dfe5ea;--paper:#fff;--ground:#f3f5f7;--odd:#c8372d;--odd-soft:#fbe9e7;--norm:#2c7a45;--norm-soft:#e6f3ea;--blue:#3f6fa5}
@media (prefers-color-scheme:dark){:root{--ink:#e7ecf1;--soft:#98a6b4;--line:#31404e;--paper:#1b242d;--ground:#131a21;--odd:#ff8a80;--odd-soft:#3a2322;--norm:#8fd3a5;--norm-soft:#1d3226;--blue:#8db4e2}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:920px;padding:32px 24px 64px;font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;color:var(--ink);background:var(--ground)}
h1{font-size:26px;line-height:1.2;margin:0}h2{font-size:15px;letter-spacing:.04em;text-transform:uppercase;color:var(--soft);margin:36px 0 10px}
p{margin:4px 0}.soft{color:var(--soft)}code,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.verdict{background:var(--paper);border:1px solid var(--line);border-left:5px solid var(--odd);border-radius:8px;padding:16px 18px;margin:20px 0 12px;font-size:17px}
.verdict.calm{border-left-color:var(--norm)}.verdict code{font-size:15px}
.numbers{display:flex;flex-wrap:wrap;gap:12px;margin:12px 0}
.numbers div{flex:1 1 150px;background:var(--paper);border:1px solid var(--line);border-radius:8px;padding:10px 14px;color:var(--soft)}
.numbers b{display:block;font-size:26px;line-height:1.2;color:var(--ink)}
.card{display:grid;grid-template-columns:44px 1fr;background:var(--paper);border:1px solid var(--line);border-radius:8px;padding:14px 16px 12px 0;margin:10px 0}
.rank{text-align:center;font-size:20px;font-weight:650;color:var(--soft)}.card.first .rank{color:var(--odd)}
.card h3{margin:0;font:600 15px/1.4 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.place{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;color:var(--soft);overflow-wrap:anywhere}
.values{display:grid;grid-template-columns:max-content 1fr;gap:4px 10px;margin:10px 0;font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.values span:nth-child(odd){color:var(--soft);padding:2px 0}
.here,.there{padding:2px 8px;border-radius:5px}.here{background:var(--odd-soft);color:var(--odd)}.there{background:var(--norm-soft);color:var(--norm)}
.here b,.there b{text-decoration:underline;text-underline-offset:3px}
.since{border-left:3px solid var(--blue);padding-left:9px;margin:6px 0;font-size:14px}
.legend{display:flex;flex-wrap:wrap;gap:2px 14px;font-size:12.5px;color:var(--soft);margin:2px 0 4px}
.legend i{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:5px}
.legend .own{color:var(--odd);font-weight:600}
details{margin-top:6px;font-size:14px}summary{cursor:pointer;color:var(--blue)}
svg{display:block}svg text{font:11.5px system-ui,sans-serif;fill:var(--ink)}svg .soft{fill:var(--soft)}
svg.strip{width:100%;height:22px;margin-top:8px;border-radius:4px}
svg.map,svg.time{width:100%;background:var(--paper);border:1px solid var(--line);border-radius:8px}
circle.target{fill:var(--odd);stroke:var(--paper);stroke-width:2}circle.peer{fill-opacity:.8}
.noise{opacity:.75}
</style>
)";
}

} // namespace stemma::analyzer
