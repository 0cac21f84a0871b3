// The forms that send a request from the page. They take a test key only. It is kept in sessionStorage, which ends with
// the tab, and is sent to this server in a header, never in a URL.

const kept = "sluice-docs-test-key";
const api = new URL("../../../", import.meta.url); // the server, which may be below a path
const longest = 100_000; // characters of a response that are shown

// faultOf says why a text is not the secret of a test key, or returns "".
export function faultOf(key) {
  if (/^sk_live_/.test(key)) return "This is a live key. These forms take test keys only: sk_test_….";
  if (!/^sk_test_[a-z0-9]+$/.test(key)) return "A test key begins with sk_test_.";
  return "";
}

// requestOf returns the path and the options of a request for the values of a form: [{in, name, value}].
export function requestOf(method, path, fields) {
  const query = new URLSearchParams(), headers = new Headers({ Accept: "*/*" });
  let body, form;
  for (const { in: place, name, value } of fields) {
    switch (place) {
      case "path":
        path = path.replace(`{${name}}`, value.split("/").map(encodeURIComponent).join("/"));
        break;
      case "query":
        query.append(name, value);
        break;
      case "header":
        headers.set(name, value);
        break;
      case "json":
        body = value;
        headers.set("Content-Type", "application/json");
        break;
      case "raw":
        body = value;
        headers.set("Content-Type", value.type || "application/octet-stream");
        query.set("filename", query.get("filename") ?? value.name);
        break;
      case "form":
      case "file":
        form ??= new FormData();
        form.append(place === "file" ? "file" : name, value);
    }
  }
  if (form && !form.has("file")) form = new URLSearchParams(form); // such as a password
  const text = String(query);
  return { path: path + (text && "?" + text), options: { method, headers, body: body ?? form } };
}

function fieldsOf(form) {
  const fields = [];
  for (const input of form.querySelectorAll("[data-in]")) {
    if (input.type === "file") fields.push({ in: input.dataset.in, value: input.files[0] });
    else if (input.value !== "") fields.push({ in: input.dataset.in, name: input.dataset.name, value: input.value });
  }
  return fields;
}

async function send(operation, form) {
  const output = form.querySelector(".response");
  const key = form.elements.key?.value.trim();
  if (key !== undefined) {
    const fault = faultOf(key);
    form.elements.key.setAttribute("aria-invalid", String(fault !== ""));
    if (fault) return say(output, fault);
    keep(key);
  }
  const { method, path } = operation.dataset;
  const request = requestOf(method, path, fieldsOf(form));
  if (key !== undefined) request.options.headers.set("Authorization", `Bearer ${key}`);
  const button = form.querySelector(".primary");
  button.disabled = true;
  const began = performance.now();
  try {
    const target = new URL(request.path.slice(1), api);
    const response = await fetch(target, { ...request.options, credentials: "omit", cache: "no-store", referrerPolicy: "no-referrer" });
    await show(output, `${method} ${request.path}`, response, Math.round(performance.now() - began));
  } catch (error) {
    say(output, `No response: ${error.message}.`);
  } finally {
    button.disabled = false;
  }
}

function say(output, text) {
  const p = document.createElement("p");
  p.className = "wrong";
  p.textContent = text;
  output.replaceChildren(p);
}

// show displays a response: its status, its headers, and its body.
async function show(output, sent, response, took) {
  const line = document.createElement("p");
  const badge = document.createElement("span");
  badge.className = `badge ${response.ok ? "good" : "bad"}`;
  badge.textContent = `${response.status} ${response.statusText}`.trim();
  const code = document.createElement("code");
  code.textContent = sent;
  line.append(badge, " ", code, ` in ${took} ms`);
  const headers = document.createElement("details");
  const summary = document.createElement("summary");
  summary.textContent = "Headers";
  headers.append(summary, block([...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n")));
  output.replaceChildren(line, headers, await bodyOf(response));
}

async function bodyOf(response) {
  const media = response.headers.get("Content-Type") ?? "";
  const blob = await response.blob();
  if (!/json|^text\//.test(media)) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = "response";
    link.textContent = `Save ${blob.size.toLocaleString("en")} bytes`;
    return link;
  }
  let text = await blob.slice(0, 4 * longest).text();
  if (/[/+]json/.test(media)) {
    try {
      text = JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      // shown as it is
    }
  }
  return block(text.length > longest ? text.slice(0, longest) + "\n…" : text);
}

function block(text) {
  const pre = document.createElement("pre");
  pre.tabIndex = 0;
  const code = document.createElement("code");
  code.textContent = text;
  pre.append(code);
  return pre;
}

function keep(key) {
  for (const input of document.querySelectorAll(".try [name=key]")) input.value = key;
  try {
    if (key) sessionStorage.setItem(kept, key);
    else sessionStorage.removeItem(kept);
  } catch {
    // the browser stores nothing for this site: the key is kept until another page
  }
}

function recall() {
  try {
    return sessionStorage.getItem(kept) ?? "";
  } catch {
    return "";
  }
}

// mountForms shows the forms and has them send requests.
export function mountForms() {
  for (const operation of document.querySelectorAll(".operation")) {
    const details = operation.querySelector(".try");
    if (!details) continue;
    details.hidden = false;
    const form = details.querySelector("form");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      send(operation, form);
    });
    form.querySelector(".forget")?.addEventListener("click", () => keep(""));
  }
  const key = recall();
  if (key && !faultOf(key)) keep(key);
}
