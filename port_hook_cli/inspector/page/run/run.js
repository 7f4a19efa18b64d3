// The run in Port beside its request: status, log, links, and the nodes of a workflow as a graph.
import { html, Button, useEffect, useState } from "../ui/ui.js";
import { get, post } from "../net/api.js";
import { isoTime, oneLine, visible } from "../ui/format.js";

const EVERY_MS = 1500;
const ENDED = new Set(["SUCCESS", "FAILURE", "DECLINED", "COMPLETED"]);
const TONES = { SUCCESS: "good", COMPLETED: "good", FAILURE: "bad", FAILED: "bad", DECLINED: "bad", CANCELLED: "warn", IN_PROGRESS: "live", WAITING_FOR_APPROVAL: "warn" };

export function Run({ capture, session }) {
  const id = capture.row.run_id;
  const workflowRun = capture.summary.find(([label]) => label === "workflow run")?.[1];
  const [found, setFound] = useState(null);
  const [problem, setProblem] = useState(null);
  useEffect(() => {
    if (!id) return undefined;
    let timer = 0;
    let isGone = false;
    const load = async () => {
      try {
        const run = await get(`/api/runs/${encodeURIComponent(id)}`, { workflow_run: workflowRun });
        if (isGone) return;
        setFound(run);
        if (run.available && !ENDED.has(run.run.status)) timer = setTimeout(load, EVERY_MS);
      } catch (error) {
        if (!isGone) setProblem(error);
      }
    };
    setFound(null);
    load();
    return () => {
      isGone = true;
      clearTimeout(timer);
    };
  }, [id, workflowRun]);
  if (!id) return html`<p class="note">This request does not name a run.</p>`;
  if (problem) return html`<p class="note bad" role="alert">${problem.message} ${problem.hint}</p>`;
  if (!found) return html`<p class="note">Loading the run from Port…</p>`;
  if (!found.available) return html`<p class="note">${oneLine(found.reason).replace(/[^.!?]$/, "$&.")} ${oneLine(found.hint)}</p>`;
  const { run } = found;
  const tone = TONES[run.label] ?? TONES[run.status] ?? "dim";
  // The status of an ended workflow run is COMPLETED, whatever its result.
  const word = run.kind === "workflow" && run.label ? run.label : run.status;
  return html`<div class="run-panel" aria-live="polite">
    <p class="lead"><b class=${`status ${tone}`}>${oneLine(word)}</b>${run.label && word !== run.label && html` <span>${oneLine(run.label)}</span>`} <span class="mono dim">${oneLine(run.id)}</span></p>
    ${run.summary && html`<p>${visible(run.summary)}</p>`}
    ${run.link.length > 0 && html`<ul class="links">${run.link.map((link) => html`<li key=${link}><${Link} url=${link} /></li>`)}</ul>`}
    ${found.nodes.length > 0 && html`<${Graph} nodes=${found.nodes} current=${id} />`}
    <h3>Log</h3>
    ${found.logs.length
      ? html`<ol class="log" tabindex="0" aria-label="Log">${found.logs.map((entry, index) => html`<li key=${index} class=${(entry.level ?? "").toLowerCase()}><time>${isoTime(entry.at)}</time>${entry.level && html`<small>${oneLine(entry.level)}</small>`}<span>${visible(entry.text)}</span></li>`)}</ol>`
      : html`<p class="note">There are no log messages yet.</p>`}
    ${run.kind === "action" && !ENDED.has(run.status) && html`<${Report} id=${id} session=${session} onDone=${setFound} />`}
  </div>`;
}

// Only web addresses become links: any other scheme stays text.
function Link({ url }) {
  return /^https?:\/\//i.test(url)
    ? html`<a href=${url} rel="noreferrer noopener" target="_blank">${oneLine(url)}</a>`
    : html`<span class="mono">${oneLine(url)}</span>`;
}

