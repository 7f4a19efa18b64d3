// @ts-check
// The state of the check: the user's choices, and the findings so far.
import { useMemo, useRef, useState } from "../ui/ui.js";
import { postLines } from "../net/api.js";

/** @import { Finding, Plan } from "../net/types.js" */

export const LATEST = "";

/**
 * The user's choices. `left` contains the groups to skip. `inputs` contains the inputs of each action by its
 * identifier.
 * @typedef {{ source: string, to: string, left: string[], inputs: Record<string, Record<string, any>> }} Chosen
 */

/**
 * The form and the check. `of` is the ID of the capture that the check uses, or "".
 * @typedef {{ of: string, isRunning: boolean, isCanceled: boolean, findings: Finding[], form: Chosen,
 *   begin: (Plan & { sees_reports: boolean }) | null, summary: any, problem: { message: string, hint: string } | null,
 *   run: (wanted: any) => void, change: (fields: Partial<Chosen>) => void, cancel: () => void }} CheckState
 */

const IDLE = { of: "", isRunning: false, isCanceled: false, begin: null, findings: [], summary: null, problem: null };
const EARLY = { message: "The check ended early.", hint: "Is port-hook still running?" };

/**
 * Return the form and the check, which continue while the user looks at something else.
 * @returns {CheckState}
 */
export function useCheck() {
  const [form, setForm] = useState(/** @type {any} */ ({ source: LATEST, to: "", left: [], inputs: {} }));
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
