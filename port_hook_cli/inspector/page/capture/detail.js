// @ts-check
// One capture: its heading, its tabs, and the response to a replay.
import { html, memo, useEffect, useRef, Button } from "../ui/ui.js";
import { Body } from "./body.js";
import { exportAs } from "./actions.js";
import { Responses } from "./response.js";
import { Result } from "./result.js";
import { Signature } from "./signature.js";
import { Summary } from "./summary.js";
import { VerdictMark } from "./verdict.js";
import { captureUrl, get } from "../net/api.js";
import { copy } from "../ui/copy.js";
import { fullTime, nameOf, oneLine, time } from "../ui/format.js";
import { Ago } from "../ui/now.js";
import { later } from "../ui/later.js";
import { Problem, Status } from "../ui/parts.js";
import { useResource } from "../ui/resource.js";

/** @import { Capture, Session } from "../net/types.js" */
/** @import { CheckState } from "../check/state.js" */
/** @import { Actions, Replayed } from "./actions.js" */

const CheckTab = later(() => import("../check/check.js"), "CheckTab");
const Comparison = later(() => import("./diff.js"), "Comparison");
const Editor = later(() => import("./editor.js"), "Editor");
const Run = later(() => import("../run/run.js"), "Run");
const TABS = [
  ["summary", "Summary"],
  ["body", "Body"],
  ["signature", "Signature"],
  ["response", "Response"],
  ["run", "Run"],
  ["edit", "Edit and replay"],
  ["check", "Check"],
];
const COMPARE = ["compare", "Comparison"];

/**
 * @typedef {{ id: string, tab: string, against: string, session: Session | null, version: number,
 *   replayed: Replayed | null, check: CheckState, actions: Actions }} Props
 */
export const Detail = memo((/** @type {Props} */ { id, tab, against, session, version, replayed, check, actions }) => {
  const { value: capture, problem } = useResource((signal) => get(captureUrl(id), {}, signal), id, { version });
  useEffect(() => {
    const selected = document.querySelector('.tabs [aria-selected="true"]');
    selected?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [capture, tab, against]);
  if (problem) {
    return html`<section class="detail" aria-label="Capture">
      <div class="panel">
        <${Problem} problem=${problem} />
        <${Button} icon="back" label="Back to the list" onClick=${actions.close} />
      </div>
    </section>`;
  }
  if (!capture) return html`<section class="detail" aria-busy="true" aria-label="Capture"></section>`;
  const tabs = against ? [...TABS, COMPARE] : TABS;
  const shown = against ? "compare" : TABS.some(([name]) => name === tab) ? tab : "summary";
  return html`<section class="detail" aria-label="Capture">
    <${Head} capture=${capture} actions=${actions} />
    <${Tabs} tabs=${tabs} shown=${shown} actions=${actions} />
    <div class="panel" id="panel" role="tabpanel" aria-labelledby=${`tab-${shown}`} tabindex="0">
      ${replayed && shown !== "edit" && html`
        <${ReplayBox} capture=${capture} replayed=${replayed} actions=${actions} />`}
      <${Part} shown=${shown} capture=${capture} session=${session} against=${against} check=${check}
        actions=${actions} />
    </div>
  </section>`;
});

/**
 * @param {{ shown: string, capture: Capture, session: Session | null, against: string, check: CheckState,
 *   actions: Actions }} props
 */
function Part({ shown, capture, session, against, check, actions }) {
  const { row, request } = capture;
  switch (shown) {
    case "body":
      return html`<${Body} id=${row.id} part="request" body=${request.body} headers=${request.headers} />`;
    case "signature":
      return html`<${Signature} capture=${capture} />`;
    case "response":
      return html`<${Responses} capture=${capture} />`;
    case "run":
      return html`<${Run} capture=${capture} session=${session} actions=${actions} />`;
    case "edit":
      return html`<${Editor} key=${row.id} capture=${capture} session=${session} actions=${actions} />`;
    case "check":
      return html`<${CheckTab} capture=${capture} check=${check} session=${session} />`;
    case "compare":
      return html`<${Comparison} a=${against} b=${row.id} actions=${actions} />`;
    default:
      return html`<${Summary} capture=${capture} session=${session} actions=${actions} />`;
  }
}

/** @param {{ tabs: string[][], shown: string, actions: Actions }} props */
function Tabs({ tabs, shown, actions }) {
  const names = tabs.map(([name]) => name);
  const onKeyDown = (event) => {
    const at = names.indexOf(shown);
    const targets = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: names.length - 1 };
    const target = targets[event.key];
    if (target === undefined) return;
    const next = names[(target + names.length) % names.length];
    if (next !== "compare") actions.tab(next);
    event.preventDefault();
    event.stopPropagation();
    requestAnimationFrame(() => document.getElementById(`tab-${next}`)?.focus());
  };
  return html`<div class="tabs" role="tablist" aria-label="Tabs of the capture" onKeyDown=${onKeyDown}>
    ${tabs.map(([name, label]) => html`<button
      type="button"
      role="tab"
      key=${name}
      id=${`tab-${name}`}
      aria-selected=${shown === name}
      aria-controls=${shown === name ? "panel" : undefined}
      tabindex=${shown === name ? 0 : -1}
      onClick=${() => name !== "compare" && actions.tab(name)}
    >${label}</button>`)}
  </div>`;
}

