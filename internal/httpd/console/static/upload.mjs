// Uploads files one after the other, with progress. A browser without this module sends the form.
//
// An upload that is paused stops: the server keeps nothing of it, and it starts from its beginning when it goes on.

const form = document.querySelector('form[data-upload]');
const input = form.querySelector('input[type=file]');
const zone = form.querySelector('.drop');
const list = form.querySelector('[data-list]');
const row = form.querySelector('template').content;
const waiting = [];
let current = null;

input.multiple = true;
zone.classList.add('live');

form.addEventListener('submit', event => {
  event.preventDefault();
  if (input.files.length) add(input.files);
  else input.click();
});
input.addEventListener('change', () => add(input.files));
for (const name of ['dragenter', 'dragover']) {
  document.addEventListener(name, event => {
    if (!event.dataTransfer?.types.includes('Files')) return;
    event.preventDefault();
    zone.classList.add('over');
  });
}
for (const name of ['dragleave', 'drop']) {
  document.addEventListener(name, event => {
    if (name === 'drop' || !event.relatedTarget) zone.classList.remove('over');
  });
}
document.addEventListener('drop', event => {
  if (!event.dataTransfer?.files.length) return;
  event.preventDefault();
  add(event.dataTransfer.files);
});
addEventListener('beforeunload', event => {
  if (current) event.preventDefault();
});

function add(files) {
  for (const file of files) waiting.push(new Upload(file));
  input.value = '';
  next();
}

function next() {
  if (current) return;
  current = waiting.find(upload => upload.state === 'waiting') ?? null;
  if (current) current.start();
  else if (waiting.length && waiting.every(upload => upload.state === 'done')) show();
}

// Shows what was uploaded: the page of the one file, or the list.
function show() {
  const one = waiting.length === 1 ? waiting[0].path : null;
  location.href = one ? `${one}?did=file-uploaded` : `${form.getAttribute('action')}?did=files-uploaded`;
}

class Upload {
  constructor(file) {
    this.file = file;
    this.fields = new FormData(form); // as they are now
    this.fields.delete('file');
    const line = row.cloneNode(true).firstElementChild;
    this.line = line;
    this.name = line.querySelector('[data-name]');
    this.status = line.querySelector('[data-status]');
    this.bar = line.querySelector('progress');
    this.pause = line.querySelector('[data-pause]');
    this.remove = line.querySelector('[data-remove]');
    this.name.textContent = visible(file.name);
    this.bar.setAttribute('aria-label', `Progress of ${file.name}`);
    this.pause.addEventListener('click', () => this.state === 'running' ? this.stop() : this.again());
    this.remove.addEventListener('click', () => this.cancel());
    list.hidden = false;
    list.append(line);
    this.set('waiting', 'Waiting');
  }

  set(state, text) {
    this.state = state;
    this.line.dataset.state = state;
    this.status.textContent = text;
    this.pause.hidden = state === 'done' || state === 'waiting';
    this.pause.textContent = state === 'running' ? 'Pause' : 'Start again';
    this.remove.hidden = state === 'done';
    this.bar.hidden = state === 'done' || state === 'failed';
  }

  start() {
    const option = form.querySelector(`[name=purpose] option[value="${CSS.escape(this.fields.get('purpose'))}"]`);
    const most = Number(option?.dataset.most);
    if (most && this.file.size > most) {
      this.end('failed', `Files of this purpose have at most ${size(most)}. This one has ${size(this.file.size)}.`);
      return;
    }
    this.request = new XMLHttpRequest();
    this.request.open('POST', form.action);
    this.request.setRequestHeader('Accept', 'application/json');
    this.request.responseType = 'json';
    this.request.upload.addEventListener('progress', event => this.progress(event.loaded, event.total));
    this.request.addEventListener('load', () => this.answered());
    this.request.addEventListener('error', () => this.end('failed', 'The connection broke.'));
    this.request.addEventListener('abort', () => {
      if (this.state === 'running') this.end('paused', 'Paused. It will start from the beginning.');
    });
    this.bar.value = 0;
    this.set('running', 'Uploading');
    const body = new FormData();
    for (const [name, value] of this.fields) body.append(name, value);
    body.append('file', this.file);
    this.request.send(body);
  }

  progress(sent, total) {
    this.bar.max = total;
    this.bar.value = sent;
    this.status.textContent = sent < total ? `${Math.floor(100 * sent / total)} % of ${size(total)}` : 'Storing';
  }

  answered() {
    const {status, response} = this.request;
    if (status === 201) {
      const link = document.createElement('a');
      link.href = response.path;
      link.textContent = response.name;
      this.name.replaceChildren(link);
      this.path = response.path;
      this.end('done', `Uploaded, ${size(this.file.size)}`);
    } else if (status === 401) {
      this.end('failed', 'You are no longer signed in. Sign in again in another tab, then start again.');
    } else {
      this.end('failed', response?.detail ? sentence(response.detail) : 'The server did not take the file.');
    }
  }

  end(state, text) {
    this.set(state, text);
    if (current === this) current = null;
    next();
  }

  stop() { this.request.abort(); }

  again() {
    this.set('waiting', 'Waiting');
    next();
  }

  cancel() {
    const running = this.state === 'running';
    this.state = 'removed';
    if (running) this.request.abort();
    waiting.splice(waiting.indexOf(this), 1);
    this.line.remove();
    list.hidden = !waiting.length;
    if (current === this) current = null;
    next();
  }
}

function size(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  for (const unit of ['kB', 'MB', 'GB', 'TB']) {
    bytes /= 1000;
    if (bytes < 999.95 || unit === 'TB') return `${bytes.toFixed(1)} ${unit}`;
  }
}

// Characters that are invisible or change the order of a text become their code points, as on the other pages.
function visible(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{DI}\u2800\ufffd]/gu, c => /[\u200c\u200d]/.test(c) ? c :
    `[U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}]`);
}

function sentence(text) {
  return text[0].toUpperCase() + text.slice(1) + (text.endsWith('.') ? '' : '.');
}
