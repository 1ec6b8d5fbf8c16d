import { ask, call, read, tagOf, withKey } from './client.js';
import { fill, find, onSubmit, show, toast } from './dom.js';

function editor(heading, publish, { title = '', content = '' }, submit) {
  const view = fill('write', { heading, publish });
  const form = find('form', view);
  form.elements.title.value = title;
  form.elements.content.value = content;
  onSubmit(form, ({ published, ...text }) => submit({ ...text, published: published === 'true' }));
  return view;
}

function done(id, text) {
  location.hash = `#/post/${id}`;
  toast(text);
}

let unsent = {};

// The text of one account must not be shown to the next.
addEventListener('session', () => (unsent = {}));

export function write(main) {
  const view = editor('Write', 'Publish', unsent, async (json) => {
    const { id, published } = await ask('POST', 'posts', withKey(unsent, json));
    unsent = {};
    done(id, published ? 'Your post is published.' : 'Your draft is saved.');
  });
  view.oninput = ({ target }) => (unsent[target.name] = target.value);
  main.append(view);
}

export function edit(main, signal, id) {
  show(main, async () => {
    const response = await call('GET', `posts/${id}`, { signal });
    const { Post: post } = await response.json();
    if (post.owner_id !== (await read('users/me')).id) throw { status: 404 };
    const attempt = {};
    return editor('Edit', post.published ? 'Save' : 'Publish', post, async (json) => {
      try {
        await change(id, withKey(attempt, json), tagOf(response));
      } catch (fault) {
        if (fault.status !== 412) throw fault;
        main.replaceChildren(await conflict(id, json));
      }
    });
  });
}

async function change(id, request, tag) {
  await call('PATCH', `posts/${id}`, { ...request, headers: { 'if-match': tag } });
  done(id, 'Your changes are saved.');
}

async function conflict(id, mine) {
  const response = await call('GET', `posts/${id}`);
  const { title: theirTitle, content: theirContent } = (await response.json()).Post;
  const view = fill('conflict', { id, ...mine, theirTitle, theirContent });
  const request = withKey({}, mine);
  onSubmit(find('form', view), () => change(id, request, tagOf(response)));
  return view;
}
