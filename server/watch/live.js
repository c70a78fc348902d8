"use strict";
// Asks for news every few seconds and shows them; a page without news is not touched.
const EVERY_MS = 4000;
const live = document.getElementById("live");
const link = document.getElementById("link");
let shown = null;

function ago(seconds) {
  const left = Math.abs(seconds);
  const words = left < 90 ? `${Math.round(left)} s` : left < 5400 ? `${Math.round(left / 60)} min`
    : left < 172800 ? `${(left / 3600).toFixed(1)} h` : `${Math.round(left / 86400)} days`;
  return seconds >= 0 ? `${words} ago` : `in ${words}`;
}

function tellTimes() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    let told = time.querySelector(".ago");
    if (!told) {
      told = document.createElement("span");
      told.className = "ago";
      time.append(told);
    }
    told.textContent = ago((Date.now() - Date.parse(time.dateTime)) / 1000);
  }
}

function replace(html) {
  const log = live.querySelector(".log"), table = live.querySelector(".tall");
  const reading = log && log.scrollTop + log.clientHeight < log.scrollHeight - 24;
  const [atLog, atTable] = [log?.scrollTop ?? 0, table?.scrollTop ?? 0];
  live.innerHTML = html;
  const newLog = live.querySelector(".log"), newTable = live.querySelector(".tall");
  if (newTable) newTable.scrollTop = atTable;
  if (newLog) newLog.scrollTop = reading ? atLog : newLog.scrollHeight;
  // Another run than the one on offer has begun: the choice of runs is not part of what changes.
  const run = live.querySelector("[data-run]")?.dataset.run;
  const options = [...(document.getElementById("run")?.options ?? [])];
  if (run && options.length && !options.some((o) => o.value === run)) location.reload();
}

async function look() {
  try {
    const answer = await fetch("/live" + location.search, { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    const html = await answer.text();
    if (html !== shown) replace(html);
    shown = html;
    link.textContent = "looking for news every few seconds";
    link.className = "muted";
  } catch {
    link.textContent = "⚠ the coordinator doesn't answer; what you see is old";
    link.className = "lost";
  }
  tellTimes();
  setTimeout(look, EVERY_MS);
}

const choose = document.getElementById("choose");
if (choose) choose.addEventListener("change", () => choose.submit());
tellTimes();
look();
