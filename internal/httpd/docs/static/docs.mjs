// What pages of the documentation do beyond being read: they remember the language of samples, copy them, find
// operations, and send requests. Each page can be read without any of this.
import { mountSearch } from "./search.mjs";
import { mountForms } from "./try.mjs";

const remembered = "sluice-docs-language";

// choose shows the samples in a language, where a sample has it.
function choose(language) {
  for (const input of document.querySelectorAll(".samples input")) {
    if (input.value === language) input.checked = true;
  }
}

function mountSamples() {
  const language = recall();
  if (language) choose(language);
  for (const samples of document.querySelectorAll(".samples")) {
    samples.addEventListener("change", (event) => {
      const at = samples.getBoundingClientRect().top;
      choose(event.target.value);
      scrollBy(0, samples.getBoundingClientRect().top - at); // samples above may have grown
      remember(event.target.value);
    });
    samples.querySelector("fieldset").append(copyButton(samples));
  }
}

function recall() {
  try {
    return localStorage.getItem(remembered);
  } catch {
    return null; // the browser stores nothing for this site
  }
}

function remember(language) {
  try {
    localStorage.setItem(remembered, language);
  } catch {
    // the browser stores nothing for this site
  }
}

function copyButton(samples) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "slim copy-code";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    const shown = [...samples.querySelectorAll("pre")].find((pre) => pre.offsetParent !== null);
    try {
      await navigator.clipboard.writeText(shown.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(shown); // without TLS there is no clipboard
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  return button;
}

// forward leads from an address of the reference when it was one page, /docs#createFile, to the page of today.
function forward() {
  const target = document.querySelector(".everything") && location.hash && document.getElementById(location.hash.slice(1));
  const link = target && target.closest(".lists") && target.querySelector("a");
  if (link) location.replace(link.href);
}

// openTarget opens the object that the address names.
function openTarget() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  const object = target && target.closest("details.object");
  if (object) object.open = true;
}

forward();
openTarget();
addEventListener("hashchange", openTarget);
mountSamples();
mountForms();
mountSearch(document.getElementById("search"), new URL("./search.json", import.meta.url), new URL("../../", import.meta.url));
