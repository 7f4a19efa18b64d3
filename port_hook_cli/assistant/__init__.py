"""The `mcp` command, which serves tools to coding agents over the Model Context Protocol."""
