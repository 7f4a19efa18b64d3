"""The user's terminal: streams, prompts, printing in the background, clipboard, editor, signals."""
