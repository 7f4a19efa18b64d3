// @ts-check
// The cells of one row. list.css places them on one line, or on two or three lines in narrow lists.
import { html, memo, Icon } from "../ui/ui.js";
import { VerdictMark, hasWarning } from "../capture/verdict.js";
import {
  fullTime, latency, nameOf, oneLine, responseText, time, verdictOf,
} from "../ui/format.js";
import { Status } from "../ui/parts.js";

/** @import { Row } from "../net/types.js" */

const LONGEST_NAME = 200;

/** The cells are redrawn only when the row changes. */
export const Cells = memo(/** @param {{ row: Row, isHeld: boolean }} props */ ({ row, isHeld }) => {
  const name = nameOf(row).slice(0, LONGEST_NAME);
  return html`
    <span class="when" title=${fullTime(row.received_at)}>${time(row.received_at)}</span>
    <${VerdictMark} row=${row} />
    <span class="what">
      <strong title=${name}>${name}</strong>
      ${row.operation && html`<small class="tag">${oneLine(row.operation)}</small>`}
      ${row.kind === "workflow-node" && html`<small class="tag">node</small>`}
      ${row.source === "kafka" && html`<small class="tag" title=${oneLine(row.message)}>kafka</small>`}
      ${row.source === "replay" && html`<small class="tag replay"><${Icon} name="replay" size=${11} />replay</small>`}
    </span>
    <${Digest} row=${row} />
    <span class="run mono">${oneLine(row.run_id ?? "–")}</span>
    <span class="who">${oneLine(row.user ?? "–")}</span>
    <${Outcome} row=${row} isHeld=${isHeld} />`;
});

/** @param {{ row: Row }} props */
function Digest({ row }) {
  const inputs = row.inputs.map(([name, text]) => [oneLine(name), oneLine(text)]);
  const entity = row.entity && oneLine(row.entity);
  const whole = [...(entity ? [entity] : []), ...inputs.map((pair) => pair.join("="))].join("  ");
  return html`<span class="digest" title=${whole}>
    ${entity && html`<b>${entity}</b> `}
    ${inputs.map(([name, text]) => html`<i>${name}=</i>${text} `)}
    ${!whole && html`<small class="mono">${oneLine(row.run_id ?? "")}</small>`}
  </span>`;
}

/**
 * The response that the sender got. If the handler's response is different, it is also shown.
 * @param {{ row: Row, isHeld: boolean }} props
 */
function Outcome({ row, isHeld }) {
  if (isHeld) return html`<span class="response"><b class="pill warn">held</b></span><span class="handler"></span>`;
  const { handler, response } = row;
  const isSame = handler?.status === response;
  const pill = html`<${Status} of=${{ status: response }} />`;
  const none = html`<small class=${handler?.status === null ? "bad" : "dim"}>${responseText(row)}</small>`;
  // Port gets no response to a Kafka message.
  const got = row.message !== null ? "–" : response === null ? none : pill;
  return html`<span class="response">${got}</span>${" "}<span class="handler">
    ${handler && !isSame && html`<small>handler <${Status} of=${handler} isPlain /></small> `}
    ${handler && html`<small>${latency(handler.latency_ms)}</small>`}
    ${!handler && response !== null && html`
      <small class="dim">${row.manual ? "by hand" : "not forwarded"}</small>`}
  </span>`;
}

/** @type {WeakMap<Row, { name: string, more: string }>} The label of each row, which is slow to build. */
const labels = new WeakMap();

/** @param {Row} row */
export function labelOf(row) {
  const known = labels.get(row);
  if (known) return known;
  const warning = hasWarning(row) ? " with a warning" : "";
  const name = `${nameOf(row).slice(0, LONGEST_NAME)}, signature ${verdictOf(row.verdict).word}${warning}, `
    + `response ${row.response ?? "none"}, ${time(row.received_at)}`;
  const label = { name, more: row.inputs.map((pair) => oneLine(pair.join(" "))).join(", ") };
  labels.set(row, label);
  return label;
}
