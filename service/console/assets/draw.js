// A pad to draw on, by mouse, touch and keyboard; and the small picture that the model gets of it.

import { useEffect, useRef, useState } from "preact/hooks";
import { centred, shrink } from "./pixels.js";
import { valuesOf } from "./inputs.js";
import { html, number } from "./ui.js";

const SIDE = 320;
const STEP = 16;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Calls `onRow({values, said} | null)` with what is drawn, as the model's row; null: nothing is. */
export function DrawPad({ input, onRow }) {
  const element = useRef(null);
  const [strokes, setStrokes] = useState([]);
  const [isCentred, setCentred] = useState(true);
  const [brush, setBrush] = useState(null);
  const theme = useTheme();
  const height = Math.round((SIDE * input.height) / input.width);
  useEffect(() => {
    paint(element.current, strokes, brush);
    // The brush is no ink: it is drawn over what is read.
    const drawing = planeOf(strokes, SIDE, height);
    onRow(drawing ? rowOf(drawing, input, isCentred) : null);
  }, [strokes, isCentred, input.ink, input.paper]);
  useEffect(() => paint(element.current, strokes, brush), [brush, theme]);

  const last = (points) => setStrokes((before) => [...before.slice(0, -1), [...before.at(-1), ...points]]);
  const begin = (point) => setStrokes((before) => [...before, [point]]);
  const pointer = pointerOf(element, { begin, last, height });
  const keyboard = (event) => byKeyboard(event, { brush, setBrush, begin, last, height, clear: () => setStrokes([]), undo });
  const undo = () => setStrokes((before) => before.slice(0, -1));
  return html`<div class="draw">
    <canvas ref=${element} class="paper" width=${SIDE} height=${height} tabindex="0" role="application"
      aria-label="Drawing" aria-describedby="how-to-draw" ...${pointer} onKeyDown=${keyboard}
      onFocus=${() => setBrush((before) => before ?? { x: SIDE / 2, y: height / 2, isDown: false })}
      onBlur=${() => setBrush((before) => before && { ...before, isDown: false, isShown: false })}></canvas>
    <p class="small" id="how-to-draw">Draw here. By keyboard: arrows move the brush, space puts it down and lifts it, Backspace undoes, Delete clears.</p>
    <p class="unseen" aria-live="polite">${brush?.isShown ? (brush.isDown ? "Brush down" : "Brush up") : ""}</p>
    <div class="actions"><button type="button" class="plain" disabled=${!strokes.length} onClick=${() => setStrokes([])}>Clear</button>
      <button type="button" class="plain" disabled=${!strokes.length} onClick=${undo}>Undo</button>
      <label class="choice"><input type="checkbox" checked=${isCentred} onChange=${(e) => setCentred(e.target.checked)} />Centre and scale</label></div>
  </div>`;
}

function pointerOf(element, { begin, last, height }) {
  const at = (event) => {
    const box = element.current.getBoundingClientRect();
    return [((event.clientX - box.left) * SIDE) / box.width, ((event.clientY - box.top) * height) / box.height];
  };
  const isDrawing = (event) => event.buttons & 1 && element.current.hasPointerCapture(event.pointerId);
  return {
    onPointerDown: (event) => {
      if (event.button !== 0) return;
      element.current.setPointerCapture(event.pointerId);
      begin(at(event));
    },
    onPointerMove: (event) => isDrawing(event) && last((event.getCoalescedEvents?.() ?? [event]).map(at)),
  };
}

function byKeyboard(event, { brush, setBrush, begin, last, height, clear, undo }) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const now = brush ?? { x: SIDE / 2, y: height / 2, isDown: false };
  const arrow = ARROWS[event.key];
  if (arrow) {
    const x = Math.min(SIDE - STEP, Math.max(STEP, now.x + STEP * arrow[0]));
    const y = Math.min(height - STEP, Math.max(STEP, now.y + STEP * arrow[1]));
    if (now.isDown) last([[x, y]]);
    setBrush({ x, y, isDown: now.isDown, isShown: true });
  } else if (event.key === " ") {
    if (!now.isDown) begin([now.x, now.y]);
    setBrush({ ...now, isDown: !now.isDown, isShown: true });
  } else if (event.key === "Delete") {
    setBrush({ ...now, isDown: false });
    clear();
  } else if (event.key === "Backspace") {
    setBrush({ ...now, isDown: false });
    undo();
  } else return;
  event.preventDefault();
}

function paint(canvas, strokes, brush) {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  const ink = getComputedStyle(canvas).color;
  strokeAll(context, strokes, ink);
  if (!brush?.isShown) return;
  context.beginPath();
  context.arc(brush.x, brush.y, SIDE / 18, 0, 2 * Math.PI);
  context.lineWidth = 3;
  context.strokeStyle = getComputedStyle(canvas).outlineColor;
  context.stroke();
}

function strokeAll(context, strokes, colour) {
  Object.assign(context, { strokeStyle: colour, lineWidth: SIDE / 10, lineCap: "round", lineJoin: "round" });
  for (const points of strokes) {
    context.beginPath();
    context.moveTo(...points[0]);
    for (const point of points.length > 1 ? points : [points[0], points[0]]) context.lineTo(...point);
    context.stroke();
  }
}

/** What is drawn as shares of ink, or null. */
function planeOf(strokes, width, height) {
  if (!strokes.length) return null;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  strokeAll(context, strokes, "#000");
  const { data } = context.getImageData(0, 0, width, height);
  return { plane: Float64Array.from({ length: width * height }, (_, index) => data[4 * index + 3] / 255), width, height };
}

function rowOf(drawing, input, isCentred) {
  const whole = { left: 0, top: 0, width: drawing.width, height: drawing.height };
  const part = (isCentred && centred(drawing, input)) || whole;
  const said = `${isCentred ? "centred and scaled" : "scaled"} to ${input.width} × ${input.height} pixels of ${number(input.paper)} to ${number(input.ink)}`;
  return { values: valuesOf(shrink(drawing, part, input), input), said };
}

/** The picture that the model gets, enlarged. */
export function Small({ input, values, said }) {
  const element = useRef(null);
  const theme = useTheme();
  useEffect(() => {
    const context = element.current.getContext("2d");
    const picture = context.createImageData(input.width, input.height);
    const count = input.width * input.height;
    for (let index = 0; index < count; index += 1) {
      const level = (channel) => (255 * (values[(input.channels === 3 ? channel * count : 0) + index] - input.paper)) / (input.ink - input.paper);
      for (const channel of [0, 1, 2]) picture.data[4 * index + channel] = level(channel);
      picture.data[4 * index + 3] = 255;
    }
    context.putImageData(picture, 0, 0);
  }, [values, input.paper, input.ink, theme]);
  return html`<figure class="small-picture"><canvas ref=${element} width=${input.width} height=${input.height} role="img"
      aria-label=${`The picture that the model gets, ${input.width} × ${input.height} pixels`}></canvas>
    <figcaption class="small">What the model gets: ${said}.</figcaption></figure>`;
}

function useTheme() {
  const [theme, setTheme] = useState(document.documentElement.dataset.theme);
  useEffect(() => {
    const turned = () => setTheme(document.documentElement.dataset.theme);
    addEventListener("posterity-theme", turned);
    return () => removeEventListener("posterity-theme", turned);
  }, []);
  return theme;
}
