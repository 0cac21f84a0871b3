// What every page of the console does with a script: copies, opens dialogs, and sends each form once.

// A button with data-copy copies the value of the field that it names.
document.addEventListener('click', async event => {
  const button = event.target.closest('[data-copy]');
  if (!button) return;
  const field = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(field.value);
  } catch { // without TLS there is no clipboard
    field.select();
    document.execCommand('copy');
  }
  const before = button.textContent;
  button.textContent = 'Copied';
  setTimeout(() => { button.textContent = before; }, 2000);
});

// A link with data-dialog opens the main part of its page in a dialog. Forms in it are sent like those of the page.
document.addEventListener('click', async event => {
  const link = event.target.closest('a[data-dialog]');
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  try {
    const response = await fetch(link.href, {headers: {Accept: 'text/html'}, redirect: 'error'});
    const page = new DOMParser().parseFromString(await response.text(), 'text/html');
    const content = page.querySelector('[data-dialog-content]');
    if (!response.ok || !content) throw new Error('no dialog');
    open(document.adoptNode(content), link);
  } catch {
    location.href = link.href;
  }
});

function open(content, opener) {
  const dialog = document.createElement('dialog');
  const title = content.querySelector('h1');
  if (title) {
    title.id ||= 'dialog-title';
    dialog.setAttribute('aria-labelledby', title.id);
  }
  for (const form of content.querySelectorAll('form:not([action])')) form.action = opener.href;
  dialog.append(content);
  dialog.addEventListener('click', event => { // the backdrop, or a link that leads back
    if (event.target === dialog || event.target.closest('[data-close]')) {
      event.preventDefault();
      dialog.close();
    }
  });
  dialog.addEventListener('close', () => {
    dialog.remove();
    opener.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
}

// A form is sent once, however often its button is pressed.
document.addEventListener('submit', event => {
  if (event.defaultPrevented || event.target.matches('[data-download]')) return; // a download leaves the page as it is
  if (event.target.dataset.sent) {
    event.preventDefault();
    return;
  }
  event.target.dataset.sent = 'yes';
  event.submitter?.setAttribute('aria-disabled', 'true');
});
addEventListener('pageshow', () => { // the page may come back from the memory of the browser
  for (const form of document.querySelectorAll('form[data-sent]')) {
    delete form.dataset.sent;
    form.querySelector('[aria-disabled]')?.removeAttribute('aria-disabled');
  }
});

// The choice beside a field is taken when the field is filled in.
document.addEventListener('input', event => {
  const choice = event.target.dataset.chooses && document.getElementById(event.target.dataset.chooses);
  if (choice) choice.checked = true;
});
