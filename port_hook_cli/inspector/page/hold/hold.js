// @ts-check
// The button that holds requests, and the panel where the user lets requests pass or responds by hand.
import { html, Button, useEffect, useRef, useState } from "../ui/ui.js";
import { post } from "../net/api.js";
import { say } from "../ui/copy.js";
import { number, oneLine } from "../ui/format.js";
import { Ago } from "../ui/now.js";
import { submitting } from "../ui/task.js";

/** @import { Held, HeldState, Row, Session } from "../net/types.js" */

/** @type {HeldState} */
export const NOTHING_HELD = { holding: false, count: 0, held: [] };
const STATUSES = [200, 202, 400, 401, 429, 500, 503];

const complain = (/** @type {any} */ error) => say(`${error.message} ${error.hint}`);

/**
 * Start holding requests, or release the held requests.
 * @param {HeldState} state
 */
export const toggleHold = ({ holding }) => post("/api/hold", { holding: !holding }).catch(complain);

/** @param {{ state: HeldState, session: Session | null }} props */
export function HoldButton({ state, session }) {
  return session?.can.hold && html`<${Button}
    icon="pause"
    label=${state.holding ? `Holding ${number(state.count)}` : "Hold"}
    title="Hold incoming requests, or release them (p)"
    pressed=${state.holding}
    onClick=${() => toggleHold(state)}
  />`;
}

/** @param {{ state: HeldState, find: (id: string) => Row | undefined, onOpen: (id: string) => void }} props */
export function HoldPanel({ state, find, onOpen }) {
  const { holding, count, held } = state;
  const heading = useRef(/** @type {HTMLElement | null} */ (null));
  const more = count - held.filter((each) => !each.response).length;
  return (holding || held.length > 0) && html`<section class="held" aria-label="Held requests">
    <header>
      <h2 tabindex="-1" ref=${heading}><span role="status">${number(count)} held</span></h2>
      <p class="dim">
        ${held.length
          ? "Port doesn't document how long it waits. Beyond 64 MiB or 1,024 connections, new requests get a 503."
          : "New requests are saved and wait here."}
      </p>
      ${holding && html`<${Button} icon="play" label="Release all" onClick=${() => toggleHold(state)} />`}
    </header>
    <ul>
      ${held.map((each) => html`<${Item}
        key=${each.id} held=${each} inputs=${find(each.id)?.inputs ?? []}
        onOpen=${onOpen} onDone=${() => heading.current?.focus()}
      />`)}
    </ul>
    ${more > 0 && html`<p class="dim">${number(more)} more</p>`}
    <datalist id="statuses">${STATUSES.map((each) => html`<option value=${each} />`)}</datalist>
  </section>`;
}

/** @param {{ held: Held, inputs: Row["inputs"], onOpen: (id: string) => void, onDone: () => void }} props */
function Item({ held, inputs, onOpen, onDone }) {
  const { id, response } = held;
  const [isResponding, setResponding] = useState(false);
  const send = (/** @type {string} */ what, /** @type {object} */ body) =>
    post(`/api/held/${id}/${what}`, body).then(({ waits }) => {
      onDone();
      if (waits) say("It waits for an earlier request of the same run, or for --max-in-flight.");
    }, complain);
  return html`<li>
    <div class="held-row">
      <button type="button" class="link" onClick=${() => onOpen(id)}>${oneLine(held.name)}</button>
      <span class="mono dim">
        ${inputs.map((pair) => oneLine(pair.join("="))).join(" ") || oneLine(held.run_id ?? id)}
      </span>
      <span>arrived <${Ago} at=${held.received_at} /></span>
      ${response
        ? html`<span class="warn">responded by hand: ${response.status} after ${response.delay_s} s</span>`
        : html`<span class="do">
            <${Button} icon="play" label="Let it pass" onClick=${() => send("pass", {})} />
            ${held.can_respond && html`<${Button}
              icon="edit" label="Respond…" pressed=${isResponding}
              onClick=${() => setResponding(!isResponding)}
            />`}
          </span>`}
    </div>
    ${isResponding && !response && html`<${ManualResponse}
      name=${`${held.name} ${id}`} onSend=${(body) => send("respond", body)} onClose=${() => setResponding(false)}
    />`}
  </li>`;
}

/** @param {{ name: string, onSend: (body: object) => void, onClose: () => void }} props */
function ManualResponse({ name, onSend, onClose }) {
  const first = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => first.current?.focus(), []);
  const submit = submitting((event) => {
    const { status, delay, body } = Object.fromEntries(new FormData(event.currentTarget));
    onSend({ status: Number(status), delay_s: Number(delay), body });
  });
  const onKey = (event) => {
    if (event.key === "Enter" && event.ctrlKey) event.currentTarget.requestSubmit();
    if (event.key !== "Escape") return;
    event.currentTarget.closest("li").querySelector("[aria-pressed]").focus();
    event.stopPropagation();
    onClose();
  };
  return html`<form aria-label=${`Respond to ${oneLine(name)}`} onSubmit=${submit} onKeyDown=${onKey}>
    <label class="field">
      <span>Status</span>
      <input name="status" type="number" min="200" max="599" required defaultValue="200" list="statuses" ref=${first} />
    </label>
    <label class="field">
      <span>Delay in seconds</span>
      <input name="delay" type="number" min="0" max="600" step="any" defaultValue="0" />
    </label>
    <label class="field">
      <span>Body</span>
      <textarea name="body" rows="2" spellcheck=${false}>{}</textarea>
    </label>
    <button class="button primary">Send response</button>
  </form>`;
}
