'use strict';
const DATA = JSON.parse(document.getElementById('data').textContent);
const kindColour = (kind) => getComputedStyle(document.documentElement).getPropertyValue(`--${kind}`);
const form = document.getElementById('controls');
const fields = form.elements;
const list = document.getElementById('cards');
const dialog = document.getElementById('detail');
const count = document.getElementById('count');
let shown = []; // the animals that pass the filter, in order
document.documentElement.style.setProperty('--aspect', DATA.aspect);

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// ---- drawing: places are in thousandths of the picture

function drawPose(context, places, labelled, style) {
  const { width, height } = context.canvas;
  const at = (k) => [(places[2 * k] * width) / 1000, (places[2 * k + 1] * height) / 1000];
  const unit = style.unit;
  for (const [start, end] of DATA.links) {
    if (!labelled[start] || !labelled[end]) continue;
    const sides = new Set([DATA.sides[start], DATA.sides[end]].filter((side) => side !== 'middle'));
    context.setLineDash(style.dashed ? [4 * unit, 3 * unit] : []);
    for (const [colour, thickness] of [['rgb(0 0 0 / .55)', 3.4], [DATA.colours[sides.size === 1 ? [...sides][0] : 'middle'], 1.8]]) {
      context.strokeStyle = colour;
      context.lineWidth = thickness * unit;
      context.beginPath();
      context.moveTo(...at(start));
      context.lineTo(...at(end));
      context.stroke();
    }
  }
  context.setLineDash([]);
  labelled.forEach((isLabelled, k) => {
    if (!isLabelled) return;
    const [x, y] = at(k);
    const radius = (k === style.keypoint ? 5 : 3) * unit;
    context.beginPath();
    if (style.square) context.rect(x - radius, y - radius, 2 * radius, 2 * radius);
    else context.arc(x, y, radius, 0, 7);
    context.fillStyle = context.strokeStyle = DATA.colours[DATA.sides[k]];
    if (style.dashed) {
      context.lineWidth = 1.6 * unit;
      context.stroke();
    } else {
      context.fill();
      context.lineWidth = unit;
      context.strokeStyle = '#000';
      context.stroke();
    }
  });
}

function drawErrors(context, animal, run, unit) {
  const { width, height } = context.canvas;
  run.kinds.forEach((kind, k) => {
    if (!kind || kind === 'good') return;
    context.strokeStyle = kindColour(kind);
    context.lineWidth = 2 * unit;
    context.beginPath();
    context.moveTo((animal.places[2 * k] * width) / 1000, (animal.places[2 * k + 1] * height) / 1000);
    context.lineTo((run.places[2 * k] * width) / 1000, (run.places[2 * k + 1] * height) / 1000);
    context.stroke();
  });
}

function drawMap(context, animal, index, keypoint) {
  const [width, height] = DATA.runs[index].mapSize;
  const bytes = atob(animal.runs[index].maps);
  const pixels = new ImageData(width, height);
  for (let cell = 0; cell < width * height; cell++) {
    const value = bytes.charCodeAt(keypoint * width * height + cell) / 255;
    pixels.data.set([255 * Math.min(1, 1.6 * value), 255 * value ** 1.6, 90 * (1 - value), 225 * value ** 0.8], 4 * cell);
  }
  const small = element('canvas', { width, height });
  small.getContext('2d').putImageData(pixels, 0, 0);
  context.fillStyle = 'rgb(0 0 0 / .35)';
  context.fillRect(0, 0, context.canvas.width, context.canvas.height);
  const [left, top, right, bottom] = animal.runs[index].mapPlace.map((place, n) => (place / 1000) * (n % 2 ? context.canvas.height : context.canvas.width));
  context.imageSmoothingQuality = 'high';
  context.drawImage(small, left, top, right - left, bottom - top);
}

// layers: {truth, runs: [indices], links: index of a run or null, map: index of a run or null, keypoint}
async function draw(canvas, animal, layers) {
  const image = element('img', { src: `data:image/jpeg;base64,${animal.jpeg}` });
  await image.decode();
  const unit = Math.min(2, window.devicePixelRatio);
  canvas.width = Math.round((canvas.clientWidth || 160) * unit);
  canvas.height = Math.round(canvas.width / DATA.aspect);
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  const { keypoint } = layers;
  if (layers.map !== null) drawMap(context, animal, layers.map, keypoint ?? 0);
  const labelled = animal.runs[0].kinds.map((kind) => kind !== null);
  if (layers.truth) drawPose(context, animal.places, labelled, { unit, keypoint, dashed: true });
  for (const run of layers.runs) drawPose(context, animal.runs[run].places, labelled, { unit, keypoint, square: run === 1 });
  if (layers.links !== null) drawErrors(context, animal, animal.runs[layers.links], unit);
}

