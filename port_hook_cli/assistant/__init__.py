"""The `mcp` command: tools for coding agents, over the Model Context Protocol, that read and compare captures."""
