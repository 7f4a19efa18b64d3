// @ts-check
// The findings of a check by group, starting with the most important findings.
import { html, Icon } from "../ui/ui.js";
import { duration, number, oneLine, visible } from "../ui/format.js";
import { Problem } from "../ui/parts.js";

/** @import { Finding } from "../net/types.js" */
/** @import { CheckState } from "./state.js" */

const MOST_TEXT = 2000;
// This is the order of the findings.
const STATUSES = {
  failed: { word: "failed", icon: "x", tone: "bad" },
  warning: { word: "warning", icon: "alert", tone: "warn" },
  information: { word: "information", icon: "flag", tone: "dim" },
  "not-observed": { word: "not observed", icon: "question", tone: "dim" },
  passed: { word: "passed", icon: "check", tone: "good" },
};
const ORDER = Object.keys(STATUSES);
const COUNTED = ["passed", "failed", "warning", "information", "not_observed"];
const NEED_SANDBOX = ["repeats", "reports"];

/** @param {{ check: CheckState, onOpen: (id: string) => void }} props */
export function Results({ check, onOpen }) {
  const { begin, findings, summary, problem, isRunning, isCanceled } = check;
  const names = [...new Set(findings.map((each) => each.group))];
  const isBlind = begin && !begin.sees_reports && names.some((name) => NEED_SANDBOX.includes(name));
  return html`
    ${problem && html`<${Problem} problem=${problem} />`}
    ${isCanceled && html`<p class="note" role="status">
      You canceled the check. The remaining requests were not sent.
    </p>`}
    ${begin && html`<p class="lead" role="status">
      ${summary ? counted(summary) : isRunning ? "Checking " : "Checked "}
      <span class="mono">${oneLine(begin.target)}</span>
    </p>`}
    ${isRunning && html`<progress aria-label="Completed checks" max=${begin?.checks ?? 1}
      value=${begin ? findings.length : undefined}></progress>
      ${begin && html` <small class="dim">${number(findings.length)} of ${number(begin.checks)} checks</small>`}`}
    ${summary?.outcome === "unproved" && html`<p class="note" role="status">
      Nothing is proved, because <code>valid</code>, <code>no-signature</code> or <code>other-secret</code> has no
      result.
    </p>`}
    ${isBlind && html`<p class="note">
      No sandbox shows what the handler reports, so most checks of repeats and reports are not observed. Start the
      handler with the settings that <code>port-hook sandbox --inspect</code> prints, and check it from that page.
    </p>`}
    ${names.map((name) => html`<${Group} key=${name} name=${name} onOpen=${onOpen}
      findings=${findings.filter((each) => each.group === name)} />`)}`;
}

function Group({ name, findings, onOpen }) {
  const sorted = [...findings].sort((a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status));
  return html`<h3>${oneLine(name)}</h3>
    <table class="findings">
      <caption class="sr">Checks of the group ${oneLine(name)}</caption>
      <colgroup><col class="status-of" /><col /></colgroup>
      <thead class="sr"><tr><th scope="col">Status</th><th scope="col">Finding</th></tr></thead>
      <tbody>${sorted.filter((each) => !each.part_of).map((each) => html`<${Row} key=${each.check} finding=${each}
        parts=${sorted.filter((part) => part.part_of === each.check)} onOpen=${onOpen} />`)}</tbody>
    </table>`;
}

function counted(summary) {
  const parts = COUNTED.filter((name) => summary[name])
    .map((name) => `${number(summary[name])} ${name.replace("_", " ")}`);
  return `${number(summary.checks)} checks in ${duration(summary.duration_s)}: ${parts.join(", ")}. `;
}

/** @param {{ finding: Finding, parts: Finding[], onOpen: (id: string) => void }} props */
function Row({ finding, parts, onOpen }) {
  const { captures, failure, fix, why } = finding;
  const look = STATUSES[finding.status] ?? { word: oneLine(finding.status), icon: "question", tone: "dim" };
  const text = (value) => visible(value).slice(0, MOST_TEXT);
  return html`<tr>
    <td><span class=${`verdict ${look.tone}`}><${Icon} name=${look.icon} size=${14} />${look.word}</span></td>
    <td>
      ${failure && html`<b>The handler ${text(failure)}</b> `}<code>${oneLine(finding.check)}</code>
      <p>${text(finding.seen)}</p>
      ${parts.length > 0 && html`<p class="dim">Also: ${parts.map((part) => oneLine(part.check)).join(", ")}</p>`}
      ${why && html`<p class="dim">${text(why)}</p>`}
      ${fix && html`<p><b>Fix:</b> ${text(fix)}</p>`}
      ${captures.length > 0 && html`<p class="proofs">
        ${captures.length > 1 ? "Requests:" : "Request:"}
        ${captures.map((id) => html`<button type="button" class="link mono" key=${id} onClick=${() => onOpen(id)}>
          ${oneLine(id)}
        </button>`)}
      </p>`}
    </td>
  </tr>`;
}
