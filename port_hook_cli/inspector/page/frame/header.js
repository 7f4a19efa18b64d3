// @ts-check
// The top of the page: the listener's URL, the search, and the actions that don't need a capture.
import { html, useState, Button, Icon } from "../ui/ui.js";
import { HoldButton } from "../hold/hold.js";
import { Search } from "../list/filters.js";
import { setFilter } from "../net/location.js";
import { copy } from "../ui/copy.js";
import { oneLine } from "../ui/format.js";
import { setTheme, theme, THEMES } from "../ui/theme.js";

/** @import { Filters, Session } from "../net/types.js" */

const ICON = new URL("../icon.svg", import.meta.url).pathname;
const STATES = { live: "live", connecting: "connecting", waiting: "reconnecting", closed: "disconnected" };

/** @param {{ session: Session | null, filters: Filters, [name: string]: any }} props */
export function Header({ session, state, filters, isEmpty, view, searchRef, isChecking, held, ...on }) {
  const { onTrigger, onCheck, onKeys } = on;
  return html`<header class="top">
    <h1><img src=${ICON} width="22" height="22" alt="" /><span>port-hook</span></h1>
    <${Where} session=${session} state=${state} />
    <${Search} filters=${filters} inputRef=${searchRef} />
    <div class="toolbar">
      ${!isEmpty && html`<${Button}
        icon="clear"
        label="New only"
        title="Clear the list: show only captures from now on. Nothing is deleted."
        onClick=${() => setFilter("since", (Date.now() / 1000).toFixed(3))}
      />`}
      <${Button} icon="play" label="Trigger" onClick=${onTrigger} title="Trigger an action or workflow (t)" />
      <${Button}
        icon="shield"
        label=${isChecking ? "Checking…" : "Check"}
        onClick=${onCheck}
        title="Check the handler (h)"
        pressed=${view === "check"}
      />
      <${HoldButton} state=${held} session=${session} />
      <${Theme} />
      <${Button} icon="question" label="Keys" iconOnly onClick=${onKeys} />
    </div>
  </header>`;
}

function Theme() {
  const [now, setNow] = useState(theme);
  const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
  const change = () => {
    setTheme(next);
    setNow(next);
  };
  return html`<${Button} icon="theme" iconOnly label=${`Theme: ${now}. Switch to ${next}`} onClick=${change} />`;
}

/** @param {{ session: Session | null, state: string }} props */
function Where({ session, state }) {
  const address = session?.public_url ?? session?.url;
  return html`<p class="where">
    <span class=${`dot ${state}`}></span><span>${STATES[state]}</span>
    ${address && html`<button
      type="button"
      class="link mono"
      title="Copy the URL"
      onClick=${() => copy(address, "Copied the URL.")}
    ><span>${oneLine(address)}</span><${Icon} name="copy" size=${13} /></button>`}
    ${session?.mode === "store" && html`<span class="dim mono" title=${session.store}>
      ${oneLine(session.store.split("/").slice(-2).join("/"))}
    </span>`}
  </p>`;
}
