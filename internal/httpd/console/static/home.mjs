// Says on the home page how many entries are new. The rows stay as they are until the reader asks for them.
const place = document.querySelector('[data-news]');
let source = null;

function open() {
  if (source) return;
  source = new EventSource(place.dataset.news);
  source.addEventListener('news', event => show(JSON.parse(event.data).new));
  source.addEventListener('end', () => { // the session has ended: the page asks to sign in when it is loaded again
    close();
    document.removeEventListener('visibilitychange', change);
  });
}

function close() {
  source?.close();
  source = null;
}

function show(count) {
  if (!count) return;
  let link = place.querySelector('a');
  if (!link) {
    link = document.createElement('a');
    link.className = 'badge info';
    link.href = location.pathname;
    place.append(link);
  }
  link.textContent = `${count.toLocaleString('en')} new`;
}

// A browser has few connections to a server, so only the tab that is looked at keeps one.
function change() {
  document.hidden ? close() : open();
}

if (place) {
  document.addEventListener('visibilitychange', change);
  addEventListener('pagehide', close);
  addEventListener('pageshow', change);
  change();
}
