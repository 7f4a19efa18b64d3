// @ts-check
// The empty list. It explains how to get the first capture.
import { html, Button, Icon } from "../ui/ui.js";
import { go } from "../net/location.js";
import { copy } from "../ui/copy.js";
import { clockTime, oneLine } from "../ui/format.js";

/** @import { Filters, Session } from "../net/types.js" */

/** @param {{ filters: Filters, session: Session | null, onTrigger: () => void }} props */
export function Empty({ filters, session, onTrigger }) {
  const names = Object.keys(filters);
  if (names.length === 1 && filters.since) return html`<${Cleared} since=${Number(filters.since)} />`;
  if (names.length) {
    return html`<div class="empty-state">
      <${Icon} name="search" size=${32} />
      <h2>No captures match</h2>
      <p>Widen the filters, or clear them.</p>
      <${Button} label="Clear the filters" onClick=${() => go({ filters: {} })} />
    </div>`;
  }
  if (session?.mode === "sandbox") {
    return html`<div class="empty-state">
      <${Icon} name="clock" size=${32} />
      <h2>Waiting for the first invocation</h2>
      <p>The sandbox's requests appear here. Start a run:</p>
      <${Button} icon="play" label="Trigger an action or workflow" onClick=${onTrigger} />
    </div>`;
  }
  return html`<div class="empty-state">
    <${Icon} name="clock" size=${32} />
    <h2>Waiting for the first invocation</h2>
    ${!session ? null : session.public_url
      ? html`<p>In Port, set this URL as the webhook URL of your workflow node or action, then run it:</p>
          <${Url} url=${session.public_url} />`
      : html`${session.url && html`<${Url} url=${session.url} />
          <p>Port cannot reach this URL, because it is on your machine. For a URL that Port can reach, start the
            listener with a tunnel:</p>`}
          ${!session.url && html`<p>Start a listener in the current directory:</p>`}
          <${Command} text="port-hook listen 8000 --tunnel auto --inspect" />`}
    ${session?.url && html`<p>Or send an invocation from this machine, without Port:</p>
      <${Command} text=${`port-hook trigger ACTION.json --to ${session.url}`} />
      ${session.can.trigger && html`<${Button}
        icon="play" label="Trigger an action or workflow" onClick=${onTrigger}
      />`}`}
  </div>`;
}

function Cleared({ since }) {
  return html`<div class="empty-state">
    <${Icon} name="clock" size=${32} />
    <h2>Nothing has arrived since ${clockTime(since)}</h2>
    <p>New captures appear here. Earlier captures are still in the store.</p>
    <${Button} label="Show all captures" onClick=${() => go({ filters: {} })} />
  </div>`;
}

function Url({ url }) {
  return html`<button type="button" class="link mono big" title="Copy the URL"
    onClick=${() => copy(url, "Copied the URL.")}>${oneLine(url)}<${Icon} name="copy" size=${14} /></button>`;
}

function Command({ text }) {
  return html`<pre class="raw">${oneLine(text)}</pre>`;
}