const chosen = (name) => (fields[name].value === '' ? null : Number(fields[name].value));

function cardLayers() {
  const runs = DATA.runs.map((_, index) => index).filter((index) => fields[`run${index}`].checked);
  return { truth: fields.true.checked, runs, links: fields.links.checked ? runs[0] ?? 0 : null, map: chosen('map'), keypoint: chosen('keypoint') };
}

// ---- the cards, drawn when they come near the window and emptied when they leave it

const format = (oks) => (oks === null ? '–' : oks.toFixed(2));
const difference = (animal) => animal.runs[0].oks - animal.runs[1].oks;
const wrong = (run) => run.kinds.filter((kind) => kind && kind !== 'good').length;

function summary(animal) {
  const pair = animal.runs.map((run) => format(run.oks)).join(' / ');
  return DATA.runs.length === 1 ? pair : `${pair} (${difference(animal) < 0 ? '−' : '+'}${Math.abs(difference(animal)).toFixed(2)})`;
}

const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const canvas = target.querySelector('canvas');
    target.near = isIntersecting;
    if (isIntersecting) draw(canvas, target.animal, cardLayers());
    else canvas.width = canvas.height = 0;
  }
}, { rootMargin: '300px' });

for (const animal of DATA.animals) {
  const label = `${animal.species}, OKS ${summary(animal)}, ${wrong(animal.runs[0])} keypoints wrong`;
  const text = element('span', {}, animal.species, element('span', { textContent: summary(animal) }));
  const button = element('button', { type: 'button', tabIndex: -1, onclick: () => openDetail(animal) }, element('canvas'), text);
  button.setAttribute('aria-label', label);
  animal.card = element('li', { animal }, button);
  observer.observe(animal.card);
}

const SORTS = {
  lowest: (a, b) => a.runs[0].oks - b.runs[0].oks,
  highest: (a, b) => b.runs[0].oks - a.runs[0].oks,
  errors: (a, b) => wrong(b.runs[0]) - wrong(a.runs[0]),
  difference: (a, b) => Math.abs(difference(b)) - Math.abs(difference(a)),
  gain: (a, b) => difference(b) - difference(a),
  loss: (a, b) => difference(a) - difference(b),
  file: (a, b) => a.file.localeCompare(b.file) || a.id - b.id,
};

function passes(animal) {
  const { oks, kinds } = animal.runs[0];
  const keypoint = chosen('keypoint');
  const looked = keypoint === null ? kinds : [kinds[keypoint]];
  return (
    (!fields.species.value || animal.species === fields.species.value) &&
    (!fields.family.value || animal.family === fields.family.value) &&
    (keypoint === null || kinds[keypoint] !== null) &&
    (!fields.kind.value || looked.includes(fields.kind.value)) &&
    (oks ?? 0) >= Number(fields.low.value) &&
    (oks ?? 0) <= Number(fields.high.value || 1)
  );
}

function update() {
  shown = DATA.animals.filter(passes).sort(SORTS[fields.sort.value]);
  list.replaceChildren(...shown.map((animal) => animal.card));
  shown.forEach((animal, index) => { animal.card.firstChild.tabIndex = index ? -1 : 0; });
  count.textContent = `${shown.length} of ${DATA.animals.length} animals`;
  redraw();
}

function redraw() {
  for (const { card, ...animal } of shown) if (card.near) draw(card.querySelector('canvas'), animal, cardLayers());
}

// ---- controls

for (const [name, values] of [
  ['species', [...new Set(DATA.animals.map((animal) => animal.species))].sort()],
  ['family', [...new Set(DATA.animals.map((animal) => animal.family))].sort()],
  ['kind', DATA.kinds],
]) fields[name].append(...values.map((value) => element('option', { value, textContent: value })));
fields.keypoint.append(...DATA.keypoints.map((name, k) => element('option', { value: k, textContent: name })));

