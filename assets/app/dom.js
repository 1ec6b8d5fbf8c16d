export const find = (selector, root = document) => root.querySelector(selector);

export function make(tag, className, text = '') {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}

export function fill(template, values = {}) {
  const copy = find(`#${template}`).content.firstElementChild.cloneNode(true);
  const complete = (text) => text.replace(/{(\w+)}/g, (_, name) => values[name]);
  for (const node of copy.querySelectorAll('[slot], [data-href], [data-label]')) {
    const { href, label } = node.dataset;
    if (href) node.href = complete(href);
    if (label) node.ariaLabel = complete(label);
    const value = node.slot ? values[node.slot] : true;
    if (!value && value !== '') node.remove();
    else if (value !== true) node.textContent = value;
  }
  return copy;
}

export const timeOf = (iso) =>
  new Date(iso).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' });

let timer;

export function toast(text) {
  clearTimeout(timer);
  find('.toast').textContent = text;
  timer = setTimeout(toast, 6000, '');
}

export const say = (fault) => toast(fault.message);

export const empty = (title, text, href, action) => fill('empty', { title, text, href, action });

export function missing(region) {
  const text = 'The link is wrong, or what it shows is gone.';
  region.replaceChildren(empty('Nothing is here', text, '#/', 'Show all posts'));
}

export async function show(region, load) {
  region.replaceChildren(fill('skeleton'));
  try {
    region.replaceChildren(...[await load()].flat());
  } catch (fault) {
    if (fault.name === 'AbortError') return;
    if ([404, 422].includes(fault.status)) return missing(region);
    const failure = fill('failure', fault);
    find('button', failure).onclick = () => show(region, load);
    region.replaceChildren(failure);
  }
}

export function confirm(text) {
  const dialog = find('dialog');
  find('p', dialog).textContent = text;
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((answer) => (dialog.onclose = () => answer(dialog.returnValue)));
}

export function markCurrent(nav, hash) {
  for (const link of nav.querySelectorAll('a')) {
    link.ariaCurrent = link.hash === hash ? 'page' : null;
  }
}

export function onSubmit(form, send) {
  const alert = make('p', 'fault');
  alert.role = 'alert';
  form.append(alert);
  form.noValidate = true;
  form.onsubmit = async (event) => {
    event.preventDefault();
    if (form.ariaBusy) return;
    const values = Object.fromEntries(new FormData(form, event.submitter));
    alert.textContent = '';
    for (const text of form.querySelectorAll('small.fault')) {
      text.previousElementSibling.ariaInvalid = null;
      text.remove();
    }
    form.ariaBusy = 'true';
    await send(values).catch((fault) => {
      alert.textContent = fault.message;
      for (const { loc, msg } of fault.fields ?? []) {
        const input = form.elements[loc.at(-1)];
        input?.after(make('small', 'fault', msg));
        if (input) input.ariaInvalid = 'true';
        else alert.textContent += ` ${msg}.`;
      }
      find('[aria-invalid]', form)?.focus();
    });
    form.ariaBusy = null;
  };
}
