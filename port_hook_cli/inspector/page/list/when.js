// @ts-check
// A filter by time for users who don't drag over the timeline.
import { html, Button, useState } from "../ui/ui.js";
import { go } from "../net/location.js";
import { Dialog } from "../ui/dialogs.js";
import { submitting } from "../ui/task.js";
import { fieldText, parseRange, RANGES } from "../ui/times.js";

/** @import { Filters } from "../net/types.js" */

/** @param {{ filters: Filters }} props */
export function When({ filters }) {
  const [isOpen, setOpen] = useState(false);
  const [problem, setProblem] = useState("");
  const close = () => setOpen(false);
  const show = (range) => {
    close();
    go({ filters: { ...filters, since: "", until: "", ...range } });
  };
  const onSubmit = submitting((event) => {
    const [from, to] = event.currentTarget.querySelectorAll("input");
    const { problem: wrong = "", ...range } = parseRange(from.value, to.value);
    setProblem(wrong);
    if (!wrong) show(range);
  });
  const field = (label, value) => html`<label class="field inline">
    <span>${label}</span><input type="datetime-local" step="1" defaultValue=${fieldText(value)} />
  </label>`;
  return html`<${Button} icon="clock" label="Time" onClick=${() => setOpen(true)} />
    ${isOpen && html`<${Dialog} title="Time" onClose=${close}>
      <div class="send">${RANGES.map(([seconds, label]) => html`<${Button} key=${label} label=${label}
        onClick=${() => show({ since: (Date.now() / 1000 - Number(seconds)).toFixed(0) })} />`)}</div>
      <form onSubmit=${onSubmit}>
        ${field("From", filters.since)}
        ${field("To", filters.until)}
        ${problem && html`<p class="note bad" role="alert">${problem}</p>`}
        <button type="submit" class="button primary">Show</button>
      </form>
    <//>`}`;
}
