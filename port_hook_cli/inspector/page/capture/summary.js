// @ts-check
// The path, the facts, the inputs and the replays of a capture.
import { html, useState, Button, Icon } from "../ui/ui.js";
import { FilterBy } from "./filter_by.js";
import { Causes } from "./verdict.js";
import { captureUrl, post } from "../net/api.js";
import {
  bytes, clockTime, handlerText, isPending, oneLine, responseText, sentence, statusTone, time, toneOf, took, verdictOf,
  visible,
} from "../ui/format.js";
import { Problem, WithCode } from "../ui/parts.js";
import { useTask } from "../ui/task.js";

/** @import { Capture, Delivery, Row, Session } from "../net/types.js" */
/** @import { Actions } from "./actions.js" */

/** @type {Record<string, string>} Which filter a fact is. */
const FILTER_OF = {
  what: "action", run: "run", by: "user", entity: "entity", workflow: "workflow", node: "node",
};

/** @param {{ capture: Capture, session: Session | null, actions: Actions }} props */
export function Summary({ capture, session, actions }) {
  const { row, verdict, inputs, changes } = capture;
  return html`
    <${Way} capture=${capture} />
    <${Causes} verdict=${verdict} />
    ${capture.hints.length > 0 && html`<div class="note hints">
      ${capture.hints.map((hint) => html`<p key=${hint}><${WithCode} text=${hint} /></p>`)}
    </div>`}
    <h3>Facts</h3>
    <dl class="facts">
      ${capture.summary.map(([label, value]) => html`<div key=${label}>
        <dt>${label}</dt>
        <dd><${FilterBy} name=${FILTER_OF[label]} value=${capture.filters[FILTER_OF[label]]}>${oneLine(value)}<//></dd>
      </div>`)}
    </dl>
    ${inputs.length > 0 && html`<h3>Inputs</h3>
      <table class="inputs"><tbody>
        ${inputs.map((input) => html`<tr key=${input.name}>
          <th scope="row">${oneLine(input.name)}</th>
          <td class=${`value ${input.type}`}>${visible(input.text)}</td>
        </tr>`)}
      </tbody></table>`}
    ${changes.length > 0 && html`<h3>Entity changes</h3>
      <table class="inputs"><tbody>
        ${changes.map((change) => html`<tr key=${change.path}>
          <th scope="row">${oneLine(change.path)}</th>
          <td><del>${visible(change.before)}</del> <ins>${visible(change.after)}</ins></td>
        </tr>`)}
      </tbody></table>`}
    ${capture.encrypted.length > 0 && html`<${Encrypted} key=${row.id} capture=${capture} session=${session} />`}
    <${Replays} capture=${capture} actions=${actions} />`;
}

/**
 * The path of a request from its arrival to its response.
 * @param {{ capture: Capture }} props
 */