/**
 * The response to a replay of this capture, beside the earlier response.
 * @param {{ capture: Capture, replayed: Replayed, actions: Actions }} props
 */
function ReplayBox({ capture, replayed, actions }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => box.current?.scrollIntoView({ block: "nearest" }), [replayed]);
  const { sent, problem } = replayed;
  return html`<div class="replayed" ref=${box}>
    <header>
      <h3>Replay</h3>
      <${Button} icon="x" label="Dismiss the replay" iconOnly onClick=${actions.dismiss} />
    </header>
    ${problem && html`<${Problem} problem=${problem} />`}
    ${sent && html`<${Result} capture=${capture} result=${sent} actions=${actions} />`}
    ${!sent && !problem && html`<p class="dim" role="status">Sending…</p>`}
  </div>`;
}

/** @param {{ capture: Capture, actions: Actions }} props */
function Head({ capture, actions }) {
  const { row } = capture;
  const name = nameOf(row).slice(0, 300);
  // Port gets no response to a Kafka message.
  const status = row.message === null ? row.response : null;
  const place = row.message === null ? `${row.method} ${row.target}` : `kafka ${row.message}`;
  return html`<header class="head">
    <div class="title">
      <${Button} icon="back" label="Back to the list" iconOnly onClick=${actions.close} />
      <h2 title=${name}>${name}</h2>
      ${row.operation && html`<small class="tag">${oneLine(row.operation)}</small>`}
      <${VerdictMark} row=${row} about=${capture.verdict.about} />
      ${status !== null && html`<${Status} of=${{ status }} />`}
    </div>
    <p class="under">
      <span title=${fullTime(row.received_at)}>${time(row.received_at)}, <${Ago} at=${row.received_at} /></span>
      <span class="mono">${oneLine(place).slice(0, 130)}</span>
      <button type="button" class="id mono" title="Copy the capture's ID"
        onClick=${() => copy(row.id, "Copied the ID.")}>${oneLine(row.id)}</button>
    </p>
    <div class="actions" role="toolbar" aria-label="Actions">
      <${Button} icon="replay" label="Replay" primary onClick=${() => actions.replay(row.id)}
        title="Sign it again and send it (r)" />
      <${Button} icon="edit" label="Edit" onClick=${() => actions.edit(row.id)} title="Edit and send it (e)" />
      <${Button} icon="compare" label="Compare" onClick=${() => actions.compare(row.id)}
        title="Compare with the marked capture (d)" />
      <${Button} icon="copy" label="curl" onClick=${() => actions.curl(row.id)} title="Copy as a curl command (c)" />
      <${Export} capture=${capture} />
    </div>
  </header>`;
}

/** @param {{ capture: Capture }} props */
function Export({ capture }) {
  const onChange = ({ currentTarget }) => {
    const name = currentTarget.value;
    currentTarget.value = "";
    if (name) exportAs(capture.row.id, name);
  };
  return html`<label class="select">
    <select aria-label="Export as" value="" onChange=${onChange}>
      <option value="">Export…</option>
      ${capture.exports.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}
    </select>
  </label>`;
}
