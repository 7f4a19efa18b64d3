// @ts-check
// The message that replaces a part of the page that cannot be drawn.
import { html, Button, Component } from "./ui.js";
import { oneLine } from "./format.js";

/**
 * Draws its children. After an error in a child, shows a message and a button until `at` changes.
 * @extends {Component<any, { error: any }>}
 */
export class Boundary extends Component {
  constructor() {
    super();
    this.state = { error: /** @type {any} */ (null) };
  }

  static getDerivedStateFromError(error) {
    return { error };
  }

  componentDidUpdate(before) {
    if (this.state.error && before.at !== this.props.at) this.setState({ error: null });
  }

  render({ children, what }) {
    const { error } = this.state;
    if (!error) return children;
    return html`<div class="failure" role="alert"><h2>${what} cannot be shown</h2>
      <p>This is a bug in the inspector. Your captures are safe in the store.</p>
      <pre class="raw">${oneLine(error?.message ?? error).slice(0, 500)}</pre>
      <${Button} primary label="Reload" onClick=${() => window.location.reload()} /></div>`;
  }
}
