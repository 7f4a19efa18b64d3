// What a capture is: its path, its facts, its inputs and its replays.
import { html, useEffect, useState, Button, Icon } from "../ui/ui.js";
import { Causes } from "./signature.js";
import { captureUrl, post } from "../net/api.js";
import { bytes, clockTime, handlerText, isPending, oneLine, responseText, sentence, statusTone, time, took, verdictOf, visible } from "../ui/format.js";

export function Summary({ capture, session, actions }) {
  const { row, verdict, delivery, response } = capture;
  const look = verdictOf(verdict.status);
  return html`
    <ol class="way" aria-label="The path of this request">
      <li class="dim"><${Icon} name="download" /><div><b>Received</b><p>${bytes(capture.request.body.bytes)} at ${clockTime(row.received_at)}</p></div></li>
      <li class=${look.tone}><${Icon} name=${look.icon} /><div><b>Signature ${look.word}</b><p>${look.about}</p></div></li>
      ${delivery
        ? html`<li class=${delivery.status === null ? "bad" : statusTone(delivery.status)}><${Icon} name="play" /><div><b>Handler ${handlerText(delivery)} ${took(delivery)}</b><p class="mono">${oneLine(delivery.url)}</p></div></li>`
        : html`<li class="dim"><${Icon} name="minus" /><div><b>${isPending(row) ? "Waiting for the handler" : "Not forwarded"}</b><p>${response ? "The listener responded itself." : "No response was recorded."}</p></div></li>`}
      <li class=${statusTone(response?.status)}><${Icon} name="flag" /><div><b>${response ? `Port got ${response.status}` : isPending(row) ? "Port got no response yet" : "No response"}</b>
        ${capture.simulated && html`<p class="warn">Simulated: ${oneLine(capture.simulated.text)}</p>`}
        ${capture.fate && html`<p>${sentence(capture.fate)}</p>`}</div></li>
    </ol>
    <${Causes} causes=${verdict.causes} tone=${look.tone} />
    <h3>Facts</h3>
    <dl class="facts">${capture.summary.map(([label, value]) => html`<div key=${label}><dt>${label}</dt><dd>${oneLine(value)}</dd></div>`)}
</dl>
    ${capture.inputs.length > 0 && html`<h3>Inputs</h3><table class="inputs"><tbody>${capture.inputs.map((input) => html`<tr key=${input.name}>
      <th scope="row">${oneLine(input.name)}</th><td class=${`value ${input.type}`}>${visible(input.text)}</td></tr>`)}</tbody></table>`}
    ${capture.changes.length > 0 && html`<h3>Changes of the entity</h3><table class="inputs"><tbody>${capture.changes.map((change) => html`<tr key=${change.path}>
      <th scope="row">${oneLine(change.path)}</th><td><del>${visible(change.before)}</del> <ins>${visible(change.after)}</ins></td></tr>`)}</tbody></table>`}
    ${capture.encrypted.length > 0 && html`<${Encrypted} capture=${capture} session=${session} />`}
    ${capture.replays.length > 0 && html`<h3>Replays</h3><ul class="replays">${capture.replays.map((replay) => html`<li key=${replay.id}>
      <button type="button" class="link" onClick=${() => actions.open(replay.id)}>${time(replay.received_at)} <span class="mono">${oneLine(replay.id)}</span></button>
      <b class=${`pill ${replay.handler?.status === null ? "bad" : statusTone(replay.response)}`}>${responseText(replay)}</b>
      <${Button} icon="compare" label="Compare with the original" iconOnly onClick=${() => actions.against(replay.id, row.id)} /></li>`)}</ul>`}
    ${row.replay_of && html`<p class="note">This is a replay of <button type="button" class="link mono" onClick=${() => actions.open(row.replay_of)}>${oneLine(row.replay_of)}</button>.
      <button type="button" class="link" onClick=${() => actions.against(row.id, row.replay_of)}>Compare the two</button></p>`}`;
}

function Encrypted({ capture, session }) {
  const [values, setValues] = useState(null);
  const [problem, setProblem] = useState(null);
  useEffect(() => setValues(null), [capture.row.id]);
  const decrypt = () => post(captureUrl(capture.row.id, "/decrypt"), {}).then((found) => setValues(found.values)).catch(setProblem);
  return html`<h3>Encrypted inputs</h3>
    ${values
      ? html`<table class="inputs"><tbody>${values.map((each) => html`<tr key=${each.path}><th scope="row">${oneLine(each.path)}</th>
          <td>${each.problem ? html`<span class="bad">${oneLine(each.problem)}</span>` : html`<span class="decrypted">${visible(each.text)}</span>`}</td></tr>`)}</tbody></table>
          <${Button} label="Hide" icon="lock" onClick=${() => setValues(null)} />`
      : html`<p class="mono">${capture.encrypted.map(oneLine).join(", ")}</p>
          <${Button} label="Decrypt here" icon="lock" onClick=${decrypt} disabled=${session?.can.decrypt === false} title=${session?.why_not.decrypt} />
          <small class="dim"> in memory only; nothing is saved</small>`}
    ${problem && html`<p class="note bad">${problem.message} ${problem.hint}</p>`}`;
}
