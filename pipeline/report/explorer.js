// The explorer: shows a test pair on its way from the diseased image to the modified one.
(async () => {
  "use strict";

  const DATA = JSON.parse(document.getElementById("explorer-data").textContent);
  const RANGE = DATA.difference_range;
  const QUIVER_STEP = 4; // voxels from arrow to arrow
  const RGBA = 2304; // NIfTI's code of voxels with colour and opacity
  const SHORTEST_ARROW = 0.05; // voxels
  const byId = (id) => document.getElementById(id);
  const control = {};
  for (const id of ["dataset", "method", "pair", "share", "difference", "arrows", "length"]) {
    control[id] = byId(id);
  }
  const sliders = ["slice-x", "slice-y", "slice-z"].map(byId);

  // ---- numbers ----

  async function decode({ scale, data }) {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const integers = new Int16Array(await new Response(stream).arrayBuffer());
    return Float32Array.from(integers, (value) => value * scale);
  }

  // xhat0(p) = x1(p + share * phi(p)), linear between voxels, 0 outside the grid (Eq. 1).
  function warp(image, phi, size, share) {
    const [nx, ny] = size;
    const nz = size[2] ?? 1;
    const count = image.length;
    const result = new Float32Array(count);
    let at = 0;
    for (let z = 0; z < nz; z++) {
      for (let y = 0; y < ny; y++) {
        for (let x = 0; x < nx; x++, at++) {
          const px = x + share * phi[at];
          const py = y + share * phi[count + at];
          const pz = size.length === 3 ? z + share * phi[2 * count + at] : 0;
          const x0 = Math.floor(px), y0 = Math.floor(py), z0 = Math.floor(pz);
          let value = 0;
          for (let dz = 0; dz < (size.length === 3 ? 2 : 1); dz++) {
            const wz = dz ? pz - z0 : 1 - (pz - z0);
            if (!wz || z0 + dz < 0 || z0 + dz >= nz) continue;
            for (let dy = 0; dy < 2; dy++) {
              const wy = dy ? py - y0 : 1 - (py - y0);
              if (!wy || y0 + dy < 0 || y0 + dy >= ny) continue;
              for (let dx = 0; dx < 2; dx++) {
                const wx = dx ? px - x0 : 1 - (px - x0);
                if (!wx || x0 + dx < 0 || x0 + dx >= nx) continue;
                value += wx * wy * wz * image[x0 + dx + nx * (y0 + dy + ny * (z0 + dz))];
              }
            }
          }
          result[at] = value;
        }
      }
    }
    return result;
  }

  // ---- what is shown ----

  const shown = {}; // dataset, pair, image, observed, field or change, modified, predicted

  async function load() {
    const dataset = DATA.datasets[control.dataset.value];
    const pair = dataset.pairs[control.pair.value];
    const change = pair.changes[control.method.value];
    const [image, observed, field, added] = await Promise.all([
      decode(pair.image),
      decode(pair.observed),
      change.field ? decode(change.field) : null,
      change.difference ? decode(change.difference) : null,
    ]);
    Object.assign(shown, { dataset, pair, image, observed, field, added });
  }

  function compute() {
    const share = Number(control.share.value);
    const { dataset, image, field, added } = shown;
    shown.modified = field
      ? warp(image, field, dataset.size, share)
      : image.map((value, at) => value + share * added[at]);
    shown.predicted = shown.modified.map((value, at) => value - image[at]);
  }

  function describe() {
    const { dataset, pair, field, predicted, image } = shown;
    const share = Number(control.share.value);
    const { disease } = dataset;
    const method = control.method.value;
    let total = 0;
    for (const value of predicted) total += Math.abs(value);
    const parts = [
      `${dataset.title}, ${dataset.methods[method]}, subject ${pair.title}.`,
      `${Math.round(100 * share)} % of the change from ${disease.diseased} to ${disease.healthy}.`,
      `NCC of the whole change with the observed one: ${pair.ncc[method].toFixed(3)}.`,
      `Mean absolute difference ${(total / predicted.length).toFixed(4)} (grey values run from -1 to 1).`,
    ];
    if (field) {
      const count = image.length;
      let largest = 0;
      for (let at = 0; at < count; at++) {
        let square = 0;
        for (let part = at; part < field.length; part += count) square += field[part] ** 2;
        largest = Math.max(largest, square);
      }
      const voxels = share * Math.sqrt(largest);
      const size = dataset.voxel_mm
        ? `${(voxels * dataset.voxel_mm).toFixed(1)} mm`
        : `${voxels.toFixed(1)} pixels`;
      parts.push(`Largest displacement ${size}.`);
    } else {
      parts.push("This model has no displacement field.");
    }
    byId("summary").textContent = parts.join(" ");
    byId("share-value").textContent = share.toFixed(2);
    const picture = dataset.voxel_mm ? byId("volume") : byId("film");
    picture.setAttribute("aria-label", parts.join(" "));
  }

  // Modified image with the difference over it, opacity |4 * difference| as in the authors' figures.
  function composite() {
    const { modified } = shown;
    const change = { predicted: shown.predicted, observed: shown.observed }[control.difference.value];
    const pixels = new Uint8ClampedArray(4 * modified.length);
    for (let at = 0; at < modified.length; at++) {
      const grey = Math.min(Math.max(127.5 * (modified[at] + 1), 0), 255);
      const value = change ? change[at] : 0;
      const opacity = Math.min(Math.abs(4 * value), 1);
      const colour = mapped(DATA.colours.difference, (value / RANGE + 1) / 2);
      for (let part = 0; part < 3; part++) {
        pixels[4 * at + part] = (1 - opacity) * grey + opacity * colour[part];
      }
      pixels[4 * at + 3] = 255;
    }
    return pixels;
  }

  function mapped(table, value) { // value in 0..1
    const place = Math.min(Math.max(value, 0), 1) * (table.length - 1);
    return table[Math.round(place)];
  }

  // Arrows of one plane: from p + phi, where the intensity is, to p, where it goes.
  function drawArrows(context, across, down, position, vector, longest) {
    const magnified = Number(control.length.value) || 1;
    context.lineWidth = Math.max(1.5, context.canvas.width / 500);
    for (let row = QUIVER_STEP >> 1; row < down; row += QUIVER_STEP) {
      for (let column = QUIVER_STEP >> 1; column < across; column += QUIVER_STEP) {
        const [u, v, length] = vector(column, row);
        if (length < SHORTEST_ARROW) continue;
        const [x1, y1] = position(column, row);
        const [x0, y0] = position(column + magnified * u, row + magnified * v);
        const angle = Math.atan2(y1 - y0, x1 - x0);
        const head = Math.min(0.5 * Math.hypot(x1 - x0, y1 - y0), 8 * context.lineWidth);
        context.strokeStyle = `rgb(${mapped(DATA.colours.field, length / longest)})`;
        context.beginPath();
        context.moveTo(x0, y0);
        context.lineTo(x1, y1);
        for (const side of [-0.5, 0.5]) {
          context.moveTo(x1, y1);
          context.lineTo(x1 - head * Math.cos(angle + side), y1 - head * Math.sin(angle + side));
        }
        context.stroke();
      }
    }
  }

  function longestInPlane(field, count, parts) {
    let longest = 0;
    for (let at = 0; at < count; at++) {
      longest = Math.max(longest, Math.hypot(...parts.map((part) => field[part * count + at])));
    }
    return longest || 1;
  }

  // ---- films ----

  function drawFilm() {
    const canvas = byId("film");
    const [columns, rows] = shown.dataset.size;
    const small = new OffscreenCanvas(columns, rows);
    small.getContext("2d").putImageData(new ImageData(composite(), columns, rows), 0, 0);
    canvas.height = Math.round((canvas.width * rows) / columns);
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, 0, canvas.width, canvas.height);
    if (!shown.field || !control.arrows.checked) return;
    const scale = canvas.width / columns;
    const count = shown.image.length;
    const share = Number(control.share.value);
    drawArrows(
      context, columns, rows,
      (x, y) => [(x + 0.5) * scale, (y + 0.5) * scale],
      (x, y) => {
        const at = x + columns * y;
        const u = share * shown.field[at], v = share * shown.field[count + at];
        return [u, v, Math.hypot(u, v)];
      },
      longestInPlane(shown.field, count, [0, 1]),
    );
  }

  // ---- volumes ----

  let viewer = null;
  let viewed = null; // the data set whose volumes the viewer holds

  // Grid of the networks, axes to the right, the front and the top of the head, its centre at 0 mm.
  const firstVoxel = ({ size, voxel_mm }) => size.map((n) => (-(n - 1) / 2) * voxel_mm);

  async function startViewer() {
    viewer = new niivue.Niivue({
      backColor: [0, 0, 0, 1],
      crosshairColor: [0.2, 0.6, 1, 0.6],
      crosshairWidth: 0.15,
      dragAndDropEnabled: false,
      loadingText: "",
      multiplanarShowRender: niivue.SHOW_RENDER.NEVER,
      isNearestInterpolation: true,
      logLevel: "error",
      show3Dcrosshair: false,
    });
    await viewer.attachToCanvas(byId("volume"));
    const draw = viewer.drawScene.bind(viewer);
    viewer.drawScene = (...rest) => {
      const result = draw(...rest);
      drawQuiver();
      return result;
    };
    viewer.onLocationChange = showSlices;
  }

  async function loadVolumes() {
    const { dataset } = shown;
    while (viewer.volumes.length) viewer.removeVolume(viewer.volumes[0]);
    const [x, y, z] = firstVoxel(dataset);
    const mm = dataset.voxel_mm;
    const affine = [mm, 0, 0, x, 0, mm, 0, y, 0, 0, mm, z, 0, 0, 0, 1];
    const file = niivue.NVImage.createNiftiArray(
      dataset.size, [mm, mm, mm], affine, RGBA, new Uint8Array(4 * shown.image.length));
    viewer.addVolume(await niivue.NVImage.new(file.buffer, "image.nii"));
    dataset.size.forEach((count, axis) => {
      sliders[axis].max = count - 1;
      sliders[axis].value = Math.floor(count / 2);
    });
    viewed = dataset;
    placeSlices();
  }

  function drawVolumes() {
    viewer.volumes[0].img.set(composite());
    viewer.updateGLVolume();
  }

  function placeSlices() {
    viewer.scene.crosshairPos = viewed.size.map(
      (count, axis) => (Number(sliders[axis].value) + 0.5) / count);
    viewer.drawScene();
    describeSlices();
  }

  function showSlices() {
    if (!viewed) return;
    viewed.size.forEach((count, axis) => {
      const voxel = Math.floor(viewer.scene.crosshairPos[axis] * count);
      sliders[axis].value = Math.min(Math.max(voxel, 0), count - 1);
    });
    describeSlices();
  }

  function describeSlices() {
    sliders.forEach((slider) => {
      slider.setAttribute("aria-valuetext", `slice ${slider.value} of ${slider.max}`);
    });
  }

  function drawQuiver() {
    const canvas = byId("quiver");
    const scene = byId("volume");
    if (canvas.width !== scene.width) canvas.width = scene.width;
    if (canvas.height !== scene.height) canvas.height = scene.height;
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!viewed || viewed !== shown.dataset || !shown.field || !control.arrows.checked) return;
    const { size, voxel_mm: mm } = viewed;
    const first = firstVoxel(viewed);
    const count = shown.image.length;
    const share = Number(control.share.value);
    // Plane of NiiVue -> axes of the volume rightwards, upwards and across.
    const planes = { 0: [0, 1, 2], 1: [0, 2, 1], 2: [1, 2, 0] };
    for (const tile of viewer.screenSlices) {
      const axes = planes[tile.axCorSag];
      if (!axes) continue;
      const [right, up, across] = axes;
      const level = Number(sliders[across].value);
      const [left, top, width, height] = tile.leftTopWidthHeight;
      const stride = [1, size[0], size[0] * size[1]];
      context.save();
      context.beginPath();
      context.rect(left, top, width, height);
      context.clip();
      drawArrows(
        context, size[right], size[up],
        (a, b) => [
          left + ((first[right] + a * mm - tile.leftTopMM[0]) / tile.fovMM[0]) * width,
          top + height - ((first[up] + b * mm - tile.leftTopMM[1]) / tile.fovMM[1]) * height,
        ],
        (a, b) => {
          const at = a * stride[right] + b * stride[up] + level * stride[across];
          const u = share * shown.field[right * count + at];
          const v = share * shown.field[up * count + at];
          return [u, v, Math.hypot(u, v)];
        },
        longestInPlane(shown.field, count, [0, 1, 2]),
      );
      context.restore();
    }
  }

  // ---- controls ----

  function fill(select, entries) {
    const before = select.value;
    select.replaceChildren(...entries.map(([value, text]) => new Option(text, value)));
    if (entries.some(([value]) => String(value) === before)) select.value = before;
  }

  function trouble(error) {
    byId("trouble").hidden = false;
    byId("trouble").textContent =
      `The volumes cannot be shown here (${error.message}); a browser with WebGL 2 shows them.`;
  }

  function draw() {
    compute();
    describe();
    if (shown.dataset.voxel_mm) {
      if (viewer) drawVolumes();
    } else {
      drawFilm();
    }
  }

  let turn = Promise.resolve(); // one after the other, in the order of the clicks

  function change(action) {
    turn = turn.then(action).catch(trouble);
    return turn;
  }

  async function choose() {
    await load();
    const volumes = Boolean(shown.dataset.voxel_mm);
    byId("film-view").hidden = volumes;
    byId("volume-view").hidden = !volumes;
    byId("slices").hidden = !volumes;
    byId("trouble").hidden = true;
    control.arrows.disabled = control.length.disabled = !shown.field;
    compute();
    if (volumes) {
      if (!viewer) await startViewer();
      if (viewed !== shown.dataset) await loadVolumes();
    }
    draw();
    byId("explorer").dataset.shown = [
      control.dataset.value, control.method.value, control.pair.value].join("/");
  }

  function chooseDataset() {
    const dataset = DATA.datasets[control.dataset.value];
    fill(control.method, Object.entries(dataset.methods));
    fill(control.pair, dataset.pairs.map((pair, at) => [at, pair.title]));
    control.pair.selectedIndex = 0;
    control.length.value = dataset.voxel_mm ? 5 : 1; // as in the authors' figures
    return choose();
  }

  fill(control.dataset, DATA.datasets.map((dataset, at) => [at, dataset.title]));
  control.dataset.addEventListener("change", () => change(chooseDataset));
  control.method.addEventListener("change", () => change(choose));
  control.pair.addEventListener("change", () => change(choose));
  for (const name of ["share", "difference", "arrows", "length"]) {
    control[name].addEventListener("input", () => change(draw));
  }
  sliders.forEach((slider) => slider.addEventListener("input", () => change(placeSlices)));
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  change(chooseDataset);
})();
