// The search of the documentation. The index is an array of {t: title, h: address, k: kind, x: further words}.

// wordsOf splits a query into words in lower case.
export function wordsOf(query) {
  return query.toLowerCase().split(/[\s/{}(),;"'`-]+/).filter(Boolean);
}

// score tells how well an entry fits a word: 0 if not at all.
function score(entry, word) {
  const title = entry.t.toLowerCase();
  if (title === word) return 70;
  if (title.startsWith(word)) return 60;
  if (title.split(/[\s_-]+/).some((part) => part.startsWith(word))) return 40;
  if (entry.k.toLowerCase().includes(word)) return 25;
  const words = entry.x.split(" ");
  if (words.includes(word)) return 20;
  if (words.some((one) => one.startsWith(word))) return 10;
  if (word.length > 2 && (title.includes(word) || entry.x.includes(word))) return 4;
  return 0;
}

// find returns the entries that fit all words of a query, the best first.
export function find(index, query, most = 12) {
  const words = wordsOf(query);
  if (words.length === 0) return [];
  const found = [];
  for (const entry of index) {
    const scores = words.map((word) => score(entry, word));
    if (!scores.every((n) => n > 0)) continue;
    const inTitle = scores.every((n) => n >= 40) ? 30 : 0; // all words
    const last = entry.k.startsWith("Error ") ? 25 : 0; // after what the error is about
    found.push({ entry, score: scores.reduce((a, b) => a + b) + inTitle - last });
  }
  found.sort((a, b) => b.score - a.score);
  return found.slice(0, most).map((one) => one.entry);
}

// mountSearch makes the field of the search. The index is loaded when the field gets the focus.
export function mountSearch(place, indexURL, docsURL) {
  place.innerHTML = `<input type="search" role="combobox" aria-label="Search the documentation" aria-expanded="false"
    aria-controls="found" aria-autocomplete="list" autocomplete="off" spellcheck="false" placeholder="Search"
    maxlength="100"><kbd aria-hidden="true">/</kbd><ul role="listbox" id="found" aria-label="Found" hidden></ul>
    <span class="unseen" role="status"></span>`;
  place.hidden = false;
  const input = place.querySelector("input");
  const list = place.querySelector("ul");
  const status = place.querySelector("[role=status]");
  let index, selected = -1;
  let turn = 0; // counts what was typed and closed: only the last one is shown

  async function load() {
    if (index) return;
    const response = await fetch(indexURL);
    if (response.ok) index = await response.json();
  }

  function close() {
    turn++;
    list.hidden = true;
    select(-1);
    input.setAttribute("aria-expanded", "false");
  }

  function select(i) {
    selected = i;
    [...list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === i)));
    const option = list.children[i];
    if (option) {
      input.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    } else {
      input.removeAttribute("aria-activedescendant");
    }
  }

  async function show() {
    const mine = ++turn;
    try {
      await load();
    } catch {
      index = undefined; // the next key tries again
    }
    if (mine !== turn) return;
    const query = input.value;
    const found = index ? find(index, query) : [];
    list.replaceChildren(...found.map(optionOf));
    status.textContent = !query.trim() ? "" : found.length === 0 ? "Nothing found" : `${found.length} found`;
    if (!query.trim() || !index) return close();
    if (found.length === 0) {
      const none = document.createElement("li");
      none.className = "none";
      none.setAttribute("role", "option");
      none.setAttribute("aria-disabled", "true");
      none.textContent = `Nothing found for “${query}”.`;
      list.replaceChildren(none);
    }
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    select(found.length ? 0 : -1);
  }

  function optionOf(entry, i) {
    const option = document.createElement("li");
    option.id = `found-${i}`;
    option.setAttribute("role", "option");
    option.dataset.href = new URL(entry.h, docsURL).href;
    const kind = document.createElement("span");
    kind.className = "kind";
    kind.textContent = entry.k;
    option.append(entry.t, kind);
    return option;
  }

  function open(option) {
    if (!option?.dataset.href) return;
    close();
    input.blur();
    location.href = option.dataset.href;
  }

  input.addEventListener("focus", () => input.value ? show() : load().catch(() => {}));
  input.addEventListener("input", show);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    const n = list.hidden ? 0 : list.children.length;
    if (event.key === "ArrowDown" && n) select((selected + 1) % n);
    else if (event.key === "ArrowUp" && n) select((selected - 1 + n) % n);
    else if (event.key === "Enter") open(list.children[selected]);
    else if (event.key === "Escape") {
      if (list.hidden) input.value = "";
      close();
    } else return;
    event.preventDefault();
  });
  list.addEventListener("mousedown", (event) => event.preventDefault()); // keeps the focus in the field
  list.addEventListener("click", (event) => open(event.target.closest("[role=option]")));
  addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      input.focus();
      input.select();
    }
  });
}
