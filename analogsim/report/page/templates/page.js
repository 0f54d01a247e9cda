"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // Theme: that of the system until somebody chooses.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const theme = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  const themeButton = document.getElementById("theme");
  const nameTheme = () => { themeButton.textContent = theme() === "dark" ? "Light" : "Dark"; };
  themeButton.addEventListener("click", () => {
    root.dataset.theme = theme() === "dark" ? "light" : "dark";
    try { localStorage.setItem("analogsim-theme", root.dataset.theme); } catch { /* not remembered */ }
    nameTheme();
  });
  dark.addEventListener("change", nameTheme);
  nameTheme();

  // Scenarios and CSV files: packed once, opened when first asked for.
  let opened = null;
  const data = () => {
    opened ??= (async () => {
      const packed = atob(document.getElementById("data").textContent.trim());
      const bytes = Uint8Array.from(packed, (letter) => letter.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
      return new Response(stream).json();
    })();
    return opened;
  };

  const save = (text, name, type) => {
    const url = URL.createObjectURL(new Blob([text], { type }));
    const link = document.createElement("a");
    link.href = url;
    link.download = name;
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  };

  // Resolved scenarios.
  const dialog = document.getElementById("scenario");
  const [heading, choice, text] = ["h2", "select", "pre"].map((each) => dialog.querySelector(each));
  const numbers = (spans) => spans.split(" ").flatMap((span) => {
    const [first, last = first] = span.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, at) => first + at);
  });
  const showJob = (held) => {
    const [id, index] = held.jobs[choice.value];
    heading.textContent = id;
    text.textContent = held.scenarios[index];
    text.scrollTop = 0;
  };
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-jobs]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    let held;
    try { held = await data(); } catch { location.href = link.href; return; } // the file beside the page
    const wanted = numbers(link.dataset.jobs).filter((number) => held.jobs[number]);
    choice.replaceChildren(...wanted.map((number) => new Option(held.jobs[number][0], number)));
    choice.parentElement.hidden = wanted.length < 2;
    showJob(held);
    dialog.showModal();
  });
  choice.addEventListener("change", async () => showJob(await data()));
  dialog.querySelector("[data-save]").addEventListener("click", () => {
    save(text.textContent, `${heading.textContent}.yaml`, "application/yaml");
  });
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  // Downloads.
  for (const button of all("button[data-csv]")) {
    button.addEventListener("click", async () => {
      const name = button.dataset.csv;
      try {
        save((await data()).files[name], name, "text/csv");
      } catch {
        button.textContent = "this browser cannot unpack it";
      }
    });
  }
  const light = getComputedStyle(document.querySelector(".light"));
  const ink = light.getPropertyValue("--ink").trim();
  const font = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";
  const SVG = "http://www.w3.org/2000/svg";
  const element = (name, attributes, content) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (content !== undefined) made.textContent = content;
    return made;
  };
  const sizeOf = (svg) => svg.getAttribute("viewBox").split(" ").slice(2).map(Number);
  const placed = (svg, x, y) => {
    const copy = svg.cloneNode(true);
    const [width, height] = sizeOf(svg);
    for (const [key, value] of Object.entries({ x, y, width, height })) copy.setAttribute(key, value);
    return copy;
  };
  const compose = (figure) => { // panels in columns, the legend above them
    const panels = all(".panel", figure).map((panel) => [panel.querySelector("b")?.textContent ?? "", panel.querySelector("svg")]);
    const columns = Math.min(panels.length, Number(figure.querySelector(".panels").style.getPropertyValue("--n")));
    const width = Math.max(...panels.map(([, svg]) => sizeOf(svg)[0])) + 14;
    const total = Math.max(columns * width, 300);
    const whole = element("svg", { xmlns: SVG });
    let [x, y] = [6, 8];
    for (const item of all(".legend li", figure)) {
      const svg = item.querySelector("svg");
      const [wide, high] = sizeOf(svg);
      const title = item.querySelector("span")?.textContent ?? "";
      const needed = wide + 8 + 6 * title.length + 14;
      if (x > 6 && x + needed > total) [x, y] = [6, y + 17];
      whole.append(placed(svg, x, y + (12 - Math.min(12, high)) / 2));
      whole.append(element("text", { x: x + wide + 5, y: y + 9.5, "font-size": 10, fill: "currentColor" }, title));
      x += needed;
      if (high > 20) y += high - 12;
    }
    y += x > 6 ? 26 : 0;
    for (let start = 0; start < panels.length; start += columns) {
      const line = panels.slice(start, start + columns);
      const tall = Math.max(...line.map(([, svg]) => sizeOf(svg)[1]));
      line.forEach(([title, svg], at) => {
        const heading = { x: at * width + 7, y: y + 10, "font-size": 10.5, "font-weight": 600, fill: "currentColor" };
        whole.append(element("text", heading, title), placed(svg, at * width, y + 16));
      });
      y += tall + 30;
    }
    whole.setAttribute("viewBox", `0 0 ${total} ${y}`);
    whole.setAttribute("width", `${total}pt`);
    whole.setAttribute("height", `${y}pt`);
    whole.setAttribute("font-family", font);
    whole.setAttribute("color", ink);
    return new XMLSerializer().serializeToString(whole)
      .replace(/var\((--c\d|--ground)\)/g, (_, name) => light.getPropertyValue(name).trim())
      .replace(/currentColor/g, ink);
  };
  for (const button of all("button[data-svg]")) {
    button.addEventListener("click", () => {
      save(compose(button.closest("figure")), `${button.dataset.svg}.svg`, "image/svg+xml");
    });
  }

  // Tables: sorted by a click on a head, filtered by words.
  const numberOf = (cell) => {
    const text = cell.dataset.v ?? cell.textContent.replace(/[\u2009\u00a0\s]/g, "").replace("\u2212", "-");
    const value = parseFloat(text);
    return Number.isNaN(value) ? null : value;
  };
  const words = new Intl.Collator(undefined, { numeric: true });
  const sort = (table, column, descending, numeric) => {
    const body = table.tBodies[0];
    const keyed = [...body.rows].map((row) => {
      const cell = row.cells[column];
      return [numeric ? numberOf(cell) : cell.textContent, row];
    });
    const sign = descending ? -1 : 1;
    keyed.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null); // what is unknown comes last
      return sign * (numeric ? a - b : words.compare(a, b));
    });
    body.append(...keyed.map(([, row]) => { row.classList.remove("begins"); return row; }));
  };
  for (const table of all("table")) {
    all("th[data-kind]", table).forEach((head) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const descending = head.getAttribute("aria-sort") === "ascending";
        all("th[aria-sort]", table).forEach((each) => each.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        sort(table, head.cellIndex, descending, head.dataset.kind === "number");
      });
    });
  }
  for (const input of all("input[data-filter]")) {
    const rows = [...document.getElementById(input.dataset.filter).tBodies[0].rows];
    const count = input.closest(".tools").querySelector("output");
    const say = (shown) => { count.textContent = shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`; };
    input.addEventListener("input", () => {
      const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !wanted.every((word) => text.includes(word));
        shown += !row.hidden;
      }
      say(shown);
    });
    say(rows.length);
  }
})();