function Report({ id, onDone }) {
  const [message, setMessage] = useState("");
  const [problem, setProblem] = useState(null);
  const [isSending, setSending] = useState(false);
  const send = async (status) => {
    setSending(true);
    try {
      onDone(await post(`/api/runs/${encodeURIComponent(id)}/report`, { status, message }));
      setMessage("");
      setProblem(null);
    } catch (error) {
      setProblem(error);
    } finally {
      setSending(false);
    }
  };
  return html`<fieldset class="form report"><legend>Report</legend>
    <label class="field"><span>Log message</span><input type="text" value=${message} onKeyDown=${(event) => event.stopPropagation()} onInput=${(event) => setMessage(event.currentTarget.value)} /></label>
    <div class="send"><${Button} label="Log only" disabled=${isSending || !message} onClick=${() => send(null)} />
      <${Button} label="Success" primary icon="check" disabled=${isSending} onClick=${() => send("SUCCESS")} />
      <${Button} label="Failure" icon="x" disabled=${isSending} onClick=${() => send("FAILURE")} /></div>
    ${problem && html`<p class="note bad" role="alert">${problem.message} ${problem.hint}</p>`}</fieldset>`;
}

const BOX = { width: 212, height: 52, gapX: 36, gapY: 18 };

/** The nodes in columns by their distance from the start. */
function Graph({ nodes, current }) {
  const depth = depths(nodes);
  const columns = [];
  for (const node of nodes) (columns[depth.get(node.id)] ??= []).push(node);
  const place = new Map();
  columns.forEach((column, x) => column.forEach((node, y) => place.set(node.id, [x * (BOX.width + BOX.gapX), y * (BOX.height + BOX.gapY)])));
  const width = columns.length * (BOX.width + BOX.gapX) - BOX.gapX;
  const height = Math.max(...columns.map((column) => column.length)) * (BOX.height + BOX.gapY) - BOX.gapY;
  return html`<h3>Nodes</h3><div class="graph" tabindex="0" role="region" aria-label="The workflow's nodes"><svg width=${width} height=${height} role="img" aria-label=${nodes.map((node) => `${node.title}: ${node.result ?? node.status ?? "not reached"}`).join(", ")}>
    ${nodes.flatMap((node) => node.next.filter((name) => place.has(name)).map((name) => html`<path key=${`${node.id}-${name}`} class="edge" d=${curve(place.get(node.id), place.get(name))} />`))}
    ${nodes.map((node) => {
      const [x, y] = place.get(node.id);
      const state = node.result ?? node.status;
      return html`<g key=${node.id} class=${`node-box ${TONES[state] ?? "dim"}${node.run_id === current ? " current" : ""}`} transform=${`translate(${x} ${y})`}>
        <rect width=${BOX.width} height=${BOX.height} rx="8" /><text x="12" y="21" class="node-title">${clip(oneLine(node.title), 26)}</text>
        <text x="12" y="39" class="node-state">${clip([typeName(node.type), oneLine(state ?? "not reached")].filter(Boolean).join(" · "), 32)}</text></g>`;
    })}</svg></div>`;
}

function curve([x1, y1], [x2, y2]) {
  const [fromX, fromY, toX, toY] = [x1 + BOX.width, y1 + BOX.height / 2, x2, y2 + BOX.height / 2];
  const bend = Math.max(24, (toX - fromX) / 2);
  return `M${fromX} ${fromY}C${fromX + bend} ${fromY} ${toX - bend} ${toY} ${toX} ${toY}`;
}

/** A node's type in words: "self-serve trigger". */
function typeName(type) {
  return oneLine(type ?? "").toLowerCase().replace("self_serve", "self-serve").replaceAll("_", " ");
}

function clip(text, length) {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}

function depths(nodes) {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const targets = new Set(nodes.flatMap((node) => node.next));
  const depth = new Map();
  let level = nodes.filter((node) => !targets.has(node.id)).map((node) => node.id);
  if (!level.length && nodes.length) level = [nodes[0].id];
  for (let at = 0; level.length && at <= nodes.length; at++) {
    for (const id of level) depth.set(id, at);
    level = [...new Set(level.flatMap((id) => byId.get(id).next))].filter((id) => byId.has(id) && !depth.has(id));
  }
  for (const node of nodes) if (!depth.has(node.id)) depth.set(node.id, 0);
  return depth;
}
