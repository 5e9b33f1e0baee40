// Which page a path is; each is a module that is loaded when it is wanted.

import { render } from "preact";
import { Frame, Guard, Told, html } from "./ui.js";

const PAGES = [
  [/^\/console\/?$/, () => import("./pages/models.js")],
  [/^\/console\/new$/, () => import("./pages/create.js")],
  [/^\/console\/models\/([^/]+)\/?$/, () => import("./pages/model.js")],
  [/^\/console\/models\/([^/]+)\/versions\/(\d+)$/, () => import("./pages/version.js")],
  [/^\/console\/models\/([^/]+)\/predict$/, () => import("./pages/predict.js")],
  [/^\/console\/models\/([^/]+)\/post$/, () => import("./pages/post.js")],
  [/^\/console\/models\/([^/]+)\/batches$/, () => import("./pages/batches.js")],
  [/^\/console\/models\/([^/]+)\/history$/, () => import("./pages/history.js")],
];

async function page() {
  for (const [pattern, load] of PAGES) {
    const found = pattern.exec(location.pathname);
    if (found) {
      const { default: Page } = await load();
      const [model, version] = found.slice(1).map(decodeURIComponent);
      return html`<${Page} model=${model} version=${version === undefined ? undefined : Number(version)} />`;
    }
  }
  return html`<${Frame} title="No such page"><p>There is nothing at <code>${location.pathname}</code>. <a href="/console">The models</a> are here.</p><//>`;
}

const root = document.getElementById("app");
page().then(
  (shown) => render(html`<${Guard}>${shown}<//>`, root),
  (problem) => render(html`<${Frame} title="Posterity"><${Told} problem=${problem} /><//>`, root),
);
