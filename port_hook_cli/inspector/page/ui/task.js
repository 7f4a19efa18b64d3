// @ts-check
// Runs a task that the user starts, such as sending a request or requesting a plan.
import { useRef, useState } from "./ui.js";

/** @import { ApiError } from "../net/door.js" */

/**
 * Run one task at a time, and store why the last task failed. `run` resolves when the task is over, and never rejects.
 */
export function useTask() {
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState(/** @type {ApiError | null} */ (null));
  const isRunning = useRef(false);
  const run = async (/** @type {() => Promise<void>} */ work) => {
    if (isRunning.current) return;
    isRunning.current = true;
    setBusy(true);
    setProblem(null);
    try {
      await work();
    } catch (error) {
      setProblem(/** @type {ApiError} */ (error));
    } finally {
      isRunning.current = false;
      setBusy(false);
    }
  };
  return { isBusy, problem, run, forgive: () => setProblem(null) };
}

/**
 * Return a handler for a form's `submit` that stays on the page.
 * @param {(event: any) => void} work
 */
export const submitting = (work) => (/** @type {any} */ event) => {
  event.preventDefault();
  work(event);
};