form.addEventListener('input', ({ target }) => {
  if (target.name === 'map' && target.value && fields.keypoint.value === '') fields.keypoint.value = 0;
  (target.closest('fieldset') && target.name !== 'map' ? redraw : update)();
});
form.addEventListener('reset', () => setTimeout(update));
form.addEventListener('submit', (event) => event.preventDefault());
document.addEventListener('click', ({ target }) => {
  if (!target.dataset?.filter) return;
  form.reset();
  fields[target.dataset.filter].value = target.dataset.value;
  setTimeout(() => {
    update();
    document.getElementById('gallery').scrollIntoView();
    fields[target.dataset.filter].focus({ preventScroll: true });
  });
});

list.addEventListener('keydown', (event) => {
  const cards = [...list.children];
  const here = cards.indexOf(event.target.closest('li'));
  const columns = getComputedStyle(list).gridTemplateColumns.split(' ').length;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -here, End: cards.length - 1 - here }[event.key];
  const next = cards[here + step];
  if (!next) return;
  event.preventDefault();
  cards[here].firstChild.tabIndex = -1;
  next.firstChild.tabIndex = 0;
  next.firstChild.focus();
  next.scrollIntoView({ block: 'nearest' });
});

// ---- one animal

function worst({ runs: [{ kinds, similarity }] }) {
  const labelled = kinds.map((kind, k) => (kind === null ? 101 : similarity[k]));
  return labelled.indexOf(Math.min(...labelled));
}

function openDetail(animal, keypoint = chosen('keypoint') ?? worst(animal), focus = 'close') {
  const step = (by, id) => () => openDetail(shown[(shown.indexOf(animal) + by + shown.length) % shown.length], keypoint, id);
  const bar = element('header', {},
    element('h2', { id: 'detail-title' }, `${animal.species}, OKS ${summary(animal)}`, element('small', { textContent: `${animal.file}, annotation ${animal.id}` })),
    element('button', { id: 'previous', textContent: '← previous', onclick: step(-1, 'previous') }),
    element('button', { id: 'next', textContent: 'next →', onclick: step(1, 'next') }),
    element('button', { id: 'close', textContent: 'Close', onclick: () => dialog.close() }));
  const none = { truth: false, runs: [], links: null, map: null };
  const panels = [
    ['true', { ...none, truth: true }],
    ...DATA.runs.map(({ name }, index) => [`predicted, ${name}`, { ...none, runs: [index], links: index }]),
    ...DATA.runs.map(({ name, mapName }, index) => [`${mapName} of ${DATA.keypoints[keypoint]}, ${name}`, { ...none, map: index }]),
  ];
  const canvases = panels.map(() => element('canvas'));
  const figures = panels.map(([caption], n) => element('figure', {}, canvases[n], element('figcaption', { textContent: caption })));
  const heads = DATA.runs.flatMap(({ name }) => [[`kind${DATA.runs.length > 1 ? `, ${name}` : ''}`, ''], ['similarity', 'number'], ['score', 'number wide']]);
  const rows = DATA.keypoints.map((name, k) => element('tr', { className: k === keypoint ? 'chosen' : '' },
    element('th', { scope: 'row' }, element('button', { id: `keypoint${k}`, textContent: name, onclick: () => openDetail(animal, k, `keypoint${k}`) })),
    ...animal.runs.flatMap((run) => run.kinds[k] === null
      ? [element('td', { textContent: 'not labelled' }), element('td'), element('td', { className: 'wide' })]
      : [
        element('td', {}, element('i', { className: run.kinds[k] }), run.kinds[k]),
        element('td', { className: 'number', textContent: (run.similarity[k] / 100).toFixed(2) }),
        element('td', { className: 'number wide', textContent: (run.scores[k] / 100).toFixed(2) }),
      ])));
  const table = element('table', {},
    element('thead', {}, element('tr', {}, ...[['keypoint', ''], ...heads].map(([textContent, className]) => element('th', { scope: 'col', textContent, className })))),
    element('tbody', {}, ...rows));
  dialog.replaceChildren(bar, element('div', { className: 'panels' }, ...figures), element('div', { className: 'scroll' }, table));
  Object.assign(dialog, { animal, step });
  if (!dialog.open) dialog.showModal();
  document.getElementById(focus).focus();
  panels.forEach(([, layers], n) => draw(canvases[n], animal, { ...layers, keypoint }));
}

dialog.addEventListener('keydown', ({ key }) => {
  if (key === 'ArrowLeft' || key === 'ArrowRight') dialog.step(...(key === 'ArrowLeft' ? [-1, 'previous'] : [1, 'next']))();
});
dialog.addEventListener('close', () => dialog.animal.card.firstChild.focus());
update();
