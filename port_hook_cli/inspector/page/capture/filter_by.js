// @ts-check
// A fact of a capture that works as a filter of the list.
import { html } from "../ui/ui.js";
import { go, useLocation } from "../net/location.js";
import { oneLine } from "../ui/format.js";

/**
 * A button that sets or removes the filter. Without a value, it is plain text.
 * @param {{ name: string, value: string | number | null | undefined, children: unknown }} props
 */
export function FilterBy({ name, value, children }) {
  const { filters } = useLocation();
  const text = String(value ?? "");
  if (!text) return html`${children}`;
  const isOn = [filters[name] ?? []].flat().includes(text);
  const onClick = () => {
    const wanted = isOn ? "" : name === "verdict" ? [text] : text;
    const isCovered = window.matchMedia("(max-width: 900px)").matches; // the open capture covers the list
    go({ filters: { ...filters, [name]: wanted }, view: "", ...(isCovered && { open: "", tab: "", against: "" }) });
  };
  const title = isOn ? "Remove this filter" : `Show only captures with the ${name} ${oneLine(text)}`;
  return html`<button type="button" class="by" aria-pressed=${isOn} title=${title} onClick=${onClick}>
    ${children}
  </button>`;
}
