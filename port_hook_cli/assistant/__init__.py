"""`mcp`: tools for coding agents, over the Model Context Protocol, that list, explain and compare captures."""
