// @ts-check
// Checks the handler: the user chooses a request and a target, runs the check, and reads the findings.
import { html, Button, useEffect, useRef } from "../ui/ui.js";
import { CheckForm, Source } from "./form.js";
import { Results } from "./results.js";
import { get } from "../net/api.js";
import { go } from "../net/location.js";
import { Problem } from "../ui/parts.js";
import { useResource } from "../ui/resource.js";

/** @import { Capture, Session } from "../net/types.js" */
/** @import { CheckState } from "./state.js" */

/**
 * The check with any request. It replaces the list.
 * @param {{ check: CheckState, isEmpty: boolean, session: Session | null, onOpen: (id: string) => void,
 *   onClose: () => void }} props
 */
export function Check({ check, isEmpty, session, onOpen, onClose }) {
  const { value, problem } = useResource((signal) => get("/api/actions", {}, signal), "actions");
  const heading = useRef(/** @type {any} */ (null));
  useEffect(() => heading.current?.focus(), []);
  const actions = (value?.actions ?? []).filter((each) => each.kind !== "workflow");
  const { source } = check.form;
  return html`<section class="checks" aria-label="Check the handler">
    <header>
      <h2 tabindex="-1" ref=${heading}>Check the handler</h2>
      <${Button} icon="x" label="Back to the list" iconOnly onClick=${onClose} />
    </header>
    <${About} />
    ${problem && html`<${Problem} problem=${problem} />`}
    <${CheckForm} check=${check} source=${source} actions=${actions} version=${isEmpty} session=${session}>
      ${(plan) => html`<${Source} source=${source} plan=${plan} actions=${actions} change=${check.change} />`}
    <//>
    <${Results} check=${check} onOpen=${onOpen} />
  </section>`;
}

/**
 * The check with one capture, in a tab of the capture.
 * @param {{ capture: Capture, check: CheckState, session: Session | null }} props
 */
export function CheckTab({ capture, check, session }) {
  const { id } = capture.row;
  const isMine = check.of === id;
  return html`<section class="checks" aria-label="Check the handler with this capture">
    <${About} />
    ${check.isRunning && !isMine && html`<p class="note">
      Another check is running.${" "}
      <button type="button" class="link" onClick=${() => go({ view: "check", open: "", tab: "" })}>Show it</button>
    </p>`}
    <${CheckForm} check=${check} source=${`capture:${id}`} actions=${[]} session=${session} />
    ${isMine && html`<${Results} check=${check} onOpen=${(each) => go({ open: each, tab: "", against: "" })} />`}
  </section>`;
}

function About() {
  return html`<p class="dim">
    Find the mistakes in your handler. A check sends it valid, forged, repeated and broken requests, and shows each
    mistake and its fix.
  </p>`;
}