function Way({ capture }) {
  const { row, verdict, delivery, response } = capture;
  const look = verdictOf(verdict.status);
  const isMessage = row.message !== null;
  const answer = isMessage
    ? "Port gets no response"
    : response ? `Port got ${response.status}` : isPending(row) ? "Port got no response yet" : "No response";
  return html`<ol class="way" aria-label="The path of this request">
    <${Step} tone="dim" icon="download" title="Received">
      <p>${bytes(capture.request.body.bytes)} at ${clockTime(row.received_at)}</p>
    <//>
    <${Step} tone=${look.tone} icon=${look.icon}
      title=${html`<${FilterBy} name="verdict" value=${verdict.status}>Signature ${look.word}<//>`}>
      <p>${verdict.about}</p>
    <//>
    ${delivery ? html`<${Handled} delivery=${delivery} />` : html`<${Step} tone="dim" icon="minus"
      title=${isPending(row) ? "Waiting for the handler" : "Not forwarded"}>
      <p>${row.manual ? "You responded by hand." : response && !isMessage ? "The listener responded itself."
        : "No response was recorded."}</p>
    <//>`}
    <${Step} tone=${isMessage ? "dim" : statusTone(response?.status)} icon="flag"
      title=${html`<${FilterBy} name="response" value=${isMessage ? null : response?.status}>${answer}<//>`}>
      ${capture.simulated && html`<p class="warn">
        ${capture.simulated.manual ? "Responded" : "Simulated:"} ${oneLine(capture.simulated.text)}
      </p>`}
      ${capture.fate && html`<p>${sentence(capture.fate)}</p>`}
    <//>
  </ol>`;
}

/** @param {{ delivery: Delivery }} props */
function Handled({ delivery }) {
  // A held request never reached the handler if its sender gave up.
  const isInterrupted = delivery.fault === "interrupted";
  const title = html`<${FilterBy} name="handler" value=${delivery.status ?? "no-response"}>
    ${isInterrupted ? "Interrupted" : `Handler ${handlerText(delivery)}`}
  <//> ${took(delivery)}`;
  return html`<${Step} tone=${toneOf(delivery)} icon="play" title=${title}>
    <p class="mono">${oneLine(delivery.url)}</p>
    ${isInterrupted && delivery.error && html`<p>${sentence(delivery.error)}</p>`}
  <//>`;
}

/** @param {{ tone: string, icon: string, title: unknown, children: unknown }} props */
function Step({ tone, icon, title, children }) {
  return html`<li class=${tone}><${Icon} name=${icon} /><div><b>${title}</b>${children}</div></li>`;
}

/** @param {{ capture: Capture, actions: Actions }} props */
function Replays({ capture, actions }) {
  const { row, replays } = capture;
  /** @param {Row} replay */
  const look = (replay) => (replay.handler?.status === null ? "bad" : statusTone(replay.response));
  /** @param {Row} replay */
  const shown = (replay) => html`<li key=${replay.id}>
    <button type="button" class="link" onClick=${() => actions.open(replay.id)}>
      ${time(replay.received_at)} <span class="mono">${oneLine(replay.id)}</span>
    </button>
    <b class=${`pill ${look(replay)}`}>${responseText(replay)}</b>
    <${Button} icon="compare" label="Compare with the original" iconOnly
      onClick=${() => actions.against(replay.id, row.id)} />
  </li>`;
  const original = row.replay_of;
  return html`
    ${replays.length > 0 && html`<h3>Replays</h3><ul class="replays">${replays.map(shown)}</ul>`}
    ${original && html`<p class="note">
      This is a replay of ${" "}
      <button type="button" class="link mono" onClick=${() => actions.open(original)}>
        ${oneLine(original)}
      </button>. ${" "}
      <button type="button" class="link" onClick=${() => actions.against(row.id, original)}>Compare the two</button>
    </p>`}`;
}

/** @param {{ capture: Capture, session: Session | null }} props */
function Encrypted({ capture, session }) {
  const [values, setValues] = useState(/** @type {any[] | null} */ (null));
  const { problem, run } = useTask();
  const decrypt = () => run(async () => setValues((await post(captureUrl(capture.row.id, "/decrypt"), {})).values));
  return html`<h3>Encrypted inputs</h3>
    ${values
      ? html`<table class="inputs"><tbody>
          ${values.map((each) => html`<tr key=${each.path}>
            <th scope="row">${oneLine(each.path)}</th>
            <td>${each.problem
              ? html`<span class="bad">${oneLine(each.problem)}</span>`
              : html`<span class="decrypted">${visible(each.text)}</span>`}</td>
          </tr>`)}
        </tbody></table>
        <${Button} label="Hide" icon="lock" onClick=${() => setValues(null)} />`
      : html`<p class="mono">${capture.encrypted.map(oneLine).join(", ")}</p>
        <${Button} label="Decrypt here" icon="lock" onClick=${decrypt}
          disabled=${session?.can.decrypt === false} title=${session?.why_not.decrypt} />
        <small class="dim"> In memory only. Nothing is saved.</small>`}
    ${problem && html`<${Problem} problem=${problem} />`}`;
}
