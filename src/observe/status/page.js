"use strict";
(() => {
  const EVERY = 1000, PATIENCE = 4000, POINTS = 60, ROWS = 300, RECENT = 10;
  const SVG = "http://www.w3.org/2000/svg";
  const base = location.pathname.endsWith("/") ? "" : location.pathname.split("/").pop() + "/";
  const live = document.getElementById("live");
  const main = document.getElementById("pools");
  const known = new Map();
  const shown = new Map();
  let answered = null, problem = null, asking = false, timer = 0;

  // Whatever a text is, it stays text: nothing here is ever parsed as HTML.
  const make = (tag, kind, ...inside) => {
    const element = document.createElement(tag);
    if (kind) element.className = kind;
    element.append(...inside);
    return element;
  };
  const write = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };
  const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
  const latency = (seconds) => {
    if (seconds === null || seconds === undefined) return "–";
    const [number, unit] = seconds < 1e-3 ? [seconds * 1e6, "µs"]
      : seconds < 1 ? [seconds * 1e3, "ms"] : [seconds, "s"];
    return `${number.toFixed(number < 9.95 ? 1 : 0)} ${unit}`;
  };
  const rate = (number) => number.toFixed(number < 9.95 ? 1 : 0);
  const age = (seconds) => {
    const s = Math.max(0, Math.round(seconds));
    if (s < 120) return `${s} s`;
    if (s < 7200) return `${Math.round(s / 60)} min`;
    return s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} d`;
  };
  const ended = (requests) =>
    requests.success + requests.failure + requests.rejected + requests.cancelled;

  // What the page itself has seen of one backend, or of a pool as a whole.
  const history = (key, requests, latencies, at) => {
    let past = known.get(key);
    const total = ended(requests);
    if (!past || total < past.totals[past.totals.length - 1][1]) {
      past = { totals: [], rates: [], latencies: [], seen: at };
      known.set(key, past);
    }
    const before = past.totals[past.totals.length - 1];
    if (before && at > before[0]) {
      past.rates.push((total - before[1]) * 1000 / (at - before[0]));
      // The mean of those that were measured since; a gap where there were none.
      const count = latencies ? latencies.total - past.count : 0;
      past.latencies.push(count > 0 ? (latencies.sum_seconds - past.sum) / count : null);
    }
    past.totals.push([at, total]);
    [past.count, past.sum] = latencies ? [latencies.total, latencies.sum_seconds] : [0, 0];
    for (const list of [past.totals, past.rates, past.latencies]) {
      if (list.length > POINTS) list.shift();
    }
    past.seen = at;
    return past;
  };
  const recently = (past) => {
    const from = past.totals[Math.max(0, past.totals.length - 1 - RECENT)];
    const [at, total] = past.totals[past.totals.length - 1];
    return { requests: total - from[1], rate: at > from[0] ? (total - from[1]) * 1000 / (at - from[0]) : 0 };
  };

  const graph = (name) => {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 100 24");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", name);
    return svg;
  };
  const draw = (svg, values) => {
    const most = Math.max(...values.filter((value) => value !== null), 0) || 1;
    const lines = [[]];
    values.forEach((value, place) => {
      const x = 100 - (values.length - 1 - place) * 100 / (POINTS - 1);
      if (value === null) { if (lines[lines.length - 1].length) lines.push([]); }
      else lines[lines.length - 1].push(`${x.toFixed(1)},${(23 - value / most * 22).toFixed(1)}`);
    });
    svg.replaceChildren(...lines.filter((line) => line.length).map((line) => {
      const polyline = document.createElementNS(SVG, "polyline");
      // A single point is a short stroke.
      polyline.setAttribute("points", (line.length > 1 ? line : [...line, ...line]).join(" "));
      return polyline;
    }));
  };

  const COLUMNS = ["Backend", "State", "Share", "In flight", "p50", "p90", "p99", "Requests",
    "Failed", "Requests/s", "Latency"];
  const WORDS = new Set(["Backend", "State"]);
  const KINDS = { connect: "no connection", timeout: "timed out", gateway: "gateway",
    response: "error response", body: "broke off", other: "other" };

  const newRow = () => {
    const row = make("tr"), cells = {};
    for (const column of COLUMNS) {
      const kind = column === "Backend" ? "who" : column === "State" ? "how"
        : column === "Requests/s" || column === "Latency" ? "number graph"
        : column.startsWith("p") ? "number short" : "number";
      const cell = make("td", kind);
      if (!WORDS.has(column)) cell.dataset.label = column;
      const text = make("span", column === "Backend" ? "id" : column === "State" ? "state" : "");
      const small = make("span", "small");
      cell.append(text);
      if (column === "Share" || column === "In flight") {
        const fill = make("i");
        cell.append(make("span", "bar", fill));
        cells[column] = { text, fill };
      } else if (kind.endsWith("graph")) {
        const svg = graph(column);
        cell.append(svg);
        cells[column] = { text, svg };
      } else {
        cell.append(small);
        cells[column] = { cell, text, small };
      }
      row.append(cell);
    }
    return { row, cells };
  };
  const fill = (bar, part) => {
    bar.style.width = `${Math.min(100, Math.max(0, part * 100)).toFixed(1)}%`;
  };

  const showBackend = ({ row, cells }, backend, past, ofPool) => {
    row.dataset.state = backend.state;
    row.classList.toggle("out", !backend.eligible);
    write(cells.Backend.text, backend.id);
    const about = [];
    if (backend.zone !== null) about.push(backend.zone);
    if (backend.priority) about.push(`priority ${backend.priority}`);
    if (backend.weight !== 1) about.push(`weight ${backend.weight}`);
    for (const [key, value] of Object.entries(backend.metadata || {})) about.push(`${key} ${value}`);
    write(cells.Backend.small, about.join(" · "));

    write(cells.State.text, backend.state);
    const state = [];
    if (backend.until_seconds !== null) state.push(`back in ${age(backend.until_seconds)}`);
    else if (backend.eligible && backend.share < 1) state.push(`at ${(backend.share * 100).toFixed(0)} %`);
    if (backend.state !== "healthy") state.push(`for ${age(backend.since_seconds)}`);
    if (backend.why !== null) state.push(backend.why);
    write(cells.State.small, state.join(" · "));

    const recent = recently(past);
    const share = ofPool.requests > 0 ? recent.requests / ofPool.requests : null;
    write(cells.Share.text, share === null ? "–" : `${(share * 100).toFixed(share < 0.0995 ? 1 : 0)} %`);
    fill(cells.Share.fill, share || 0);
    const max = backend.max_in_flight;
    write(cells["In flight"].text, max === null ? `${backend.in_flight}` : `${backend.in_flight} of ${max}`);
    const load = max === null ? 0 : max === 0 ? 1 : backend.in_flight / max;
    fill(cells["In flight"].fill, load);
    cells["In flight"].fill.className = load >= 1 ? "full" : "";
    cells["In flight"].fill.parentNode.style.visibility = max === null ? "hidden" : "";

    for (const part of ["p50", "p90", "p99"]) {
      write(cells[part].text, latency(backend.latencies && backend.latencies[`${part}_seconds`]));
    }
    const { requests, failures } = backend;
    write(cells.Requests.text, ended(requests).toLocaleString("en"));
    const rest = [];
    if (requests.rejected) rest.push(`${requests.rejected.toLocaleString("en")} rejected`);
    if (requests.cancelled) rest.push(`${requests.cancelled.toLocaleString("en")} cancelled`);
    write(cells.Requests.small, rest.join(" · "));
    write(cells.Failed.text, requests.failure.toLocaleString("en"));
    cells.Failed.text.className = requests.failure ? "bad" : "";
    const kinds = Object.entries(failures).filter(([, count]) => count > 0);
    write(cells.Failed.small, kinds.map(([kind, count]) => `${count.toLocaleString("en")} × ${KINDS[kind] || kind}`).join(" · "));

    write(cells["Requests/s"].text, past.rates.length ? rate(recent.rate) : "–");
    draw(cells["Requests/s"].svg, past.rates);
    const last = past.latencies.filter((value) => value !== null).pop();
    write(cells.Latency.text, latency(last));
    draw(cells.Latency.svg, past.latencies);
  };

  const newPool = (name) => {
    const sum = make("p", "sum"), panic = make("p", "note panic"), notes = make("p", "note");
    const body = make("tbody"), more = make("p", "sum");
    const heads = COLUMNS.map((column) => make("th", WORDS.has(column) ? "" : "number", column));
    heads.forEach((head) => { head.scope = "col"; });
    const table = make("table", "", make("thead", "", make("tr", "", ...heads)), body);
    const section = make("section", "", make("div", "head", make("h2", "", name), sum),
      panic, notes, make("div", "sheet", table), more);
    section.setAttribute("aria-label", name);
    return { section, sum, panic, notes, body, more, rows: new Map() };
  };

  const showPool = (pool, at) => {
    const key = JSON.stringify([pool.name]);
    if (!shown.has(key)) shown.set(key, newPool(pool.name));
    const view = shown.get(key);
    const past = history(key, pool.requests, pool.latencies, at);
    // A member that left takes its counts along, so the sum is made of those that are here.
    const pasts = pool.backends.map((backend) => history(JSON.stringify([pool.name, backend.id]),
      backend.requests, backend.latencies, at));
    const ofPool = { requests: pasts.reduce((sum, one) => sum + recently(one).requests, 0) };

    const sums = [plural(pool.members, "backend")];
    for (const [state, count] of Object.entries(pool.states)) sums.push(`${count} ${state}`);
    sums.push(`${pool.in_flight.toLocaleString("en")} in flight`);
    if (pool.queued) sums.push(`${pool.queued.toLocaleString("en")} waiting`);
    if (past.rates.length) sums.push(`${rate(recently(past).rate)} requests/s`);
    if (pool.latencies && pool.latencies.samples) {
      sums.push(`p50 ${latency(pool.latencies.p50_seconds)}`, `p99 ${latency(pool.latencies.p99_seconds)}`);
    }
    write(view.sum, sums.join(" · "));
    const panics = pool.tiers.filter((tier) => tier.in_panic).map((tier) => tier.priority);
    view.panic.hidden = panics.length === 0;
    write(view.panic, `In panic: too few are healthy, so health is ignored (priority ${panics.join(", ")}).`);
    const notes = [];
    if (!pool.watched) notes.push("Nobody watches the health of these backends.");
    for (const source of pool.sources.filter((source) => source.state !== "fresh")) {
      const error = source.error ? `: ${source.error}` : "";
      notes.push(`Source ${source.name} ${source.state} for ${source.since_seconds.toFixed(0)} s${error}`);
    }
    if (pool.tiers.length > 1) {
      notes.push(pool.tiers.map((tier) => `Priority ${tier.priority}: ${(tier.share * 100).toFixed(0)} % of the requests`).join(" · "));
    }
    view.notes.hidden = notes.length === 0;
    write(view.notes, notes.join(" "));

    const backends = pool.backends.slice(0, ROWS);
    const rows = backends.map((backend, place) => {
      if (!view.rows.has(backend.id)) view.rows.set(backend.id, newRow());
      const row = view.rows.get(backend.id);
      showBackend(row, backend, pasts[place], ofPool);
      return row.row;
    });
    const here = new Set(backends.map((backend) => backend.id));
    for (const id of view.rows.keys()) if (!here.has(id)) view.rows.delete(id);
    if (rows.length !== view.body.children.length || rows.some((row, at) => view.body.children[at] !== row)) {
      view.body.replaceChildren(...rows);
    }
    const hidden = pool.members - rows.length;
    view.more.hidden = hidden <= 0;
    write(view.more, `${plural(hidden, "more backend")} not shown`);
    return view.section;
  };

  const show = ({ pools }) => {
    const at = performance.now();
    const sections = pools.map((pool) => showPool(pool, at));
    const names = new Set(pools.map((pool) => JSON.stringify([pool.name])));
    for (const key of shown.keys()) if (!names.has(key)) shown.delete(key);
    for (const [key, past] of known) if (past.seen !== at) known.delete(key);
    if (!sections.length) sections.push(make("p", "note", "There is no pool."));
    if (sections.length !== main.children.length || sections.some((one, at) => main.children[at] !== one)) {
      main.replaceChildren(...sections);
    }
    const sum = (count) => pools.reduce((sum, pool) => sum + count(pool), 0);
    document.title = `${sum((pool) => pool.healthy)} of ${sum((pool) => pool.members)} healthy`;
  };

  const say = () => {
    const old = answered === null ? null : (performance.now() - answered) / 1000;
    const stale = old !== null && old > 2.5 * EVERY / 1000;
    main.classList.toggle("old", stale || (problem !== null && old !== null));
    const since = old === null ? "" : `, what is shown is ${age(old)} old`;
    const [is, text] = problem !== null ? ["gone", `${problem}${since}`]
      : stale ? ["stale", `stale: what is shown is ${age(old)} old`]
      : old === null ? ["waiting", "waiting for the first answer"] : ["live", "live"];
    live.dataset.is = is;
    write(live, text);
    if (problem !== null || stale) document.title = is === "gone" ? "no answer" : "stale";
  };

  const ask = async () => {
    clearTimeout(timer);
    if (asking || document.hidden) return;
    asking = true;
    let status = null;
    try {
      const response = await fetch(`${base}status.json`, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
      if (response.ok) status = await response.json();
      else problem = `the server answered ${response.status}`;
    } catch (error) {
      problem = error.name === "TimeoutError" ? "the server does not answer" : "the server is gone";
    }
    asking = false;
    timer = setTimeout(ask, EVERY);
    if (status !== null) {
      [answered, problem] = [performance.now(), null];
      show(status);
    }
    say();
  };

  for (const link of document.querySelectorAll("a[data-to]")) link.href = base + link.dataset.to;
  document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
  setInterval(() => { if (!document.hidden) say(); }, EVERY);
  ask();
})();
