// @ts-check
// Check the handler: choose a request and a target, run, and see what the handler does wrong.
import { html, Button, useEffect, useMemo, useRef, useState } from "../ui/ui.js";
import { CheckForm, NEWEST, Source } from "./form.js";
import { Results } from "./results.js";
import { get, postLines } from "../net/api.js";
import { go } from "../net/location.js";
import { visible } from "../ui/format.js";
import { useResource } from "../ui/resource.js";

/** @import { Capture, Finding, Plan, Session } from "../net/types.js" */

/**
 * What the user has chosen. `left` are the groups that are left out, and `inputs` are the action's by its identifier.
 * @typedef {{ source: string, to: string, left: string[], inputs: Record<string, Record<string, any>> }} Chosen
 */

/**
 * The form and the check. `of` is the capture that was checked, or "".
 * @typedef {{ of: string, isRunning: boolean, isCanceled: boolean, findings: Finding[], form: Chosen,
 *   begin: (Plan & { sees_reports: boolean }) | null, summary: any, problem: { message: string, hint: string } | null,
 *   run: (wanted: any) => void, change: (fields: Partial<Chosen>) => void, cancel: () => void }} CheckState
 */

const IDLE = { of: "", isRunning: false, isCanceled: false, begin: null, findings: [], summary: null, problem: null };
const EARLY = { message: "The check ended early.", hint: "Is port-hook still running?" };

/**
 * The form and the check, which continue while the user looks at something else.
 * @returns {CheckState}
 */
export function useCheck() {
  const [form, setForm] = useState(/** @type {any} */ ({ source: NEWEST, to: "", left: [], inputs: {} }));
  const [state, setState] = useState(/** @type {any} */ (IDLE));
  const leaving = useRef(/** @type {any} */ (null));
  const actions = useMemo(() => ({
    run: async (wanted) => {
      const mine = new AbortController();
      leaving.current = mine;
      setState({ ...IDLE, of: wanted.capture ?? "", isRunning: true });
      let problem = /** @type {any} */ (null);
      try {
        await postLines("/api/check", wanted, (record) => setState((old) => added(old, record)), mine.signal);
      } catch (error) {
        problem = error;
      }
      const isCanceled = mine.signal.aborted;
      const after = (old) => (isCanceled ? null : problem ?? old.problem ?? (old.summary ? null : EARLY));
      setState((old) => ({ ...old, isRunning: false, isCanceled, problem: after(old) }));
    },
    change: (fields) => setForm((old) => ({ ...old, ...fields })),
    cancel: () => leaving.current?.abort(),
  }), []);
  return useMemo(() => ({ ...state, form, ...actions }), [state, form]);
}

function added(state, record) {
  if (record.type === "begin") return { ...state, begin: record };
  if (record.type === "summary") return { ...state, summary: record };
  if (record.type === "error") return { ...state, problem: { message: record.error, hint: record.hint } };
  return { ...state, findings: [...state.findings, record] };
}

/**
 * The check of any request, in place of the list.
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
    ${problem && html`<p class="note bad" role="alert">${visible(problem.message)} ${visible(problem.hint)}</p>`}
    <${CheckForm} check=${check} source=${source} actions=${actions} version=${isEmpty} session=${session}>
      ${(plan) => html`<${Source} source=${source} plan=${plan} actions=${actions} change=${check.change} />`}
    <//>
    <${Results} check=${check} onOpen=${onOpen} />
  </section>`;
}

/**
 * The check of one capture, as a tab of it.
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
    Find the mistakes in your handler. A check sends it valid, forged, repeated and broken requests, and shows what is
    wrong and how to fix it.
  </p>`;
}
